//! Who goes first when the pool is full: the oldest queued transaction, then the cheapest ready one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::PooledTx;
use super::sender::Entry;

/// Orders ready transactions of one price: the one that came last goes first.
type PriceKey = (u128, Reverse<u64>);

/// What a ready transaction is worth to the pool: one that the base fee shuts out is worth less than any other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Worth {
    /// The base fee is above its cap: worth its cap.
    ShutOut(u128),
    /// Can be mined now: worth its priority fee.
    Mineable(u128),
}

impl Worth {
    pub(super) fn of(tx: &PooledTx, base_fee: u64) -> Self {
        if tx.fee_cap() < u128::from(base_fee) {
            Self::ShutOut(tx.fee_cap())
        } else {
            Self::Mineable(tx.priority_fee())
        }
    }
}

/// Every transaction of the pool, in the order in which it would be evicted. Adding and removing cost O(log n).
#[derive(Debug, Default)]
pub(super) struct EvictionOrder {
    queued: BTreeMap<u64, Arc<PooledTx>>,
    by_priority_fee: BTreeMap<PriceKey, Arc<PooledTx>>,
    by_fee_cap: BTreeMap<PriceKey, Arc<PooledTx>>,
}

impl EvictionOrder {
    pub(super) fn queued_len(&self) -> usize {
        self.queued.len()
    }

    pub(super) fn add_queued(&mut self, entry: &Entry) {
        self.queued.insert(entry.arrival, entry.tx.clone());
    }

    pub(super) fn add_ready(&mut self, entry: &Entry) {
        self.by_priority_fee.insert(priority_key(entry), entry.tx.clone());
        self.by_fee_cap.insert(cap_key(entry), entry.tx.clone());
    }

    pub(super) fn promote(&mut self, entry: &Entry) {
        self.queued.remove(&entry.arrival);
        self.add_ready(entry);
    }

    pub(super) fn demote(&mut self, entry: &Entry) {
        self.remove(entry);
        self.add_queued(entry);
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        if self.queued.remove(&entry.arrival).is_none() {
            self.by_priority_fee.remove(&priority_key(entry));
            self.by_fee_cap.remove(&cap_key(entry));
        }
    }

    /// Queued transactions, oldest first.
    pub(super) fn queued(&self) -> impl Iterator<Item = &Arc<PooledTx>> {
        self.queued.values()
    }

    /// Ready transactions, least worth first.
    pub(super) fn ready(&self, base_fee: u64) -> impl Iterator<Item = &Arc<PooledTx>> {
        let base_fee = u128::from(base_fee);
        // `Reverse(u64::MAX)` comes before every key of that price.
        let shut_out = self.by_fee_cap.range(..(base_fee, Reverse(u64::MAX))).map(|(_, tx)| tx);
        let mineable = self.by_priority_fee.values().filter(move |tx| tx.fee_cap() >= base_fee);
        shut_out.chain(mineable)
    }

    #[cfg(test)]
    pub(super) fn ready_len(&self) -> usize {
        assert_eq!(self.by_priority_fee.len(), self.by_fee_cap.len(), "both orders hold the same transactions");
        self.by_priority_fee.len()
    }
}

fn priority_key(entry: &Entry) -> PriceKey {
    (entry.tx.priority_fee(), Reverse(entry.arrival))
}

fn cap_key(entry: &Entry) -> PriceKey {
    (entry.tx.fee_cap(), Reverse(entry.arrival))
}
