//! All that is known of one key, and how two such histories become one.
//!
//! Joining is commutative, associative and idempotent, and refuses whatever either history refused. Hence the order of
//! imports does not matter, and importing twice is importing once.

use std::collections::BTreeMap;

use alloy::primitives::B256;
use fermata_primitives::{Epoch, Slot};

use super::rules::attestation;
use super::{EthAttestation, EthBlock, EthDuty, EthLast, EthMarks, EthPolicy};

/// What one key signed: records, and the marks below which there are none.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct KeyHistory {
    pub(crate) marks: EthMarks,
    /// Root of each block; zero where it is not known.
    pub(crate) blocks: BTreeMap<EthBlock, B256>,
    /// Root of each attestation; zero where it is not known. Several of one target were signed against the rules.
    pub(crate) attestations: BTreeMap<EthAttestation, B256>,
}

/// Two histories that disagree about a duty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Disagreement {
    pub(crate) duty: EthDuty,
    pub(crate) ours: B256,
    pub(crate) theirs: B256,
}

impl KeyHistory {
    /// The history that an interchange file's entry tells: its lowest records are its marks.
    pub(crate) fn of_records(
        blocks: impl IntoIterator<Item = (EthBlock, B256)>,
        attestations: impl IntoIterator<Item = (EthAttestation, B256)>,
    ) -> Self {
        let mut history = Self::default();
        for (block, root) in blocks {
            let _ = join_root(&mut history.blocks, block, root);
        }
        for (attestation, root) in attestations {
            let _ = join_root(&mut history.attestations, attestation, root);
        }
        history.marks.block = history.blocks.keys().next().map(|block| block.slot);
        history.marks.attestation = lowest(&history.attestations);
        history
    }

    /// Marks alone, above all that was signed.
    #[must_use]
    pub(crate) fn minified(&self) -> Self {
        let newest = self.blocks.keys().next_back().map(|block| block.slot.next());
        let source = self.attestations.keys().map(|known| known.source).max();
        let target = self.attestations.keys().map(|known| known.target.next()).max();
        let above = source.zip(target).map(|(source, target)| EthAttestation { source, target });
        let marks = self.marks.join(EthMarks { block: newest, attestation: above });
        Self { marks, ..Self::default() }
    }

    /// Takes in what `other` knows. Gives the duties whose roots differ: each is kept with an unknown one, which refuses
    /// all.
    pub(crate) fn join(&mut self, other: &Self) -> Vec<Disagreement> {
        let mut disagreements = Vec::new();
        for (&block, &theirs) in &other.blocks {
            let ours = join_root(&mut self.blocks, block, theirs);
            disagreements.extend(ours.map(|ours| Disagreement { duty: EthDuty::Block(block), ours, theirs }));
        }
        for (&vote, &theirs) in &other.attestations {
            let ours = join_root(&mut self.attestations, vote, theirs);
            disagreements.extend(ours.map(|ours| Disagreement { duty: EthDuty::Attestation(vote), ours, theirs }));
        }
        self.raise(other.marks);
        disagreements
    }

    /// Forgets what lies at or below the slot and the target, and refuses it from then on. A key without records has
    /// nothing to forget, and no marks to raise.
    pub(crate) fn prune(&mut self, slot: Slot, target: Epoch) {
        let forgets_block = self.blocks.keys().next().is_some_and(|block| block.slot <= slot);
        let forgets_vote = self.attestations.keys().next().is_some_and(|known| known.target <= target);
        self.raise(EthMarks {
            block: forgets_block.then_some(slot.next()),
            attestation: forgets_vote.then_some(EthAttestation { source: Epoch(0), target: target.next() }),
        });
    }

    /// Refuses what `marks` refuse, whether any of it is on record or not.
    pub(crate) fn raise(&mut self, marks: EthMarks) {
        self.marks = self.marks.join(marks);
        self.settle();
    }

    /// What is known to be spent after `last`, if anything is: on record, or below a mark.
    pub(crate) fn after(&self, last: EthLast) -> Option<EthDuty> {
        let block = self.blocks.keys().next_back().map(|block| block.slot).max(self.marks.block.map(Slot::previous));
        if let Some(slot) = block.filter(|slot| *slot > last.slot) {
            return Some(EthDuty::Block(EthBlock { slot }));
        }
        let below = self.marks.attestation.map(|mark| EthAttestation { target: mark.target.previous(), ..mark });
        let votes = self.attestations.keys().next_back().copied().into_iter().chain(below);
        votes.filter(|known| known.target > last.target).max().map(EthDuty::Attestation)
    }

