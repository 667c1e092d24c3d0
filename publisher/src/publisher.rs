//! One L1 account that sends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;

use crate::records::AccountRecord;
use crate::{Error, L1TxState, NonceLedger};

/// One account of a run: its key, its nonces, and what is known of its balance.
#[derive(Debug)]
pub(crate) struct Publisher {
    signer: PrivateKeySigner,
    state: Mutex<AccountState>,
}

#[derive(Debug)]
struct AccountState {
    ledger: NonceLedger,
    settled_nonce: u64,
    /// Balance in wei, and the number of the L1 head it was read at.
    balance: Option<(u64, U256)>,
    /// The account cannot pay with this balance: it waits for a higher one.
    broke_at: Option<U256>,
    /// A node said that our next nonce is used: ask the chain before the next lease.
    nonce_in_doubt: bool,
}

impl Publisher {
    pub(crate) const fn new(signer: PrivateKeySigner, ledger: NonceLedger, settled_nonce: u64) -> Self {
        let state = AccountState { ledger, settled_nonce, balance: None, broke_at: None, nonce_in_doubt: false };
        Self { signer, state: Mutex::new(state) }
    }

    pub(crate) const fn address(&self) -> Address {
        self.signer.address()
    }

    pub(crate) const fn signer(&self) -> &PrivateKeySigner {
        &self.signer
    }

    /// Takes the next nonce, and tells what the store is to keep about the account.
    pub(crate) fn lease_nonce(&self) -> (u64, AccountRecord) {
        let mut state = self.state();
        (state.ledger.lease(), state.record())
    }

    /// Gives back a nonce nothing was recorded for.
    pub(crate) fn return_nonce(&self, nonce: u64) {
        // It is the tail: an account has one transaction in flight.
        let freed = self.state().ledger.free(nonce);
        debug_assert!(freed.is_ok(), "a nonce was leased behind one that is not recorded yet");
    }

    /// Marks the nonce of an unsettled record as leased.
    pub(crate) fn resume_nonce(&self, nonce: u64) {
        self.state().ledger.resume(nonce);
    }

    /// A transaction with this nonce ended in `end`: tells what the store is to keep about the account.
    pub(crate) fn end_nonce(&self, nonce: u64, end: L1TxState) -> AccountRecord {
        let mut state = self.state();
        if end.freed_its_nonce() {
            // It is the tail, or was freed before a write that failed and is repeated.
            let _ = state.ledger.free(nonce);
        } else {
            state.ledger.settle(nonce);
            state.settled_nonce = state.settled_nonce.max(nonce + 1);
        }
        state.record()
    }

    /// A node said that the next nonce is used.
    pub(crate) fn doubt_nonce(&self) {
        self.state().nonce_in_doubt = true;
    }

    /// True when the chain's nonce is wanted before the next lease.
    pub(crate) fn nonce_in_doubt(&self) -> bool {
        self.state().nonce_in_doubt
    }

    /// What the chain says about the next nonce.
    pub(crate) fn raise_nonce(&self, chain: u64) {
        let mut state = self.state();
        state.ledger.raise_floor(chain);
        state.nonce_in_doubt = false;
    }

    /// The nonce that comes next.
    pub(crate) fn next_nonce(&self) -> u64 {
        self.state().ledger.next()
    }

    /// The balance, if it was read at L1 block `head`.
    pub(crate) fn balance_at(&self, head: u64) -> Option<U256> {
        self.state().balance.filter(|(at, _)| *at == head).map(|(_, balance)| balance)
    }

    /// The balance as last read.
    pub(crate) fn last_balance(&self) -> Option<U256> {
        self.state().balance.map(|(_, balance)| balance)
    }

    /// Notes the balance at L1 block `head`.
    pub(crate) fn note_balance(&self, head: u64, balance: U256) {
        self.state().balance = Some((head, balance));
    }

    /// A node said that the account cannot pay: until its balance rises it is not used.
    pub(crate) fn note_broke(&self) {
        let mut state = self.state();
        state.broke_at = Some(state.balance.map_or(U256::ZERO, |(_, balance)| balance));
    }

    /// True when `balance` pays for `cost`.
    pub(crate) fn can_pay(&self, balance: U256, cost: U256) -> bool {
        let mut state = self.state();
        if state.broke_at.is_some_and(|broke| balance > broke) {
            state.broke_at = None;
        }
        state.broke_at.is_none() && !balance.is_zero() && balance >= cost
    }

    fn state(&self) -> MutexGuard<'_, AccountState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccountState {
    const fn record(&self) -> AccountRecord {
        AccountRecord { next_nonce: self.ledger.next(), settled_nonce: self.settled_nonce }
    }
}

/// An account at start: the chain's counts and the store's record must fit each other.
pub(crate) fn at_start(signer: PrivateKeySigner, pending: u64, stored: AccountRecord) -> Result<Publisher, Error> {
    if pending < stored.settled_nonce {
        let account = signer.address();
        return Err(Error::ChainRewound { account, chain: pending, recorded: stored.settled_nonce });
    }
    Ok(Publisher::new(signer, NonceLedger::at_start(pending, stored.next_nonce), stored.settled_nonce))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publisher() -> Publisher {
        let stored = AccountRecord { next_nonce: 3, settled_nonce: 3 };
        at_start(PrivateKeySigner::random(), 3, stored).unwrap()
    }

    #[test]
    fn a_chain_that_counts_less_than_has_landed_is_refused() {
        let stored = AccountRecord { next_nonce: 3, settled_nonce: 3 };
        let refused = at_start(PrivateKeySigner::random(), 2, stored);
        assert!(matches!(refused, Err(Error::ChainRewound { chain: 2, recorded: 3, .. })));
    }

    #[test]
    fn a_rejected_transaction_frees_its_nonce_and_a_cancelled_one_does_not() {
        let publisher = publisher();
        let (nonce, record) = publisher.lease_nonce();
        assert_eq!((nonce, record.next_nonce), (3, 4));
        assert_eq!(publisher.end_nonce(3, L1TxState::Rejected).next_nonce, 3);
        publisher.lease_nonce();
        let after = publisher.end_nonce(3, L1TxState::Cancelled);
        assert_eq!((after.next_nonce, after.settled_nonce), (4, 4));
    }

    #[test]
    fn an_account_that_cannot_pay_is_used_again_once_its_balance_rises() {
        let publisher = publisher();
        publisher.note_balance(1, U256::from(100));
        assert!(publisher.can_pay(U256::from(100), U256::from(50)));
        publisher.note_broke();
        assert!(!publisher.can_pay(U256::from(100), U256::from(50)));
        assert!(publisher.can_pay(U256::from(101), U256::from(50)));
        assert!(!publisher.can_pay(U256::ZERO, U256::ZERO));
    }
}
