//! What was seen of our own keys while the signing store could not be asked about it.

use std::collections::VecDeque;

use alloy::primitives::B256;
use fermata_validator_signer::{Duty, Halt};
use serde::{Deserialize, Serialize};

/// As many as are kept: what a large committee says in several slots.
pub(super) const KEPT: usize = 4_096;

/// Signatures of our own keys that no store has judged yet: the newest, in the order they were seen.
#[derive(Default, Debug)]
pub(super) struct Unjudged {
    waiting: VecDeque<Halt>,
    fallen: u64,
}

/// How much was seen of our own keys that the signing store could not be asked about.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnjudgedStatus {
    /// Signatures that wait for the store.
    pub waiting: u64,
    /// Signatures that gave way to newer ones since the process began, and were never looked up.
    pub fallen: u64,
}

impl UnjudgedStatus {
    /// What somebody should look at, if anything.
    #[must_use]
    pub fn amiss(&self) -> Option<String> {
        let Self { waiting, fallen } = self;
        (*waiting > 0).then(|| {
            format!(
                "the signing store could not be asked whether {waiting} signatures of keys that are here were made elsewhere \
                 ({fallen} more were not kept); bring the store back"
            )
        })
    }
}

impl Unjudged {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn oldest(&self) -> Option<Halt> {
        self.waiting.front().copied()
    }

    /// Keeps what was seen, once; the oldest falls where there is no room. Gives whether one did.
    pub(super) fn keep(&mut self, seen: Halt) -> bool {
        if self.waiting.iter().any(|kept| payload(kept) == payload(&seen)) {
            return false;
        }
        self.waiting.push_back(seen);
        let is_full = self.waiting.len() > KEPT;
        if is_full {
            self.waiting.pop_front();
            self.fallen += 1;
        }
        is_full
    }

    /// The store has judged it.
    pub(super) fn remove(&mut self, seen: &Halt) {
        self.waiting.retain(|kept| payload(kept) != payload(seen));
    }

    pub(super) fn status(&self) -> UnjudgedStatus {
        UnjudgedStatus { waiting: self.waiting.len() as u64, fallen: self.fallen }
    }
}

/// What was signed, whatever the signature.
pub(super) const fn payload(seen: &Halt) -> (Duty, B256) {
    (seen.duty, seen.digest)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, Signature};
    use fermata_primitives::Slot;
    use fermata_validator_signer::DutyKind;

    use super::*;

    fn seen(slot: usize) -> Halt {
        let duty = Duty { validator: Address::ZERO, slot: Slot(slot as u64), kind: DutyKind::Attestation };
        Halt { duty, digest: B256::repeat_byte(1), signature: Signature::test_signature() }
    }

    #[test]
    fn the_newest_are_kept_once_each_and_what_falls_is_counted() {
        let mut unjudged = Unjudged::default();
        for slot in 0..KEPT {
            assert!(!unjudged.keep(seen(slot)) && !unjudged.keep(seen(slot)));
        }
        assert_eq!(unjudged.status(), UnjudgedStatus { waiting: KEPT as u64, fallen: 0 });
        assert!(unjudged.keep(seen(KEPT)) && unjudged.keep(seen(KEPT + 1)));
        assert_eq!(unjudged.status(), UnjudgedStatus { waiting: KEPT as u64, fallen: 2 });
        assert_eq!(unjudged.oldest(), Some(seen(2)));
        unjudged.remove(&seen(2));
        assert_eq!(unjudged.oldest(), Some(seen(3)));
    }

    #[test]
    fn what_waits_is_told_as_amiss_and_what_was_judged_is_not() {
        assert_eq!(UnjudgedStatus { waiting: 0, fallen: 3 }.amiss(), None);
        let told = UnjudgedStatus { waiting: 2, fallen: 3 }.amiss().expect("two wait");
        assert!(
            told.contains("2 signatures") && told.contains("3 more") && told.contains("bring the store back"),
            "{told}"
        );
    }
}
