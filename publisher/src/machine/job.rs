//! A request that was taken, and is to become a transaction.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::broadcast_gate::BroadcastGate;
use crate::{L1Request, PreparedBlobs, RejectReason};

/// Number of a request within one run.
pub(crate) type JobId = u64;

/// A request with its proofs. It never changes.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) request: L1Request,
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
