//! A line a transition, for the operator.

use tracing::{info, warn};

use crate::L1TxState;
use crate::machine::Machine;
use crate::machine::step::{Note, Record};
use crate::records::{AttemptKind, IntentRecord};

/// Tells what was recorded, before the machine knows.
pub(super) fn tell(machine: &Machine, record: &Record) {
    match record {
        Record::Lease(lease) => {
            let (intent, fees) = (&lease.intent, &lease.attempt.fees);
            let (label, account, nonce, hash) = (&intent.label, intent.account, intent.nonce, lease.attempt.hash);
            let (max_fee, tip) = (fees.max_fee_per_gas, fees.tip);
            match intent.recycles {
                None => info!(label, %account, nonce, %hash, max_fee, tip, "recorded"),
                Some(expired) => {
                    info!(label, %account, nonce, %hash, max_fee, tip, expired, "recorded, with the nonce of one that expired");
                }
            }
        }
        Record::Attempt { intent, attempt, .. } => {
            let label = machine.txs.get(intent).map(|tx| tx.stored.intent.label.as_str()).unwrap_or_default();
            let (hash, max_fee) = (attempt.hash, attempt.fees.max_fee_per_gas);
            match attempt.kind {
                AttemptKind::Cancel => info!(label, %hash, max_fee, "it is being cancelled"),
                AttemptKind::Initial | AttemptKind::SpeedUp => info!(label, %hash, max_fee, "its bid is raised"),
            }
        }
        Record::Move { intent, .. } => tell_move(machine, intent),
    }
}

/// Tells what was noted, where an operator wants to know.
pub(super) fn tell_note(note: &Note) {
    match note {
        Note::Blocked { by, .. } => warn!(%by, "its bid cannot be raised: the one before stays"),
        Note::Requeue { job, reason, .. } => warn!(label = job.request.label, %reason, "the node refused it"),
        Note::Resend { intent, .. } => info!(intent, "no node has it: the same bytes go out again"),
        Note::Occupied { account } => {
            warn!(%account, "a node holds other transactions of it: does another process use its key?");
        }
        Note::Hold { .. } | Note::AskGas { .. } | Note::Drop { .. } | Note::Broke { .. } | Note::DoubtNonce { .. } => {}
    }
}

fn tell_move(machine: &Machine, intent: &IntentRecord) {
    let Some(tx) = machine.txs.get(&intent.id) else { return };
    let (label, account, nonce, state) = (&intent.label, intent.account, intent.nonce, intent.state.word());
    if tx.state() == intent.state {
        return;
    }
    match (&intent.mined, intent.state) {
        (Some(mined), _) => {
            info!(label, %account, nonce, state, block = mined.block_number, succeeded = mined.succeeded, "in a block");
        }
        (None, L1TxState::Cancelling) if machine.is_outdone(tx) => {
            warn!(label, %account, nonce, "it is in no block: another of ours with its nonce is");
        }
        (None, L1TxState::Cancelling) => {
            warn!(label, %account, nonce, "its deadline passed and it is in no block: its nonce is taken back");
        }
        (None, _) if tx.state().is_settled() => warn!(label, %account, nonce, "its block was removed from the chain"),
        (None, _) => info!(label, %account, nonce, state, "moved"),
    }
}
