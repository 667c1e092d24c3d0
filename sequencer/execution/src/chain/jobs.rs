//! Blocks being built.

use std::collections::{HashMap, VecDeque};

use alloy::primitives::B256;

use crate::{Block, BlockAttributes, ExecutionError, JobId, Result};

/// Jobs that are kept; the oldest is forgotten for a newer one. A proposer has one or two.
const JOBS_KEPT: usize = 64;

/// A block to be built, or built.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) parent: B256,
    pub(super) attributes: BlockAttributes,
    pub(super) sealed: Option<Block>,
}

/// The jobs there are, oldest first.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: HashMap<JobId, Job>,
    order: VecDeque<JobId>,
}

impl Jobs {
    /// Registers a job, once.
    pub(super) fn register(&mut self, parent: B256, attributes: BlockAttributes) -> JobId {
        let id = JobId::of(parent, &attributes);
        if self.jobs.contains_key(&id) {
            return id;
        }
        if self.order.len() == JOBS_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.jobs.remove(&oldest);
        }
        self.order.push_back(id);
        self.jobs.insert(id, Job { parent, attributes, sealed: None });
        id
    }

    /// The job of this name.
    pub(super) fn get(&self, id: JobId) -> Result<Job> {
        self.jobs.get(&id).cloned().ok_or(ExecutionError::UnknownJob(id))
    }

    /// Notes the block that a job became; a job that was cancelled meanwhile stays forgotten.
    pub(super) fn sealed(&mut self, id: JobId, block: Block) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.sealed = Some(block);
        }
    }

    /// Forgets a job.
    pub(super) fn forget(&mut self, id: JobId) {
        if self.jobs.remove(&id).is_some() {
            self.order.retain(|other| *other != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;

    fn attributes(timestamp: u64) -> BlockAttributes {
        BlockAttributes {
            timestamp,
            beneficiary: Address::ZERO,
            prev_randao: B256::ZERO,
            gas_limit: 30_000_000,
            max_payload_bytes: 1_000,
            transactions: None,
            deadline: None,
        }
    }

    #[test]
    fn the_same_job_registered_again_keeps_its_block() {
        let mut jobs = Jobs::default();
        let id = jobs.register(B256::ZERO, attributes(1));
        let block = Block::new(alloy::consensus::Header::default(), vec![]);
        jobs.sealed(id, block.clone());
        assert_eq!(jobs.register(B256::ZERO, attributes(1)), id);
        assert_eq!(jobs.get(id).unwrap().sealed, Some(block));
    }

    #[test]
    fn the_oldest_job_is_forgotten_for_a_newer_one() {
        let mut jobs = Jobs::default();
        let ids: Vec<_> = (0..=JOBS_KEPT as u64).map(|time| jobs.register(B256::ZERO, attributes(time))).collect();
        assert!(matches!(jobs.get(ids[0]), Err(ExecutionError::UnknownJob(id)) if id == ids[0]));
        assert!(ids[1..].iter().all(|id| jobs.get(*id).is_ok()));
    }

    #[test]
    fn a_cancelled_job_is_unknown_and_makes_room() {
        let mut jobs = Jobs::default();
        let id = jobs.register(B256::ZERO, attributes(1));
        jobs.forget(id);
        jobs.forget(id);
        assert!(jobs.get(id).is_err() && jobs.order.is_empty());
    }
}
