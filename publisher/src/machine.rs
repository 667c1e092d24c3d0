//! What the publisher knows and what it does next, as pure values.
//!
//! ```text
//! observe(news)  ->  decide(now)  ->  Step  ->  the store commits it  ->  apply(records), note(notes), then its effects
//! ```
//!
//! [`Machine::observe`] takes in what came from outside and changes nothing durable. [`Machine::decide`] looks at all that
//! is known and gives the next step, or none; it changes nothing at all, so that a step that cannot be made durable has
//! not happened and is decided again. One task owns the machine: no nonce is ever decided twice.

pub(crate) mod account;
mod follow;
pub(crate) mod job;
mod lease;
pub(crate) mod news;
pub(crate) mod questions;
mod recycle;
mod replace;
mod spending;
pub(crate) mod step;
#[cfg(test)]
mod tests;
pub(crate) mod tx;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use fermata_primitives::{L1Timestamp, UnixTime};

use crate::classify::{RefusalClass, Verdict};
use crate::desk::AccountView;
use crate::machine::account::{Account, Role};
use crate::machine::job::{Gas, JobId, Waiting};
use crate::machine::news::{Look, News, TxSight};
use crate::machine::step::{Lease, Note, Record, Step};
use crate::machine::tx::{FirstAnswer, Seen, Tx};
use crate::records::{AccountRecord, AttemptRecord, IntentId, IntentRecord, StoredTx};
use crate::{FeeConfig, FeeMarket, L1HeadInfo, L1TxState, RejectReason};

/// What holds whatever happened.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) chain_id: u64,
    /// Time between two L1 blocks.
    pub(crate) ethereum_slot: Duration,
    /// Blocks that must hold a transaction, its own included, before its end is believed.
    pub(crate) confirmations: u64,
    /// What may be bid.
    pub(crate) fees: FeeConfig,
    /// What was paid for transactions within the last hour, in wei.
    pub(crate) spent_within_hour: U256,
    pub(crate) signers: &'a BTreeMap<Address, PrivateKeySigner>,
    /// The time.
    pub(crate) time: UnixTime,
}

/// All that a run knows.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) head: L1HeadInfo,
    /// Heads seen in this run: the time by which everything is counted that happens once a head. L1's numbers go back.
    pub(crate) beat: u64,
    /// The tip the node suggested last, in wei; none before the first look.
    pub(crate) suggested_tip: Option<u128>,
    /// The blob base fee, where the head does not tell it, and the head at which it was asked for.
    blob_base_fee: Option<(u64, u128)>,
    pub(crate) accounts: BTreeMap<Address, Account>,
    pub(crate) txs: BTreeMap<IntentId, Tx>,
    pub(crate) waiting: VecDeque<Waiting>,
    /// The number of the next intent.
    next_id: IntentId,
    leases: u64,
}

impl Machine {
    /// As the store has it. `accounts` are those that have a key; the first publisher is used first.
    pub(crate) fn load(
        head: L1HeadInfo,
        accounts: Vec<(Address, Role, AccountRecord)>,
        stored: Vec<StoredTx>,
        next_id: IntentId,
    ) -> Self {
        let mut machine = Self {
            head,
            beat: 1,
            suggested_tip: None,
            blob_base_fee: None,
            accounts: BTreeMap::new(),
            txs: BTreeMap::new(),
            waiting: VecDeque::new(),
            next_id,
            leases: 0,
        };
        for (address, role, record) in accounts {
            machine.leases += 1;
            machine.accounts.insert(address, Account { last_used: machine.leases, ..Account::load(role, record) });
        }
        for tx in stored {
            if let Some(account) = machine.accounts.get_mut(&tx.intent.account) {
                account.ledger.resume(tx.intent.nonce);
                machine.txs.insert(tx.intent.id, Tx::resumed(tx, machine.beat));
            }
        }
        machine
    }

    /// The earliest timestamp the next L1 block can have.
    pub(crate) fn next_block_at(&self, rules: &Rules<'_>) -> L1Timestamp {
        self.head.timestamp.plus_secs(rules.ethereum_slot.as_secs())
    }

