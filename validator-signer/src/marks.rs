//! What is kept of a validator's duties beyond its records.

use fermata_primitives::Slot;
use serde::{Deserialize, Serialize};

/// The marks of one validator and kind. Each only ever moves to where it refuses more.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Marks {
    /// Highest slot that is refused, since its records may be gone: pruned, imported as a mark, or handed over.
    pub low: Option<Slot>,
    /// First slot that is refused, since another node signs from there on.
    pub high: Option<Slot>,
    /// Highest slot that was ever pinned, as far as the records do not tell it: they may hold a higher one.
    pub max_signed: Option<Slot>,
}

impl Marks {
    /// The marks that refuse what either refuses.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let high = match (self.high, other.high) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { low: self.low.max(other.low), high, max_signed: self.max_signed.max(other.max_signed) }
    }

    /// Marks that refuse all slots up to `slot`, and nothing else.
    #[must_use]
    pub fn below(slot: Slot) -> Self {
        Self { low: Some(slot), ..Self::default() }
    }

    /// Marks that refuse `slot` and all later ones, and nothing else.
    #[must_use]
    pub fn from(slot: Slot) -> Self {
        Self { high: Some(slot), ..Self::default() }
    }

    /// These marks once the key is signed with from `from` on, where another node signed before: earlier slots are refused,
    /// and a high mark at or before it ends, since the key has come back.
    #[must_use]
    pub(crate) fn taken_over(self, from: Slot) -> Self {
        let before = from.0.checked_sub(1).map(Slot);
        Self { low: self.low.max(before), high: self.high.filter(|high| *high > from), ..self }
    }

    /// Marks that say that `slot` was pinned, and nothing else.
    #[must_use]
    pub fn signed(slot: Slot) -> Self {
        Self { max_signed: Some(slot), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_marks() -> impl Strategy<Value = Marks> {
        let mark = || prop::option::of((0u64..9).prop_map(Slot));
        (mark(), mark(), mark()).prop_map(|(low, high, max_signed)| Marks { low, high, max_signed })
    }

    fn refuses(marks: Marks, slot: Slot) -> bool {
        marks.low.is_some_and(|low| slot <= low) || marks.high.is_some_and(|high| slot >= high)
    }

    proptest! {
        #[test]
        fn merged_marks_refuse_what_either_refuses_in_whatever_order(a in any_marks(), b in any_marks(), c in any_marks()) {
            for slot in (0..10).map(Slot) {
                prop_assert_eq!(refuses(a.merge(b), slot), refuses(a, slot) || refuses(b, slot));
            }
            prop_assert_eq!(a.merge(b), b.merge(a));
            prop_assert_eq!(a.merge(b).merge(c), a.merge(b.merge(c)));
            prop_assert_eq!(a.merge(a), a);
            prop_assert!(a.merge(b).max_signed >= a.max_signed);
        }
    }

    #[test]
    fn a_hand_over_leaves_no_slot_to_both_and_none_to_neither() {
        let old = Marks::from(Slot(7));
        let new = Marks::below(Slot(6));
        for slot in (0..20).map(Slot) {
            assert_ne!(refuses(old, slot), refuses(new, slot), "slot {slot}");
        }
    }
}
