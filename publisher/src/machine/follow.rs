//! What is done about a transaction that is recorded and not final.

use crate::classify::{RefusalClass, Verdict};
use crate::machine::news::TxSight;
use crate::machine::step::{Effect, Note, Record, Step};
use crate::machine::tx::{FirstAnswer, Tx};
use crate::machine::{Machine, Rules};
use crate::records::{AccountRecord, AttemptKind, Finality, IntentRecord};
use crate::{L1TxEvent, L1TxState, MinedTx, Outcome, RejectReason, next};

/// Bytes that no node has go out again this often at one head: an answer that is lost must not cost the next block.
const MOST_RESENDS: u32 = 2;

/// A block this deep counts as final also where a node knows no finality: three epochs of Ethereum.
const DEEP_AS_FINAL: u64 = 96;
/// A job that was refused this often waits for the next head.
const MOST_TRIES: u32 = 3;

impl Machine {
    /// The next step for one transaction: what is known of its fate first, then what it needs.
    pub(super) fn follow(&self, tx: &Tx, rules: &Rules<'_>) -> Option<Step> {
        let fate = self.in_block(tx, rules).or_else(|| self.removed(tx)).or_else(|| self.first_answered(tx));
        if fate.is_some() || tx.state().is_settled() || tx.seen.sending.is_some() {
            return fate;
        }
        let ended = self.outdone(tx).or_else(|| self.nonce_taken(tx)).or_else(|| self.expired(tx));
        if self.is_outdone(tx) {
            return ended;
        }
        ended.or_else(|| self.replace(tx, rules)).or_else(|| self.send_again(tx, rules))
    }

    /// A block holds it: for the first time, deeply enough, or for good.
    fn in_block(&self, tx: &Tx, rules: &Rules<'_>) -> Option<Step> {
        let TxSight::InBlock(mined) = tx.sight_at(self.beat)? else { return None };
        let intent = &tx.stored.intent;
        match (&intent.mined, tx.state().is_settled()) {
            (_, false) => self.landed(tx, mined, rules),
            // It is in another block than it was: first it is out of that one.
            (Some(known), true) if known.block_hash != mined.block_hash => self.step(tx, L1TxEvent::Removed, None),
            (_, true) => self.deeper(tx, mined, rules),
        }
    }

    fn landed(&self, tx: &Tx, mined: &MinedTx, rules: &Rules<'_>) -> Option<Step> {
        let attempt = tx.stored.attempts.iter().find(|attempt| attempt.hash == mined.tx_hash)?;
        let (event, outcome) = match (attempt.kind, mined.reverted) {
            (AttemptKind::Cancel, _) => (L1TxEvent::CancelMined, Outcome::Expired),
            (AttemptKind::Initial | AttemptKind::SpeedUp, false) => (L1TxEvent::Mined, Outcome::Mined(mined.clone())),
            (AttemptKind::Initial | AttemptKind::SpeedUp, true) => {
                (L1TxEvent::MinedReverted, Outcome::Mined(mined.clone()))
            }
        };
        Some(self.step(tx, event, Some((mined, rules)))?.answering(tx.job.as_ref(), outcome))
    }

    /// The block that holds it is believed, and then final.
    fn deeper(&self, tx: &Tx, mined: &MinedTx, rules: &Rules<'_>) -> Option<Step> {
        let mut intent = tx.stored.intent.clone();
        let account = self.accounts.get(&intent.account)?;
        let final_nonce = account.sight.and_then(|sight| sight.final_nonce).unwrap_or_default();
        let mut record = account.record();
        let reached = match intent.finality {
            Finality::Open if self.is_deep(mined, rules) => Finality::Confirmed,
            Finality::Confirmed if final_nonce > intent.nonce || self.depth(mined) >= DEEP_AS_FINAL => Finality::Final,
            Finality::Open | Finality::Confirmed | Finality::Final => return None,
        };
        if reached == Finality::Final {
            record.settled_nonce = record.settled_nonce.max(intent.nonce + 1);
        }
        intent.finality = reached;
        let step = Step::from(Record::Move { intent: Box::new(intent), account: record });
        Some(if reached == Finality::Final { self.ending_rivals(tx, record, step) } else { step })
    }

    fn is_deep(&self, mined: &MinedTx, rules: &Rules<'_>) -> bool {
        self.depth(mined) >= rules.confirmations
    }

    /// Blocks that hold it: its own, and those on top.
    const fn depth(&self, mined: &MinedTx) -> u64 {
        (self.head.number + 1).saturating_sub(mined.block_number)
    }

    /// A block held it, and none does any more.
    fn removed(&self, tx: &Tx) -> Option<Step> {
        let is_gone = match tx.sight_at(self.beat)? {
            TxSight::InBlock(_) | TxSight::Believed => false,
            TxSight::NonceUsed | TxSight::NotInBlock | TxSight::Pooled | TxSight::Absent => true,
        };
        (is_gone && tx.state().is_settled()).then(|| self.step(tx, L1TxEvent::Removed, None))?
    }

