//! What a prover is at.

use alloy::primitives::B256;
use fermata_primitives::{CheckpointNumber, Epoch};
use serde::{Deserialize, Serialize};

use super::EpochSpan;

/// An epoch that this prover has proven.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvenEpoch {
    /// The epoch.
    pub epoch: Epoch,
    /// Its first checkpoint.
    pub from: CheckpointNumber,
    /// The last that was proven.
    pub to: CheckpointNumber,
    /// The L1 transaction.
    pub l1_tx: B256,
}

/// What a prover is at.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ProverProgress {
    /// The epoch it is to prove; `None` where every epoch that is over is proven.
    pub epoch: Option<EpochSpan>,
    /// The newest that it has proven since the node was opened.
    pub last: Option<ProvenEpoch>,
    /// Why the epoch could not be proven yet.
    pub failure: Option<String>,
}

impl ProverProgress {
    /// Every epoch that is over is proven.
    pub(super) fn rest(&mut self) {
        (self.epoch, self.failure) = (None, None);
    }

    /// This epoch is to be proven; what stood against another does not matter any more.
    pub(super) fn work_on(&mut self, span: EpochSpan) {
        if self.epoch != Some(span) {
            (self.epoch, self.failure) = (Some(span), None);
        }
    }

    pub(super) fn proven(&mut self, proven: ProvenEpoch) {
        self.rest();
        self.last = Some(proven);
    }

    /// Nothing stands against it now; true where something did.
    pub(super) fn recover(&mut self) -> bool {
        self.failure.take().is_some()
    }

    /// Notes what went wrong; false where it went wrong in the same way before.
    pub(super) fn fail(&mut self, reason: &str) -> bool {
        let is_new = self.failure.as_deref() != Some(reason);
        self.failure = Some(reason.to_owned());
        is_new
    }
}

#[cfg(test)]
mod tests {
    use fermata_primitives::L1Timestamp;

    use super::*;

    fn span(epoch: u64) -> EpochSpan {
        EpochSpan {
            epoch: Epoch(epoch),
            from: CheckpointNumber(epoch),
            to: CheckpointNumber(epoch),
            end_archive: B256::ZERO,
            deadline: L1Timestamp(9),
        }
    }

    #[test]
    fn a_failure_is_new_once_and_again_with_the_next_epoch() {
        let mut progress = ProverProgress::default();
        progress.work_on(span(1));
        assert!(progress.fail("L1 is down"));
        progress.work_on(span(1));
        assert!(!progress.fail("L1 is down"));
        assert!(progress.recover() && !progress.recover());
        assert!(progress.fail("L1 is down"), "it went wrong again");
        assert!(progress.fail("no money"));
        progress.work_on(span(2));
        assert_eq!(progress.failure, None);
        assert!(progress.fail("no money"));
    }

    #[test]
    fn a_prover_that_has_caught_up_has_nothing_to_complain_of() {
        let mut progress = ProverProgress { failure: Some("no money".into()), ..ProverProgress::default() };
        progress.work_on(span(1));
        let proven =
            ProvenEpoch { epoch: Epoch(1), from: CheckpointNumber(1), to: CheckpointNumber(1), l1_tx: B256::ZERO };
        progress.proven(proven);
        assert_eq!(progress, ProverProgress { epoch: None, last: Some(proven), failure: None });
    }
}
