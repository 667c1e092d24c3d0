//! The members of EIP-3076.

use alloy::primitives::{B256, FixedBytes};
use fermata_primitives::{Epoch, Slot};
use serde::{Deserialize, Serialize};

use super::text::{Decimal, Hex, required};
use super::{Extent, InterchangeError};
use crate::eth::history::KeyHistory;
use crate::{EthAttestation, EthBlock, EthPublicKey};

/// Version of the format, and the chain of `data`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Always "5".
    pub interchange_format_version: String,
    /// The chain; zero in a file of ours that has no Ethereum keys.
    pub genesis_validators_root: Hex<32>,
}

/// What one Ethereum key signed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EthEntry {
    /// The key.
    pub pubkey: Hex<48>,
    /// Its blocks. Everything at or below the lowest slot counts as signed.
    pub signed_blocks: Vec<SignedBlock>,
    /// Its attestations. Sources below the lowest, and targets at or below the lowest, count as signed.
    pub signed_attestations: Vec<SignedAttestation>,
}

/// A block that was signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedBlock {
    /// Its slot.
    pub slot: Decimal,
    /// What was signed, where it is known.
    #[serde(default, with = "required", skip_serializing_if = "Option::is_none")]
    pub signing_root: Option<Hex<32>>,
}

/// An attestation that was signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedAttestation {
    /// Its source.
    pub source_epoch: Decimal,
    /// Its target.
    pub target_epoch: Decimal,
    /// What was signed, where it is known.
    #[serde(default, with = "required", skip_serializing_if = "Option::is_none")]
    pub signing_root: Option<Hex<32>>,
}

impl EthEntry {
    pub(super) const fn public_key(&self) -> EthPublicKey {
        FixedBytes(self.pubkey.0)
    }

    /// The history this entry tells, as much of it as is wanted.
    pub(super) fn history(&self, extent: Extent) -> Result<KeyHistory, InterchangeError> {
        let blocks = self.signed_blocks.iter().map(|block| {
            let SignedBlock { slot, signing_root } = *block;
            (EthBlock { slot: Slot(slot.0) }, known_root(signing_root))
        });
        let attestations = self.signed_attestations.iter().map(|vote| {
            let SignedAttestation { source_epoch, target_epoch, signing_root } = *vote;
            let attestation = EthAttestation { source: Epoch(source_epoch.0), target: Epoch(target_epoch.0) };
            (attestation, known_root(signing_root))
        });
        let history = KeyHistory::of_records(blocks, attestations);
        match extent {
            Extent::Minified => Ok(history.minified()),
            Extent::Full => match history.attestations.keys().find(|vote| vote.source > vote.target) {
                Some(&attestation) => {
                    Err(InterchangeError::SourceAboveTarget { public_key: self.public_key(), attestation })
                }
                None => Ok(history),
            },
        }
    }
}

/// What a file says of a key.
pub(super) fn entry(public_key: EthPublicKey, history: &KeyHistory) -> EthEntry {
    let told = history.records();
    let signed_blocks = told
        .blocks
        .iter()
        .map(|(block, &root)| SignedBlock { slot: Decimal(block.slot.0), signing_root: told_root(root) });
    let signed_attestations = told.attestations.iter().map(|(vote, &root)| SignedAttestation {
        source_epoch: Decimal(vote.source.0),
        target_epoch: Decimal(vote.target.0),
        signing_root: told_root(root),
    });
    EthEntry {
        pubkey: Hex(public_key.0),
        signed_blocks: signed_blocks.collect(),
        signed_attestations: signed_attestations.collect(),
    }
}

fn known_root(root: Option<Hex<32>>) -> B256 {
    root.map_or(B256::ZERO, |root| B256::from(root.0))
}

fn told_root(root: B256) -> Option<Hex<32>> {
    (!root.is_zero()).then_some(Hex(root.0))
}
