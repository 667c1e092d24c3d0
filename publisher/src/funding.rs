//! Publishers that run low are topped up from the funder.
//!
//! ```text
//! balances -> a plan -> one request of the funder's, through the desk like every other -> recorded -> broadcast -> followed
//! ```
//!
//! Its dedup key names a span of L1 time: so a crash and a restart within it cannot fund twice.

mod config;
mod plan;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::{Address, B256, Bytes, U256};
use fermata_primitives::L1Timestamp;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::broadcast_gate::BroadcastGate;
use crate::core::Core;
use crate::desk::{AccountView, DeskHandle, Mail};
use crate::fees::MAX_HORIZON;
use crate::front::Front;
use crate::funding::plan::{Purse, TopUps, plan_top_ups, whole_round};
use crate::machine::account::Role;
use crate::machine::job::{JobIds, Pinned};
use crate::machine::news::{Look, News};
use crate::machine::questions::{AccountQuestion, Questions};
use crate::window::with_cause;
use crate::{
    AccountBalance, Error, FeeMarket, Fees, L1HeadInfo, L1Request, LastTopUp, Outcome, RequestBlobs, SuccessRule,
    ToppedUp, first_fees,
};

pub(crate) use config::CAP_SPAN;
pub use config::{FundingConfig, InvalidFunding, PublisherKeys};

/// A funder that runs low is told of once in this many L1 blocks.
const WARN_EVERY: u64 = 50;
/// A top-up has at least this many L1 slots to land.
const LEAST_SLOTS: u32 = 8;

/// What was given in this run, for others to look at.
pub(crate) type Given = Arc<Mutex<Gifts>>;

/// What was given in this run.
#[derive(Debug, Default)]
pub(crate) struct Gifts {
    pub(crate) by_account: BTreeMap<Address, ToppedUp>,
    /// The newest transaction that gave.
    pub(crate) last: Option<LastTopUp>,
}

/// The task that tops up. One round after the other: no two overlap.
#[derive(Debug)]
pub(crate) struct Funding {
    core: Arc<Core>,
    desk: DeskHandle,
    shown: watch::Receiver<BTreeMap<Address, AccountView>>,
    ids: JobIds,
    config: FundingConfig,
    funder: Address,
    publishers: Vec<Address>,
    given: Given,
    /// The tick in which a top-up was last asked for.
    asked_in: Option<u64>,
    /// The head at which balances were last looked at.
    looked_at: Option<B256>,
    /// The height at which the funder was last said to run low.
    warned_at: Option<u64>,
}

/// Who gives and who gets.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) funder: Address,
    pub(crate) publishers: Vec<Address>,
}

impl Accounts {
    /// As the machine has them; `None` without a funder.
    pub(crate) fn of(machine: &crate::machine::Machine) -> Option<Self> {
        let funder = machine.with_role(Role::Funder).next()?;
        Some(Self { funder, publishers: machine.with_role(Role::Publisher).collect() })
    }
}

/// What the funder must hold to lift so many publishers from nothing to the target, at the fees of the head; `None` where no
/// funding is configured. In wei.
pub(crate) fn needed(core: &Core, publishers: usize) -> Option<U256> {
    let config = core.config.funding.as_ref()?;
    let market = FeeMarket { base_fee: core.head().base_fee, blob_base_fee: None, suggested_tip: 0 };
    // Above the ceiling nothing is sent: what is given counts alone then.
    let free = Fees { max_fee_per_gas: 0, tip: 0, max_fee_per_blob_gas: None };
    let fees = first_fees(&market, MAX_HORIZON, &core.fees()).unwrap_or(free);
    Some(whole_round(publishers, config, fees))
}

