//! One account: its nonces, and what is known of its balance.

use alloy::primitives::U256;

use crate::NonceLedger;
use crate::machine::news::AccountSight;
use crate::records::AccountRecord;

/// Most transactions of an account that may be in flight: pools take 16, and two places are kept for cancels.
pub(crate) const MOST_IN_FLIGHT: usize = 14;

/// Heads for which an account is the last choice after a node refused it for what else it holds: a stranger's transactions
/// land or go, sooner or later.
const AVOIDED_FOR: u64 = 4;

/// What an account is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// It sends what callers ask for.
    Publisher,
    /// It sends only to the publishers, so that they can pay.
    Funder,
}

/// One account of a run.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) role: Role,
    pub(crate) ledger: NonceLedger,
    pub(crate) settled_nonce: u64,
    /// As L1 last showed it.
    pub(crate) sight: Option<AccountSight>,
    /// A node said that the account cannot pay, with this balance: it waits for a higher one.
    pub(crate) broke_at: Option<U256>,
    /// The beat at which a node said that it holds too much of the account, or transactions of the other type, that are not
    /// ours: it is the last one used for a while.
    pub(crate) occupied_at: Option<u64>,
    /// A node said that our next nonce is used: the chain is asked before the next lease.
    pub(crate) nonce_in_doubt: bool,
    /// Counts leases, over all accounts: the lowest was used least recently.
    pub(crate) last_used: u64,
}

impl Account {
    pub(crate) fn load(role: Role, stored: AccountRecord) -> Self {
        Self {
            role,
            ledger: NonceLedger::at_start(0, stored.next_nonce),
            settled_nonce: stored.settled_nonce,
            sight: None,
            broke_at: None,
            occupied_at: None,
            nonce_in_doubt: true,
            last_used: 0,
        }
    }

    /// What L1 shows now. Our ledger is the source: what the chain says only raises it.
    pub(crate) fn observe(&mut self, sight: AccountSight) {
        let chain = sight.pending_nonce.unwrap_or_default().max(sight.latest_nonce);
        self.ledger.raise_floor(chain);
        if sight.pending_nonce.is_some() {
            self.nonce_in_doubt = false;
        }
        self.sight = Some(sight);
        self.observe_balance(sight.balance);
    }

    /// What it holds now; one that could not pay can again once it holds more.
    pub(crate) fn observe_balance(&mut self, balance: U256) {
        if self.broke_at.is_some_and(|broke| balance > broke) {
            self.broke_at = None;
        }
        if let Some(sight) = &mut self.sight {
            sight.balance = balance;
        }
    }

    /// A node said that the account cannot pay: until its balance rises it is not used.
    pub(crate) fn note_broke(&mut self) {
        self.broke_at = Some(self.balance().unwrap_or_default());
    }

    /// True where another account is the better choice at this beat.
    pub(crate) fn is_avoided(&self, beat: u64) -> bool {
        self.occupied_at.is_some_and(|at| beat <= at + AVOIDED_FOR)
    }

    /// The balance, as last read.
    pub(crate) fn balance(&self) -> Option<U256> {
        self.sight.map(|sight| sight.balance)
    }

    /// What is to be kept of it once `nonce` is leased.
    pub(crate) const fn record_after_lease(&self, nonce: u64) -> AccountRecord {
        AccountRecord { next_nonce: nonce + 1, settled_nonce: self.settled_nonce }
    }

    /// What is to be kept of it once `nonce`, the last one leased, is free again.
    pub(crate) const fn record_after_free(&self, nonce: u64) -> AccountRecord {
        AccountRecord { next_nonce: nonce, settled_nonce: self.settled_nonce }
    }

    /// What is to be kept of it as it is.
    pub(crate) const fn record(&self) -> AccountRecord {
        AccountRecord { next_nonce: self.ledger.next(), settled_nonce: self.settled_nonce }
    }
}
