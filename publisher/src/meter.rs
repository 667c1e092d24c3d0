//! The figures of a publisher that count what happens, told as it happens.
//!
//! They are told to the recorder of the process, which whoever embeds this crate installs; without one, telling costs nothing.
//! What *is* (balances, nonces, what is in flight) is in [`crate::PublisherStatus`].

use std::time::Duration;

use alloy::primitives::U256;
use fermata_primitives::UnixTime;
use metrics::{SharedString, counter, histogram};

use crate::classify::Verdict;
use crate::machine::Machine;
use crate::machine::step::{Effect, Note, Record};
use crate::machine::tx::{FirstAnswer, Tx};
use crate::records::{AttemptKind, IntentRecord};
use crate::{Error, FeeField, L1TxState, Outcome, RejectReason, StartReport};

const ATTEMPTS: &str = "fermata_publisher_attempts_total";
const ANSWERS: &str = "fermata_publisher_answers_total";
const EXPIRED: &str = "fermata_publisher_expired_total";
const CANCELS: &str = "fermata_publisher_cancels_total";
const SUPERSEDED: &str = "fermata_publisher_superseded_total";
const UNMINED: &str = "fermata_publisher_unmined_total";
const NONCES_RELEASED: &str = "fermata_publisher_nonces_released_total";
const CEILING: &str = "fermata_publisher_fee_blocked_total";
const FEES_PAID: &str = "fermata_publisher_fee_paid_gwei_total";
const SENT: &str = "fermata_publisher_recorded_to_sent_seconds";
const INCLUDED: &str = "fermata_publisher_ready_to_included_seconds";
const COMMITS: &str = "fermata_publisher_wal_commit_seconds";
const RECOVERY: &str = "fermata_publisher_recovery_seconds";
const RECOVERED: &str = "fermata_publisher_recovered_total";
const FUNDING: &str = "fermata_publisher_funding_attempts_total";
const FUNDED: &str = "fermata_publisher_funded_gwei_total";
const SEND_ERRORS: &str = "fermata_publisher_send_errors_total";
const RPC_CALLS: &str = "fermata_publisher_rpc_calls_total";

/// Every figure that is told as it happens: its name, its labels, and what it says. `manager` is [`crate::PublisherConfig::name`].
pub const FIGURES: &[(&str, &str, &str)] = &[
    (ATTEMPTS, "manager, reason", "what was signed or sent again: initial, fee, cancel, rebroadcast"),
    (ANSWERS, "manager, outcome", "how requests were answered: mined, failed (no effect), expired, rejected, error"),
    (EXPIRED, "manager, phase", "requests past their deadline: waiting (no nonce), withheld (not sent), in_flight"),
    (CANCELS, "manager, outcome", "cancels that landed, and that lost against the original or an unknown transaction"),
    (SUPERSEDED, "manager", "nonces that an unknown transaction took"),
    (UNMINED, "manager", "transactions whose block was removed from the chain"),
    (NONCES_RELEASED, "manager", "nonces that were never used and are free again"),
    (CEILING, "manager, field", "bids that met a ceiling, once a head: gas, blob_gas, transaction, hour"),
    (FEES_PAID, "manager, kind", "what blocks took for gas and blobs: plain, blob, cancel"),
    (SENT, "manager", "from a transaction's record to a node's acceptance"),
    (INCLUDED, "manager", "from the record, or the opening of its window where that is later, to its block"),
    (COMMITS, "manager", "how long it takes to make a step durable"),
    (RECOVERY, "manager", "how long a start takes until it accepts work"),
    (RECOVERED, "manager, verdict", "transactions of an earlier run at a start: settled, resumed, left"),
    (FUNDING, "manager, outcome", "top-ups, by how they ended"),
    (FUNDED, "manager", "what top-ups gave"),
    (SEND_ERRORS, "backend, class", "broadcasts that were not accepted: the class of the refusal, or ambiguous"),
    (RPC_CALLS, "method", "calls of L1, each of a batch by itself"),
];

/// One call of L1, by itself or in a batch.
pub(crate) fn asked(method: &'static str) {
    counter!(RPC_CALLS, "method" => method).increment(1);
}

/// Bytes were handed to a backend, which said this.
pub(crate) fn handed_over(backend: &str, verdict: &Verdict) {
    asked("eth_sendRawTransaction");
    let class = match verdict {
        Verdict::Accepted => return,
        Verdict::Ambiguous { .. } => "ambiguous",
        Verdict::Refused { class, .. } => class.word(),
    };
    counter!(SEND_ERRORS, "backend" => backend.to_owned(), "class" => class).increment(1);
}

/// Counts for one manager.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    manager: SharedString,
}

impl Meter {
    pub(crate) fn of(name: &str) -> Self {
        Self { manager: SharedString::from_shared(name.into()) }
    }

    /// A step was made durable in so long.
    pub(crate) fn committed(&self, took: Duration) {
        histogram!(COMMITS, "manager" => self.manager.clone()).record(took);
    }

    /// A step has happened, and the machine does not know yet.
    pub(crate) fn count(
        &self,
        (machine, now): (&Machine, UnixTime),
        (records, notes): (&[Record], &[Note]),
        effects: &[Effect],
    ) {
        records.iter().for_each(|record| self.recorded((machine, now), record));
        notes.iter().for_each(|note| self.noted(note));
        let was_waiting = notes.iter().any(|note| matches!(note, Note::Drop { .. }));
        for effect in effects {
            match effect {
                Effect::Answer(_, answer) => {
                    self.tell(ANSWERS, "outcome", word(answer));
                    if was_waiting && matches!(answer, Ok(Outcome::Expired)) {
                        self.tell(EXPIRED, "phase", "waiting");
                    }
                }
                Effect::Send(..) | Effect::Estimate { .. } => {}
            }
        }
    }

