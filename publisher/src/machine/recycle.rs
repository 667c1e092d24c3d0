//! A nonce that an expired transaction blocks goes to one that waits: it kills the stale one and lands, for the price of one.
//!
//! Several transactions have one nonce then, and are *rivals*: a pool may hold any of them, and a block holds one. The newest
//! acts for all; the others are only watched. Once a block holds one, the others count as cancelling until it is final, so that
//! they are still known if that block is removed.

use alloy::primitives::U256;

use crate::machine::job::{Gas, Waiting};
use crate::machine::lease::Lane;
use crate::machine::step::{Effect, Note, Record, Step};
use crate::machine::tx::Tx;
use crate::machine::{Machine, Rules};
use crate::records::{AccountRecord, Finality};
use crate::window::Position;
use crate::{Fees, L1TxEvent, Outcome, RejectReason, next, replacement_fees};

/// What becomes of the nonce of an expired transaction.
pub(super) enum Heir {
    /// The next in line takes it over.
    Takes(Box<Step>),
    /// One is in line, and asks what gas it needs.
    Soon,
    /// Nobody: it is to be cancelled.
    Nobody,
}

impl Machine {
    /// The other transactions with the nonce of `tx`.
    pub(super) fn rivals<'a>(&'a self, tx: &'a Tx) -> impl Iterator<Item = &'a Tx> {
        let mine = &tx.stored.intent;
        self.txs.values().filter(move |other| {
            let other = &other.stored.intent;
            (other.account, other.nonce) == (mine.account, mine.nonce) && other.id != mine.id
        })
    }

    /// True when it is only watched: another acts for its nonce, or has it.
    pub(crate) fn is_outdone(&self, tx: &Tx) -> bool {
        self.rivals(tx).any(|rival| rival.stored.intent.id > tx.stored.intent.id || rival.state().is_settled())
    }

    /// The highest bid in every field of all transactions with this nonce.
    pub(super) fn highest_of_nonce(&self, tx: &Tx) -> Option<Fees> {
        let bids = std::iter::once(tx).chain(self.rivals(tx)).filter_map(Tx::highest_fees);
        bids.reduce(Fees::highest)
    }

    /// Who takes the nonce of `expired`, which no cancel was made for.
    pub(super) fn heir(&self, expired: &Tx, rules: &Rules<'_>) -> Heir {
        if expired.is_cancelled() {
            return Heir::Nobody;
        }
        let mut in_line = self.waiting.iter().filter(|waiting| self.may_inherit(waiting, expired, rules));
        let Some(next) = in_line.next() else { return Heir::Nobody };
        match next.gas {
            Gas::Unknown | Gas::Asked => Heir::Soon,
            Gas::Limit(gas_limit) => match self.inherit(next, expired, gas_limit, rules) {
                Some(step) => Heir::Takes(Box::new(step)),
                None => Heir::Nobody,
            },
        }
    }

    /// True for one of the same type that could be sent now, from the same account, and that nothing stood in the way of so far:
    /// what a node has refused is not tried in the place of a cancel again.
    fn may_inherit(&self, waiting: &Waiting, expired: &Tx, rules: &Rules<'_>) -> bool {
        let (intent, job) = (&expired.stored.intent, &waiting.job);
        let is_due = self.position(job.request.window(), rules) == Position::Within && self.beat >= waiting.held_until;
        is_due
            && waiting.reason.is_none()
            && Lane::of(job.blob_count()) == Lane::of(intent.blob_count)
            && self.candidates(job.account).any(|(address, account)| {
                address == intent.account && account.broke_at.is_none() && self.is_fresh(account, waiting)
            })
    }

    /// The lease, where its bid may replace all that the nonce was bid for, and leaves room for its own cancel.
    fn inherit(&self, waiting: &Waiting, expired: &Tx, gas_limit: u64, rules: &Rules<'_>) -> Option<Step> {
        let market = self.market(waiting.job.blob_count())?;
        let (rule, live) = (expired.replacement(), self.highest_of_nonce(expired)?);
        let fresh = self.priced(waiting, rules)?.ok()?;
        let fees = replacement_fees(&live, &market, rule, &rules.fees).ok()?.highest(fresh);
        replacement_fees(&fees, &market, rule, &rules.fees).ok()?;
        let job = &waiting.job;
        let cost = fees.max_cost(gas_limit, job.blob_count());
        self.within_spending(cost, Some(expired.stored.intent.id), rules).ok()?;
        if !self.can_inherit(expired, cost + job.request.value) {
            return None;
        }
        self.lease_of(waiting, expired, (fees, gas_limit), rules)
    }

    fn lease_of(
        &self,
        waiting: &Waiting,
        expired: &Tx,
        (fees, gas_limit): (Fees, u64),
        rules: &Rules<'_>,
    ) -> Option<Step> {
        let intent = &expired.stored.intent;
        let account = self.accounts.get(&intent.account)?.record();
        let place = (intent.account, intent.nonce);
        let mut lease = self.signed_lease(waiting, place, (fees, gas_limit), rules)?.ok()?;
        lease.intent.recycles = Some(intent.id);
        lease.account = account;
        let id = lease.intent.id;
        Some(Step::from(Record::Lease(Box::new(lease))).then(Effect::Send(id, 0)))
    }

    /// True when the balance covers `cost` beside all that is in flight with other nonces.
    fn can_inherit(&self, expired: &Tx, cost: U256) -> bool {
        let intent = &expired.stored.intent;
        let beside = self.in_flight(intent.account).filter(|tx| tx.stored.intent.nonce != intent.nonce);
        let reserved = beside.fold(cost, |sum, tx| sum + tx.reserved());
        self.accounts.get(&intent.account).and_then(|account| account.balance()).unwrap_or_default() >= reserved
    }

    /// A rival is in a block, so this one is in none: its job is tried with another nonce, where there is still time and the
    /// block is believed.
    pub(super) fn outdone(&self, tx: &Tx) -> Option<Step> {
        let winner = self.rivals(tx).find(|rival| rival.state().is_settled())?;
        let mut intent = tx.stored.intent.clone();
        let lost = next(intent.state, L1TxEvent::NonceLost).ok()?;
        if lost == intent.state {
            return None;
        }
        intent.state = lost;
        let (account, nonce) = (intent.account, intent.nonce);
        let record = self.accounts.get(&account)?.record();
        let step = Step::from(Record::Move { intent: Box::new(intent), account: record });
        let reason = RejectReason::Superseded { account, nonce };
        Some(match tx.job.clone().filter(|_| !tx.seen.is_interrupted) {
            Some(job) if winner.stored.intent.finality > Finality::Open => {
                step.and(Note::Requeue { job, tries: tx.tries, until: self.beat, reason })
            }
            Some(_) | None => step.answering(tx.job.as_ref(), Outcome::Rejected { reason }),
        })
    }

    /// The rivals of one that is final can never land: they end with it, and a caller who still waits is told.
    pub(super) fn ending_rivals(&self, tx: &Tx, account: AccountRecord, step: Step) -> Step {
        self.rivals(tx).fold(step, |step, rival| {
            let mut intent = rival.stored.intent.clone();
            let Ok(state) = next(intent.state, L1TxEvent::CancelMined) else { return step };
            (intent.state, intent.finality) = (state, Finality::Final);
            let reason = RejectReason::Superseded { account: intent.account, nonce: intent.nonce };
            let step = step.with(Record::Move { intent: Box::new(intent), account });
            step.answering(rival.job.as_ref(), Outcome::Rejected { reason })
        })
    }
}
