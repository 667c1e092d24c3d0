//! The crash points between the durable writes of the desk.

use fermata_primitives::crash_point;

use crate::L1TxState;
use crate::machine::Machine;
use crate::machine::step::Record;
use crate::machine::tx::FirstAnswer;
use crate::records::{AttemptKind, IntentRecord};

/// What has become durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    Recorded,
    RaiseRecorded,
    CancelRecorded,
    Sent,
    Doubted,
    Expired,
    Ended(Ended),
}

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    InBlock,
    Otherwise,
}

impl Mark {
    /// What `records` will make durable.
    pub(super) fn all(machine: &Machine, records: &[Record]) -> Vec<Self> {
        records.iter().filter_map(|record| Self::of(machine, record)).collect()
    }

    fn of(machine: &Machine, record: &Record) -> Option<Self> {
        match record {
            Record::Lease(_) => Some(Self::Recorded),
            Record::Attempt { attempt, .. } => match attempt.kind {
                AttemptKind::Initial => None,
                AttemptKind::SpeedUp => Some(Self::RaiseRecorded),
                AttemptKind::Cancel => Some(Self::CancelRecorded),
            },
            Record::Move { intent, .. } => Self::of_move(machine, intent),
        }
    }

    fn of_move(machine: &Machine, intent: &IntentRecord) -> Option<Self> {
        let tx = machine.txs.get(&intent.id)?;
        if tx.state() == intent.state {
            return None;
        }
        match intent.state {
            L1TxState::Live if tx.seen.first_answer == Some(FirstAnswer::Unknown) => Some(Self::Doubted),
            L1TxState::Live => (tx.state() == L1TxState::Leased).then_some(Self::Sent),
            L1TxState::Cancelling => (!tx.state().is_settled()).then_some(Self::Expired),
            L1TxState::Included | L1TxState::Reverted | L1TxState::Cancelled => Some(Self::Ended(Ended::InBlock)),
            L1TxState::Superseded | L1TxState::Rejected | L1TxState::Withdrawn => Some(Self::Ended(Ended::Otherwise)),
            L1TxState::Leased => None,
        }
    }

    pub(super) fn reach(self) {
        match self {
            Self::Recorded => crash_point!("publisher.after_record"),
            Self::RaiseRecorded => crash_point!("publisher.after_raise_record"),
            Self::CancelRecorded => crash_point!("publisher.after_cancel_record"),
            Self::Sent => crash_point!("publisher.after_sent"),
            Self::Doubted => crash_point!("publisher.after_doubt"),
            Self::Expired => crash_point!("publisher.after_expiry"),
            Self::Ended(_) => crash_point!("publisher.after_outcome"),
        }
    }
}