    /// What an interchange file says of this key. Where the marks are higher than its records tell by themselves, an
    /// entry without a root stands for them: it refuses the same, and nothing else.
    pub(crate) fn records(&self) -> Self {
        let mut told = self.clone();
        if let Some(below) = self.marks.block.and_then(|lowest| lowest.0.checked_sub(1)).map(Slot)
            && self.blocks.keys().next().map(|block| block.slot) != self.marks.block
        {
            told.blocks.insert(EthBlock { slot: below }, B256::ZERO);
        }
        if let Some(mark) = self.marks.attestation.filter(|mark| lowest(&self.attestations) != Some(*mark)) {
            let target = Epoch(mark.target.0.saturating_sub(1)).max(mark.source);
            told.attestations.entry(EthAttestation { source: mark.source, target }).or_insert(B256::ZERO);
        }
        told
    }

    /// Drops what the marks refuse anyway. A dropped attestation may have had a higher source than the marks: what
    /// would surround it must still be refused.
    fn settle(&mut self) {
        if let Some(lowest) = self.marks.block {
            self.blocks.retain(|block, _| block.slot >= lowest);
        }
        if let Some(lowest) = &mut self.marks.attestation {
            let kept = self.attestations.split_off(&attestation(0, lowest.target.0));
            let dropped = std::mem::replace(&mut self.attestations, kept);
            let highest = dropped.keys().map(|known| known.source).max().unwrap_or_default();
            lowest.source = lowest.source.max(highest);
        }
    }
}

/// The marks once `duty` is on record: the first record sets them, and without a history each one does.
pub(crate) fn marks_after(marks: &EthMarks, duty: EthDuty, policy: EthPolicy) -> EthMarks {
    let (block, vote) = match (policy, duty) {
        (EthPolicy::FullHistory, EthDuty::Block(block)) => (Some(marks.block.unwrap_or(block.slot)), None),
        (EthPolicy::FullHistory, EthDuty::Attestation(vote)) => (None, Some(marks.attestation.unwrap_or(vote))),
        (EthPolicy::Watermark, EthDuty::Block(block)) => (Some(block.slot.next()), None),
        (EthPolicy::Watermark, EthDuty::Attestation(EthAttestation { source, target })) => {
            (None, Some(EthAttestation { source, target: target.next() }))
        }
    };
    marks.join(EthMarks { block, attestation: vote })
}

fn lowest(attestations: &BTreeMap<EthAttestation, B256>) -> Option<EthAttestation> {
    let source = attestations.keys().map(|known| known.source).min()?;
    let target = attestations.keys().next()?.target;
    Some(EthAttestation { source, target })
}

