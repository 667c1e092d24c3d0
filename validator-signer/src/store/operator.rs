//! What is said of keys as a whole, by an operator or by what is seen outside. All of it is durable.

use std::collections::BTreeMap;

use alloy::primitives::Address;
use fermata_primitives::Slot;
use tokio::sync::watch;

use super::SlashingProtection;
use crate::{DutyKind, Halt, KeyChange, KeyState, Marks, Sighting, SignerError};

/// Each of these fails with [`SignerError::NoSpace`], [`SignerError::StoreFailed`] or [`SignerError::Closed`] where it
/// fails, and then nothing has changed; dropped after its first wait, it is carried out all the same.
impl SlashingProtection {
    /// What is said of keys, as it changes. A key that is not in it is enabled.
    #[must_use]
    pub fn key_states(&self) -> watch::Receiver<BTreeMap<Address, KeyState>> {
        self.keys.clone()
    }

    /// Changes what is said of a key. Twice is the same as once. Leave that was given before may still be used.
    ///
    /// # Errors
    /// See above.
    pub async fn change_key(&self, validator: Address, change: KeyChange) -> Result<(), SignerError> {
        self.on_ledger(move |ledger| ledger.change_key(validator, change)).await
    }

    /// Takes note of a signature that was seen outside, on the network or on L1. A payload that was never pinned here proves that the key signs elsewhere: the key is halted, durably, and told of in the log and
    /// in [`key_states`](Self::key_states).
    ///
    /// Only for signatures that were found to be the key's own; whether it is a key of this node is the caller's to know,
    /// as [`ValidatorSigner::observe`](crate::ValidatorSigner::observe) does.
    ///
    /// # Errors
    /// See above.
    pub async fn observe(&self, seen: Halt) -> Result<Sighting, SignerError> {
        self.on_ledger(move |ledger| ledger.observe(seen)).await
    }

    /// Leaves `from` and all later slots to another node, for every kind. The other node
    /// [takes over](Self::take_over) from the same slot on; no slot is both's.
    ///
    /// # Errors
    /// [`SignerError::HandOverTooEarly`] when one of those slots is pinned here already; see above.
    pub async fn hand_over(&self, validator: Address, from: Slot) -> Result<(), SignerError> {
        let outcome = self.on_ledger(move |ledger| ledger.hand_over(validator, from)).await?;
        outcome.map_err(|pinned| SignerError::HandOverTooEarly { validator, from, pinned })
    }

    /// Refuses the slots before `from`, which another node signed; a high mark at or before `from` ends.
    ///
    /// # Errors
    /// See above.
    pub async fn take_over(&self, validator: Address, from: Slot) -> Result<(), SignerError> {
        self.on_ledger(move |ledger| ledger.take_over(validator, from)).await
    }

    /// Adds to the marks of a key, all or none. Marks only ever come to refuse more.
    ///
    /// # Errors
    /// See above.
    pub async fn add_marks(&self, validator: Address, marks: Vec<(DutyKind, Marks)>) -> Result<(), SignerError> {
        self.on_ledger(move |ledger| ledger.mark(validator, &marks)).await
    }

    /// The marks of a key and kind; the highest pinned slot among them is that of the records, where they tell more.
    ///
    /// # Errors
    /// See above.
    pub async fn marks(&self, validator: Address, kind: DutyKind) -> Result<Marks, SignerError> {
        self.on_ledger(move |ledger| ledger.marks_of(validator, kind)).await
    }
}
