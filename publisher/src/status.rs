//! What a publisher manager tells about itself.

use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use fermata_primitives::{L1Timestamp, UnixTime};

use crate::records::StoredTx;
use crate::{Fees, L1TxState, MinedTx};

/// A manager and its accounts.
#[derive(Clone, Debug, PartialEq)]
pub struct PublisherStatus {
    /// True between a start and a stop.
    pub running: bool,
    /// Its accounts, in the order of the keys.
    pub accounts: Vec<AccountStatus>,
    /// Where it hands transactions over, in the order of [`crate::L1::send_to`].
    pub backends: Vec<BackendStatus>,
}

/// A node that transactions are handed to. Its health outlives a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendStatus {
    /// What it is called.
    pub name: String,
    /// True while it is skipped, since it did not answer several times in a row.
    pub is_open: bool,
    /// How often in a row it did not answer; 0 once it has.
    pub consecutive_failures: u32,
    /// What was last wrong with it, also when it is well again: no answer, or the hash of another transaction. A refusal is an
    /// answer.
    pub last_error: Option<String>,
}

/// One account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountStatus {
    /// Its address.
    pub address: Address,
    /// The nonce that comes next.
    pub next_nonce: u64,
    /// Its balance in wei, as last read in this run.
    pub balance: Option<U256>,
    /// What may be live, oldest first.
    pub in_flight: Vec<InFlightTx>,
}

/// A transaction that may be live.
#[derive(Clone, Debug, PartialEq)]
pub struct InFlightTx {
    /// The request's label.
    pub label: String,
    /// Its nonce.
    pub nonce: u64,
    /// Where it stands.
    pub state: L1TxState,
    /// Every transaction sent for it, the cancel last.
    pub hashes: Vec<B256>,
    /// What the newest of them bids.
    pub fees: Option<Fees>,
    /// Time since it was recorded.
    pub age: Duration,
    /// Its deadline.
    pub deadline: L1Timestamp,
}

/// What a start found and did about it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct StartReport {
    /// Transactions of an earlier run that turned out to be in a block.
    pub settled: Vec<SettledTx>,
    /// Transactions of an earlier run that are followed again.
    pub resumed: Vec<InFlightTx>,
    /// Transactions of an earlier run whose account has no key now: left as they are.
    pub left: Vec<InFlightTx>,
}

/// A transaction that is settled.
#[derive(Clone, Debug, PartialEq)]
pub struct SettledTx {
    /// The request's label.
    pub label: String,
    /// The request's dedup key.
    pub dedup_key: Option<String>,
    /// The end it came to.
    pub state: L1TxState,
    /// Its block, where one holds it or its cancel.
    pub mined: Option<MinedTx>,
}

impl InFlightTx {
    pub(crate) fn of(tx: &StoredTx, now: UnixTime) -> Self {
        Self {
            label: tx.intent.label.clone(),
            nonce: tx.intent.nonce,
            state: tx.intent.state,
            hashes: tx.attempts.iter().map(|attempt| attempt.hash).collect(),
            fees: tx.attempts.last().map(|attempt| attempt.fees),
            age: now.since(tx.intent.recorded_at),
            deadline: tx.intent.deadline,
        }
    }
}

impl SettledTx {
    pub(crate) fn of(tx: &StoredTx) -> Self {
        Self {
            label: tx.intent.label.clone(),
            dedup_key: tx.intent.dedup_key.clone(),
            state: tx.intent.state,
            mined: tx.intent.mined.clone(),
        }
    }
}
