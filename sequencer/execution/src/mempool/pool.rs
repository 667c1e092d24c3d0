//! The pool's contents, kept consistent: every transaction is in its sender's queue, in the hash index and in the
//! eviction order, or in none of them.

mod admission;

use std::sync::Arc;

use admission::Candidate;
use alloy::primitives::map::HashMap;
use alloy::primitives::{Address, B256};

use super::eviction::EvictionOrder;
use super::sender::{Entry, SenderQueue, Shift};
use super::{AccountView, Added, MempoolConfig, MempoolError, Place, PooledTx};

/// The contents of a [`super::Mempool`], behind its lock.
#[derive(Debug, Default)]
pub(super) struct Pool {
    senders: HashMap<Address, SenderQueue>,
    by_hash: HashMap<B256, Arc<PooledTx>>,
    order: EvictionOrder,
    bytes: usize,
    arrivals: u64,
}

impl Pool {
    pub(super) fn get(&self, hash: B256) -> Option<&Arc<PooledTx>> {
        self.by_hash.get(&hash)
    }

    pub(super) fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub(super) fn queued_len(&self) -> usize {
        self.order.queued_len()
    }

    pub(super) fn queue(&self, sender: Address) -> Option<&SenderQueue> {
        self.senders.get(&sender)
    }

    pub(super) fn queues(&self) -> impl Iterator<Item = &SenderQueue> {
        self.senders.values()
    }

    /// Takes a transaction in, or says why not and changes nothing.
    pub(super) fn add(
        &mut self,
        tx: PooledTx,
        account: AccountView,
        base_fee: u64,
        config: &MempoolConfig,
    ) -> Result<Added, MempoolError> {
        self.learn_nonce(tx.signer(), account.nonce);
        let next = self.queue(tx.signer()).map_or(account.nonce, SenderQueue::next_nonce);
        let candidate = Candidate { place: self.place(&tx, next), tx: &tx, base_fee };
        self.check(&candidate, next, account.balance, config)?;
        let evicted = self.victims(&candidate, config)?;
        for hash in &evicted {
            self.remove(*hash);
        }
        let (hash, place) = (tx.hash(), candidate.place);
        let replaced = self.put(tx, next).into_iter().map(|entry| entry.tx.hash()).next();
        Ok(Added { hash, place, replaced, evicted })
    }

    /// Puts a transaction back that a block had held, without asking what it pays: it was good enough for a block.
    pub(super) fn put_back(&mut self, tx: PooledTx, config: &MempoolConfig) {
        let (sender, nonce) = (tx.signer(), tx.nonce());
        if let Some(queue) = self.senders.get_mut(&sender) {
            if queue.get(nonce).is_some() {
                return;
            }
            if nonce < queue.next_nonce() {
                let shift = queue.set_next_nonce(nonce);
                self.apply(shift);
            }
        }
        let next = self.queue(sender).map_or(nonce, SenderQueue::next_nonce);
        let candidate = Candidate { place: self.place(&tx, next), tx: &tx, base_fee: 0 };
        match self.victims(&candidate, config) {
            Ok(evicted) => {
                for hash in evicted {
                    self.remove(hash);
                }
                self.put(tx, next);
            }
            Err(cause) => tracing::debug!(hash = %tx.hash(), %cause, "a returning transaction finds no room"),
        }
    }

    /// Takes a transaction out; what was ready behind it waits for a successor.
    pub(super) fn remove(&mut self, hash: B256) -> Option<Arc<PooledTx>> {
        let tx = self.by_hash.get(&hash)?.clone();
        let queue = self.senders.get_mut(&tx.signer())?;
        let shift = queue.remove(tx.nonce());
        self.apply(shift);
        self.forget_if_empty(tx.signer());
        Some(tx)
    }

    /// Learns an account's nonce from the chain, forwards or back.
    pub(super) fn set_next_nonce(&mut self, sender: Address, next_nonce: u64) {
        if let Some(queue) = self.senders.get_mut(&sender).filter(|queue| queue.next_nonce() != next_nonce) {
            let shift = queue.set_next_nonce(next_nonce);
            self.apply(shift);
            self.forget_if_empty(sender);
        }
    }

    /// A view read before the pool heard of a newer block must not take the nonce back.
    fn learn_nonce(&mut self, sender: Address, nonce: u64) {
        if self.queue(sender).is_some_and(|queue| queue.next_nonce() < nonce) {
            self.set_next_nonce(sender, nonce);
        }
    }

    fn place(&self, tx: &PooledTx, next_nonce: u64) -> Place {
        let gap = self.queue(tx.signer()).map_or(next_nonce, SenderQueue::gap);
        if tx.nonce() <= gap { Place::Ready } else { Place::Queued }
    }

    /// Puts a transaction in its place, and gives the one it replaced.
    fn put(&mut self, tx: PooledTx, next_nonce: u64) -> Option<Entry> {
        let (tx, arrival) = (Arc::new(tx), self.arrivals);
        self.arrivals += 1;
        self.bytes += tx.raw().len();
        self.by_hash.insert(tx.hash(), tx.clone());
        let entry = Entry { tx, arrival };
        let queue = self.senders.entry(entry.tx.signer()).or_insert_with(|| SenderQueue::new(next_nonce));
        let shift = queue.insert(entry.clone());
        if queue.is_ready(entry.tx.nonce()) {
            self.order.add_ready(&entry)
        } else {
            self.order.add_queued(&entry)
        }
        let replaced = shift.removed.first().cloned();
        self.apply(shift);
        replaced
    }

    fn apply(&mut self, shift: Shift) {
        for entry in &shift.removed {
            self.by_hash.remove(&entry.tx.hash());
            self.bytes -= entry.tx.raw().len();
            self.order.remove(entry);
        }
        for entry in &shift.promoted {
            self.order.promote(entry);
        }
        for entry in &shift.demoted {
            self.order.demote(entry);
        }
    }

    fn forget_if_empty(&mut self, sender: Address) {
        if self.queue(sender).is_some_and(SenderQueue::is_empty) {
            self.senders.remove(&sender);
        }
    }

    /// Holds that the indexes agree with each other, and that the caps do.
    #[cfg(test)]
    pub(super) fn assert_consistent(&self, config: &MempoolConfig) {
        let entries: usize = self.queues().map(SenderQueue::len).sum();
        assert_eq!(entries, self.by_hash.len(), "the queues and the hash index hold the same transactions");
        let bytes: usize = self.by_hash.values().map(|tx| tx.raw().len()).sum();
        assert_eq!(bytes, self.bytes, "bytes are counted exactly");
        let ready: u64 = self.queues().map(|queue| queue.gap() - queue.next_nonce()).sum();
        assert_eq!(usize::try_from(ready).unwrap(), self.order.ready_len(), "ready ones are in the price orders");
        assert_eq!(self.len(), self.order.ready_len() + self.order.queued_len(), "each is ready or queued");
        assert!(self.len() <= config.max_transactions && bytes <= config.max_bytes, "the caps hold");
        assert!(self.queues().all(|queue| !queue.is_empty() && queue.len() <= config.max_per_sender));
    }
}
