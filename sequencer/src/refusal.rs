//! Why something that another node told was refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use alloy::primitives::B256;
use fermata_primitives::{CheckpointNumber, Slot};

use crate::error::SequencerError;
use crate::network::{NetworkError, SignatureError};

/// Why a message of another node counts for nothing. It changes nothing here, and costs its sender only.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Its signature does not count.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It is of no use any more.
    #[error("slot {0} has passed")]
    PastSlot(Slot),
    /// It comes before its time.
    #[error("slot {0} is not being built yet; check the clocks of both nodes")]
    FarSlot(Slot),
    /// Its signer has signed another for the same duty.
    #[error("its proposer has signed another one for the same place")]
    Equivocation,
    /// More blocks than a checkpoint may have.
    #[error("it has {found} blocks before its last; at most {limit} are allowed")]
    TooManyBlocks {
        /// Blocks it names.
        found: usize,
        /// As many as there may be.
        limit: usize,
    },
    /// A block is not what the slot, its place and its checkpoint say.
    #[error("block {block}: its {field} is not that of its slot and place")]
    WrongBlock {
        /// The block.
        block: B256,
        /// The field.
        field: &'static str,
    },
    /// Executing a block gives something else, or it cannot be executed.
    #[error("block {block} is not valid: {reason}")]
    InvalidBlock {
        /// The block.
        block: B256,
        /// Which rule or field.
        reason: String,
    },
    /// Blocks that it is built on are not here, and nobody has given them.
    #[error("{missing} of the blocks it is built on could not be had")]
    MissingBlocks {
        /// How many.
        missing: usize,
        /// What the last node that was asked said.
        #[source]
        source: Option<NetworkError>,
    },
    /// It is not built on the checkpoint before it, as L1 has it.
    #[error("it is not built on checkpoint {} as L1 has it", number.previous())]
    WrongParent {
        /// The number it would have.
        number: CheckpointNumber,
    },
    /// Its header is not what its blocks and L1 give.
    #[error("its header's {0} is not what its blocks and L1 give")]
    WrongHeader(&'static str),
    /// It attests another checkpoint than the one that was proposed.
    #[error("it attests another checkpoint than the one proposed")]
    OtherCheckpoint,
    /// Its signer has attested already.
    #[error("its member has attested already")]
    Twice,
    /// It could not be checked: that says nothing about it.
    #[error("it could not be checked")]
    Unchecked(#[source] SequencerError),
}

impl Refusal {
    /// Its name in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Signature(SignatureError::Forged) => "forged",
            Self::Signature(SignatureError::NotTheProposer { .. }) => "not-the-proposer",
            Self::Signature(SignatureError::NotAMember(_)) => "not-a-member",
            Self::PastSlot(_) => "past-slot",
            Self::FarSlot(_) => "far-slot",
            Self::Equivocation => "equivocation",
            Self::TooManyBlocks { .. } => "too-many-blocks",
            Self::WrongBlock { .. } => "wrong-block",
            Self::InvalidBlock { .. } => "invalid-block",
            Self::MissingBlocks { .. } => "missing-blocks",
            Self::WrongParent { .. } => "wrong-parent",
            Self::WrongHeader(_) => "wrong-header",
            Self::OtherCheckpoint => "other-checkpoint",
            Self::Twice => "twice",
            Self::Unchecked(_) => "unchecked",
        }
    }

    /// Whether hearing the same again may end otherwise.
    #[must_use]
    pub const fn is_for_now(&self) -> bool {
        match self {
            Self::FarSlot(_) | Self::MissingBlocks { .. } | Self::Unchecked(_) => true,
            Self::Signature(_)
            | Self::PastSlot(_)
            | Self::Equivocation
            | Self::TooManyBlocks { .. }
            | Self::WrongBlock { .. }
            | Self::InvalidBlock { .. }
            | Self::WrongParent { .. }
            | Self::WrongHeader(_)
            | Self::OtherCheckpoint
            | Self::Twice => false,
        }
    }
}

impl<T: Into<SequencerError>> From<T> for Refusal {
    fn from(error: T) -> Self {
        Self::Unchecked(error.into())
    }
}

/// How much was refused, by reason.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<&'static str, u64>>);

impl Refusals {
    /// Counts one.
    pub fn count(&self, refusal: &Refusal) {
        metrics::counter!("fermata_refused_messages_total", "reason" => refusal.name()).increment(1);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(refusal.name()).or_default() += 1;
    }

    /// How many were refused for the reason of this name.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or_default()
    }

    /// All counts.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;

    /// One refusal of each name.
    fn each() -> Vec<Refusal> {
        let (expected, found) = (Address::ZERO, Address::ZERO);
        vec![
            SignatureError::Forged.into(),
            SignatureError::NotTheProposer { expected, found }.into(),
            SignatureError::NotAMember(found).into(),
            Refusal::PastSlot(Slot(1)),
            Refusal::FarSlot(Slot(1)),
            Refusal::Equivocation,
            Refusal::TooManyBlocks { found: 9, limit: 1 },
            Refusal::WrongBlock { block: B256::ZERO, field: "timestamp" },
            Refusal::InvalidBlock { block: B256::ZERO, reason: String::new() },
            Refusal::MissingBlocks { missing: 1, source: None },
            Refusal::WrongParent { number: CheckpointNumber(3) },
            Refusal::WrongHeader("slot"),
            Refusal::OtherCheckpoint,
            Refusal::Twice,
            Refusal::Unchecked(SequencerError::Interrupted),
        ]
    }

    #[test]
    fn every_refusal_is_explained_to_operators_and_counted_by_its_name() {
        let page = include_str!("../docs/committee.md");
        let refusals = Refusals::default();
        for refusal in each() {
            assert!(page.contains(&format!("`{}`", refusal.name())), "{}", refusal.name());
            refusals.count(&refusal);
            assert_eq!(refusals.of(refusal.name()), 1);
        }
        assert_eq!(refusals.all().len(), each().len());
    }

    #[test]
    fn what_says_nothing_about_the_message_is_refused_for_now_alone() {
        let passing: Vec<_> = each().iter().filter(|refusal| refusal.is_for_now()).map(Refusal::name).collect();
        assert_eq!(passing, ["far-slot", "missing-blocks", "unchecked"]);
    }
}
