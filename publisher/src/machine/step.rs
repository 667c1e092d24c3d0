//! A step of the machine: what becomes durable, and what is done once it is.
//!
//! Effects lie inside a [`Step`] where nobody can reach them. The store turns a step into a [`Committed`] one, and that
//! alone gives them out: so nothing is handed to L1 before its record is on disk.

use std::sync::Arc;

use alloy::primitives::Address;

use crate::machine::job::{Job, JobId};
use crate::records::{AccountRecord, AttemptRecord, IntentId, IntentRecord};
use crate::{Error, Fees, Outcome, RejectReason};

/// A change that the store keeps.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// A job becomes a transaction: its nonce, its first attempt, its payload.
    Lease(Box<Lease>),
    /// Another attempt with the same nonce.
    Attempt { intent: IntentId, number: usize, attempt: AttemptRecord },
    /// The transaction has moved; its account is kept beside it.
    Move { intent: Box<IntentRecord>, account: AccountRecord },
}

/// A change of what this run knows, which ends with it.
#[derive(Debug, Clone)]
pub(crate) enum Note {
    /// A job waits again.
    Hold { job: JobId, until: u64, reason: RejectReason },
    /// The node is asked how much gas a job needs.
    AskGas { job: JobId },
    /// The bid of a transaction cannot be raised now.
    Blocked { intent: IntentId, by: crate::CeilingExceeded },
    /// The same bytes go out again.
    Resend { intent: IntentId, attempt: usize },
    /// A job waits no longer.
    Drop { job: JobId },
    /// A job whose transaction was refused waits for another.
    Requeue { job: Arc<Job>, tries: u32, until: u64, reason: RejectReason },
    /// An account cannot pay.
    Broke { account: Address },
    /// Pools have no place for an account's transaction, because of others that it has.
    Occupied { account: Address },
    /// The next nonce of an account is in doubt.
    DoubtNonce { account: Address },
}

/// A job that becomes a transaction.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    /// How often it was refused before.
    pub(crate) tries: u32,
    pub(crate) job: Arc<Job>,
    pub(crate) intent: IntentRecord,
    pub(crate) attempt: AttemptRecord,
    pub(crate) account: AccountRecord,
}

/// Something done in the world.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Hand this attempt of a transaction to L1.
    Send(IntentId, usize),
    /// Ask how much gas the job needs, when this account sends it at these fees.
    Estimate { job: Arc<Job>, account: Address, fees: Fees },
    /// Tell the caller how it ended.
    Answer(JobId, Result<Outcome, Error>),
}

/// What is to become durable, and then to be done.
#[derive(Debug, Default)]
#[must_use = "a step that is not committed never happens"]
pub(crate) struct Step {
    records: Vec<Record>,
    notes: Vec<Note>,
    effects: Vec<Effect>,
}

/// A step whose records are on disk.
#[derive(Debug)]
pub(crate) struct Committed(Step);

impl From<Record> for Step {
    fn from(record: Record) -> Self {
        Self { records: vec![record], ..Self::default() }
    }
}

impl From<Note> for Step {
    fn from(note: Note) -> Self {
        Self::default().and(note)
    }
}

impl Step {
    /// Keeps something more.
    pub(crate) fn with(mut self, record: Record) -> Self {
        self.records.push(record);
        self
    }

    /// Notes something as well.
    pub(crate) fn and(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }

    /// Once the records are durable.
    pub(crate) fn then(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// Tells the caller, where there is one.
    pub(crate) fn answering(self, job: Option<&Arc<Job>>, outcome: Outcome) -> Self {
        match job {
            Some(job) => self.then(Effect::Answer(job.id, Ok(outcome))),
            None => self,
        }
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// The step, once `write` has made its records durable; where there are none, nothing is written.
    ///
    /// # Errors
    /// What `write` answers: the step has not happened then, and is decided again.
    pub(crate) fn commit(self, write: impl FnOnce(&[Record]) -> Result<(), Error>) -> Result<Committed, Error> {
        if !self.records.is_empty() {
            write(&self.records)?;
        }
        Ok(Committed(self))
    }

    /// Whom to tell that it could not be made durable.
    pub(crate) fn leased_job(&self) -> Option<JobId> {
        self.records.iter().find_map(|record| match record {
            Record::Lease(lease) => Some(lease.job.id),
            Record::Attempt { .. } | Record::Move { .. } => None,
        })
    }
}

impl Committed {
    /// What has changed, and what is to be done about it.
    pub(crate) fn into_parts(self) -> (Vec<Record>, Vec<Note>, Vec<Effect>) {
        (self.0.records, self.0.notes, self.0.effects)
    }
}
