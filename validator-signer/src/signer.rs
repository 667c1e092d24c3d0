//! Signing a duty: recorded, then signed, then checked, then kept.

mod leave;
mod with_key;

use std::sync::Arc;
use std::time::Duration;

use alloy::dyn_abi::TypedData;
use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::UnixTime;
use futures::future::join_all;
use tracing::debug;

use self::leave::Along;
use self::with_key::{recovered, typed_digest};
use crate::gate::Gate;
use crate::in_key::InKey;
use crate::{Duty, Halt, Keystore, PAYLOAD_LIMIT, Protection, Sighting, SignerError};

/// How long a stop or a close waits for a key that was asked before it.
const KEY_PATIENCE: Duration = Duration::from_secs(2);

/// Who closes the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ownership {
    /// This signer, with itself.
    Owned,
    /// Whoever opened it and shared it.
    Shared,
}

/// Signs duties with the keys of a node, each at most once.
///
/// | | `start` | `stop` | `close` |
/// |---|---|---|---|
/// | stopped (as made) | started | no-op | closed |
/// | started | no-op | waits for signings in flight, at most two seconds, then stopped | the same, then closed |
/// | closed | error `Closed` | no-op | no-op |
///
/// The store stays open, and its directory held, across any number of stops and starts; only `close` closes it, and only
/// if this signer owns it. Dropping a signer closes a store it owns alone, without waiting.
#[derive(Debug)]
pub struct ValidatorSigner {
    protection: Arc<dyn Protection>,
    ownership: Ownership,
    keys: Arc<dyn Keystore>,
    gate: Gate,
    in_key: Arc<InKey>,
}

impl ValidatorSigner {
    /// A stopped signer over a store that somebody else opened, shares and closes.
    #[must_use]
    pub fn sharing(protection: Arc<dyn Protection>, keys: Arc<dyn Keystore>) -> Self {
        Self { protection, ownership: Ownership::Shared, keys, gate: Gate::stopped(), in_key: Arc::default() }
    }

    /// A stopped signer over a store of its own, which it closes with itself.
    #[must_use]
    pub fn owning(protection: Arc<dyn Protection>, keys: Arc<dyn Keystore>) -> Self {
        Self { ownership: Ownership::Owned, ..Self::sharing(protection, keys) }
    }

