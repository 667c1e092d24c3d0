//! What geth's pools reject, in its order and in its words.

use alloy::primitives::U256;
use fermata_anvil::Hardfork;

use super::{
    ACCOUNT_SLOTS, BLOB_BUMP, Blobs, Judging, MAX_BLOB_TX_SIZE, MAX_BLOBS, MAX_TX_GAS, MAX_TX_SIZE, PLAIN_BUMP,
    PoolRule, PooledTx, Rejection, SidecarVersion,
};

/// The code of nearly every error of geth.
const CODE: i64 = -32_000;

/// Least bid for blob gas.
const MIN_BLOB_FEE: u128 = 1;

fn reject<T>(rule: PoolRule, message: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection { rule, code: CODE, message: message.into() })
}

pub(super) fn judge(judging: &Judging<'_>) -> Result<(), Rejection> {
    fee_cap(judging)?;
    if judging.is_known() {
        return reject(PoolRule::AlreadyKnown, "already known");
    }
    limits(judging)?;
    bids(judging)?;
    if let Some(blobs) = &judging.tx.blobs {
        sidecar(judging, blobs)?;
    }
    nonce(judging)?;
    funds(judging)?;
    replacement(judging)?;
    if judging.meets_other_kind() {
        return reject(PoolRule::OneKindPerAccount, "address already reserved");
    }
    Ok(())
}

/// Of what comes by RPC; blobs are not counted.
fn fee_cap(Judging { tx, rules, .. }: &Judging<'_>) -> Result<(), Rejection> {
    if tx.gas_cost() <= U256::from(rules.fee_cap) {
        return Ok(());
    }
    let ether = |wei: U256| f64::from(wei) / 1e18;
    let (fee, cap) = (ether(tx.gas_cost()), ether(U256::from(rules.fee_cap)));
    reject(PoolRule::FeeCap, format!("tx fee ({fee:.2} ether) exceeds the configured cap ({cap:.2} ether)"))
}

fn limits(Judging { tx, rules, account, .. }: &Judging<'_>) -> Result<(), Rejection> {
    let (count, limit) = tx.blobs.map_or((0, MAX_TX_SIZE), |blobs| (blobs.count, MAX_BLOB_TX_SIZE));
    if count > MAX_BLOBS {
        let text = format!("transaction blob limit exceeded: blob count {count}, limit {MAX_BLOBS}");
        return reject(PoolRule::BlobCount, text);
    }
    if tx.size > limit {
        return reject(PoolRule::Size, format!("oversized data: transaction size {}, limit {limit}", tx.size));
    }
    let gas = tx.gas_limit;
    if rules.fork == Hardfork::Osaka && gas > MAX_TX_GAS {
        return reject(PoolRule::TxGas, format!("transaction gas limit too high (cap: {MAX_TX_GAS}, tx: {gas})"));
    }
    if gas > account.block_gas_limit {
        return reject(PoolRule::BlockGas, "exceeds block gas limit");
    }
    Ok(())
}

fn bids(Judging { tx, rules, .. }: &Judging<'_>) -> Result<(), Rejection> {
    let (tip, floor) = (tx.tip, rules.tip_floor);
    if tip > tx.fee_cap {
        return reject(PoolRule::TipAboveFeeCap, "max priority fee per gas higher than max fee per gas");
    }
    if tip < floor {
        let text = format!("transaction gas price below minimum: gas tip cap {tip}, minimum needed {floor}");
        return reject(PoolRule::TipFloor, text);
    }
    Ok(())
}

