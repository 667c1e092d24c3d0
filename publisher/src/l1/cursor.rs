//! How far a backend has come with what is in flight.

use std::collections::BTreeSet;

use alloy::primitives::B256;

use crate::classify::{RefusalClass, Verdict};

/// The transactions that a backend has answered for: whatever else is in flight, it lacks.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor(BTreeSet<B256>);

impl Cursor {
    /// What a backend said to a transaction.
    pub(super) fn note(&mut self, hash: B256, verdict: &Verdict) {
        match verdict {
            Verdict::Accepted => {
                self.0.insert(hash);
            }
            Verdict::Ambiguous { .. } => {
                self.0.remove(&hash);
            }
            Verdict::Refused { class, .. } => self.refused(hash, *class),
        }
    }

    fn refused(&mut self, hash: B256, class: RefusalClass) {
        match class {
            // It has lost a transaction before this one: all are handed to it again, the oldest first.
            RefusalClass::NonceTooHigh => self.rewind(),
            // It may take it later.
            RefusalClass::PoolFull | RefusalClass::AccountLimit => {
                self.0.remove(&hash);
            }
            RefusalClass::NonceTooLow
            | RefusalClass::ReplacementUnderpriced
            | RefusalClass::Underpriced
            | RefusalClass::FeeCapTooLow
            | RefusalClass::NodeFeeCap
            | RefusalClass::OtherTypePooled
            | RefusalClass::InsufficientFunds
            | RefusalClass::Format
            | RefusalClass::Shape => {
                self.0.insert(hash);
            }
        }
    }

    /// Nobody knows what it still has.
    pub(super) fn rewind(&mut self) {
        self.0.clear();
    }

    /// Those of `in_flight` that it lacks, in their order. What is not in flight any more is forgotten.
    pub(super) fn lacks(&mut self, in_flight: &[B256]) -> Vec<B256> {
        self.0.retain(|hash| in_flight.contains(hash));
        in_flight.iter().copied().filter(|hash| !self.0.contains(hash)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: B256 = B256::repeat_byte(1);
    const TWO: B256 = B256::repeat_byte(2);
    const THREE: B256 = B256::repeat_byte(3);

    fn refused(text: &str) -> Verdict {
        Verdict::of_text(text)
    }

    #[test]
    fn what_was_not_answered_for_is_lacking_in_its_order() {
        let mut cursor = Cursor::default();
        cursor.note(TWO, &Verdict::Accepted);
        cursor.note(THREE, &Verdict::Ambiguous { why: "no answer".to_owned() });
        assert_eq!(cursor.lacks(&[ONE, TWO, THREE]), [ONE, THREE]);
    }

    #[test]
    fn a_gap_rewinds_it_to_the_oldest_and_a_full_pool_is_asked_again() {
        let mut cursor = Cursor::default();
        cursor.note(ONE, &Verdict::Accepted);
        cursor.note(TWO, &refused("txpool is full"));
        assert_eq!(cursor.lacks(&[ONE, TWO]), [TWO]);
        cursor.note(TWO, &refused("nonce too high"));
        assert_eq!(cursor.lacks(&[ONE, TWO]), [ONE, TWO]);
    }

    #[test]
    fn what_it_refused_for_good_is_not_handed_to_it_again_and_what_has_ended_is_forgotten() {
        let mut cursor = Cursor::default();
        cursor.note(ONE, &refused("address already reserved"));
        assert_eq!(cursor.lacks(&[ONE, TWO]), [TWO]);
        assert!(cursor.lacks(&[]).is_empty());
        assert_eq!(cursor.lacks(&[ONE]), [ONE]);
    }
}
