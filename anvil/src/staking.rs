//! Validators, registered through the contracts: stake, a BLS key, and the entry queue.

mod bls;

use alloy::primitives::{Address, U256};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolCall, SolEvent};
use fermata_rollup::L1Addresses;
use fermata_rollup::contracts::{G1Point, G2Point, IErc20, IRollup};

pub use self::bls::{BlsSecret, registration_digest};
use crate::deploy::Sender;
use crate::provider::ask;
use crate::{AnvilError, L1Access, Result};

/// The contract's status of a validator that takes part.
const VALIDATING: u8 = 1;
/// Gas a mint or an approval may take.
const TOKEN_GAS: u64 = 100_000;
/// Gas a deposit into the queue may take.
const DEPOSIT_GAS: u64 = 400_000;
/// Gas the flush may take for itself, and for each that enters: the registry checks a pairing for each.
const FLUSH_GAS: u64 = 300_000;
const ENTRY_GAS: u64 = 600_000;
/// How many enter in one transaction: an L1 transaction has at most 2^24 gas.
const ENTRIES_AT_ONCE: usize = 20;

alloy::sol! {
    interface IFlush {
        function flushEntryQueue(uint256 _toAdd) external;
    }
}

/// A validator to be.
#[derive(Clone, Copy, Debug)]
pub struct ValidatorRegistration {
    /// Who attests and proposes.
    pub attester: Address,
    /// Who may take the stake back.
    pub withdrawer: Address,
    /// The secret of its BLS key.
    pub bls_secret: BlsSecret,
}

/// What the rollup is told of a validator to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StakeDeposit {
    /// Who attests and proposes.
    pub attester: Address,
    /// Who may take the stake back.
    pub withdrawer: Address,
    /// The BLS public key in the first group.
    pub public_key_g1: G1Point,
    /// The BLS public key in the second group.
    pub public_key_g2: G2Point,
    /// The proof that both are of one secret, and that one has it.
    pub proof_of_possession: G1Point,
}

impl From<&ValidatorRegistration> for StakeDeposit {
    fn from(registration: &ValidatorRegistration) -> Self {
        Self {
            attester: registration.attester,
            withdrawer: registration.withdrawer,
            public_key_g1: registration.bls_secret.public_key_g1(),
            public_key_g2: registration.bls_secret.public_key_g2(),
            proof_of_possession: registration.bls_secret.proof_of_possession(),
        }
    }
}

/// Makes `validators` validators of the rollup: mints their stake (the account in `access` must be allowed to), deposits
/// it, lets them in from the queue, and sees that each is in.
///
/// # Errors
/// As [`submit_deposits`].
pub async fn stake(access: L1Access, addresses: &L1Addresses, validators: &[ValidatorRegistration]) -> Result<()> {
    let deposits: Vec<_> = validators.iter().map(StakeDeposit::from).collect();
    submit_deposits(access, addresses, &deposits).await
}

/// As [`stake`], with keys and proofs made elsewhere.
///
/// # Errors
/// [`AnvilError::Reverted`] when the account may not mint; [`AnvilError::DepositRefused`] names those whose key or proof
/// the registry refused; [`AnvilError::StillQueued`] names those for whom there was no room in this epoch.
///
/// # Cancel safety
/// Dropped half-way, some are deposited; depositing them again is refused by name.
pub async fn submit_deposits(access: L1Access, addresses: &L1Addresses, deposits: &[StakeDeposit]) -> Result<()> {
    let mut sender = Sender::connect(access, addresses.l1_chain_id).await?;
    let rollup = addresses.rollup;
    let each = ask(sender.provider(), rollup, IRollup::getActivationThresholdCall {}).await?;
    let total = each * U256::from(deposits.len());
    let gas = 2 * TOKEN_GAS + deposits.len() as u64 * (DEPOSIT_GAS + ENTRY_GAS + FLUSH_GAS);
    sender.require_funds(gas, U256::ZERO).await?;
    let mint = IErc20::mintCall { _to: sender.address(), _amount: total };
    sender.call("mint the stake", addresses.staking_asset, mint.abi_encode(), TOKEN_GAS).await?;
    let approve = IErc20::approveCall { spender: rollup, value: total };
    sender.call("approve the stake", addresses.staking_asset, approve.abi_encode(), TOKEN_GAS).await?;
    for deposit in deposits {
        sender.call("deposit a stake", rollup, deposit_call(deposit).abi_encode(), DEPOSIT_GAS).await?;
    }
    for entries in deposits.chunks(ENTRIES_AT_ONCE) {
        let flush = IFlush::flushEntryQueueCall { _toAdd: U256::from(entries.len()) };
        let gas = FLUSH_GAS + entries.len() as u64 * ENTRY_GAS;
        sender.call("let validators in", rollup, flush.abi_encode(), gas).await?;
    }
    let receipts = sender.settle(explain).await?;
    let refused = refused_in(&receipts);
    if !refused.is_empty() {
        return Err(AnvilError::DepositRefused { attesters: refused });
    }
    require_validating(&sender, rollup, deposits).await
}

fn deposit_call(deposit: &StakeDeposit) -> IRollup::depositCall {
    IRollup::depositCall {
        _attester: deposit.attester,
        _withdrawer: deposit.withdrawer,
        _publicKeyInG1: deposit.public_key_g1.clone(),
        _publicKeyInG2: deposit.public_key_g2.clone(),
        _proofOfPossession: deposit.proof_of_possession.clone(),
        // Stays with this rollup, should another follow it.
        _moveWithLatestRollup: false,
    }
}

/// Whose deposits the registry refused when they left the queue.
fn refused_in(receipts: &[TransactionReceipt]) -> Vec<Address> {
    let logs = receipts.iter().flat_map(|receipt| receipt.inner.logs());
    logs.filter_map(|log| IRollup::FailedDeposit::decode_log(&log.inner).ok()).map(|event| event.attester).collect()
}

async fn require_validating(sender: &Sender, rollup: Address, deposits: &[StakeDeposit]) -> Result<()> {
    let mut attesters = Vec::new();
    for StakeDeposit { attester, .. } in deposits {
        let status = ask(sender.provider(), rollup, IRollup::getStatusCall { _attester: *attester }).await?;
        if status != VALIDATING {
            attesters.push(*attester);
        }
    }
    if attesters.is_empty() { Ok(()) } else { Err(AnvilError::StillQueued { attesters }) }
}

fn explain(revert: &[u8]) -> String {
    let known = fermata_rollup::contracts::decode_revert(revert).map(|revert| revert.to_string());
    known.unwrap_or_else(|| format!("an unknown error, {}", alloy::primitives::hex::encode_prefixed(revert)))
}
