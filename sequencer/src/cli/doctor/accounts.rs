//! The keys that sign and the accounts that send.

use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use fermata_validator_signer::Keystore as _;

use super::Finding;
use crate::amount::ether;
use crate::catalogue::Reason;
use crate::config::NodeConfig;
use crate::l1::RollupView;
use crate::node::{publisher_keys, reason_of_signer, validator_keys};
use crate::poll_loop::chain as error_chain;

/// A publisher with less will soon be unable to pay, in wei: 0.05 ETH.
const LITTLE: u64 = 50_000_000_000_000_000;

pub(super) async fn examine(config: &NodeConfig, view: &RollupView) -> Vec<Finding> {
    vec![validators(config, view).await, publishers(config, view).await]
}

async fn validators(config: &NodeConfig, view: &RollupView) -> Finding {
    let keys = match validator_keys(&config.validator.keys) {
        Ok(keys) => keys.addresses(),
        Err(error) => return Finding::of_reason("validators", error_chain(&error), reason_of_signer(&error)),
    };
    match view.staked(&keys).await {
        Ok(0) if view.constants().committee_size > 0 => {
            Finding::of_reason("validators", format!("none of {} keys is staked", keys.len()), Reason::NotStaked)
        }
        Ok(staked) if staked < keys.len() => {
            let says = format!("{staked} of {} keys are staked", keys.len());
            Finding::warn("validators", says, "stake the others, or leave them out")
        }
        Ok(staked) => Finding::ok("validators", format!("{staked} keys, all staked")),
        Err(error) => Finding::of_reason("validators", error_chain(&error), error.reason()),
    }
}

async fn publishers(config: &NodeConfig, view: &RollupView) -> Finding {
    let keys = match publisher_keys(&config.publisher.keys) {
        Ok(keys) => keys,
        Err(error) => return Finding::of_reason("publishers", error_chain(&error), reason_of_signer(&error)),
    };
    let accounts: Vec<_> = keys.iter().map(PrivateKeySigner::address).collect();
    match view.client().balances(&accounts).await {
        Ok(balances) => funds(&balances),
        Err(error) => Finding::of_reason("publishers", error_chain(&error), error.reason()),
    }
}

fn funds(balances: &[(Address, U256)]) -> Finding {
    let Some((account, most)) = balances.iter().max_by_key(|(_, balance)| *balance) else {
        return Finding::of_reason("publishers", "there is no publisher key", Reason::KeystoreUnusable);
    };
    let says = format!("{} accounts, the richest, {account}, has {}", balances.len(), ether(*most));
    if most.is_zero() {
        return Finding::of_reason("publishers", says, Reason::Unfunded);
    }
    if *most < U256::from(LITTLE) {
        return Finding::warn("publishers", says, format!("send ETH to {account} soon"));
    }
    Finding::ok("publishers", says)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn accounts_without_money_fail_and_with_little_warn() {
        let of = |wei: u64| funds(&[(Address::ZERO, U256::ZERO), (Address::repeat_byte(1), U256::from(wei))]).verdict;
        assert_eq!((of(0), of(LITTLE - 1), of(LITTLE)), (Verdict::Fail, Verdict::Warn, Verdict::Ok));
        assert_eq!(funds(&[]).verdict, Verdict::Fail);
    }
}
