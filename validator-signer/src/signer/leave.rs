//! From a digest to the leave to sign it, and on to its key.

use std::sync::Arc;

use alloy::dyn_abi::TypedData;
use alloy::primitives::{B256, Signature};
use fermata_primitives::UnixTime;
use tracing::warn;

use super::ValidatorSigner;
use super::with_key::sign_and_keep;
use crate::gate::Pass;
use crate::protection::only;
use crate::{Duty, Safe, SignerError, SigningPermit};

/// What goes along with a digest that is to be signed.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Along<'a> {
    /// What a remote key is shown of it.
    pub(super) typed: Option<&'a TypedData>,
    /// What is kept beside its pin.
    pub(super) payload: Option<&'a [u8]>,
    /// When it is not pinned any more.
    pub(super) by: Option<UnixTime>,
}

impl ValidatorSigner {
    pub(super) async fn sign_one(
        &self,
        (duty, digest): (Duty, B256),
        along: Along<'_>,
    ) -> Result<Signature, SignerError> {
        let pass = self.gate.enter()?;
        self.check_key(duty)?;
        let Along { typed, payload, by } = along;
        let safe = match payload {
            Some(payload) => self.protection.reserve_with_payload(duty, digest, payload, by).await,
            None => only(self.protection.reserve_many(&[(duty, digest)], by).await),
        };
        self.sign_when_free((duty, digest), safe, by, (typed, &pass)).await
    }

    /// A duty that another node holds is waited for, each on its own: nodes that each hold what the other waits for would
    /// else wait in a ring.
    pub(super) async fn sign_when_free(
        &self,
        (duty, digest): (Duty, B256),
        safe: Result<Safe, SignerError>,
        by: Option<UnixTime>,
        (typed, pass): (Option<&TypedData>, &Pass<'_>),
    ) -> Result<Signature, SignerError> {
        let safe = match safe {
            Err(SignerError::Busy { .. }) => {
                pass.unless_cut(self.protection.reserve_after_peer(duty, digest, by)).await?
            }
            answered => answered,
        };
        self.sign_when_safe(safe, typed, pass).await
    }

    async fn sign_when_safe(
        &self,
        safe: Result<Safe, SignerError>,
        typed: Option<&TypedData>,
        pass: &Pass<'_>,
    ) -> Result<Signature, SignerError> {
        match safe {
            // Nobody has asked its key: what was stopped before that spends no duty.
            Ok(Safe::Granted(reservation)) => match pass.cut() {
                Ok(()) => self.sign_permitted(reservation.into_permit(), typed, pass).await,
                Err(shut) => {
                    self.protection.cancel(reservation).await?;
                    Err(shut.into())
                }
            },
            Ok(Safe::Resume(permit)) => self.sign_permitted(permit, typed, pass).await,
            Ok(Safe::Done(signature)) => Ok(signature),
            Err(error) => {
                if let SignerError::NotSafe(refusal) = &error {
                    warn!(%refusal, "refused to sign");
                }
                Err(error)
            }
        }
    }

    async fn sign_permitted(
        &self,
        permit: SigningPermit,
        typed: Option<&TypedData>,
        pass: &Pass<'_>,
    ) -> Result<Signature, SignerError> {
        let (keys, protection, typed) = (Arc::clone(&self.keys), Arc::clone(&self.protection), typed.cloned());
        let ask = |permit| sign_and_keep(permit, typed, keys, protection);
        pass.unless_cut(self.in_key.answer(permit, pass.token(), ask)).await?
    }
}