    /// What L1 asks for, as last seen; `None` before it was looked at.
    pub(crate) fn market(&self, blob_count: usize) -> Option<FeeMarket> {
        let blob_base_fee = match blob_count {
            0 => None,
            _ => Some(self.head.blob_base_fee.or_else(|| self.asked_blob_base_fee())?),
        };
        Some(FeeMarket { base_fee: self.head.base_fee, blob_base_fee, suggested_tip: self.suggested_tip? })
    }

    fn asked_blob_base_fee(&self) -> Option<u128> {
        self.blob_base_fee.filter(|(at, _)| *at == self.beat).map(|(_, fee)| fee)
    }

    /// The transactions of an account that no block holds, lowest nonce first. Of those with one nonce, the one that acts.
    pub(crate) fn in_flight(&self, account: Address) -> impl Iterator<Item = &Tx> {
        let mut found: Vec<_> =
            self.txs.values().filter(|tx| is_in_flight_of(tx, account) && !self.is_outdone(tx)).collect();
        found.sort_by_key(|tx| tx.stored.intent.nonce);
        found.into_iter()
    }

    /// Every transaction, as the store has it.
    pub(crate) fn stored_txs(&self) -> BTreeMap<IntentId, StoredTx> {
        self.txs.iter().map(|(id, tx)| (*id, tx.stored.clone())).collect()
    }

    /// Every account, by its role.
    pub(crate) fn with_role(&self, role: Role) -> impl Iterator<Item = Address> {
        self.accounts.iter().filter(move |(_, account)| account.role == role).map(|(address, _)| *address)
    }

    /// What others see of the accounts.
    pub(crate) fn views(&self) -> BTreeMap<Address, AccountView> {
        let view = |(address, account): (&Address, &Account)| {
            let blocked = self.in_flight(*address).filter_map(|tx| Some((tx.stored.intent.nonce, tx.seen.blocked?)));
            let view = AccountView {
                next_nonce: account.ledger.next(),
                latest_nonce: account.sight.map(|sight| sight.latest_nonce),
                is_nonce_in_doubt: account.nonce_in_doubt,
                balance: account.balance(),
                is_broke: account.broke_at.is_some(),
                blocked: blocked.collect(),
            };
            (*address, view)
        };
        self.accounts.iter().map(view).collect()
    }

    /// L1 could not be looked at: whatever waits knows why.
    pub(crate) fn note_unusable(&mut self, message: &str) {
        for waiting in &mut self.waiting {
            waiting.reason = Some(RejectReason::L1Unusable { message: message.to_owned() });
        }
    }

    /// The next step, or none while there is nothing to do. What is on its way comes before what waits.
    pub(crate) fn decide(&self, rules: &Rules<'_>) -> Option<Step> {
        let followed = self.txs.values().find_map(|tx| self.follow(tx, rules));
        followed.or_else(|| self.waiting.iter().find_map(|waiting| self.attend(waiting, rules)))
    }
}

fn is_in_flight_of(tx: &Tx, account: Address) -> bool {
    tx.stored.intent.account == account && !tx.state().is_settled()
}

/// What came from outside.
impl Machine {
    /// Takes in what is new.
    pub(crate) fn observe(&mut self, news: News) {
        let next_beat = self.beat + 1;
        match news {
            News::Head(head) => {
                self.head = head;
                self.beat += 1;
            }
            News::Looked(look) => self.look(look),
            News::Balances(balances) => {
                for (address, balance) in balances {
                    self.with_account(address, |account| account.observe_balance(balance));
                }
            }
            News::Submitted(job) => self.waiting.push_back(Waiting::new(job, self.beat)),
            News::Interrupted(job) => self.interrupt(job),
            News::Estimated(job, Ok(gas)) => self.with_waiting(job, |waiting| waiting.gas = Gas::Limit(gas)),
            News::Estimated(job, Err(data)) => {
                self.with_waiting(job, |waiting| waiting.reason = Some(RejectReason::EstimateReverted { data }));
            }
            News::EstimateFailed(job, message) => self.with_waiting(job, |waiting| {
                (waiting.gas, waiting.held_until) = (Gas::Unknown, next_beat);
                waiting.reason = Some(RejectReason::L1Unusable { message });
            }),
            News::Sent(intent, attempt, verdict) => self.sent(intent, attempt, verdict),
            News::NotSent(intent) => self.with_tx(intent, |tx| {
                tx.seen.sending = None;
                tx.seen.first_answer = Some(FirstAnswer::Withheld);
            }),
        }
    }

