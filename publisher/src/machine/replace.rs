//! Attempts that replace a transaction in flight: a speed-up while it may still land, a cancel once it may not.

use alloy::primitives::{Bytes, U256};
use fermata_primitives::L1Timestamp;

use crate::machine::recycle::Heir;
use crate::machine::step::{Effect, Note, Record, Step};
use crate::machine::tx::Tx;
use crate::machine::{Machine, Rules};
use crate::records::{AttemptKind, AttemptRecord};
use crate::tx::{SignedTx, TRANSFER_GAS, TxBody};
use crate::{FeeMarket, Fees, L1TxState, replacement_fees};

/// Least L1 blocks that may come without a transaction before it bids more: one may be a slot without a block.
const LEAST_PATIENCE: u64 = 2;
/// And most of them, for a transaction that has much time.
const MOST_PATIENCE: u64 = 16;
/// A bid may be raised about this often within a window.
const RAISES_A_WINDOW: u64 = 6;
/// L1 blocks that may come without a cancel before it is replaced by one that bids more.
const CANCEL_PATIENCE: u64 = 6;
/// A replacement of a blob transaction doubles its bid: more of them are not worth it.
const MOST_BLOB_SPEED_UPS: usize = 2;

impl Machine {
    /// A replacement, where one is due.
    pub(super) fn replace(&self, tx: &Tx, rules: &Rules<'_>) -> Option<Step> {
        tx.sight_at(self.beat)?;
        let kind = match tx.state() {
            L1TxState::Cancelling if self.wants_cancel(tx) => match self.heir(tx, rules) {
                Heir::Takes(step) => return Some(*step),
                Heir::Soon => return None,
                Heir::Nobody => AttemptKind::Cancel,
            },
            L1TxState::Live if self.wants_speed_up(tx, rules) => AttemptKind::SpeedUp,
            L1TxState::Leased
            | L1TxState::Live
            | L1TxState::Cancelling
            | L1TxState::Included
            | L1TxState::Reverted
            | L1TxState::Cancelled
            | L1TxState::Superseded
            | L1TxState::Rejected
            | L1TxState::Withdrawn => return None,
        };
        let market = self.market(tx.stored.intent.blob_count)?;
        let intent = tx.stored.intent.id;
        match self.raised(tx, &market, kind, rules) {
            Ok(fees) => {
                let attempt = self.signed(tx, kind, fees, rules)?;
                let number = tx.stored.attempts.len();
                Some(Step::from(Record::Attempt { intent, number, attempt }).then(Effect::Send(intent, number)))
            }
            // The old attempt stays, and is tried to be replaced at the next head.
            Err(by) => (tx.seen.attempted_at < self.beat).then(|| Note::Blocked { intent, by }.into()),
        }
    }

    /// True when there is no cancel yet, or the last one is too weak.
    fn wants_cancel(&self, tx: &Tx) -> bool {
        let age = self.beat.saturating_sub(tx.seen.attempted_at);
        !tx.is_cancelled() || age >= CANCEL_PATIENCE || (tx.seen.is_too_low && age > 0)
    }

    /// True when it is left out of blocks for want of a higher bid, and there is still time to land.
    fn wants_speed_up(&self, tx: &Tx, rules: &Rules<'_>) -> bool {
        let intent = &tx.stored.intent;
        let is_spent = intent.blob_count > 0 && tx.speed_ups() >= MOST_BLOB_SPEED_UPS;
        let next_block = self.next_block_at(rules);
        if tx.seen.is_interrupted || is_spent || next_block >= intent.deadline || !self.is_first_of_its_account(tx) {
            return false;
        }
        let is_new_head = self.beat > tx.seen.attempted_at;
        let is_late = next_block.0 >= last_third(tx).0;
        let is_overdue = tx.seen.missed >= patience(tx, rules) || (is_late && tx.seen.missed > 0);
        is_new_head && (self.is_priced_out(tx) || is_overdue || tx.seen.is_too_low)
    }

    /// Behind another transaction a higher bid achieves nothing.
    fn is_first_of_its_account(&self, tx: &Tx) -> bool {
        let first = self.in_flight(tx.stored.intent.account).next();
        first.is_some_and(|first| first.stored.intent.id == tx.stored.intent.id)
    }

    /// True when the block after this head may ask for more than is bid.
    fn is_priced_out(&self, tx: &Tx) -> bool {
        let Some(market) = self.market(tx.stored.intent.blob_count) else { return false };
        tx.highest_fees().is_some_and(|fees| !fees.pays(&market))
    }

    /// The least bid that replaces every attempt, and lasts. A speed-up leaves room for its own cancel.
    fn raised(
        &self,
        tx: &Tx,
        market: &FeeMarket,
        kind: AttemptKind,
        rules: &Rules<'_>,
    ) -> Result<Fees, crate::CeilingExceeded> {
        let rule = tx.replacement();
        let live = self.highest_of_nonce(tx).unwrap_or(Fees { max_fee_per_gas: 0, tip: 0, max_fee_per_blob_gas: None });
        let fees = replacement_fees(&live, market, rule, &rules.fees)?;
        if kind == AttemptKind::SpeedUp {
            replacement_fees(&fees, market, rule, &rules.fees)?;
            let intent = &tx.stored.intent;
            self.within_spending(fees.max_cost(intent.gas_limit, intent.blob_count), Some(intent.id), rules)?;
        }
        Ok(fees)
    }

    /// The replacement, signed; none when the key cannot sign: then the old attempt stays, and it is tried again.
    fn signed(&self, tx: &Tx, kind: AttemptKind, fees: Fees, rules: &Rules<'_>) -> Option<AttemptRecord> {
        let signer = rules.signers.get(&tx.stored.intent.account)?;
        let first = SignedTx::from_canonical(&tx.stored.attempts.first()?.signed)?;
        let (chain_id, nonce) = (rules.chain_id, tx.stored.intent.nonce);
        let cancel_hashes = tx.stored.intent.cancel_blobs().map(|blobs| blobs.versioned_hashes()).unwrap_or_default();
        let body = match kind {
            AttemptKind::Cancel => TxBody {
                chain_id,
                nonce,
                to: tx.stored.intent.account,
                value: U256::ZERO,
                calldata: Bytes::new(),
                gas_limit: TRANSFER_GAS,
                fees,
                versioned_hashes: cancel_hashes,
            },
            AttemptKind::Initial | AttemptKind::SpeedUp => first.body_with(chain_id, fees),
        };
        let signed = SignedTx::sign(body, signer).ok()?;
        Some(AttemptRecord { kind, fees, hash: signed.hash(), signed: signed.canonical() })
    }
}

/// How many L1 blocks may come without it: the shorter its window, the fewer.
fn patience(tx: &Tx, rules: &Rules<'_>) -> u64 {
    let window = tx.stored.intent.deadline.0.saturating_sub(tx.since().0);
    let blocks = window / rules.ethereum_slot.as_secs().max(1);
    (blocks / RAISES_A_WINDOW).clamp(LEAST_PATIENCE, MOST_PATIENCE)
}

/// Where the last third of a window begins.
fn last_third(tx: &Tx) -> L1Timestamp {
    let deadline = tx.stored.intent.deadline.0;
    L1Timestamp(deadline - deadline.saturating_sub(tx.since().0) / 3)
}
