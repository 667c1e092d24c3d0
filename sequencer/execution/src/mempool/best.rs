//! What to put into the next block: price order across senders, nonce order within one.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::sender::{Entry, SenderQueue};
use super::{Mempool, PooledTx};

/// Ready transactions, best first. It looks into the pool as it goes, and holds its lock for one step at a time, so that
/// transactions keep coming in while a block is built. What leaves the pool meanwhile is not yielded.
///
/// Beginning costs O(senders), each step O(log senders): nothing is sorted that no block takes.
#[derive(Debug)]
pub struct Best<'a> {
    mempool: &'a Mempool,
    base_fee: u64,
    heads: BinaryHeap<Head>,
    last: Option<Arc<PooledTx>>,
}

impl<'a> Best<'a> {
    pub(super) fn new(mempool: &'a Mempool, base_fee: u64) -> Self {
        let heads = mempool
            .pool()
            .queues()
            .filter_map(|queue| Head::of(queue, queue.next_nonce(), base_fee))
            .collect::<Vec<_>>()
            .into();
        Self { mempool, base_fee, heads, last: None }
    }

    /// The transaction yielded last does not go into this block, so neither do those of its sender that follow it.
    /// It stays in the pool for a later block.
    pub fn decline(&mut self) {
        self.last = None;
    }
}

impl Iterator for Best<'_> {
    type Item = Arc<PooledTx>;

    fn next(&mut self) -> Option<Arc<PooledTx>> {
        let pool = self.mempool.pool();
        // A transaction that was removed since it was yielded was no good: nothing can follow it.
        if let Some(last) = self.last.take().filter(|last| pool.get(last.hash()).is_some()) {
            let successor = last.nonce() + 1;
            self.heads.extend(pool.queue(last.signer()).and_then(|queue| Head::of(queue, successor, self.base_fee)));
        }
        while let Some(head) = self.heads.pop() {
            if pool.get(head.tx.hash()).is_some() {
                self.last = Some(head.tx.clone());
                return Some(head.tx);
            }
            // Replaced or removed since it was queued here: its place may have a new holder.
            let (sender, nonce) = (head.tx.signer(), head.tx.nonce());
            self.heads.extend(pool.queue(sender).and_then(|queue| Head::of(queue, nonce, self.base_fee)));
        }
        None
    }
}

/// A sender's next transaction.
#[derive(Debug)]
struct Head {
    tip: u128,
    arrival: Reverse<u64>,
    tx: Arc<PooledTx>,
}

impl Head {
    /// The transaction of `nonce`, where it is ready and the base fee lets it in.
    fn of(queue: &SenderQueue, nonce: u64, base_fee: u64) -> Option<Self> {
        let Entry { tx, arrival } = queue.ready(nonce)?;
        Some(Self { tip: tx.tip_at(base_fee)?, arrival: Reverse(*arrival), tx: tx.clone() })
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.tip, self.arrival).cmp(&(other.tip, other.arrival))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}