    fn with_waiting(&mut self, job: JobId, change: impl FnOnce(&mut Waiting)) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.job.id == job) {
            change(waiting);
        }
    }

    fn with_tx(&mut self, intent: IntentId, change: impl FnOnce(&mut Tx)) {
        if let Some(tx) = self.txs.get_mut(&intent) {
            change(tx);
        }
    }

    fn look(&mut self, look: Look) {
        for waiting in &mut self.waiting {
            waiting.reason.take_if(|reason| matches!(reason, RejectReason::L1Unusable { .. }));
        }
        self.suggested_tip = Some(look.suggested_tip);
        if let Some(fee) = look.blob_base_fee {
            self.blob_base_fee = Some((look.at, fee));
        }
        for (address, sight) in look.accounts {
            if let Some(account) = self.accounts.get_mut(&address) {
                account.observe(sight);
            }
        }
        for (intent, sight) in look.txs {
            self.with_tx(intent, |tx| tx.seen.look(look.at, sight));
        }
    }

    /// What waits is given up; what may be live is only watched from now on.
    fn interrupt(&mut self, job: JobId) {
        self.waiting.retain(|waiting| waiting.job.id != job);
        let mut mine = self.txs.values_mut().filter(|tx| tx.job.as_ref().is_some_and(|of| of.id == job));
        if let Some(tx) = mine.next() {
            tx.seen.is_interrupted = true;
        }
    }

    fn sent(&mut self, intent: IntentId, attempt: usize, verdict: Verdict) {
        let beat = self.beat;
        self.with_tx(intent, |tx| {
            tx.seen.sending = None;
            tx.seen.probed_at = beat;
            tx.seen.in_pool = verdict == Verdict::Accepted;
            if matches!(verdict, Verdict::Ambiguous { .. }) {
                // Nobody knows: L1 is asked at once.
                tx.seen.sight = None;
            }
            tx.seen.is_too_low = verdict.class() == Some(RefusalClass::ReplacementUnderpriced);
            if attempt == 0 && tx.state() == L1TxState::Leased {
                tx.seen.first_answer = Some(FirstAnswer::Verdict(verdict));
            }
        });
    }
}

impl Seen {
    /// What L1 showed at this beat.
    fn look(&mut self, beat: u64, sight: TxSight) {
        let is_new = self.sight.as_ref().is_none_or(|(at, _)| *at < beat);
        match sight {
            TxSight::Believed => return self.believe(beat),
            TxSight::InBlock(_) => {}
            TxSight::Pooled | TxSight::Absent => {
                self.in_pool = sight == TxSight::Pooled;
                self.probed_at = beat;
            }
            TxSight::NotInBlock | TxSight::NonceUsed => {}
        }
        if sight == TxSight::NonceUsed {
            self.foreign_since.get_or_insert(beat);
        } else {
            self.foreign_since = None;
        }
        // Doubt about what went out takes the sight away: the same head is no new one for that.
        if is_new && beat > self.sent_at {
            self.resent = 0;
        }
        // The same head is not missed twice.
        if self.in_pool && beat > self.attempted_at && beat > self.missed_at {
            self.missed += 1;
            self.missed_at = beat;
        }
        self.sight = Some((beat, sight));
    }

    /// Its block was removed: unless another holds it, nobody knows who has it, and L1 is asked at once.
    fn lose_block(&mut self) {
        self.in_pool = false;
        self.sight.take_if(|(_, sight)| !matches!(sight, TxSight::InBlock(_)));
    }

    /// What was seen before still holds.
    fn believe(&mut self, beat: u64) {
        let before = self.sight.take().map(|(_, sight)| sight);
        self.sight = Some((beat, before.unwrap_or(TxSight::Believed)));
    }
}

