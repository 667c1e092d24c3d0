//! Whether a transaction is let in, and who leaves for it. Nothing here changes the pool.

use std::sync::Arc;

use alloy::primitives::{B256, U256};

use super::Pool;
use crate::mempool::eviction::Worth;
use crate::mempool::sender::SenderQueue;
use crate::mempool::{MempoolConfig, MempoolError, Place, PooledTx};

impl Pool {
    /// Says which rule the candidate breaks.
    pub(super) fn check(
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
    pub(super) fn victims(&self, candidate: &Candidate<'_>, config: &MempoolConfig) -> Result<Vec<B256>, MempoolError> {
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
}

/// A transaction that asks to be taken in.
pub(super) struct Candidate<'a> {
    pub(super) tx: &'a PooledTx,
    pub(super) place: Place,
    pub(super) base_fee: u64,
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