    /// A start has found this, and took so long.
    pub(crate) fn recovered(&self, took: Duration, report: &StartReport) {
        histogram!(RECOVERY, "manager" => self.manager.clone()).record(took);
        let found = [("settled", report.settled.len()), ("resumed", report.resumed.len()), ("left", report.left.len())];
        for (verdict, count) in found.into_iter().filter(|(_, count)| *count > 0) {
            counter!(RECOVERED, "manager" => self.manager.clone(), "verdict" => verdict).increment(count as u64);
        }
    }

    /// A top-up has ended. One that a stop interrupts has not: the next start follows it.
    pub(crate) fn topped_up(&self, answer: &Result<Outcome, Error>, wei: U256) {
        if let Ok(Outcome::Interrupted { .. }) = answer {
            return;
        }
        self.tell(FUNDING, "outcome", word(answer));
        if word(answer) == MINED {
            counter!(FUNDED, "manager" => self.manager.clone()).increment(gwei(wei));
        }
    }

    fn recorded(&self, (machine, now): (&Machine, UnixTime), record: &Record) {
        match record {
            Record::Lease(_) => self.tell(ATTEMPTS, "reason", "initial"),
            Record::Attempt { attempt, .. } => match attempt.kind {
                AttemptKind::Cancel => self.tell(ATTEMPTS, "reason", "cancel"),
                AttemptKind::Initial | AttemptKind::SpeedUp => self.tell(ATTEMPTS, "reason", "fee"),
            },
            Record::Move { intent, .. } => {
                let tx = machine.txs.get(&intent.id);
                tx.filter(|tx| tx.state() != intent.state).into_iter().for_each(|tx| self.moved((tx, now), intent));
            }
        }
    }

    fn noted(&self, note: &Note) {
        match note {
            Note::Resend { .. } => self.tell(ATTEMPTS, "reason", "rebroadcast"),
            Note::Blocked { by, .. } | Note::Hold { reason: RejectReason::FeeCeiling(by), .. } => {
                self.met_ceiling(by.field);
            }
            Note::Hold { .. }
            | Note::AskGas { .. }
            | Note::Drop { .. }
            | Note::Requeue { .. }
            | Note::Broke { .. }
            | Note::Occupied { .. }
            | Note::DoubtNonce { .. } => {}
        }
    }

    fn moved(&self, (tx, now): (&Tx, UnixTime), intent: &IntentRecord) {
        let from = tx.state();
        if from.is_settled() {
            return self.tell_all(UNMINED);
        }
        match intent.state {
            L1TxState::Leased => {}
            L1TxState::Live => {
                if tx.seen.first_answer == Some(FirstAnswer::Verdict(Verdict::Accepted)) {
                    histogram!(SENT, "manager" => self.manager.clone()).record(now.since(intent.recorded_at));
                }
            }
            L1TxState::Cancelling => self.tell(EXPIRED, "phase", "in_flight"),
            L1TxState::Included | L1TxState::Reverted | L1TxState::Cancelled => self.landed(tx, intent),
            L1TxState::Superseded => self.tell_all(SUPERSEDED),
            L1TxState::Rejected => self.tell_all(NONCES_RELEASED),
            L1TxState::Withdrawn => {
                self.tell_all(NONCES_RELEASED);
                self.tell(EXPIRED, "phase", "withheld");
            }
        }
        if from == L1TxState::Cancelling {
            self.tell(CANCELS, "outcome", if intent.state == L1TxState::Cancelled { "landed" } else { "lost" });
        }
    }

    fn landed(&self, tx: &Tx, intent: &IntentRecord) {
        let Some(mined) = &intent.mined else { return };
        let kind = match (intent.state, intent.blob_count) {
            (L1TxState::Cancelled, _) => "cancel",
            (_, 0) => "plain",
            (_, _) => "blob",
        };
        counter!(FEES_PAID, "manager" => self.manager.clone(), "kind" => kind).increment(gwei(mined.fees_paid()));
        if intent.state != L1TxState::Cancelled {
            let ready = UnixTime::from(tx.since());
            let took = UnixTime::from(mined.block_timestamp).since(ready);
            histogram!(INCLUDED, "manager" => self.manager.clone()).record(took);
        }
    }

    fn met_ceiling(&self, field: FeeField) {
        self.tell(CEILING, "field", field.word());
    }

    fn tell(&self, name: &'static str, label: &'static str, word: &'static str) {
        counter!(name, "manager" => self.manager.clone(), label => word).increment(1);
    }

    fn tell_all(&self, name: &'static str) {
        counter!(name, "manager" => self.manager.clone()).increment(1);
    }
}

const MINED: &str = "mined";

/// How a request ended. One whose transaction is in a block without the effect it was to have has failed.
const fn word(answer: &Result<Outcome, Error>) -> &'static str {
    match answer {
        Ok(Outcome::Mined(mined)) if mined.succeeded => MINED,
        Ok(Outcome::Mined(_)) => "failed",
        Ok(Outcome::Expired) => "expired",
        Ok(Outcome::Interrupted { .. }) => "interrupted",
        Ok(Outcome::Rejected { .. }) => "rejected",
        Err(_) => "error",
    }
}

/// In gwei, rounded up: wei of a busy year are more than a counter holds.
fn gwei(wei: U256) -> u64 {
    wei.div_ceil(U256::from(1_000_000_000)).saturating_to()
}
