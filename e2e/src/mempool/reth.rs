//! What reth's pool rejects, in its order and in its words.
//!
//! Reth lets what its own RPC takes pass the limits on tips and places, unless it is told not to (`--txpool.nolocals`), and then
//! does not look at its cap on fees; here both hold. Releases before a fix refused a replacement that bids exactly the bump; so does
//! this one.

use alloy::primitives::U256;
use fermata_anvil::Hardfork;

use super::{
    ACCOUNT_SLOTS, BLOB_BUMP, Blobs, Judging, MAX_BLOBS, MAX_TX_GAS, MAX_TX_SIZE, PLAIN_BUMP, PoolRule, Rejection,
    SidecarVersion,
};

/// Errors about what was given.
const INVALID_INPUT: i64 = -32_000;
/// Errors about a transaction as a whole.
const REJECTED: i64 = -32_003;
/// Least fee cap, in wei for each gas: the base fee can fall no further.
const MIN_FEE_CAP: u128 = 7;

fn invalid<T>(rule: PoolRule, message: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection { rule, code: INVALID_INPUT, message: message.into() })
}

fn rejected<T>(rule: PoolRule, message: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection { rule, code: REJECTED, message: message.into() })
}

fn poor<T>(rule: PoolRule, balance: U256, cost: U256) -> Result<T, Rejection> {
    rejected(rule, format!("insufficient funds for gas * price + value: have {balance} want {cost}"))
}

pub(super) fn judge(judging: &Judging<'_>) -> Result<(), Rejection> {
    limits(judging)?;
    bids(judging)?;
    if let Some(blobs) = &judging.tx.blobs {
        blob_count(blobs)?;
    }
    if judging.rules.fork == Hardfork::Osaka && judging.tx.gas_limit > MAX_TX_GAS {
        return rejected(PoolRule::TxGas, "gas limit too high");
    }
    account(judging)?;
    if let Some(blobs) = &judging.tx.blobs {
        sidecar(judging, blobs)?;
    }
    if judging.is_known() {
        return invalid(PoolRule::AlreadyKnown, "already known");
    }
    place(judging)?;
    if judging.tx.fee_cap < MIN_FEE_CAP {
        return invalid(PoolRule::ProtocolFloor, "transaction underpriced");
    }
    replacement(judging)
}

/// The bytes of blobs are not limited, those of calldata are.
fn limits(Judging { tx, account, .. }: &Judging<'_>) -> Result<(), Rejection> {
    let size = if tx.blobs.is_some() { tx.calldata } else { tx.size };
    if size > MAX_TX_SIZE {
        return invalid(PoolRule::Size, format!("oversized data: transaction size {size}, limit {MAX_TX_SIZE}"));
    }
    if tx.gas_limit > account.block_gas_limit {
        return invalid(PoolRule::BlockGas, "exceeds block gas limit");
    }
    Ok(())
}

fn bids(Judging { tx, rules, .. }: &Judging<'_>) -> Result<(), Rejection> {
    if tx.tip > tx.fee_cap {
        return rejected(PoolRule::TipAboveFeeCap, "max priority fee per gas higher than max fee per gas");
    }
    let (fee, cap, floor) = (tx.fee(), rules.fee_cap, rules.tip_floor);
    if fee > U256::from(cap) {
        return invalid(PoolRule::FeeCap, format!("tx fee ({fee} wei) exceeds the configured cap ({cap} wei)"));
    }
    if tx.tip < floor {
        let text = format!("transaction priority fee below minimum required priority fee {floor}");
        return rejected(PoolRule::TipFloor, text);
    }
    Ok(())
}

fn blob_count(blobs: &Blobs) -> Result<(), Rejection> {
    let have = blobs.count;
    if have == 0 {
        return invalid(PoolRule::NoBlobs, "blobless blob transaction");
    }
    if have > MAX_BLOBS {
        let text = format!("too many blobs in transaction: have {have}, permitted {MAX_BLOBS}");
        return invalid(PoolRule::BlobCount, text);
    }
    Ok(())
}

fn account(Judging { tx, account, .. }: &Judging<'_>) -> Result<(), Rejection> {
    let (nonce, next) = (tx.nonce, account.nonce);
    if nonce < next {
        return invalid(PoolRule::NonceTooLow, format!("nonce too low: next nonce {next}, tx nonce {nonce}"));
    }
    if tx.cost() > account.balance {
        return poor(PoolRule::Funds, account.balance, tx.cost());
    }
    Ok(())
}

fn sidecar(Judging { rules, .. }: &Judging<'_>, blobs: &Blobs) -> Result<(), Rejection> {
    match (rules.fork, blobs.sidecar) {
        (Hardfork::Prague, SidecarVersion::V0) | (Hardfork::Osaka, SidecarVersion::V1) => Ok(()),
        (Hardfork::Prague, SidecarVersion::V1) => {
            invalid(PoolRule::Sidecar, "unexpected eip-7594 sidecar before osaka")
        }
        (Hardfork::Osaka, SidecarVersion::V0) => invalid(PoolRule::Sidecar, "unexpected eip-4844 sidecar after osaka"),
    }
}

fn place(judging: &Judging<'_>) -> Result<(), Rejection> {
    let (tx, account) = (judging.tx, judging.account);
    // The next one of an account always has a place.
    if judging.pooled.len() >= ACCOUNT_SLOTS && tx.nonce > account.nonce {
        return rejected(PoolRule::AccountSlots, "txpool is full");
    }
    if judging.meets_other_kind() {
        return invalid(PoolRule::OneKindPerAccount, "address already reserved");
    }
    if tx.blobs.is_none() {
        // What the account cannot pay yet is parked.
        return Ok(());
    }
    if tx.nonce > judging.gap() {
        return invalid(PoolRule::BlobNonceGap, "nonce too high");
    }
    let others = judging.of_its_kind().filter(|other| other.nonce != tx.nonce);
    let cost = others.fold(tx.cost(), |sum, other| sum.saturating_add(other.cost()));
    if cost > account.balance {
        return poor(PoolRule::CumulativeFunds, account.balance, cost);
    }
    Ok(())
}

fn replacement(judging: &Judging<'_>) -> Result<(), Rejection> {
    let Some(old) = judging.replaced() else { return Ok(()) };
    let new = judging.tx;
    let percent = if new.blobs.is_some() { BLOB_BUMP } else { PLAIN_BUMP };
    let is_enough = |new: u128, old: u128| new > old.saturating_mul(100 + percent) / 100;
    let blob_fee = |blobs: Option<Blobs>| blobs.map(|blobs| blobs.fee_cap);
    let has_blob_bump = match (blob_fee(new.blobs), blob_fee(old.blobs)) {
        (Some(new), Some(old)) => is_enough(new, old),
        (None, _) | (_, None) => true,
    };
    // A tip of nothing cannot be bumped.
    let has_tip_bump = old.tip == 0 || new.tip == 0 || is_enough(new.tip, old.tip);
    if is_enough(new.fee_cap, old.fee_cap) && has_tip_bump && has_blob_bump {
        return Ok(());
    }
    invalid(PoolRule::Replacement, "replacement transaction underpriced")
}