impl Funding {
    /// The funding of a run; `None` where none is configured.
    pub(crate) fn new(core: &Arc<Core>, desk: &DeskHandle, (accounts, ids): (Accounts, JobIds)) -> Option<Self> {
        Some(Self {
            config: core.config.funding.clone()?,
            core: Arc::clone(core),
            desk: desk.clone(),
            shown: desk.watch_accounts(),
            ids,
            funder: accounts.funder,
            publishers: accounts.publishers,
            given: Given::default(),
            asked_in: None,
            looked_at: None,
            warned_at: None,
        })
    }

    /// What it gives, as it goes on.
    pub(crate) fn given(&self) -> Given {
        Arc::clone(&self.given)
    }

    /// Tops up until the run stops.
    pub(crate) async fn run(mut self) {
        let clock = self.core.clock.clone();
        loop {
            tokio::select! {
                () = clock.sleep(self.config.every) => {}
                () = self.until_low() => {}
            }
            self.tick().await;
        }
    }

    /// Resolves once the desk shows a publisher below the threshold, at a head that was not looked at yet.
    async fn until_low(&mut self) {
        loop {
            let is_low = self.is_low();
            if is_low && self.looked_at != Some(self.core.head().hash) {
                return;
            }
            if self.shown.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn is_low(&mut self) -> bool {
        let shown = self.shown.borrow_and_update();
        let balance = |publisher| shown.get(publisher).and_then(|view: &AccountView| view.balance);
        self.publishers.iter().filter_map(balance).any(|balance| balance < self.config.threshold)
    }

    async fn tick(&mut self) {
        let head = self.core.head();
        self.looked_at = Some(head.hash);
        let tick = head.timestamp.0 / self.config.every.as_secs().max(1);
        if self.asked_in == Some(tick) {
            return;
        }
        match self.planned(&head).await {
            Ok(top_ups) if top_ups.0.is_empty() => {}
            Ok(top_ups) => {
                self.asked_in = Some(tick);
                self.give(top_ups, &head, tick).await;
            }
            Err(error) => warn!(error = with_cause(&error), "who is to be topped up cannot be told now"),
        }
    }

    /// What is to be given now. Nothing while an earlier top-up is in flight: what it gives is in no balance yet.
    async fn planned(&mut self, head: &L1HeadInfo) -> Result<TopUps, Error> {
        let (funder, now) = (self.funder, self.core.clock.now());
        let outlay = self.core.on_store(move |store| store.outlay(funder, now)).await?;
        if outlay.is_in_flight {
            return Ok(TopUps::default());
        }
        let look = self.core.look_at_accounts(&self.questions(), head).await?;
        // The last top-up is in no block that this answer is of, or not yet: nor is what it gave in these balances.
        if look.accounts.iter().any(|(of, sight)| *of == funder && sight.latest_nonce < outlay.next_nonce) {
            return Ok(TopUps::default());
        }
        let Some(fees) = self.fees(&look, head) else { return Ok(TopUps::default()) };
        let balances: Vec<_> = look.accounts.iter().map(|(account, sight)| (*account, sight.balance)).collect();
        self.desk.post(Mail::News(News::Balances(balances.clone()))).await;
        let held = |account| balances.iter().find(|(of, _)| *of == account).map(|(_, balance)| *balance);
        let publishers: Vec<_> = self
            .publishers
            .iter()
            .filter_map(|account| Some(AccountBalance { account: *account, balance: held(*account)? }))
            .collect();
        let purse = Purse { balance: held(funder).unwrap_or_default(), fees, spent_this_hour: outlay.within_hour };
        self.watch_funder(&purse, head);
        self.without_multicall(plan_top_ups(&publishers, &self.config, &purse)).await
    }

    fn questions(&self) -> Questions {
        let question =
            |address: &Address| AccountQuestion { address: *address, wants_pending: false, wants_final: false };
        let accounts = self.publishers.iter().chain([&self.funder]).map(question).collect();
        Questions { accounts, ..Questions::default() }
    }

    /// What the funder would bid now; `None` while that is above the ceiling.
    fn fees(&self, look: &Look, head: &L1HeadInfo) -> Option<Fees> {
        let market = FeeMarket { base_fee: head.base_fee, blob_base_fee: None, suggested_tip: look.suggested_tip };
        first_fees(&market, MAX_HORIZON, &self.core.fees()).ok()
    }

    /// Says now and then that the funder cannot lift every publisher from nothing to the target.
    fn watch_funder(&mut self, purse: &Purse, head: &L1HeadInfo) {
        let needed = whole_round(self.publishers.len(), &self.config, purse.fees);
        let is_told = self.warned_at.is_some_and(|at| head.number.abs_diff(at) < WARN_EVERY);
        if purse.balance < needed && !is_told {
            self.warned_at = Some(head.number);
            let (funder, balance) = (self.funder, purse.balance);
            warn!(%funder, %balance, %needed, "the funder cannot top up every publisher: send to it");
        }
    }

    /// Where there is no Multicall3, the lowest account alone is topped up.
    async fn without_multicall(&self, mut top_ups: TopUps) -> Result<TopUps, Error> {
        if top_ups.0.len() > 1 && !self.core.l1.has_code(self.config.multicall).await? {
            top_ups.0.truncate(1);
        }
        Ok(top_ups)
    }

    async fn give(&self, top_ups: TopUps, head: &L1HeadInfo, tick: u64) {
        let (answer, answered) = oneshot::channel();
        let front = Front {
            core: Arc::clone(&self.core),
            desk: self.desk.clone(),
            id: self.ids.next(),
            request: self.request(&top_ups, head, tick),
            account: Pinned::Only(self.funder),
            gate: Arc::new(BroadcastGate::default()),
            interrupt: CancellationToken::new(),
            answer,
        };
        let ((), answer) = tokio::join!(front.run(), answered);
        // Without an answer the run has ended.
        let Ok(answer) = answer else { return };
        self.note(&top_ups, answer);
    }

    /// One account gets a plain transfer, several share a call of Multicall3.
    fn request(&self, top_ups: &TopUps, head: &L1HeadInfo, tick: u64) -> L1Request {
        let (to, calldata) = match top_ups.0.as_slice() {
            [only] => (only.account, Bytes::new()),
            _ => (self.config.multicall, top_ups.calldata()),
        };
        let slot = self.core.config.ethereum_slot;
        let lasts = self.config.every.max(slot * LEAST_SLOTS).as_secs();
        L1Request {
            label: format!("top-up {tick}"),
            dedup_key: Some(format!("funding/{tick}")),
            to,
            calldata,
            value: top_ups.total(),
            blobs: RequestBlobs::None,
            gas_limit: Some(top_ups.gas_limit()),
            not_before: L1Timestamp(0),
            deadline: head.timestamp.plus_secs(lasts),
            success: SuccessRule::Status,
        }
    }

    fn note(&self, top_ups: &TopUps, answer: Result<Outcome, Error>) {
        let (accounts, wei) = (top_ups.0.len(), top_ups.total());
        self.core.meter.topped_up(&answer, wei);
        match answer {
            Ok(Outcome::Mined(tx)) if tx.succeeded => {
                info!(accounts, %wei, hash = %tx.tx_hash, "topped up");
                let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
                given.last = Some(LastTopUp { at: tx.block_timestamp, tx: tx.tx_hash, accounts, wei });
                for top_up in &top_ups.0 {
                    let of = given.by_account.entry(top_up.account).or_default();
                    of.times += 1;
                    of.wei = of.wei.saturating_add(top_up.amount);
                }
            }
            Ok(Outcome::Interrupted { .. }) => {}
            Ok(outcome @ (Outcome::Mined(_) | Outcome::Expired | Outcome::Rejected { .. })) => {
                warn!(accounts, %wei, ?outcome, "a top-up failed: it is tried again at the next tick");
            }
            Err(error) => {
                warn!(accounts, %wei, error = with_cause(&error), "a top-up failed: it is tried again at the next tick");
            }
        }
    }
}