/// Two different roots of one duty leave it with an unknown one. Gives ours where both were known and differ.
fn join_root<K: Ord>(records: &mut BTreeMap<K, B256>, key: K, theirs: B256) -> Option<B256> {
    let on_record = records.entry(key).or_insert(theirs);
    let ours = *on_record;
    if ours == theirs {
        return None;
    }
    *on_record = B256::ZERO;
    (!ours.is_zero() && !theirs.is_zero()).then_some(ours)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::eth::EthReason;
    use crate::eth::judging::EthKnown;

    const EPOCHS: u64 = 9;
    const ROOTS: [B256; 2] = [B256::repeat_byte(1), B256::repeat_byte(2)];

    impl KeyHistory {
        fn sign(&mut self, (duty, root): (EthDuty, B256), policy: EthPolicy) {
            let mut known = EthKnown { retired: false, history: std::mem::take(self) };
            let _ = known.take(duty, root, policy);
            *self = known.history;
        }

        /// Every duty of the small world that is refused.
        fn refused(&self) -> Vec<(EthDuty, B256)> {
            let epochs = || (0..EPOCHS).flat_map(|source| (0..EPOCHS).map(move |target| attestation(source, target)));
            let duties = (0..EPOCHS).map(|slot| EthDuty::Block(EthBlock { slot: Slot(slot) }));
            let duties = duties.chain(epochs().map(EthDuty::Attestation));
            let asked = duties.flat_map(|duty| ROOTS.map(|root| (duty, root)));
            asked.filter(|&(duty, root)| self.judge(duty, root).is_err()).collect()
        }

        fn imported(&self) -> Self {
            let mut fresh = Self::default();
            let told = self.records();
            let _ = fresh.join(&Self::of_records(told.blocks, told.attestations));
            fresh
        }
    }

    fn any_duty() -> impl Strategy<Value = (EthDuty, B256)> {
        let epoch = 0..EPOCHS - 1;
        let vote =
            (epoch.clone(), epoch.clone()).prop_map(|(a, b)| EthDuty::Attestation(attestation(a.min(b), a.max(b))));
        let block = epoch.prop_map(|slot| EthDuty::Block(EthBlock { slot: Slot(slot) }));
        (prop_oneof![2 => vote, 1 => block], prop::sample::select(ROOTS.to_vec()))
    }

    /// What a client that keeps the rules may have on record, also after pruning.
    fn any_signed() -> impl Strategy<Value = KeyHistory> {
        let policy = prop::sample::select(vec![EthPolicy::FullHistory, EthPolicy::Watermark]);
        (prop::collection::vec(any_duty(), 0..12), policy, prop::option::of(0u64..4)).prop_map(
            |(duties, policy, pruned)| {
                let mut history = KeyHistory::default();
                for duty in duties {
                    history.sign(duty, policy);
                }
                if let Some(through) = pruned {
                    history.prune(Slot(through), Epoch(through));
                }
                history
            },
        )
    }

    /// Also histories of several clients that knew nothing of one another.
    fn any_history() -> impl Strategy<Value = KeyHistory> {
        prop::collection::vec(any_signed(), 1..4).prop_map(|parts| {
            let mut history = KeyHistory::default();
            for part in &parts {
                let _ = history.join(part);
            }
            history
        })
    }

    fn joined(a: &KeyHistory, b: &KeyHistory) -> KeyHistory {
        let mut both = a.clone();
        let _ = both.join(b);
        both
    }

    fn includes(more: &[(EthDuty, B256)], less: &[(EthDuty, B256)]) -> bool {
        less.iter().all(|duty| more.contains(duty))
    }

    proptest! {
        #[test]
        fn joining_minds_neither_order_nor_repetition(a in any_history(), b in any_history(), c in any_history()) {
            prop_assert_eq!(joined(&a, &b), joined(&b, &a));
            prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
            prop_assert_eq!(joined(&joined(&a, &b), &b), joined(&a, &b));
        }

        #[test]
        fn joining_and_minifying_and_pruning_refuse_whatever_was_refused(
            a in any_history(), b in any_history(), through in 0u64..EPOCHS
        ) {
            let both = joined(&a, &b).refused();
            prop_assert!(includes(&both, &a.refused()) && includes(&both, &b.refused()));
            prop_assert!(includes(&a.minified().refused(), &a.refused()));
            let mut pruned = a.clone();
            pruned.prune(Slot(through), Epoch(through));
            prop_assert!(includes(&pruned.refused(), &a.refused()));
        }

        #[test]
        fn an_export_refuses_where_it_is_imported_what_is_refused_here_and_nothing_else(a in any_history()) {
            let imported = a.imported();
            prop_assert_eq!(imported.refused(), a.refused());
            prop_assert_eq!(imported.records(), imported.imported().records(), "the second export is the first");
        }
    }

    proptest! {
        #[test]
        fn what_was_lost_is_refused_with_all_that_conflicts_with_it(
            signed in any_history(), lost in any_signed(), through in 0u64..EPOCHS
        ) {
            let last = EthLast { slot: Slot(through), target: Epoch(through) };
            prop_assume!(lost.after(last).is_none());
            let mut restored = signed.clone();
            restored.raise(EthMarks::after(last));
            let refused = restored.refused();
            prop_assert!(includes(&refused, &signed.refused()));
            let of_lost = KeyHistory { marks: EthMarks::default(), ..lost };
            prop_assert!(includes(&refused, &of_lost.refused()));
        }
    }

    #[test]
    fn two_roots_of_one_slot_become_an_unknown_one_and_are_reported() {
        let block = EthBlock { slot: Slot(5) };
        let of = |root| KeyHistory::of_records([(block, root)], []);
        let mut ours = of(ROOTS[0]);
        let expected = Disagreement { duty: EthDuty::Block(block), ours: ROOTS[0], theirs: ROOTS[1] };
        assert_eq!(ours.join(&of(ROOTS[1])), [expected]);
        assert_eq!(ours.blocks, BTreeMap::from([(block, B256::ZERO)]));
        assert!(ROOTS.iter().all(|root| ours.judge(EthDuty::Block(block), *root).is_err()));
    }

    #[test]
    fn what_would_surround_a_forgotten_attestation_stays_refused() {
        let mut history = KeyHistory::of_records([], [(attestation(2, 3), ROOTS[0]), (attestation(5, 6), ROOTS[0])]);
        history.prune(Slot(0), Epoch(6));
        let refused = history.judge(EthDuty::Attestation(attestation(4, 7)), ROOTS[0]);
        assert_eq!(refused, Err(EthReason::SourceBelowLow { lowest: Epoch(5) }));
    }
}
