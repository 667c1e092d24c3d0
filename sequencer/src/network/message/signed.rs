//! Content with the signature of whom it speaks for.

use alloy::primitives::{Address, B256, keccak256};
use alloy::rlp;
use fermata_primitives::{Slot, UnixTime};
use fermata_rollup::{Committee, L1Signature};
use fermata_validator_signer::{Domain, Duty, DutyKind, SignerError, ValidatorSigner};
use tracing::debug;

use super::codec::{Framed, WireForm, read_list, write_list};
use super::{MessageKind, VERSION};
use crate::network::SignatureError;

/// Content that a validator signs, once a duty.
pub trait Signable: WireForm + Framed {
    /// The slot it is for.
    fn slot(&self) -> Slot;

    /// What its signer's key may sign once.
    fn duty_kind(&self) -> DutyKind;

    /// What is signed, as an Ethereum message. The same content always has the same digest, and other content, another slot,
    /// another kind or another rollup another one.
    fn digest(&self, domain: &Domain) -> B256;

    /// The duty that signing it fulfils.
    fn duty(&self, validator: Address) -> Duty {
        Duty { validator, slot: self.slot(), kind: self.duty_kind() }
    }
}

/// Content and a signature; whether it is the right one is asked of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed<T> {
    content: T,
    signature: L1Signature,
}

impl<T: Signable> Signed<T> {
    /// Content with the signature that came with it.
    #[must_use]
    pub const fn new(content: T, signature: L1Signature) -> Self {
        Self { content, signature }
    }

    /// Has `validator` sign the content, where its duty allows it and is on record before `by`. The content is kept beside
    /// the duty, as its frame, so that who comes back from a crash can go on with it.
    ///
    /// # Errors
    /// What the signer says: another content was signed for this duty, it is too late, the key is not there or does not
    /// answer.
    ///
    /// # Cancel safety
    /// Dropped, the duty may be spent; the same content may be signed again.
    pub async fn sign(
        content: T,
        validator: Address,
        by: UnixTime,
        signer: &ValidatorSigner,
        domain: &Domain,
    ) -> Result<Self, SignerError> {
        let (duty, digest) = (content.duty(validator), content.digest(domain));
        let signature = match content.to_frame() {
            Ok(frame) => signer.sign_with_payload_by(duty, digest, &frame, by).await?,
            Err(unsendable) => {
                debug!(%duty, %unsendable, "signed without being kept");
                signer.sign_by(duty, digest, by).await?
            }
        };
        Ok(Self::new(content, signature.into()))
    }

    /// What is signed.
    #[must_use]
    pub const fn content(&self) -> &T {
        &self.content
    }

    /// The signature.
    #[must_use]
    pub const fn signature(&self) -> L1Signature {
        self.signature
    }

    /// Who signed.
    ///
    /// # Errors
    /// [`SignatureError::Forged`] where the signature is nobody's.
    pub fn signer(&self, domain: &Domain) -> Result<Address, SignatureError> {
        self.signature.signer(self.content.digest(domain)).ok_or(SignatureError::Forged)
    }

    /// Who signed, where it is the slot's proposer. `committee` is that of the slot's epoch; one without members lets
    /// anyone propose.
    ///
    /// # Errors
    /// [`SignatureError::Forged`], [`SignatureError::NotTheProposer`].
    pub fn signed_by_proposer(&self, domain: &Domain, committee: &Committee) -> Result<Address, SignatureError> {
        let found = self.signer(domain)?;
        match committee.proposer(self.content.slot()) {
            Some(expected) if expected != found => Err(SignatureError::NotTheProposer { expected, found }),
            Some(_) | None => Ok(found),
        }
    }

    /// Who signed, where it has a seat. `committee` is that of the slot's epoch.
    ///
    /// # Errors
    /// [`SignatureError::Forged`], [`SignatureError::NotAMember`].
    pub fn signed_by_member(&self, domain: &Domain, committee: &Committee) -> Result<Address, SignatureError> {
        let found = self.signer(domain)?;
        committee.position(found).map(|_| found).ok_or(SignatureError::NotAMember(found))
    }
}

impl<T: Framed> Framed for Signed<T> {
    const KIND: MessageKind = T::KIND;
}

impl<T: WireForm> WireForm for Signed<T> {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            self.content.write(out);
            self.signature.write(out);
        });
    }

    fn read(bytes: &mut &[u8]) -> rlp::Result<Self> {
        read_list(bytes, |bytes| Ok(Self { content: T::read(bytes)?, signature: L1Signature::read(bytes)? }))
    }
}

/// Begins what a proposer signs, so that it is never taken for something else.
const TAG: &[u8] = b"fermata proposal";

/// The digest of all of `content`, for its slot and kind, in this rollup alone.
pub(super) fn proposal_digest<T: Signable>(content: &T, domain: &Domain) -> B256 {
    let mut encoded = Vec::new();
    content.write(&mut encoded);
    let (slot, content_hash) = (content.slot().0.to_be_bytes(), keccak256(encoded));
    let preimage = [
        TAG,
        &[VERSION, T::KIND.code()],
        &domain.l1_chain_id.to_be_bytes(),
        domain.rollup.as_slice(),
        &slot,
        content_hash.as_slice(),
    ];
    keccak256(preimage.concat())
}
