//! The transactions of one sender: ready from the account's nonce up to the first gap, queued behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::primitives::U256;

use super::PooledTx;

/// A transaction and when it arrived: arrival numbers are unique and grow.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) tx: Arc<PooledTx>,
    pub(super) arrival: u64,
}

/// What a change to one sender's transactions did to the others of that sender.
#[derive(Debug, Default)]
pub(super) struct Shift {
    /// No longer in the pool.
    pub(super) removed: Vec<Entry>,
    /// Were queued, are ready.
    pub(super) promoted: Vec<Entry>,
    /// Were ready, are queued.
    pub(super) demoted: Vec<Entry>,
}

/// One sender's transactions by nonce. Those in `next_nonce..gap` are all there and ready; those above `gap` are queued.
#[derive(Debug)]
pub(super) struct SenderQueue {
    next_nonce: u64,
    gap: u64,
    by_nonce: BTreeMap<u64, Entry>,
    cost: U256,
}

impl SenderQueue {
    /// No transactions of an account whose next nonce is `next_nonce`.
    pub(super) const fn new(next_nonce: u64) -> Self {
        Self { next_nonce, gap: next_nonce, by_nonce: BTreeMap::new(), cost: U256::ZERO }
    }

    /// What the account's next transaction must carry.
    pub(super) const fn next_nonce(&self) -> u64 {
        self.next_nonce
    }

    /// The first nonce from `next_nonce` on that no transaction has.
    pub(super) const fn gap(&self) -> u64 {
        self.gap
    }

    /// Wei that all of them may cost.
    pub(super) const fn cost(&self) -> U256 {
        self.cost
    }

    pub(super) fn len(&self) -> usize {
        self.by_nonce.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_nonce.is_empty()
    }

    pub(super) fn get(&self, nonce: u64) -> Option<&Entry> {
        self.by_nonce.get(&nonce)
    }

    /// The transaction of this nonce, where everything before it is there too.
    pub(super) fn ready(&self, nonce: u64) -> Option<&Entry> {
        self.get(nonce).filter(|_| self.is_ready(nonce))
    }

    pub(super) const fn is_ready(&self, nonce: u64) -> bool {
        self.next_nonce <= nonce && nonce < self.gap
    }

    /// The one with the highest nonce.
    pub(super) fn last(&self) -> Option<&Entry> {
        self.by_nonce.last_key_value().map(|(_, entry)| entry)
    }

    /// Puts a transaction in, in the place of one with its nonce. What was queued right behind it is promoted.
    pub(super) fn insert(&mut self, entry: Entry) -> Shift {
        let nonce = entry.tx.nonce();
        self.cost = self.cost.saturating_add(entry.tx.cost());
        let removed: Vec<_> = self.by_nonce.insert(nonce, entry).into_iter().collect();
        self.uncount(&removed);
        let promoted = if nonce == self.gap { self.advance(nonce + 1) } else { Vec::new() };
        Shift { removed, promoted, demoted: Vec::new() }
    }

    /// Takes a transaction out. What was ready behind it is demoted.
    pub(super) fn remove(&mut self, nonce: u64) -> Shift {
        let removed: Vec<_> = self.by_nonce.remove(&nonce).into_iter().collect();
        self.uncount(&removed);
        if removed.is_empty() || !self.is_ready(nonce) {
            return Shift { removed, ..Shift::default() };
        }
        let demoted = self.entries(nonce + 1, self.gap);
        self.gap = nonce;
        Shift { removed, promoted: Vec::new(), demoted }
    }

    /// Learns the account's nonce, forwards or back: what is below it goes, and readiness is found anew.
    pub(super) fn set_next_nonce(&mut self, next_nonce: u64) -> Shift {
        let (old_next, old_gap) = (self.next_nonce, self.gap);
        let kept = self.by_nonce.split_off(&next_nonce);
        let removed: Vec<_> = std::mem::replace(&mut self.by_nonce, kept).into_values().collect();
        self.uncount(&removed);
        self.next_nonce = next_nonce;
        self.gap = next_nonce;
        self.advance(next_nonce);
        let was_ready = |nonce: u64| old_next <= nonce && nonce < old_gap;
        let mut promoted = self.entries(next_nonce, self.gap);
        promoted.retain(|entry| !was_ready(entry.tx.nonce()));
        let mut demoted = self.entries(old_next.max(next_nonce), old_gap);
        demoted.retain(|entry| !self.is_ready(entry.tx.nonce()));
        Shift { removed, promoted, demoted }
    }

    /// Moves the gap to the first missing nonce from `from` on, and gives what lies between.
    fn advance(&mut self, from: u64) -> Vec<Entry> {
        self.gap = from;
        let mut passed = Vec::new();
        for (nonce, entry) in self.by_nonce.range(from..) {
            if *nonce != self.gap {
                break;
            }
            self.gap += 1;
            passed.push(entry.clone());
        }
        passed
    }

    fn entries(&self, from: u64, until: u64) -> Vec<Entry> {
        if from >= until {
            return Vec::new();
        }
        self.by_nonce.range(from..until).map(|(_, entry)| entry.clone()).collect()
    }

    fn uncount(&mut self, removed: &[Entry]) {
        for entry in removed {
            self.cost = self.cost.saturating_sub(entry.tx.cost());
        }
    }
}
