//! Which account a request gets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::{Address, U256};
use tokio::sync::Notify;

use crate::core::Core;
use crate::error::AccountBalance;
use crate::publisher::Publisher;
use crate::{Error, L1HeadInfo};

/// The accounts of a run. One transaction is in flight on each; who waits longest is served first.
#[derive(Debug)]
pub(crate) struct AccountPool {
    all: Vec<Arc<Publisher>>,
    /// Least recently used first.
    free: Mutex<VecDeque<Arc<Publisher>>>,
    released: Notify,
    /// Held by the request whose turn it is; tokio's mutex serves in order.
    turn: tokio::sync::Mutex<()>,
}

/// An account leased to one request; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct AccountLease {
    publisher: Arc<Publisher>,
    pool: Arc<AccountPool>,
}

impl AccountLease {
    pub(crate) fn publisher(&self) -> &Publisher {
        &self.publisher
    }
}

impl Drop for AccountLease {
    fn drop(&mut self) {
        self.pool.free().push_back(Arc::clone(&self.publisher));
        self.pool.released.notify_one();
    }
}

impl AccountPool {
    pub(crate) fn new(all: Vec<Arc<Publisher>>) -> Self {
        let free = Mutex::new(all.iter().cloned().collect());
        Self { all, free, released: Notify::new(), turn: tokio::sync::Mutex::default() }
    }

    /// Every account, in the order of its key.
    pub(crate) fn all(&self) -> &[Arc<Publisher>] {
        &self.all
    }

    /// Takes this account, if it is free.
    pub(crate) fn take(self: &Arc<Self>, address: Address) -> Option<AccountLease> {
        let mut free = self.free();
        let index = free.iter().position(|publisher| publisher.address() == address)?;
        let publisher = free.remove(index)?;
        Some(AccountLease { publisher, pool: Arc::clone(self) })
    }

    /// Leases the least recently used account that can pay `cost`; waits while all that can are busy.
    ///
    /// # Errors
    /// [`Error::Unfunded`] when no account can pay, busy ones included; an error of L1 when balances cannot be read.
    ///
    /// # Cancel safety
    /// Dropped, it gives up its place in the queue and holds nothing.
    pub(crate) async fn lease(self: &Arc<Self>, core: &Core, cost: U256) -> Result<AccountLease, Error> {
        let _turn = self.turn.lock().await;
        let mut heads = core.heads.clone();
        loop {
            let head = *heads.borrow_and_update();
            let payers = self.payers(core, &head, cost).await?;
            if let Some(lease) = payers.iter().find_map(|address| self.take(*address)) {
                return Ok(lease);
            }
            tokio::select! {
                () = self.released.notified() => {}
                _ = heads.changed() => {}
            }
        }
    }

    /// The accounts that can pay `cost`, least recently used first, then the busy ones.
    async fn payers(&self, core: &Core, head: &L1HeadInfo, cost: U256) -> Result<Vec<Address>, Error> {
        let mut order: Vec<_> = self.free().iter().cloned().collect();
        let is_free = |publisher: &Arc<Publisher>| order.iter().any(|free| free.address() == publisher.address());
        let busy: Vec<_> = self.all.iter().filter(|publisher| !is_free(publisher)).cloned().collect();
        order.extend(busy);
        let mut balances = Vec::with_capacity(order.len());
        let mut payers = Vec::with_capacity(order.len());
        for publisher in order {
            let balance = balance(core, &publisher, head).await?;
            balances.push(AccountBalance { account: publisher.address(), balance });
            if publisher.can_pay(balance, cost) {
                payers.push(publisher.address());
            }
        }
        if payers.is_empty() {
            return Err(Error::Unfunded { needed: cost, accounts: balances });
        }
        Ok(payers)
    }

    fn free(&self) -> MutexGuard<'_, VecDeque<Arc<Publisher>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account's balance, read once for each L1 head.
async fn balance(core: &Core, publisher: &Publisher, head: &L1HeadInfo) -> Result<U256, Error> {
    if let Some(known) = publisher.balance_at(head.number) {
        return Ok(known);
    }
    let balance = core.l1.balance(publisher.address()).await?;
    publisher.note_balance(head.number, balance);
    Ok(balance)
}
