//! What is known of one Ethereum key, asked and added to: alike in every store.

use alloy::primitives::B256;

use super::history::{KeyHistory, marks_after};
use super::rules::{EthVerdict, attestation, judge_attestation, judge_block};
use super::{EthDuty, EthMarks, EthPolicy, EthPublicKey, EthReason};

/// Data asked for: leave to sign `root` for `duty`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EthWanted {
    pub(crate) public_key: EthPublicKey,
    pub(crate) duty: EthDuty,
    pub(crate) root: B256,
}

pub(crate) type EthJudgement = Result<EthVerdict, EthReason>;

/// What is known of a key beside its records.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct EthStanding {
    pub(crate) marks: EthMarks,
    /// The key was handed over: nothing is signed with it here any more.
    pub(crate) retired: bool,
}

/// What is known of a key, with those of its records at least that the data asked for may conflict with: of a block that of
/// its slot, of an attestation all with a target not below its source.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct EthKnown {
    pub(crate) retired: bool,
    pub(crate) history: KeyHistory,
}

impl EthKnown {
    /// Judges data, and takes what is new in: the data after it is judged with it.
    pub(crate) fn take(&mut self, duty: EthDuty, root: B256, policy: EthPolicy) -> EthJudgement {
        if self.retired {
            return Err(EthReason::Retired);
        }
        let judgement = self.history.judge(duty, root);
        if judgement == Ok(EthVerdict::Record) {
            self.history.record(duty, root, policy);
        }
        judgement
    }
}

impl KeyHistory {
    pub(crate) fn judge(&self, duty: EthDuty, root: B256) -> EthJudgement {
        match duty {
            EthDuty::Block(block) => judge_block(&self.marks, self.blocks.get(&block).copied(), block, root),
            EthDuty::Attestation(asked) => {
                let from = attestation(0, asked.source.0);
                let near: Vec<_> = self.attestations.range(from..).map(|(&known, &root)| (known, root)).collect();
                judge_attestation(&self.marks, &near, asked, root)
            }
        }
    }

    fn record(&mut self, duty: EthDuty, root: B256, policy: EthPolicy) {
        self.marks = marks_after(&self.marks, duty, policy);
        match (policy, duty) {
            (EthPolicy::Watermark, EthDuty::Block(_) | EthDuty::Attestation(_)) => {}
            (EthPolicy::FullHistory, EthDuty::Block(block)) => {
                self.blocks.insert(block, root);
            }
            (EthPolicy::FullHistory, EthDuty::Attestation(vote)) => {
                self.attestations.insert(vote, root);
            }
        }
    }
}