fn sidecar(Judging { rules, .. }: &Judging<'_>, blobs: &Blobs) -> Result<(), Rejection> {
    let want = match rules.fork {
        Hardfork::Prague => SidecarVersion::V0,
        Hardfork::Osaka => SidecarVersion::V1,
    };
    if blobs.sidecar != want {
        let (want, got) = (want.number(), blobs.sidecar.number());
        return reject(PoolRule::Sidecar, format!("unexpected sidecar version, want: {want}, got: {got}"));
    }
    if blobs.fee_cap < MIN_BLOB_FEE {
        let text = format!(
            "transaction gas price below minimum: blob fee cap {}, minimum needed {MIN_BLOB_FEE}",
            blobs.fee_cap
        );
        return reject(PoolRule::ProtocolFloor, text);
    }
    if blobs.count == 0 {
        return reject(PoolRule::NoBlobs, "blobless blob transaction");
    }
    Ok(())
}

fn nonce(judging: &Judging<'_>) -> Result<(), Rejection> {
    let (nonce, next, gap) = (judging.tx.nonce, judging.account.nonce, judging.gap());
    if nonce < next {
        return reject(PoolRule::NonceTooLow, format!("nonce too low: next nonce {next}, tx nonce {nonce}"));
    }
    if judging.tx.blobs.is_some() && nonce > gap {
        return reject(PoolRule::BlobNonceGap, format!("nonce too high: tx nonce {nonce}, gapped nonce {gap}"));
    }
    Ok(())
}

/// Also the places of an account with blobs, which geth counts here.
fn funds(judging: &Judging<'_>) -> Result<(), Rejection> {
    const TEXT: &str = "insufficient funds for gas * price + value";
    let (balance, cost, spent) = (judging.account.balance, judging.tx.cost(), judging.pooled_cost());
    if cost > balance {
        let overshot = cost - balance;
        return reject(PoolRule::Funds, format!("{TEXT}: balance {balance}, tx cost {cost}, overshot {overshot}"));
    }
    let replaced = judging.replaced().map(PooledTx::cost);
    let need = spent.saturating_sub(replaced.unwrap_or_default()).saturating_add(cost);
    if need > balance {
        let overshot = need - balance;
        // A bump may well be negative, but not where it is too much.
        let what = replaced
            .map_or(format!("tx cost {cost}"), |replaced| format!("tx bumped {}", cost.saturating_sub(replaced)));
        let text = format!("{TEXT}: balance {balance}, queued cost {spent}, {what}, overshot {overshot}");
        return reject(PoolRule::CumulativeFunds, text);
    }
    let used = judging.of_its_kind().count();
    if judging.tx.blobs.is_some() && replaced.is_none() && used >= ACCOUNT_SLOTS {
        return reject(PoolRule::AccountSlots, format!("account limit exceeded: pooled {used} txs"));
    }
    Ok(())
}

fn replacement(judging: &Judging<'_>) -> Result<(), Rejection> {
    const TEXT: &str = "replacement transaction underpriced";
    let Some(old) = judging.replaced() else { return Ok(()) };
    let new = judging.tx;
    let (Some(old_blobs), Some(new_blobs)) = (old.blobs, new.blobs) else {
        let is_enough = |new: u128, old: u128| new > old && new >= bumped(old, PLAIN_BUMP);
        if is_enough(new.fee_cap, old.fee_cap) && is_enough(new.tip, old.tip) {
            return Ok(());
        }
        return reject(PoolRule::Replacement, TEXT);
    };
    let fields = [
        ("gas fee cap", new.fee_cap, old.fee_cap),
        ("gas tip cap", new.tip, old.tip),
        ("blob gas fee cap", new_blobs.fee_cap, old_blobs.fee_cap),
    ];
    if let Some((field, new, old)) = fields.iter().find(|(_, new, old)| new <= old) {
        return reject(PoolRule::Replacement, format!("{TEXT}: new tx {field} {new} <= {old} queued"));
    }
    if let Some((field, new, old)) = fields.iter().find(|(_, new, old)| *new < bumped(*old, BLOB_BUMP)) {
        let text = format!("{TEXT}: new tx {field} {new} < {old} queued + {BLOB_BUMP}% replacement penalty");
        return reject(PoolRule::Replacement, text);
    }
    Ok(())
}

const fn bumped(old: u128, percent: u128) -> u128 {
    old.saturating_mul(100 + percent) / 100
}
