//! Who is topped up, and by how much: pure.

use alloy::primitives::{Address, Bytes, U256};
use alloy::providers::bindings::IMulticall3;
use alloy::sol_types::SolCall;

use crate::funding::FundingConfig;
use crate::{AccountBalance, Fees};

/// Most accounts that one transaction tops up.
const MOST_AT_ONCE: usize = 128;
/// Gas of a top-up, and of each account in it: twice what a call with value to a fresh account takes is enough for one
/// whose code does something about it.
const GAS: (u64, u64) = (60_000, 60_000);

/// What the funder can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purse {
    /// What it holds, in wei.
    pub(crate) balance: U256,
    /// What it bids now. Twice as much is kept back for its gas, so that its bid can be raised.
    pub(crate) fees: Fees,
    /// What it gave within the hour, in wei.
    pub(crate) spent_this_hour: U256,
}

/// What one account gets, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopUp {
    pub(crate) account: Address,
    pub(crate) amount: U256,
}

/// What one transaction gives, the lowest account first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopUps(pub(crate) Vec<TopUp>);

impl TopUps {
    pub(crate) fn total(&self) -> U256 {
        self.0.iter().fold(U256::ZERO, |sum, top_up| sum.saturating_add(top_up.amount))
    }

    /// The gas limit of the transaction that gives them.
    pub(crate) const fn gas_limit(&self) -> u64 {
        gas_of(self.0.len())
    }

    /// The call of Multicall3 that gives them: all, or none. What a call that fails was to give would stay with Multicall3.
    pub(crate) fn calldata(&self) -> Bytes {
        let call = |top_up: &TopUp| IMulticall3::Call3Value {
            target: top_up.account,
            allowFailure: false,
            value: top_up.amount,
            callData: Bytes::new(),
        };
        IMulticall3::aggregate3ValueCall { calls: self.0.iter().map(call).collect() }.abi_encode().into()
    }
}

/// The lowest accounts first, each up to the target, or as far as the funder and the hour's cap allow; one that would stay
/// below the threshold gets nothing, as would everyone else with it.
pub(crate) fn plan_top_ups(balances: &[AccountBalance], config: &FundingConfig, purse: &Purse) -> TopUps {
    let mut low: Vec<_> = balances.iter().filter(|account| account.balance < config.threshold).collect();
    low.sort_by_key(|account| (account.balance, account.account));
    low.truncate(MOST_AT_ONCE);
    let own = purse.balance.saturating_sub(kept_back(low.len(), purse.fees));
    let mut left = own.min(config.hourly_cap.saturating_sub(purse.spent_this_hour));
    let mut top_ups = TopUps::default();
    for AccountBalance { account, balance } in low {
        let amount = config.target.saturating_sub(*balance).min(left);
        if balance.saturating_add(amount) >= config.threshold {
            left -= amount;
            top_ups.0.push(TopUp { account: *account, amount });
        }
    }
    top_ups
}

/// What the funder must hold to top up this many empty accounts, in wei.
pub(crate) fn whole_round(accounts: usize, config: &FundingConfig, fees: Fees) -> U256 {
    config.target.saturating_mul(U256::from(accounts)).saturating_add(kept_back(accounts, fees))
}

fn kept_back(accounts: usize, fees: Fees) -> U256 {
    fees.max_cost(gas_of(accounts), 0).saturating_mul(U256::from(2))
}

