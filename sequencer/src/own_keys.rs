//! Signatures of our own keys that others show us: what was not signed here was signed elsewhere.

use std::sync::Arc;

use alloy::primitives::B256;
use fermata_rollup::L1Signature;
use fermata_validator_signer::{Duty, Sighting, ValidatorSigner};

use crate::events::{Events, SequencerEvent};
use crate::poll_loop::chain as error_chain;

/// Shows the signing store what is said in the name of its keys, on the network and on L1.
///
/// Only digests that bind slot and kind may be shown: a digest under the name of another duty would halt a key that did
/// nothing.
#[derive(Clone, Debug)]
pub(crate) struct OwnKeys {
    signer: Arc<ValidatorSigner>,
    events: Events,
}

impl OwnKeys {
    pub(crate) const fn new(signer: Arc<ValidatorSigner>, events: Events) -> Self {
        Self { signer, events }
    }

    /// Takes note of a signature over `digest` for `duty`. One of a key that is not here, or no signature of the duty's
    /// validator, is nothing; one over what was never signed here halts the key.
    pub(crate) async fn observe(&self, duty: Duty, digest: B256, signature: L1Signature) {
        let Some(signature) = signature.recoverable() else { return };
        let states = self.signer.protection().key_states();
        let was_halted = states.get(&duty.validator).is_some_and(|state| state.halt.is_some());
        match self.signer.observe(duty, digest, signature).await {
            Ok(Some(Sighting::Elsewhere)) if !was_halted => {
                let Duty { validator, slot, kind } = duty;
                self.events.emit(SequencerEvent::KeyHalted { slot, validator, duty: kind.to_string() });
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%duty, error = error_chain(&error), "a signature of an own key could not be looked up");
            }
        }
    }
}