/// What has become durable.
impl Machine {
    /// Knows what the store keeps now.
    pub(crate) fn apply(&mut self, record: Record) {
        match record {
            Record::Lease(lease) => self.leased(*lease),
            Record::Attempt { intent, attempt, number: _ } => self.attempted(intent, attempt),
            Record::Move { intent, account } => self.moved(*intent, account),
        }
    }

    /// Knows what a step has decided beside its records.
    pub(crate) fn note(&mut self, note: Note) {
        let beat = self.beat;
        match note {
            Note::Hold { job, until, reason } => self.with_waiting(job, |waiting| {
                waiting.held_until = until;
                waiting.reason = Some(reason);
            }),
            Note::AskGas { job } => self.with_waiting(job, |waiting| waiting.gas = Gas::Asked),
            Note::Blocked { intent, by } => self.with_tx(intent, |tx| {
                tx.seen.blocked = Some(by);
                tx.seen.attempted_at = beat;
            }),
            Note::Resend { intent, attempt } => self.with_tx(intent, |tx| {
                tx.seen.sending = Some(attempt);
                tx.seen.sent_at = beat;
                tx.seen.resent += 1;
            }),
            Note::Drop { job } => self.waiting.retain(|waiting| waiting.job.id != job),
            Note::Requeue { job, tries, until, reason } => {
                let waiting = Waiting { tries, held_until: until, reason: Some(reason), ..Waiting::new(job, beat) };
                self.waiting.push_front(waiting);
            }
            Note::Broke { account } => self.with_account(account, Account::note_broke),
            Note::Occupied { account } => self.with_account(account, |account| account.occupied_at = Some(beat)),
            Note::DoubtNonce { account } => self.with_account(account, |account| account.nonce_in_doubt = true),
        }
    }

    fn with_account(&mut self, address: Address, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.accounts.get_mut(&address) {
            change(account);
        }
    }

    fn leased(&mut self, lease: Lease) {
        self.waiting.retain(|waiting| waiting.job.id != lease.job.id);
        self.leases += 1;
        self.next_id = lease.intent.id + 1;
        let leases = self.leases;
        self.with_account(lease.intent.account, |account| {
            account.ledger.resume(lease.intent.nonce);
            account.last_used = leases;
        });
        let seen = Seen { sending: Some(0), attempted_at: self.beat, sent_at: self.beat, ..Seen::default() };
        let stored = StoredTx { intent: lease.intent, attempts: vec![lease.attempt] };
        self.txs.insert(stored.intent.id, Tx { stored, job: Some(lease.job), tries: lease.tries, seen });
    }

    fn attempted(&mut self, intent: IntentId, attempt: AttemptRecord) {
        let beat = self.beat;
        self.with_tx(intent, |tx| {
            tx.seen.sending = Some(tx.stored.attempts.len());
            (tx.seen.attempted_at, tx.seen.sent_at) = (beat, beat);
            (tx.seen.missed, tx.seen.in_pool, tx.seen.is_too_low, tx.seen.blocked) = (0, false, false, None);
            tx.stored.attempts.push(attempt);
        });
    }

    fn moved(&mut self, intent: IntentRecord, record: AccountRecord) {
        let (id, nonce, state, frees_its_nonce) = (intent.id, intent.nonce, intent.state, intent.frees_its_nonce());
        self.with_account(intent.account, |account| {
            account.settled_nonce = record.settled_nonce;
            match frees_its_nonce {
                // It is the tail: nothing is leased behind a transaction that was not answered yet.
                true => drop(account.ledger.free(nonce)),
                false if state.is_settled() => account.ledger.settle(nonce),
                false => account.ledger.resume(nonce),
            }
        });
        if intent.is_final() {
            self.txs.remove(&id);
            return;
        }
        self.with_tx(id, |tx| {
            tx.seen.first_answer = None;
            if tx.state().is_settled() && !state.is_settled() {
                tx.seen.lose_block();
            }
            if state.is_settled() || state == L1TxState::Cancelling {
                tx.job = None;
            }
            tx.stored.intent = intent;
        });
    }
}

/// The tail of an account: a job may be leased behind it.
pub(crate) fn is_answered(tx: &Tx) -> bool {
    tx.state() != L1TxState::Leased
}