    /// The first broadcast of a transaction that was recorded has come to something.
    fn first_answered(&self, tx: &Tx) -> Option<Step> {
        if tx.state() != L1TxState::Leased {
            return None;
        }
        match tx.seen.first_answer.as_ref()? {
            FirstAnswer::Verdict(Verdict::Accepted) => self.step(tx, L1TxEvent::Accepted, None),
            FirstAnswer::Verdict(Verdict::Ambiguous { .. }) | FirstAnswer::Unknown => {
                self.step(tx, L1TxEvent::Ambiguous, None)
            }
            FirstAnswer::Verdict(Verdict::Refused { class, message }) => self.refused(tx, *class, message),
            // Its deadline passed meanwhile; a caller who interrupted it has gone.
            FirstAnswer::Withheld => {
                Some(self.step(tx, L1TxEvent::Withdrawn, None)?.answering(tx.job.as_ref(), Outcome::Expired))
            }
        }
    }

    /// The node definitely does not have it: its nonce is free, and what comes next depends on why.
    fn refused(&self, tx: &Tx, class: RefusalClass, message: &str) -> Option<Step> {
        let reason = RejectReason::Refused { class, message: message.to_owned() };
        let step = self.step(tx, L1TxEvent::Refused, None)?;
        let account = tx.stored.intent.account;
        let Some(job) = tx.job.clone().filter(|_| !tx.seen.is_interrupted) else { return Some(step) };
        let (now, next_head) = (self.beat, self.beat + 1);
        let tries = tx.tries + 1;
        let now = if tries < MOST_TRIES { now } else { next_head };
        let again = |until| Note::Requeue { job: job.clone(), tries, until, reason: reason.clone() };
        Some(match class {
            RefusalClass::Format | RefusalClass::Shape => {
                step.then(Effect::Answer(job.id, Ok(Outcome::Rejected { reason })))
            }
            RefusalClass::InsufficientFunds => step.and(Note::Broke { account }).and(again(now)),
            RefusalClass::OtherTypePooled | RefusalClass::AccountLimit => {
                step.and(Note::Occupied { account }).and(again(now))
            }
            RefusalClass::NonceTooLow => step.and(Note::DoubtNonce { account }).and(again(now)),
            RefusalClass::NonceTooHigh
            | RefusalClass::ReplacementUnderpriced
            | RefusalClass::Underpriced
            | RefusalClass::FeeCapTooLow
            | RefusalClass::NodeFeeCap
            | RefusalClass::PoolFull => step.and(again(next_head)),
        })
    }

    /// The chain's nonce is past ours, and no block holds ours: believed at the second head that says so.
    fn nonce_taken(&self, tx: &Tx) -> Option<Step> {
        let (at, sight) = tx.seen.sight.as_ref()?;
        let is_ours = self.rivals(tx).any(|rival| rival.state().is_settled());
        if *sight != TxSight::NonceUsed || is_ours || tx.seen.foreign_since.is_none_or(|since| *at <= since) {
            return None;
        }
        let (account, nonce) = (tx.stored.intent.account, tx.stored.intent.nonce);
        let outcome = Outcome::Rejected { reason: RejectReason::Superseded { account, nonce } };
        let step = self.step(tx, L1TxEvent::ForeignNonce, None)?.and(Note::DoubtNonce { account });
        Some(step.answering(tx.job.as_ref(), outcome))
    }

    /// Its deadline has passed: what became of it is known once L1 was looked at.
    pub(super) fn is_overdue(&self, tx: &Tx) -> bool {
        self.head.timestamp >= tx.stored.intent.deadline && tx.state() == L1TxState::Live
    }

    /// Its deadline has passed, and L1 was seen to hold it in no block up to here.
    fn expired(&self, tx: &Tx) -> Option<Step> {
        if !self.is_overdue(tx) || tx.sight_at(self.beat).is_none() {
            return None;
        }
        Some(self.step(tx, L1TxEvent::DeadlinePassed, None)?.answering(tx.job.as_ref(), Outcome::Expired))
    }

    /// No node has it: the same bytes go out again, a few times a head. What has expired never does; a cancel does not expire.
    fn send_again(&self, tx: &Tx, rules: &Rules<'_>) -> Option<Step> {
        let is_absent = tx.sight_at(self.beat) == Some(&TxSight::Absent) && !tx.seen.in_pool;
        if !is_absent || tx.seen.resent >= MOST_RESENDS {
            return None;
        }
        let may =
            tx.is_cancelled() || (!tx.seen.is_interrupted && self.next_block_at(rules) < tx.stored.intent.deadline);
        let (id, attempt) = (tx.stored.intent.id, tx.stored.attempts.len().checked_sub(1)?);
        may.then(|| Step::from(Note::Resend { intent: id, attempt }).then(Effect::Send(id, attempt)))
    }

    /// The transaction moves by `event`; none where the table has no such move, which is a bug that changes nothing.
    fn step(&self, tx: &Tx, event: L1TxEvent, mined: Option<(&MinedTx, &Rules<'_>)>) -> Option<Step> {
        let mut intent = tx.stored.intent.clone();
        intent.state = next(intent.state, event).ok()?;
        let is_deep = mined.is_some_and(|(mined, rules)| self.is_deep(mined, rules));
        intent.finality = if is_deep { Finality::Confirmed } else { Finality::Open };
        intent.mined = mined.map(|(mined, _)| mined.clone());
        let account = self.account_after(&intent)?;
        Some(Record::Move { intent: Box::new(intent), account }.into())
    }

    fn account_after(&self, intent: &IntentRecord) -> Option<AccountRecord> {
        let account = self.accounts.get(&intent.account)?;
        let is_tail = account.ledger.next() == intent.nonce + 1;
        Some(match intent.frees_its_nonce() && is_tail {
            true => account.record_after_free(intent.nonce),
            false => account.record(),
        })
    }
}