const fn gas_of(accounts: usize) -> u64 {
    GAS.0 + GAS.1 * accounts as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FREE: Fees = Fees { max_fee_per_gas: 0, tip: 0, max_fee_per_blob_gas: None };

    fn wei(amount: u64) -> U256 {
        U256::from(amount)
    }

    fn config(threshold: u64, target: u64, cap: u64) -> FundingConfig {
        FundingConfig::new(wei(threshold), wei(target), wei(cap))
    }

    fn balances(held: &[u64]) -> Vec<AccountBalance> {
        let account = |(index, held): (usize, &u64)| AccountBalance {
            account: Address::with_last_byte(index as u8),
            balance: wei(*held),
        };
        held.iter().enumerate().map(account).collect()
    }

    /// What each account gets, by its last byte.
    fn plan(held: &[u64], config: &FundingConfig, (balance, spent): (u64, u64)) -> Vec<(u8, u64)> {
        let purse = Purse { balance: wei(balance), fees: FREE, spent_this_hour: wei(spent) };
        let top_ups = plan_top_ups(&balances(held), config, &purse);
        top_ups.0.iter().map(|top_up| (top_up.account[19], top_up.amount.to())).collect()
    }

    #[test]
    fn only_those_below_the_threshold_get_something_and_the_lowest_comes_first() {
        let config = config(10, 100, 1_000);
        assert_eq!(plan(&[9, 10, 4, 500], &config, (1_000, 0)), [(2, 96), (0, 91)]);
        assert_eq!(plan(&[10, 500], &config, (1_000, 0)), []);
    }

    #[test]
    fn a_funder_that_affords_some_lifts_the_lowest_and_one_that_affords_none_lifts_none() {
        let config = config(50, 100, 1_000);
        assert_eq!(plan(&[20, 0], &config, (100, 0)), [(1, 100)]);
        assert_eq!(
            plan(&[20, 0], &config, (140, 0)),
            [(1, 100), (0, 40)],
            "as far as it goes, and above the threshold"
        );
        assert_eq!(plan(&[20, 0], &config, (29, 0)), [], "nobody would be above the threshold");
    }

    #[test]
    fn the_hour_gives_no_more_than_its_cap() {
        let config = config(50, 100, 150);
        assert_eq!(plan(&[0, 0], &config, (1_000, 0)), [(0, 100), (1, 50)]);
        assert_eq!(plan(&[0, 0], &config, (1_000, 120)), []);
        assert_eq!(plan(&[0], &config, (1_000, 999)), [], "a cap that was lowered meanwhile");
    }

    #[test]
    fn what_its_own_gas_can_cost_stays_with_the_funder() {
        let config = config(50, 100, 1_000_000_000);
        let fees = Fees { max_fee_per_gas: 3, ..FREE };
        let kept = 2 * 3 * gas_of(1);
        let purse = |balance| Purse { balance: wei(balance), fees, spent_this_hour: U256::ZERO };
        assert_eq!(plan_top_ups(&balances(&[0]), &config, &purse(kept + 49)), TopUps::default());
        assert_eq!(plan_top_ups(&balances(&[0]), &config, &purse(kept + 60)).total(), wei(60));
        assert_eq!(whole_round(1, &config, fees), wei(kept + 100));
    }

    proptest! {
        #[test]
        fn no_plan_gives_more_than_the_cap_or_than_there_is_or_lifts_an_account_above_its_target(
            held in prop::collection::vec(0u64..2_000, 0..200), threshold in 1u64..1_000, above in 1u64..1_000,
            cap in 0u64..300_000, spent in 0u64..300_000, balance in 0u64..300_000_000, fee in 0u128..20,
        ) {
            let config = config(threshold, threshold + above, cap);
            let fees = Fees { max_fee_per_gas: fee, ..FREE };
            let purse = Purse { balance: wei(balance), fees, spent_this_hour: wei(spent) };
            let accounts = balances(&held);
            let top_ups = plan_top_ups(&accounts, &config, &purse);
            prop_assert!(top_ups.total() <= wei(cap.saturating_sub(spent)));
            if !top_ups.0.is_empty() {
                prop_assert!(top_ups.total() + fees.max_cost(top_ups.gas_limit(), 0) <= wei(balance));
            }
            let mut before = U256::ZERO;
            for top_up in &top_ups.0 {
                let held = accounts.iter().find(|account| account.account == top_up.account).unwrap().balance;
                prop_assert!(held < config.threshold && held >= before);
                let after = held + top_up.amount;
                prop_assert!(after >= config.threshold && after <= config.target);
                before = held;
            }
            prop_assert!(top_ups.0.len() <= MOST_AT_ONCE);
        }
    }
}