    /// The validators whose keys are here now.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.keys.addresses()
    }

    /// Whether the key of `validator` is here now.
    #[must_use]
    pub fn holds(&self, validator: Address) -> bool {
        self.keys.holds(validator)
    }

    /// Whether it signs: between a start and a stop.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.gate.is_open()
    }

    /// The store the duties are recorded in.
    #[must_use]
    pub const fn protection(&self) -> &Arc<dyn Protection> {
        &self.protection
    }

    /// Lets duties be signed; a no-op when started.
    ///
    /// # Errors
    /// [`SignerError::Closed`].
    pub fn start(&self) -> Result<(), SignerError> {
        Ok(self.gate.open()?)
    }

    /// Refuses new duties and waits until those in flight are done. A key that has not answered within two seconds is not
    /// waited for: its signing fails with [`SignerError::Stopped`], and the duty stays pinned to its payload. The store
    /// stays open.
    ///
    /// # Cancel safety
    /// Dropped: the signer is stopped all the same.
    pub async fn stop(&self) {
        self.gate.stop(KEY_PATIENCE).await;
    }

    /// Stops for good, and closes the store if this signer owns it: then another process can open it at once. A key that
    /// does not answer holds it up no longer than a stop. Closing twice is the same as once.
    ///
    /// # Cancel safety
    /// Dropped: nothing is signed any more, but an owned store may still be open; close again.
    pub async fn close(&self) {
        self.gate.close(KEY_PATIENCE).await;
        match self.ownership {
            Ownership::Owned => self.protection.close().await,
            Ownership::Shared => {}
        }
    }

    /// Signs `digest` for `duty`, or gives the signature of before.
    ///
    /// What the key signs is [`DutyKind::signed_hash`](crate::DutyKind::signed_hash) of the digest. The duty is durable
    /// on record before the key is asked, and a signature leaves only after it was found to be the key's own. Who asks for
    /// a payload that is with its key already joins that signing.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each.
    ///
    /// # Cancel safety
    /// Dropped before the record: nothing has happened. After it: the duty is pinned to `digest`, which may be signed
    /// again, and no other. Those who joined this signing wait on.
    pub async fn sign(&self, duty: Duty, digest: B256) -> Result<Signature, SignerError> {
        self.sign_one((duty, digest), Along::default()).await
    }

    /// Signs typed data for a vote, as [`sign`](Self::sign) does its EIP-712 hash. A remote key shows and hashes the typed
    /// data itself, so that it signs votes in this way alone.
    ///
    /// # Errors
    /// As [`sign`](Self::sign), and [`SignerError::BadTypedData`] before anything is recorded.
    ///
    /// # Cancel safety
    /// As [`sign`](Self::sign).
    pub async fn sign_typed(&self, duty: Duty, typed: &TypedData) -> Result<Signature, SignerError> {
        self.sign_one((duty, typed_digest(duty, typed)?), Along { typed: Some(typed), ..Along::default() }).await
    }

    /// As [`sign_typed`](Self::sign_typed), unless the store's clock reaches `by` before the duty is recorded: then it is
    /// not spent.
    ///
    /// # Errors
    /// As [`sign_typed`](Self::sign_typed), and [`SignerError::DeadlinePassed`].
    ///
    /// # Cancel safety
    /// As [`sign`](Self::sign).
    pub async fn sign_typed_by(&self, duty: Duty, typed: &TypedData, by: UnixTime) -> Result<Signature, SignerError> {
        let along = Along { typed: Some(typed), by: Some(by), ..Along::default() };
        self.sign_one((duty, typed_digest(duty, typed)?), along).await
    }

    /// As [`sign`](Self::sign), unless the store's clock reaches `by` before the duty is recorded: then it is not spent.
    ///
    /// # Errors
    /// As [`sign`](Self::sign), and [`SignerError::DeadlinePassed`].
    ///
    /// # Cancel safety
    /// As [`sign`](Self::sign).
    pub async fn sign_by(&self, duty: Duty, digest: B256, by: UnixTime) -> Result<Signature, SignerError> {
        self.sign_one((duty, digest), Along { by: Some(by), ..Along::default() }).await
    }

    /// As [`sign_by`](Self::sign_by), and keeps `payload` beside the pin if this makes it, so that after a crash
    /// [`own_payload`](Self::own_payload) gives what was pinned, to be signed instead of lost. One that is larger than
    /// [`PAYLOAD_LIMIT`] is signed and not kept.
    ///
    /// # Errors
    /// As [`sign_by`](Self::sign_by).
    ///
    /// # Cancel safety
    /// As [`sign`](Self::sign): pin and payload are one.
    pub async fn sign_with_payload_by(
        &self,
        duty: Duty,
        digest: B256,
        payload: &[u8],
        by: UnixTime,
    ) -> Result<Signature, SignerError> {
        let is_kept = payload.len() <= PAYLOAD_LIMIT;
        if !is_kept {
            debug!(%duty, bytes = payload.len(), "too large to be kept beside its pin: a crash loses what is signed");
        }
        let along = Along { payload: is_kept.then_some(payload), by: Some(by), ..Along::default() };
        self.sign_one((duty, digest), along).await
    }

    /// The payload that this node has pinned `duty` to, stopped or started, where one was kept: see
    /// [`sign_with_payload_by`](Self::sign_with_payload_by). Those of the last 32 slots are kept.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each.
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    pub async fn own_payload(&self, duty: Duty) -> Result<Option<Vec<u8>>, SignerError> {
        self.protection.own_payload(duty).await
    }

    /// Signs many duties, recorded in one durable transaction. Each has its own outcome, in the order asked: a refused
    /// duty or a failing key takes nothing from the others.
    ///
    /// # Cancel safety
    /// As [`sign`](Self::sign), for each duty.
    pub async fn sign_many(&self, duties: &[(Duty, B256)]) -> Vec<Result<Signature, SignerError>> {
        self.sign_all(duties, None).await
    }

    /// As [`sign_many`](Self::sign_many); what the store's clock reaches `by` before is not recorded, and its outcome is
    /// [`SignerError::DeadlinePassed`].
    ///
    /// # Cancel safety
    /// As [`sign`](Self::sign), for each duty.
    pub async fn sign_many_by(&self, duties: &[(Duty, B256)], by: UnixTime) -> Vec<Result<Signature, SignerError>> {
        self.sign_all(duties, Some(by)).await
    }

    async fn sign_all(&self, duties: &[(Duty, B256)], by: Option<UnixTime>) -> Vec<Result<Signature, SignerError>> {
        let pass = match self.gate.enter() {
            Ok(pass) => pass,
            Err(shut) => return duties.iter().map(|_| Err(shut.into())).collect(),
        };
        // Looked at once: the keys may change meanwhile, and each duty has one answer.
        let checked: Vec<_> = duties.iter().map(|(duty, _)| self.check_key(*duty)).collect();
        let known = duties.iter().zip(&checked).filter(|(_, checked)| checked.is_ok());
        let known: Vec<_> = known.map(|(duty, _)| *duty).collect();
        let mut answers = self.protection.reserve_many(&known, by).await.into_iter();
        let signings = duties.iter().zip(checked).map(|(wanted, checked)| {
            let mut answer = || answers.next().expect("the store answers each duty it is asked for");
            let safe = checked.and_then(|()| answer());
            self.sign_when_free(*wanted, safe, by, (None, &pass))
        });
        join_all(signings).await
    }

    /// Takes note of a signature over `digest` for `duty` that was seen outside, stopped or started. `None` when it is not
    /// the signature of a key that is here; else what the store makes of it: a payload that was never pinned here proves
    /// that another node signs with the key, and halts the key until an operator lifts it.
    ///
    /// # Errors
    /// What the store says. A key that it could not halt durably is halted until the process ends.
    ///
    /// # Cancel safety
    /// Dropped: the key may be halted all the same.
    pub async fn observe(
        &self,
        duty: Duty,
        digest: B256,
        signature: Signature,
    ) -> Result<Option<Sighting>, SignerError> {
        if self.check_key(duty).is_err() || recovered(duty, digest, &signature) != Some(duty.validator) {
            return Ok(None);
        }
        self.protection.observe(Halt { duty, digest, signature }).await.map(Some)
    }

    fn check_key(&self, duty: Duty) -> Result<(), SignerError> {
        if self.keys.holds(duty.validator) {
            Ok(())
        } else {
            Err(SignerError::UnknownKey { validator: duty.validator })
        }
    }
}
