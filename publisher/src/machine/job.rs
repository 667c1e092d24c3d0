//! A request that was taken, and is to become a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy::primitives::Address;
use tokio_util::sync::CancellationToken;

use crate::broadcast_gate::BroadcastGate;
use crate::{L1Request, PreparedBlobs, RejectReason};

/// Number of a request within one run.
pub(crate) type JobId = u64;

/// Gives every request of one run a number of its own; clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobIds(Arc<AtomicU64>);

impl JobIds {
    pub(crate) fn next(&self) -> JobId {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Which accounts may send a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pinned {
    /// Any publisher; never the funder.
    Any,
    /// This one alone, whatever its role.
    Only(Address),
}

/// A request with its proofs. It never changes.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) request: L1Request,
    /// Who may send it.
    pub(crate) account: Pinned,
    pub(crate) blobs: Option<PreparedBlobs>,
    /// Whether its bytes may go out.
    pub(crate) gate: Arc<BroadcastGate>,
    /// Its caller wants nothing more to be sent.
    pub(crate) interrupt: CancellationToken,
}

impl Job {
    pub(crate) fn blob_count(&self) -> usize {
        self.blobs.as_ref().map_or(0, PreparedBlobs::len)
    }
}

/// A job that has no transaction yet.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) job: Arc<Job>,
    pub(crate) gas: Gas,
    /// The beat at which it came.
    pub(crate) since: u64,
    /// How often it was refused.
    pub(crate) tries: u32,
    /// Nothing is tried for it before this beat.
    pub(crate) held_until: u64,
    /// What stood in the way when it was tried last.
    pub(crate) reason: Option<RejectReason>,
}

/// The gas limit of a job.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Gas {
    Unknown,
    /// The node is being asked.
    Asked,
    Limit(u64),
}

impl Waiting {
    pub(crate) fn new(job: Arc<Job>, since: u64) -> Self {
        let gas = job.request.gas_limit.map_or(Gas::Unknown, Gas::Limit);
        Self { job, gas, since, tries: 0, held_until: 0, reason: None }
    }
}
