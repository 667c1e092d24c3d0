//! The files themselves.

use alloy::primitives::B256;
use fermata_primitives::{Epoch, Slot};
use serde::Deserialize;

use crate::{Decimal, EthAttestation, EthBlock, EthDuty, EthPublicKey, Hex};

/// One vector: steps that one store goes through.
///
/// Unknown members are passed over, since the format has grown some and lost some. Before version 5.3 there was one
/// expectation for all stores, the most careful one: of a file of those days a store of all records may sign more.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct VectorFile {
    /// The vector's name.
    pub name: String,
    pub(super) genesis_validators_root: Hex<32>,
    pub(super) steps: Vec<Step>,
}

/// An import, then signings.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Step {
    /// Whether the import does.
    pub(super) should_succeed: bool,
    /// Whether a store may refuse it all the same.
    #[serde(default)]
    pub(super) contains_slashable_data: bool,
    pub(super) interchange: serde_json::Value,
    pub(super) blocks: Vec<BlockSigning>,
    pub(super) attestations: Vec<AttestationSigning>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct BlockSigning {
    pubkey: Hex<48>,
    slot: Decimal,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct AttestationSigning {
    pubkey: Hex<48>,
    source_epoch: Decimal,
    target_epoch: Decimal,
    #[serde(flatten)]
    expected: Expected,
}

/// What is signed, and what is expected of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
struct Expected {
    signing_root: Option<Hex<32>>,
    should_succeed: bool,
    /// Not there before version 5.3. What should succeed then is what is not slashable: a store that keeps the highest
    /// values alone may refuse it.
    should_succeed_complete: Option<bool>,
}

/// One signing and what stores do about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signing {
    pub(super) public_key: EthPublicKey,
    pub(super) duty: EthDuty,
    pub(super) root: B256,
    /// Whether a store that keeps the highest values alone signs it: then every sound store does.
    pub(super) minimal: bool,
    /// Whether a store that keeps all records signs it: else no sound store does.
    pub(super) complete: bool,
}

impl VectorFile {
    /// # Errors
    /// What is wrong, and where.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }
}

impl Step {
    /// The signings in their order: blocks, then attestations.
    pub(super) fn signings(&self) -> Vec<Signing> {
        let blocks = self.blocks.iter().map(|block| {
            let duty = EthDuty::Block(EthBlock { slot: Slot(block.slot.0) });
            block.expected.signing(block.pubkey, duty)
        });
        let attestations = self.attestations.iter().map(|vote| {
            let (source, target) = (Epoch(vote.source_epoch.0), Epoch(vote.target_epoch.0));
            vote.expected.signing(vote.pubkey, EthDuty::Attestation(EthAttestation { source, target }))
        });
        blocks.chain(attestations).collect()
    }
}

impl Expected {
    fn signing(self, pubkey: Hex<48>, duty: EthDuty) -> Signing {
        Signing {
            public_key: pubkey.0.into(),
            duty,
            root: self.signing_root.map_or(B256::ZERO, |root| root.0.into()),
            minimal: self.should_succeed && self.should_succeed_complete.is_some(),
            complete: self.should_succeed_complete.unwrap_or(self.should_succeed),
        }
    }
}
