//! What a rollup's keys signed, in a member beside those of EIP-3076.

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::Slot;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::InterchangeError;
use super::text::{Decimal, Hex, required};
use crate::rules::Record;
use crate::{Domain, Duty, DutyKind, Marks};

/// Version of this member.
pub(super) const VERSION: &str = "1";

/// What keys signed, scope by scope.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollupInterchange {
    /// Always "1".
    pub version: String,
    /// The store that wrote it.
    pub store_id: Hex<16>,
    /// When, in seconds since the Unix epoch.
    pub exported_at: Decimal,
    /// Whether this is all that the store knew: every key and every record.
    pub complete: bool,
    /// The rollups.
    pub scopes: Vec<Scope>,
    /// SHA-256 of this member as compact JSON, its members in this order and without this one.
    pub sha256: Hex<32>,
}

/// One rollup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Chain id of its L1.
    pub l1_chain_id: Decimal,
    /// Its contract.
    pub rollup_address: Hex<20>,
    /// Version of the rollup, where the writer tells it; the contract's address stands for it.
    #[serde(default, with = "required", skip_serializing_if = "Option::is_none")]
    pub rollup_version: Option<Decimal>,
    /// Its keys.
    pub signers: Vec<SignerEntry>,
}

/// One key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerEntry {
    /// Its address.
    pub signer: Hex<20>,
    /// Whether the store that wrote this refuses it everything: then the key was handed over with the file.
    pub retired: bool,
    /// Its marks, one entry a kind.
    pub marks: Vec<MarksEntry>,
    /// What it signed.
    pub duties: Vec<DutyEntry>,
}

/// The marks of a key and kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarksEntry {
    /// The kind.
    pub kind: KindName,
    /// Highest slot that is refused.
    #[serde(default, with = "required", skip_serializing_if = "Option::is_none")]
    pub low: Option<Decimal>,
    /// First slot that is refused from there on.
    #[serde(default, with = "required", skip_serializing_if = "Option::is_none")]
    pub high: Option<Decimal>,
    /// Highest slot that was ever promised to be signed.
    #[serde(default, with = "required", skip_serializing_if = "Option::is_none")]
    pub max_signed: Option<Decimal>,
}

/// A duty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DutyEntry {
    /// Its kind.
    pub kind: KindName,
    /// Its slot.
    pub slot: Decimal,
    /// Place of the block in its checkpoint; 0 for every other kind.
    pub index: Decimal,
    /// The payload; left out where it is not known, and then every payload is refused.
    #[serde(default, with = "required", skip_serializing_if = "Option::is_none")]
    pub digest: Option<Hex<32>>,
    /// How far the signing is known to have come.
    pub state: State,
    /// Number of the block, where the writer tells it.
    #[serde(default, with = "required", skip_serializing_if = "Option::is_none")]
    pub block_number: Option<Decimal>,
    /// Number of the checkpoint, where the writer tells it.
    #[serde(default, with = "required", skip_serializing_if = "Option::is_none")]
    pub checkpoint_number: Option<Decimal>,
    /// The signature, where the state is signed and the digest known.
    #[serde(default, with = "required", skip_serializing_if = "Option::is_none")]
    pub signature: Option<Hex<65>>,
}

/// How far the signing of a duty is known to have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Promised to one payload; it may have been signed.
    Pinned,
    /// Signed.
    Signed,
}

/// A kind of duty, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KindName {
    /// The proposal of one block.
    BlockProposal,
    /// The proposal of the slot's checkpoint.
    CheckpointProposal,
    /// A committee member's word for the slot's checkpoint.
    Attestation,
    /// The proposer's signature over the attestations it bundles.
    AttestationsAndSigners,
    /// The proposer's signal for a governance payload.
    GovernanceVote,
    /// The proposer's vote on whom to slash.
    SlashingVote,
}

impl KindName {
    pub(crate) const fn of(kind: DutyKind) -> Self {
        match kind {
            DutyKind::BlockProposal { .. } => Self::BlockProposal,
            DutyKind::CheckpointProposal => Self::CheckpointProposal,
            DutyKind::Attestation => Self::Attestation,
            DutyKind::AttestationsAndSigners => Self::AttestationsAndSigners,
            DutyKind::GovernanceVote => Self::GovernanceVote,
            DutyKind::SlashingVote => Self::SlashingVote,
        }
    }

    /// The kind at this place in its checkpoint; `None` where the kind has no places.
    fn at(self, index: u64) -> Option<DutyKind> {
        match (self, index) {
            (Self::BlockProposal, index) => u16::try_from(index).ok().map(|index| DutyKind::BlockProposal { index }),
            (Self::CheckpointProposal, 0) => Some(DutyKind::CheckpointProposal),
            (Self::Attestation, 0) => Some(DutyKind::Attestation),
            (Self::AttestationsAndSigners, 0) => Some(DutyKind::AttestationsAndSigners),
            (Self::GovernanceVote, 0) => Some(DutyKind::GovernanceVote),
            (Self::SlashingVote, 0) => Some(DutyKind::SlashingVote),
            (
                Self::CheckpointProposal
                | Self::Attestation
                | Self::AttestationsAndSigners
                | Self::GovernanceVote
                | Self::SlashingVote,
                1..,
            ) => None,
        }
    }
}

