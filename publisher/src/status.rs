//! What a publisher manager tells about itself.

use std::sync::PoisonError;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use fermata_primitives::{L1Timestamp, UnixTime};

use crate::core::Core;
use crate::desk::AccountView;
use crate::machine::account::MOST_IN_FLIGHT;
use crate::machine::job::Waiting;
use crate::records::{AttemptKind, StoredTx};
use crate::run::Run;
use crate::{CeilingExceeded, Error, Fees, L1TxState, MinedTx, PricesStatus, RejectReason, funding};

/// A manager and its accounts.
#[derive(Clone, Debug, PartialEq)]
pub struct PublisherStatus {
    /// True between a start and a stop.
    pub running: bool,
    /// Its accounts, in the order of the keys.
    pub accounts: Vec<AccountStatus>,
    /// The account that tops them up, where that is configured.
    pub funder: Option<FunderStatus>,
    /// Where it hands transactions over, in the order of [`crate::L1::send_to`].
    pub backends: Vec<BackendStatus>,
    /// Requests of this run that have no transaction yet, in the order they came.
    pub waiting: Vec<WaitingRequest>,
    /// What L1 asked for when it was looked at last, and whether its sources agree.
    pub prices: PricesStatus,
}

/// The account that tops up the publishers.
#[derive(Clone, Debug, PartialEq)]
pub struct FunderStatus {
    /// Itself.
    pub account: AccountStatus,
    /// What it must hold to lift every publisher from nothing to the target, in wei, at the fees of the head.
    pub needed: U256,
    /// The newest top-up of this run.
    pub last: Option<LastTopUp>,
}

/// A top-up that landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastTopUp {
    /// Timestamp of its block.
    pub at: L1Timestamp,
    /// Its transaction.
    pub tx: B256,
    /// How many accounts it topped up.
    pub accounts: usize,
    /// What it gave in all, in wei.
    pub wei: U256,
}

/// A request that has no transaction yet.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingRequest {
    /// Its label.
    pub label: String,
    /// The earliest timestamp of a block it may land in.
    pub not_before: L1Timestamp,
    /// Its deadline.
    pub deadline: L1Timestamp,
    /// What stood in the way when it was tried last; `None` before its window opens, and while every account is busy.
    pub reason: Option<RejectReason>,
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
    /// The chain it serves, where that is another than ours: then it is handed nothing.
    pub other_chain: Option<u64>,
}

/// One account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountStatus {
    /// Its address.
    pub address: Address,
    /// Whether it can send.
    pub state: AccountState,
    /// The nonce that comes next.
    pub next_nonce: u64,
    /// How many of its transactions are in blocks, as L1 last said in this run.
    pub latest_nonce: Option<u64>,
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

/// Whether an account can send more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// Nothing runs: nobody looks at it.
    NotWatched,
    /// It can.
    Ready,
    /// It has as many transactions in flight as pools take; the next waits for a block.
    Full,
    /// It holds nothing, or a node said that it cannot pay; it is used again once its balance rises.
    Unfunded,
    /// Its next nonce is not known; L1 is asked.
    NonceInDoubt,
}

impl AccountState {
    /// The word for it in status and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotWatched => "not watched",
            Self::Ready => "ready",
            Self::Full => "full",
            Self::Unfunded => "unfunded",
            Self::NonceInDoubt => "nonce in doubt",
        }
    }

    fn of(live: Option<&AccountView>, in_flight: usize) -> Self {
        match live {
            None => Self::NotWatched,
            Some(live) if live.is_broke || live.balance.is_some_and(|balance| balance.is_zero()) => Self::Unfunded,
            Some(live) if live.is_nonce_in_doubt => Self::NonceInDoubt,
            Some(_) if in_flight >= MOST_IN_FLIGHT => Self::Full,
            Some(_) => Self::Ready,
        }
    }
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
    /// How many of them only bid more.
    pub speed_ups: usize,
    /// How many of them are cancels.
    pub cancels: usize,
    /// How many blobs it carries.
    pub blobs: usize,
    /// What the newest of them bids.
    pub fees: Option<Fees>,
    /// Why its bid could not be raised at this head.
    pub ceiling: Option<CeilingExceeded>,
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
            speed_ups: count(tx, AttemptKind::SpeedUp),
            cancels: count(tx, AttemptKind::Cancel),
            blobs: tx.intent.blob_count,
            fees: tx.attempts.last().map(|attempt| attempt.fees),
            ceiling: None,
            age: now.since(tx.intent.recorded_at),
            deadline: tx.intent.deadline,
        }
    }
}

fn count(tx: &StoredTx, kind: AttemptKind) -> usize {
    tx.attempts.iter().filter(|attempt| attempt.kind == kind).count()
}

impl WaitingRequest {
    pub(crate) fn of(waiting: &Waiting) -> Self {
        let request = &waiting.job.request;
        Self {
            label: request.label.clone(),
            not_before: request.not_before,
            deadline: request.deadline,
            reason: waiting.reason.clone(),
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
        let ceiling = |nonce: u64| live.as_ref().and_then(|live| live.blocked.get(&nonce).copied());
        let in_flight: Vec<_> = mine
            .map(|tx| InFlightTx { ceiling: ceiling(tx.intent.nonce), ..InFlightTx::of(tx, self.core.clock.now()) })
            .collect();
        Ok(AccountStatus {
            address,
            state: AccountState::of(live.as_ref(), in_flight.len()),
            next_nonce: live.as_ref().map_or(stored.next_nonce, |live| live.next_nonce),
            latest_nonce: live.as_ref().and_then(|live| live.latest_nonce),
            balance: live.and_then(|live| live.balance),
            in_flight,
            checkpoints_left: None,
            topped_up: ToppedUp::default(),
        })
    }

    /// The same, with how far its balance goes, and what it was given.
    pub(crate) async fn publisher(&self, address: Address) -> Result<AccountStatus, Error> {
        let status = self.account(address).await?;
        let dearest = self.core.on_store(move |store| store.dearest(address)).await?;
        let left = |(balance, cost): (U256, U256)| balance.checked_div(cost).map(|left| left.saturating_to());
        let topped_up = self.given(|given| given.by_account.get(&address).copied()).unwrap_or_default();
        Ok(AccountStatus { checkpoints_left: status.balance.zip(dearest).and_then(left), topped_up, ..status })
    }

    /// The account that tops up so many publishers.
    pub(crate) async fn funder(&self, address: Address, publishers: usize) -> Result<FunderStatus, Error> {
        let account = self.account(address).await?;
        let needed = funding::needed(self.core, publishers).unwrap_or_default();
        Ok(FunderStatus { account, needed, last: self.given(|given| given.last) })
    }

    fn given<T>(&self, look: impl FnOnce(&funding::Gifts) -> Option<T>) -> Option<T> {
        let given = self.run?.given.lock().unwrap_or_else(PoisonError::into_inner);
        look(&given)
    }
}
