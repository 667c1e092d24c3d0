//! What a publisher manager tells about itself.

use std::sync::PoisonError;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use fermata_primitives::{L1Timestamp, UnixTime};

use crate::core::Core;
use crate::records::StoredTx;
use crate::run::Run;
use crate::{Error, Fees, L1TxState, MinedTx};

/// A manager and its accounts.
#[derive(Clone, Debug, PartialEq)]
pub struct PublisherStatus {
    /// True between a start and a stop.
    pub running: bool,
    /// Its accounts, in the order of the keys.
    pub accounts: Vec<AccountStatus>,
    /// The account that tops them up, where that is configured.
    pub funder: Option<AccountStatus>,
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
    /// How many more transactions like the dearest of its last ones its balance pays for. `None` before one has landed and
    /// its balance was read, and for the funder.
    pub checkpoints_left: Option<u64>,
    /// What the funder gave it in this run.
    pub topped_up: ToppedUp,
}

/// What an account got from the funder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ToppedUp {
    /// How often.
    pub times: u64,
    /// How much in all, in wei.
    pub wei: U256,
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

/// What a status is made of.
pub(crate) struct StatusView<'a> {
    pub(crate) core: &'a Core,
    pub(crate) run: Option<&'a Run>,
    pub(crate) unsettled: &'a [StoredTx],
}

impl StatusView<'_> {
    /// An account as the desk shows it, or the store while nothing runs.
    pub(crate) async fn account(&self, address: Address) -> Result<AccountStatus, Error> {
        let stored = self.core.on_store(move |store| store.account(address)).await?;
        let live = self.run.and_then(|run| run.desk.accounts().remove(&address));
        let in_flight = self.unsettled.iter().filter(|tx| !tx.intent.state.is_settled());
        let mine = in_flight.filter(|tx| tx.intent.account == address);
        Ok(AccountStatus {
            address,
            next_nonce: live.as_ref().map_or(stored.next_nonce, |live| live.next_nonce),
            balance: live.and_then(|live| live.balance),
            in_flight: mine.map(|tx| InFlightTx::of(tx, self.core.clock.now())).collect(),
            checkpoints_left: None,
            topped_up: ToppedUp::default(),
        })
    }

    /// The same, with how far its balance goes, and what it was given.
    pub(crate) async fn publisher(&self, address: Address) -> Result<AccountStatus, Error> {
        let status = self.account(address).await?;
        let dearest = self.core.on_store(move |store| store.dearest(address)).await?;
        let left = |(balance, cost): (U256, U256)| balance.checked_div(cost).map(|left| left.saturating_to());
        let given = self.run.map(|run| run.given.lock().unwrap_or_else(PoisonError::into_inner));
        let topped_up = given.and_then(|given| given.get(&address).copied()).unwrap_or_default();
        Ok(AccountStatus { checkpoints_left: status.balance.zip(dearest).and_then(left), topped_up, ..status })
    }
}
