//! The keys that sign and the accounts that send.

use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use fermata_validator_signer::Keystore as _;

use super::Finding;
use crate::amount::ether;
use crate::catalogue::Reason;
use crate::config::{KeySource, NodeConfig, ProofMaker, without_credentials};
use crate::l1::RollupView;
use crate::node::{publisher_keys, reason_of_signer, validator_keys};
use crate::poll_loop::chain as error_chain;
use crate::prover::{MockProofs, ProofSource as _};
use crate::roles::Role;

/// A publisher with less will soon be unable to pay, in wei: 0.05 ETH.
const LITTLE: u64 = 50_000_000_000_000_000;

pub(super) async fn examine(config: &NodeConfig, view: &RollupView) -> Vec<Finding> {
    let roles = config.roles;
    let mut findings = vec![Finding::ok("roles", roles.to_string())];
    if roles.has(Role::Sequencer) || roles.has(Role::Validator) {
        findings.push(validators(config, view).await);
    }
    if config.publisher.keys != KeySource::NoKeys {
        findings.push(accounts("publishers", &config.publisher.keys, view).await);
    }
    if let Some(prover) = &config.prover {
        findings.push(accounts("prover", &prover.keys, view).await);
        findings.push(proofs(&prover.proofs, view).await);
    }
    findings
}

async fn proofs(maker: &ProofMaker, view: &RollupView) -> Finding {
    match maker {
        ProofMaker::Service(url) => {
            Finding::ok("proofs", format!("of the service {}", without_credentials(url.as_str())))
        }
        ProofMaker::Mock => match MockProofs::for_mock_verifier(view).await {
            Ok(mock) => Finding::ok("proofs", mock.describe()),
            Err(error) => Finding::of_reason("proofs", error_chain(&error), error.reason()),
        },
    }
}

async fn validators(config: &NodeConfig, view: &RollupView) -> Finding {
    let keys = match validator_keys(&config.validator).await {
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

async fn accounts(check: &'static str, keys: &KeySource, view: &RollupView) -> Finding {
    let keys = match publisher_keys(keys) {
        Ok(keys) => keys,
        Err(error) => return Finding::of_reason(check, error_chain(&error), reason_of_signer(&error)),
    };
    let accounts: Vec<_> = keys.iter().map(PrivateKeySigner::address).collect();
    match view.client().balances(&accounts).await {
        Ok(balances) => funds(check, &balances),
        Err(error) => Finding::of_reason(check, error_chain(&error), error.reason()),
    }
}

fn funds(check: &'static str, balances: &[(Address, U256)]) -> Finding {
    let Some((account, most)) = balances.iter().max_by_key(|(_, balance)| *balance) else {
        return Finding::of_reason(check, "there is no key", Reason::KeystoreUnusable);
    };
    let says = format!("{} accounts, the richest, {account}, has {}", balances.len(), ether(*most));
    if most.is_zero() {
        return Finding::of_reason(check, says, Reason::Unfunded);
    }
    if *most < U256::from(LITTLE) {
        return Finding::warn(check, says, format!("send ETH to {account} soon"));
    }
    Finding::ok(check, says)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn accounts_without_money_fail_and_with_little_warn() {
        let of = |wei: u64| {
            funds("publishers", &[(Address::ZERO, U256::ZERO), (Address::repeat_byte(1), U256::from(wei))]).verdict
        };
        assert_eq!((of(0), of(LITTLE - 1), of(LITTLE)), (Verdict::Fail, Verdict::Warn, Verdict::Ok));
        assert_eq!(funds("publishers", &[]).verdict, Verdict::Fail);
    }
}
