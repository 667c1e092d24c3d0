//! Signatures of our own keys that others show us: what was not signed here was signed elsewhere.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::{Address, B256};
use fermata_rollup::L1Signature;
use fermata_validator_signer::{Duty, Sighting, ValidatorSigner};

use crate::events::{Events, SequencerEvent};
use crate::poll_loop::chain as error_chain;

/// Payloads that are remembered: those of a large committee, for several slots.
const REMEMBERED: usize = 4_096;

/// Shows the signing store what is said in the name of its keys, on the network and on L1.
///
/// Only digests that bind slot and kind may be shown: a digest under the name of another duty would halt a key that did
/// nothing.
#[derive(Clone, Debug)]
pub(crate) struct OwnKeys {
    signer: Arc<ValidatorSigner>,
    events: Events,
    looked_up: Arc<Mutex<LookedUp>>,
}

impl OwnKeys {
    pub(crate) fn new(signer: Arc<ValidatorSigner>, events: Events) -> Self {
        Self { signer, events, looked_up: Arc::default() }
    }

    /// Whether the key of `validator` is here.
    pub(crate) fn holds(&self, validator: Address) -> bool {
        self.signer.holds(validator)
    }

    /// Takes note of a signature over `digest` for `duty`. One of a key that is not here, or no signature of the duty's
    /// validator, is nothing; one over what was never signed here halts the key. What is said again, as most things are, is
    /// not looked up again.
    pub(crate) async fn observe(&self, duty: Duty, digest: B256, signature: L1Signature) {
        let Some(signature) = signature.recoverable() else { return };
        if !self.holds(duty.validator) || self.looked_up().contains(duty, digest) {
            return;
        }
        let states = self.signer.protection().key_states();
        let was_halted = states.get(&duty.validator).is_some_and(|state| state.halt.is_some());
        match self.signer.observe(duty, digest, signature).await {
            Ok(None) => {}
            Ok(Some(sighting)) => {
                self.looked_up().insert(duty, digest);
                if sighting == Sighting::Elsewhere && !was_halted {
                    let Duty { validator, slot, kind } = duty;
                    self.events.emit(SequencerEvent::KeyHalted { slot, validator, duty: kind.to_string() });
                }
            }
            Err(error) => {
                tracing::error!(%duty, error = error_chain(&error), "a signature of an own key could not be looked up");
            }
        }
    }

    fn looked_up(&self) -> std::sync::MutexGuard<'_, LookedUp> {
        self.looked_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Payloads of our own keys whose signatures the store has judged, the newest of them.
#[derive(Default, Debug)]
struct LookedUp {
    known: HashSet<(Duty, B256)>,
    in_order: VecDeque<(Duty, B256)>,
}

impl LookedUp {
    fn contains(&self, duty: Duty, digest: B256) -> bool {
        self.known.contains(&(duty, digest))
    }

    fn insert(&mut self, duty: Duty, digest: B256) {
        if self.known.insert((duty, digest)) {
            self.in_order.push_back((duty, digest));
        }
        if self.in_order.len() > REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
