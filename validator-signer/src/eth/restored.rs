//! What Ethereum's keys may have signed that a restored store has forgotten.

use std::collections::BTreeMap;

use fermata_primitives::{Epoch, Slot};

use super::history::KeyHistory;
use super::{EthDuty, EthMarks, EthPublicKey};
use crate::interchange::Rewritten;

/// The last that any Ethereum key of a store may have signed, on any machine, before the store was restored. A restored
/// store refuses blocks through the slot, attestations with a target through that epoch, and sources below it: a source is
/// no later than its target, so that nothing that was lost can be surrounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EthLast {
    /// Highest slot of a block.
    pub slot: Slot,
    /// Highest target of an attestation.
    pub target: Epoch,
}

/// Why a restored store is not accepted with the Ethereum keys it has on record. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EthLastError {
    /// Nobody told what they may have signed last.
    #[error(
        "{public_keys} Ethereum keys are known here, and what they signed since may be lost; name the highest block slot and \
         the highest attestation target that any of them may have signed: --eth-slot SLOT --eth-target EPOCH"
    )]
    Untold {
        /// Ethereum keys on record, or in the anchor.
        public_keys: usize,
    },
    /// What was told lies below what is known to be spent.
    #[error(
        "{public_key} is known to be spent through the {duty}, after what is to be refused; name a later slot and target"
    )]
    TooEarly {
        /// The key.
        public_key: EthPublicKey,
        /// The last that is known of it.
        duty: EthDuty,
    },
}

/// The histories of all keys, as they are once `last` is refused to each: of those on record, and of those that are only
/// known to be `spent` so far.
///
/// # Errors
/// [`EthLastError`].
pub(crate) fn refuse_lost(
    on_record: Vec<(EthPublicKey, KeyHistory)>,
    spent: &BTreeMap<EthPublicKey, EthMarks>,
    last: Option<EthLast>,
) -> Result<Vec<Rewritten>, EthLastError> {
    let mut known: BTreeMap<_, _> = on_record.into_iter().collect();
    for public_key in spent.keys() {
        known.entry(*public_key).or_default();
    }
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let last = last.ok_or(EthLastError::Untold { public_keys: known.len() })?;
    let refused = known.into_iter().map(|(public_key, before)| {
        let mut after = before.clone();
        after.raise(spent.get(&public_key).copied().unwrap_or_default());
        if let Some(duty) = after.after(last) {
            return Err(EthLastError::TooEarly { public_key, duty });
        }
        after.raise(EthMarks::after(last));
        Ok(Rewritten { public_key, before, after })
    });
    refused.collect()
}