impl RollupInterchange {
    /// Fills in the checksum.
    #[must_use]
    pub(super) fn summed(mut self) -> Self {
        self.sha256 = self.checksum();
        self
    }

    pub(super) fn check(&self) -> Result<(), InterchangeError> {
        if self.version != VERSION {
            return Err(InterchangeError::WrongVersion {
                member: "rollup_interchange",
                found: self.version.clone(),
                known: VERSION,
            });
        }
        if self.checksum() == self.sha256 { Ok(()) } else { Err(InterchangeError::ChecksumMismatch) }
    }

    fn checksum(&self) -> Hex<32> {
        #[derive(Serialize)]
        struct Body<'a> {
            version: &'a str,
            store_id: Hex<16>,
            exported_at: Decimal,
            complete: bool,
            scopes: &'a [Scope],
        }
        let Self { version, store_id, exported_at, complete, scopes, sha256: _ } = self;
        let body = Body { version, store_id: *store_id, exported_at: *exported_at, complete: *complete, scopes };
        let text = serde_json::to_vec(&body).expect("the members are strings, lists and flags");
        Hex(Sha256::digest(text).into())
    }
}

impl Scope {
    pub(super) fn domain(&self) -> Domain {
        Domain { l1_chain_id: self.l1_chain_id.0, rollup: Address::from(self.rollup_address.0) }
    }
}

impl MarksEntry {
    pub(super) fn of(kind: DutyKind, marks: Marks) -> Self {
        let Marks { low, high, max_signed } = marks;
        let [low, high, max_signed] = [low, high, max_signed].map(|mark| mark.map(|slot| Decimal(slot.0)));
        Self { kind: KindName::of(kind), low, high, max_signed }
    }

    /// The kind, with index 0, and its marks.
    pub(super) fn marks(&self) -> (DutyKind, Marks) {
        let kind = self.kind.at(0).expect("every kind has the place 0");
        let [low, high, max_signed] = [self.low, self.high, self.max_signed].map(|mark| mark.map(|slot| Slot(slot.0)));
        (kind, Marks { low, high, max_signed })
    }
}

impl DutyEntry {
    pub(super) fn of(duty: Duty, record: &Record) -> Self {
        let index = match duty.kind {
            DutyKind::BlockProposal { index } => u64::from(index),
            DutyKind::CheckpointProposal
            | DutyKind::Attestation
            | DutyKind::AttestationsAndSigners
            | DutyKind::GovernanceVote
            | DutyKind::SlashingVote => 0,
        };
        Self {
            kind: KindName::of(duty.kind),
            slot: Decimal(duty.slot.0),
            index: Decimal(index),
            digest: (!record.digest.is_zero()).then_some(Hex(record.digest.0)),
            state: record.signature.map_or(State::Pinned, |_| State::Signed),
            block_number: None,
            checkpoint_number: None,
            signature: record.signature.map(|signature| Hex(signature.as_bytes())),
        }
    }

    /// The duty and its record, found sound: a signature is the key's own, over the digest.
    pub(super) fn record(&self, validator: Address) -> Result<(Duty, Record), InterchangeError> {
        let malformed = |what: String| InterchangeError::Malformed { what };
        let kind = self.kind.at(self.index.0).ok_or_else(|| {
            malformed(format!("a duty of {validator} in slot {} has an index {}", self.slot.0, self.index.0))
        })?;
        let duty = Duty { validator, slot: Slot(self.slot.0), kind };
        let digest = self.digest.map_or(B256::ZERO, |digest| B256::from(digest.0));
        if self.digest.is_some() && digest.is_zero() {
            return Err(malformed(format!("the digest of {duty} is zero; one that is not known is left out")));
        }
        let signature = match (self.state, self.digest, self.signature) {
            (State::Pinned, _, None) | (State::Signed, None, None) => None,
            (State::Signed, Some(_), Some(signature)) => Some(own_signature(duty, digest, signature)?),
            (State::Pinned, _, Some(_)) | (State::Signed, None, Some(_)) | (State::Signed, Some(_), None) => {
                return Err(malformed(format!("state, digest and signature of {duty} do not go together")));
            }
        };
        Ok((duty, Record { digest, signature }))
    }
}

fn own_signature(duty: Duty, digest: B256, signature: Hex<65>) -> Result<Signature, InterchangeError> {
    let false_signature = InterchangeError::FalseSignature { duty };
    let signature = Signature::from_raw(&signature.0).map_err(|_| false_signature.clone())?;
    let recovered = signature.recover_address_from_prehash(&duty.kind.signed_hash(digest));
    match recovered {
        Ok(address) if address == duty.validator => Ok(signature),
        Ok(_) | Err(_) => Err(false_signature),
    }
}
