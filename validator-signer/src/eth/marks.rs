//! From where on an Ethereum key may still be asked to sign.

use fermata_primitives::Slot;
use serde::{Deserialize, Serialize};

use super::{EthAttestation, EthLast};

/// The lowest values of a key that may still be signed. They never go down.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct EthMarks {
    /// Lowest slot of a block; none before the first record, which sets it.
    pub block: Option<Slot>,
    /// Lowest source and lowest target of an attestation, each on its own.
    pub attestation: Option<EthAttestation>,
}

impl EthMarks {
    /// Refuses blocks and attestations through `last`. The source of a lost attestation is not known, and no later than its
    /// target.
    pub(crate) fn after(last: EthLast) -> Self {
        let above = EthAttestation { source: last.target, target: last.target.next() };
        Self { block: Some(last.slot.next()), attestation: Some(above) }
    }

    /// Refuses what either refuses: slot, source and target each on its own.
    #[must_use]
    pub(crate) fn join(self, other: Self) -> Self {
        let attestation = match (self.attestation, other.attestation) {
            (Some(a), Some(b)) => {
                Some(EthAttestation { source: a.source.max(b.source), target: a.target.max(b.target) })
            }
            (mark, None) | (None, mark) => mark,
        };
        Self { block: self.block.max(other.block), attestation }
    }
}
