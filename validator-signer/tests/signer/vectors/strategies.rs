//! The two strategies of EIP-3076, from its text: what a store may sign that keeps all records, and one that keeps the
//! highest values alone. Slow and plain, to be compared with.

/// A store that keeps every record. Roots of zero are not known, and equal nothing.
#[derive(Clone, Default)]
pub(super) struct Complete {
    blocks: Vec<(u64, u8)>,
    attestations: Vec<(u64, u64, u8)>,
}

impl Complete {
    pub(super) fn import_block(&mut self, slot: u64, root: u8) {
        self.blocks.push((slot, root));
    }

    pub(super) fn import_attestation(&mut self, source: u64, target: u64, root: u8) {
        self.attestations.push((source, target, root));
    }

    pub(super) fn block(&mut self, slot: u64, root: u8) -> bool {
        let same: Vec<_> = self.blocks.iter().filter(|(known, _)| *known == slot).collect();
        if !same.is_empty() {
            return root != 0 && same.iter().all(|(_, known)| *known == root);
        }
        let lowest = self.blocks.iter().map(|(known, _)| *known).min();
        let safe = lowest.is_none_or(|lowest| slot > lowest);
        if safe {
            self.blocks.push((slot, root));
        }
        safe
    }

    pub(super) fn attestation(&mut self, source: u64, target: u64, root: u8) -> bool {
        if source > target {
            return false;
        }
        let same: Vec<_> = self.attestations.iter().filter(|(_, known, _)| *known == target).collect();
        if !same.is_empty() {
            return root != 0 && same.iter().all(|known| **known == (source, target, root));
        }
        let sources = self.attestations.iter().map(|(known, _, _)| *known).min();
        let targets = self.attestations.iter().map(|(_, known, _)| *known).min();
        let crosses = self.attestations.iter().any(|&(known_source, known_target, _)| {
            (source < known_source && known_target < target) || (known_source < source && target < known_target)
        });
        let safe =
            sources.is_none_or(|lowest| source >= lowest) && targets.is_none_or(|lowest| target > lowest) && !crosses;
        if safe {
            self.attestations.push((source, target, root));
        }
        safe
    }
}

/// A store that keeps the highest values alone.
#[derive(Clone, Default)]
pub(super) struct Minimal {
    slot: Option<u64>,
    epochs: Option<(u64, u64)>,
}

impl Minimal {
    pub(super) fn import_block(&mut self, slot: u64) {
        self.slot = self.slot.max(Some(slot));
    }

    pub(super) fn import_attestation(&mut self, source: u64, target: u64) {
        let (sources, targets) = self.epochs.unwrap_or_default();
        self.epochs = Some((sources.max(source), targets.max(target)));
    }

    pub(super) fn block(&mut self, slot: u64) -> bool {
        let safe = self.slot.is_none_or(|highest| slot > highest);
        if safe {
            self.slot = Some(slot);
        }
        safe
    }

    pub(super) fn attestation(&mut self, source: u64, target: u64) -> bool {
        let above = self.epochs.is_none_or(|(sources, targets)| source >= sources && target > targets);
        let safe = source <= target && above;
        if safe {
            self.epochs = Some((source, target));
        }
        safe
    }
}
