//! What may be done twice, tried until it is done: a race that was lost, or a line that broke, is nobody's business but the
//! store's.

use std::sync::{Arc, OnceLock};

use fermata_primitives::{Clock as _, SystemClock};
use tracing::debug;

use super::PostgresProtection;
use super::owner::SettlingWork;
use super::serving::retries;
use crate::{Halt, KeyChange, KeyState, SignerError};

impl PostgresProtection {
    /// Has something done on its own, again and again until the store's patience has ended. Between two tries those who
    /// sign are served. Twice must be the same as once: a try may have been carried out though its answer was lost.
    ///
    /// # Errors
    /// [`SignerError::Unavailable`] when it may be done or not; [`SignerError::Closed`]; what an operator must see to.
    ///
    /// # Cancel safety
    /// Dropped: it may be done all the same.
    pub(super) async fn insist<T: Send + 'static>(
        &self,
        work: impl SettlingWork<T> + Clone + 'static,
    ) -> Result<T, SignerError> {
        let (mut backoff, give_up_at) = (retries(), SystemClock.monotonic() + self.patience);
        loop {
            match self.once(work.clone()).await {
                Err(SignerError::Unavailable { reason, .. }) if SystemClock.monotonic() < give_up_at => {
                    debug!(store = %self.name, %reason, "what is said of keys is tried again");
                    SystemClock.sleep(backoff.wait()).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// A change of what is said of a key, which may be tried more than once. A halt that came after the first try is another
/// one, of which whoever lifts knows nothing: it stays.
#[derive(Clone, Debug)]
pub(super) struct TriedChange {
    change: KeyChange,
    /// What the first try found.
    halt: Arc<OnceLock<Option<Halt>>>,
}

impl TriedChange {
    pub(super) fn new(change: KeyChange) -> Self {
        Self { change, halt: Arc::default() }
    }

    /// The state after a try.
    pub(super) fn apply(&self, state: KeyState) -> KeyState {
        let is_later = *self.halt.get_or_init(|| state.halt) != state.halt;
        match self.change {
            KeyChange::LiftHalt if is_later => state,
            KeyChange::LiftHalt | KeyChange::Retire | KeyChange::Enable => self.change.apply(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256, Signature};
    use fermata_primitives::Slot;

    use super::*;
    use crate::{Duty, DutyKind};

    fn halted(slot: u64) -> KeyState {
        let duty = Duty { validator: Address::ZERO, slot: Slot(slot), kind: DutyKind::Attestation };
        let halt = Halt { duty, digest: B256::ZERO, signature: Signature::test_signature() };
        KeyState { retired: false, halt: Some(halt) }
    }

    #[test]
    fn a_halt_that_came_between_two_tries_to_lift_is_not_lifted() {
        let lifted = KeyState::default();
        let cases = [
            ([halted(1), halted(1)], lifted, "nothing had happened"),
            ([halted(1), lifted], lifted, "it was lifted, and the answer lost"),
            ([halted(1), halted(2)], halted(2), "it was lifted, and the key was seen again"),
            ([lifted, halted(2)], halted(2), "there was nothing to lift, and the key was seen"),
        ];
        for ([first, second], expected, when) in cases {
            let change = TriedChange::new(KeyChange::LiftHalt);
            assert_eq!(change.apply(first), lifted, "{when}");
            assert_eq!(change.apply(second), expected, "{when}");
        }
    }

    #[test]
    fn whatever_came_between_two_tries_a_key_is_retired_and_its_halt_is_kept() {
        let change = TriedChange::new(KeyChange::Retire);
        for state in [KeyState::default(), halted(1), halted(2)] {
            assert_eq!(change.apply(state), KeyState { retired: true, ..state });
        }
    }
}
