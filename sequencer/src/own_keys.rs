//! Signatures of our own keys that others show us: what was not signed here was signed elsewhere.

mod unjudged;

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::{Address, B256};
use fermata_primitives::{Backoff, Clock};
use fermata_rollup::L1Signature;
use fermata_validator_signer::{Duty, Halt, Sighting, SignerError, ValidatorSigner};
use tokio::sync::watch;

use crate::events::{Events, SequencerEvent};
use crate::poll_loop::chain as error_chain;
pub use unjudged::UnjudgedStatus;
use unjudged::{Unjudged, payload};

/// Payloads that are remembered: those of a large committee, for several slots.
const REMEMBERED: usize = 4_096;

/// A store that did not answer is asked again after this, and later and later.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Shows the signing store what is said in the name of its keys, on the network and on L1.
///
/// Only digests that bind slot and kind may be shown: a digest under the name of another duty would halt a key that did
/// nothing.
#[derive(Clone, Debug)]
pub(crate) struct OwnKeys {
    signer: Arc<ValidatorSigner>,
    events: Events,
    looked_up: Arc<Mutex<LookedUp>>,
    unjudged: Arc<watch::Sender<Unjudged>>,
    /// Held by whoever asks the store: of all that is seen of a key, one thing alone is told to halt it.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl OwnKeys {
    pub(crate) fn new(signer: Arc<ValidatorSigner>, events: Events) -> Self {
        let unjudged = Arc::new(watch::Sender::default());
        Self { signer, events, looked_up: Arc::default(), unjudged, turn: Arc::default() }
    }

    /// Whether the key of `validator` is here.
    pub(crate) fn holds(&self, validator: Address) -> bool {
        self.signer.holds(validator)
    }

    /// Takes note of a signature over `digest` for `duty`. One of a key that is not here, or no signature of the duty's
    /// validator, is nothing; one over what was never signed here halts the key. What is said again, as most things are, is
    /// not looked up again. What the store cannot be asked about waits for [`catch_up`](Self::catch_up).
    ///
    /// # Cancel safety
    /// Dropped: it may be noted all the same, or not.
    pub(crate) async fn observe(&self, duty: Duty, digest: B256, signature: L1Signature) {
        let Some(signature) = signature.recoverable() else { return };
        if !self.holds(duty.validator) || self.looked_up().contains(duty, digest) {
            return;
        }
        let seen = Halt { duty, digest, signature };
        let _turn = self.turn.lock().await;
        // A store that has just not answered is not waited for here: what is said meanwhile must be heard.
        let has_waiting = !self.unjudged.borrow().is_empty();
        if has_waiting {
            return self.keep(seen);
        }
        match self.judge(seen, self.halt_of(duty.validator)).await {
            Ok(()) | Err(SignerError::Closed) => {}
            Err(error) => {
                let error = error_chain(&error);
                tracing::error!(%duty, error, "a signature of an own key could not be looked up; that is tried again");
                self.keep(seen);
            }
        }
    }

    /// Looks up, until it is dropped, what the store could not be asked about when it was seen: the store is tried again,
    /// later and later, and once it answers all that waits is judged.
    ///
    /// # Cancel safety
    /// Dropped: what was not judged waits on.
    pub(crate) async fn catch_up(&self, clock: &dyn Clock) {
        let (mut unjudged, mut backoff) = (self.unjudged.subscribe(), Backoff::new(FIRST_WAIT, LONGEST_WAIT));
        while let Ok(oldest) = unjudged.wait_for(|unjudged| !unjudged.is_empty()).await.map(|waiting| waiting.oldest())
        {
            let Some(seen) = oldest else { continue };
            match self.judge_late(seen).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    tracing::debug!(
                        error = error_chain(&error),
                        "signatures of own keys still wait for the signing store"
                    );
                    clock.sleep(backoff.wait()).await;
                }
            }
        }
    }

    /// How much waits for the store.
    pub(crate) fn unjudged(&self) -> UnjudgedStatus {
        self.unjudged.borrow().status()
    }

    async fn judge_late(&self, seen: Halt) -> Result<(), SignerError> {
        let _turn = self.turn.lock().await;
        // An earlier try may have halted the key, and its answer was lost: then nobody was told.
        let before = self.halt_of(seen.duty.validator).filter(|halt| payload(halt) != payload(&seen));
        self.judge(seen, before).await?;
        self.unjudged.send_modify(|unjudged| unjudged.remove(&seen));
        if self.unjudged.borrow().is_empty() {
            tracing::info!("all signatures of own keys that waited for the signing store are looked up");
        }
        Ok(())
    }

    /// Has the store judge what was seen, and tells where that halts a key that was not halted `before`.
    async fn judge(&self, seen: Halt, before: Option<Halt>) -> Result<(), SignerError> {
        let Halt { duty, digest, signature } = seen;
        let Some(sighting) = self.signer.observe(duty, digest, signature).await? else { return Ok(()) };
        self.looked_up().insert(duty, digest);
        if sighting == Sighting::Elsewhere && before.is_none() {
            let Duty { validator, slot, kind } = duty;
            self.events.emit(SequencerEvent::KeyHalted { slot, validator, duty: kind.to_string() });
        }
        Ok(())
    }

    /// Only what its key has signed takes a place.
    fn keep(&self, seen: Halt) {
        let Halt { duty, digest, signature } = seen;
        let signer = signature.recover_address_from_prehash(&duty.kind.signed_hash(digest));
        if signer.is_ok_and(|signer| signer == duty.validator) {
            let mut has_fallen = false;
            self.unjudged.send_modify(|unjudged| has_fallen = unjudged.keep(seen));
            if has_fallen {
                tracing::error!(
                    "more signatures of own keys wait for the signing store than are kept; the oldest is lost"
                );
            }
        }
    }

    fn halt_of(&self, validator: Address) -> Option<Halt> {
        self.signer.protection().key_states().get(&validator).and_then(|state| state.halt)
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
