//! The pool's contents, kept consistent: every transaction is in its sender's queue, in the hash index and in the
//! eviction order, or in none of them.

use std::sync::Arc;

use alloy::primitives::map::HashMap;
use alloy::primitives::{Address, B256, U256};

use super::eviction::{EvictionOrder, Worth};
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

    fn check(
        &self,
        candidate: &Candidate<'_>,
        next: u64,
        balance: U256,
        config: &MempoolConfig,
    ) -> Result<(), MempoolError> {
        let tx = candidate.tx;
        if self.by_hash.contains_key(&tx.hash()) {
            return Err(MempoolError::AlreadyKnown);
        }
        check_floors(tx, config)?;
        if tx.nonce() < next {
            return Err(MempoolError::NonceTooLow { next, have: tx.nonce() });
        }
        let replaced = self.replaced_by(tx);
        if let Some(old) = replaced {
            check_replacement(old, tx, config)?;
        }
        let others = self.queue(tx.signer()).map_or(U256::ZERO, SenderQueue::cost);
        let queued = others.saturating_sub(replaced.map_or(U256::ZERO, |old| old.cost()));
        if queued.saturating_add(tx.cost()) > balance {
            let (sender, cost) = (tx.signer(), tx.cost());
            return Err(MempoolError::InsufficientFunds { sender, balance, queued, cost });
        }
        Ok(())
    }

    fn replaced_by(&self, tx: &PooledTx) -> Option<&Arc<PooledTx>> {
        self.queue(tx.signer()).and_then(|queue| queue.get(tx.nonce())).map(|entry| &entry.tx)
    }

    /// Whom to evict so that `candidate` has room.
    fn victims(&self, candidate: &Candidate<'_>, config: &MempoolConfig) -> Result<Vec<B256>, MempoolError> {
        let replaced = self.replaced_by(candidate.tx);
        let mut room = Room {
            transactions: self.len() + usize::from(replaced.is_none()),
            bytes: self.bytes + candidate.tx.raw().len() - replaced.map_or(0, |old| old.raw().len()),
            victims: Vec::new(),
        };
        if replaced.is_none() {
            self.make_room_at_sender(candidate, config, &mut room)?;
        }
        self.make_room_in_all(candidate, config, &mut room)?;
        Ok(room.victims)
    }

    /// A sender at its cap gives up its last transaction for an earlier one: without the earlier one, the last is
    /// worth nothing.
    fn make_room_at_sender(
        &self,
        candidate: &Candidate<'_>,
        config: &MempoolConfig,
        room: &mut Room,
    ) -> Result<(), MempoolError> {
        let sender = candidate.tx.signer();
        let Some(queue) = self.queue(sender).filter(|queue| queue.len() >= config.max_per_sender) else {
            return Ok(());
        };
        match queue.last().filter(|last| last.tx.nonce() > candidate.tx.nonce()) {
            Some(last) => room.evict(&last.tx),
            None => return Err(MempoolError::SenderFull { sender, limit: config.max_per_sender }),
        }
        Ok(())
    }

    fn make_room_in_all(
        &self,
        candidate: &Candidate<'_>,
        config: &MempoolConfig,
        room: &mut Room,
    ) -> Result<(), MempoolError> {
        for tx in self.order.queued() {
            if room.fits(config) {
                return Ok(());
            }
            if candidate.may_displace_queued(tx) && !room.victims.contains(&tx.hash()) {
                room.evict(tx);
            }
        }
        for tx in self.order.ready(candidate.base_fee) {
            if room.fits(config) {
                return Ok(());
            }
            if candidate.may_displace_ready(tx) && !room.victims.contains(&tx.hash()) {
                candidate.check_outbids(tx)?;
                room.evict(tx);
            }
        }
        if room.fits(config) { Ok(()) } else { Err(MempoolError::PoolFull) }
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

/// A transaction that asks to be taken in.
struct Candidate<'a> {
    tx: &'a PooledTx,
    place: Place,
    base_fee: u64,
}

impl Candidate<'_> {
    /// A ready transaction never displaces what it is about to promote.
    fn may_displace_queued(&self, victim: &PooledTx) -> bool {
        match self.place {
            Place::Ready => victim.signer() != self.tx.signer(),
            Place::Queued => victim.hash() != self.tx.hash() && !self.is_replaced(victim),
        }
    }

    /// Nothing displaces what it stands on, nor the one it replaces (that one goes anyway).
    fn may_displace_ready(&self, victim: &PooledTx) -> bool {
        victim.signer() != self.tx.signer() || victim.nonce() > self.tx.nonce()
    }

    fn is_replaced(&self, victim: &PooledTx) -> bool {
        victim.signer() == self.tx.signer() && victim.nonce() == self.tx.nonce()
    }

    fn check_outbids(&self, victim: &PooledTx) -> Result<(), MempoolError> {
        match self.place {
            Place::Queued => Err(MempoolError::PoolFull),
            Place::Ready => match (Worth::of(self.tx, self.base_fee), Worth::of(victim, self.base_fee)) {
                (own, other) if own > other => Ok(()),
                (Worth::ShutOut(have), Worth::ShutOut(other) | Worth::Mineable(other)) => {
                    let want = other.saturating_add(1).max(u128::from(self.base_fee));
                    Err(MempoolError::Underpriced { what: "max fee per gas in a full pool", have, want })
                }
                (Worth::Mineable(have), Worth::ShutOut(other) | Worth::Mineable(other)) => {
                    let what = "priority fee in a full pool";
                    Err(MempoolError::Underpriced { what, have, want: other.saturating_add(1) })
                }
            },
        }
    }
}

/// How full the pool would be, as victims are chosen.
struct Room {
    transactions: usize,
    bytes: usize,
    victims: Vec<B256>,
}

impl Room {
    const fn fits(&self, config: &MempoolConfig) -> bool {
        self.transactions <= config.max_transactions && self.bytes <= config.max_bytes
    }

    fn evict(&mut self, victim: &PooledTx) {
        self.transactions -= 1;
        self.bytes -= victim.raw().len();
        self.victims.push(victim.hash());
    }
}

fn check_floors(tx: &PooledTx, config: &MempoolConfig) -> Result<(), MempoolError> {
    let floors = [
        ("max fee per gas", tx.fee_cap(), config.min_fee_cap),
        ("priority fee", tx.priority_fee(), config.min_priority_fee),
    ];
    match floors.into_iter().find(|(_, have, want)| have < want) {
        Some((what, have, want)) => Err(MempoolError::Underpriced { what, have, want }),
        None => Ok(()),
    }
}

fn check_replacement(old: &PooledTx, new: &PooledTx, config: &MempoolConfig) -> Result<(), MempoolError> {
    let (cap_needed, tip_needed) = (config.bumped(old.fee_cap()), config.bumped(old.priority_fee()));
    let (cap, tip) = (new.fee_cap(), new.priority_fee());
    if cap < cap_needed || tip < tip_needed {
        return Err(MempoolError::ReplacementUnderpriced { cap, cap_needed, tip, tip_needed });
    }
    Ok(())
}
