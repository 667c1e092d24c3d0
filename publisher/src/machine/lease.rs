//! What is done about a job that waits: it expires, or it becomes a transaction of an account.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use fermata_primitives::UnixTime;

use crate::error::AccountBalance;
use crate::fees::horizon;
use crate::machine::account::{Account, MOST_IN_FLIGHT, Role};
use crate::machine::job::{Gas, Pinned, Waiting};
use crate::machine::step::{Effect, Lease, Note, Record, Step};
use crate::machine::tx::Tx;
use crate::machine::{Machine, Rules, is_answered};
use crate::records::{AttemptKind, AttemptRecord, IntentRecord};
use crate::tx::{SignedTx, TRANSFER_GAS, TxBody};
use crate::window::{NextBlock, Position, Window};
use crate::{Error, Fees, Outcome, PreparedBlobs, RejectReason, first_fees};

/// A pool holds transactions of one type of an account at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lane {
    Plain,
    Blob,
}

impl Lane {
    pub(super) const fn of(blob_count: usize) -> Self {
        if blob_count > 0 { Self::Blob } else { Self::Plain }
    }
}

/// Which account a job gets.
enum Choice {
    Account(Address),
    /// All that could are busy, or have not been looked at.
    Wait,
    Unfunded(Vec<AccountBalance>),
}

impl Machine {
    /// The next step for a job that waits.
    pub(super) fn attend(&self, waiting: &Waiting, rules: &Rules<'_>) -> Option<Step> {
        let job = &waiting.job;
        if let Some(reason @ RejectReason::EstimateReverted { .. }) = &waiting.reason {
            return Some(ended(waiting, Ok(Outcome::Rejected { reason: reason.clone() })));
        }
        match self.position(job.request.window(), rules) {
            Position::Behind => return Some(self.too_late(waiting)),
            Position::Before => return None,
            Position::Within => {}
        }
        if self.beat < waiting.held_until {
            return None;
        }
        match self.priced(waiting, rules)? {
            Ok(fees) => self.launch(waiting, fees, rules),
            Err(ceiling) => Some(self.hold(waiting, ceiling)),
        }
    }

    /// It is tried again at the next head: until then, no more may be bid or spent.
    fn hold(&self, waiting: &Waiting, ceiling: crate::CeilingExceeded) -> Step {
        Note::Hold { job: waiting.job.id, until: self.beat + 1, reason: ceiling.into() }.into()
    }

    /// Where the next L1 block lies.
    pub(super) fn position(&self, window: Window, rules: &Rules<'_>) -> Position {
        window.position(self.next_block(rules), rules.time)
    }

    fn next_block(&self, rules: &Rules<'_>) -> NextBlock {
        NextBlock { due: self.next_block_at(rules), slot: rules.ethereum_slot }
    }

    /// The deadline is out of reach: answers what stood in the way, or that nobody asked in time.
    fn too_late(&self, waiting: &Waiting) -> Step {
        let outcome = match waiting.reason.clone() {
            Some(reason) => Outcome::Rejected { reason },
            None => Outcome::Expired,
        };
        ended(waiting, Ok(outcome))
    }

    /// The first bid, with headroom until the deadline; `None` before L1 was looked at.
    pub(super) fn priced(&self, waiting: &Waiting, rules: &Rules<'_>) -> Option<Result<Fees, crate::CeilingExceeded>> {
        let market = self.market(waiting.job.blob_count())?;
        let secs_left = waiting.job.request.deadline.0.saturating_sub(self.head.timestamp.0);
        let blocks = horizon(secs_left, rules.ethereum_slot.as_secs());
        Some(first_fees(&market, blocks, &rules.fees))
    }

    /// Account, gas, nonce, signature.
    fn launch(&self, waiting: &Waiting, fees: Fees, rules: &Rules<'_>) -> Option<Step> {
        let job = &waiting.job;
        let gas = if let Gas::Limit(gas) = waiting.gas { gas } else { TRANSFER_GAS };
        let cost = fees.max_cost(gas, job.blob_count()) + job.request.value;
        let account = match self.choose(waiting, cost) {
            Choice::Account(account) => account,
            Choice::Wait => return None,
            Choice::Unfunded(accounts) => return Some(ended(waiting, Err(Error::Unfunded { needed: cost, accounts }))),
        };
        match waiting.gas {
            Gas::Limit(gas_limit) => self.lease(waiting, (account, fees, gas_limit), rules),
            Gas::Unknown => {
                let estimate = Effect::Estimate { job: job.clone(), account, fees };
                Some(Step::from(Note::AskGas { job: job.id }).then(estimate))
            }
            Gas::Asked => None,
        }
    }

    fn lease(
        &self,
        waiting: &Waiting,
        (address, fees, gas_limit): (Address, Fees, u64),
        rules: &Rules<'_>,
    ) -> Option<Step> {
        let job = &waiting.job;
        if let Err(ceiling) = self.within_spending(fees.max_cost(gas_limit, job.blob_count()), None, rules) {
            return Some(self.hold(waiting, ceiling));
        }
        let account = self.accounts.get(&address)?;
        let nonce = account.ledger.next();
        let lease = match self.signed_lease(waiting, (address, nonce), (fees, gas_limit), rules)? {
            Ok(lease) => Lease { account: account.record_after_lease(nonce), ..lease },
            Err(error) => return Some(ended(waiting, Err(error))),
        };
        let id = lease.intent.id;
        Some(Step::from(Record::Lease(Box::new(lease))).then(Effect::Send(id, 0)))
    }

    /// The job as a transaction with this nonce, signed; the account's record is as it was. None without a key.
    pub(super) fn signed_lease(
        &self,
        waiting: &Waiting,
        (address, nonce): (Address, u64),
        (fees, gas_limit): (Fees, u64),
        rules: &Rules<'_>,
    ) -> Option<Result<Lease, Error>> {
        let job = &waiting.job;
        let body = TxBody {
            chain_id: rules.chain_id,
            nonce,
            to: job.request.to,
            value: job.request.value,
            calldata: job.request.calldata.clone(),
            gas_limit,
            fees,
            versioned_hashes: job.blobs.as_ref().map(PreparedBlobs::versioned_hashes).unwrap_or_default(),
        };
        let signed = match SignedTx::sign(body, rules.signers.get(&address)?) {
            Ok(signed) => signed,
            Err(error) => return Some(Err(error)),
        };
        let mut intent = IntentRecord::new(&job.request, (address, nonce), gas_limit, rules.time);
        intent.id = self.next_id;
        let (kind, hash) = (AttemptKind::Initial, signed.hash());
        let attempt = AttemptRecord { kind, fees, hash, signed: signed.canonical() };
        let account = self.accounts.get(&address)?.record();
        Some(Ok(Lease { tries: waiting.tries, job: job.clone(), intent, attempt, account }))
    }

    /// The account that carries least, then the richest, then the least recently used, of those that may and can pay; one that
    /// others use as well comes last.
    fn choose(&self, waiting: &Waiting, cost: U256) -> Choice {
        let kind = Lane::of(waiting.job.blob_count());
        let candidates: BTreeMap<_, _> = self.candidates(waiting.job.account).collect();
        if candidates.values().any(|account| !self.is_fresh(account, waiting)) {
            return Choice::Wait;
        }
        let can_pay = |account: &Account| {
            let balance = account.balance().unwrap_or_default();
            account.broke_at.is_none() && !balance.is_zero() && balance >= cost
        };
        if !candidates.values().any(|account| can_pay(account)) {
            let holds = |(address, account): (&Address, &&Account)| AccountBalance {
                account: *address,
                balance: account.balance().unwrap_or_default(),
            };
            return Choice::Unfunded(candidates.iter().map(holds).collect());
        }
        let free = candidates
            .into_iter()
            .filter(|(address, account)| can_pay(account) && self.has_room((*address, account), kind, cost));
        let rank = |(address, account): &(Address, &Account)| {
            let (load, richest) = (self.in_flight(*address).count(), Reverse(account.balance()));
            (account.is_avoided(self.beat), load, richest, account.last_used)
        };
        free.min_by_key(rank).map_or(Choice::Wait, |(address, _)| Choice::Account(address))
    }

    /// The accounts that may send it: any publisher, or the one it names.
    pub(super) fn candidates(&self, pinned: Pinned) -> impl Iterator<Item = (Address, &Account)> {
        let may = move |address: Address, account: &Account| match pinned {
            Pinned::Any => account.role == Role::Publisher,
            Pinned::Only(only) => address == only,
        };
        let all = self.accounts.iter().map(|(address, account)| (*address, account));
        all.filter(move |(address, account)| may(*address, account))
    }

    /// True when the account can take one more: no node refused it at this head for what else it has, its last transaction was
    /// answered, none is about to leave its nonce to this one, all are of one type, pools have a place for it, and the balance covers everything that is not in a block.
    fn has_room(&self, (address, account): (Address, &Account), lane: Lane, cost: U256) -> bool {
        let in_flight: Vec<&Tx> = self.in_flight(address).collect();
        let reserved = in_flight.iter().fold(U256::ZERO, |sum, tx| sum + tx.reserved());
        let fits = |tx: &&Tx| is_answered(tx) && Lane::of(tx.stored.intent.blob_count) == lane && !self.is_overdue(tx);
        account.occupied_at != Some(self.beat)
            && in_flight.len() < MOST_IN_FLIGHT
            && in_flight.iter().all(fits)
            && account.balance().unwrap_or_default() >= reserved + cost
    }

    /// True when the account was looked at now, or a head ago for a job that was there already: a job that comes ahead of its
    /// window costs no call at the moment it is sent. And its next nonce is known.
    pub(super) fn is_fresh(&self, account: &Account, waiting: &Waiting) -> bool {
        let is_recent = |at: u64| at >= self.beat || (at + 1 == self.beat && at >= waiting.since);
        !account.nonce_in_doubt && account.sight.is_some_and(|sight| is_recent(sight.at))
    }

    /// When to look again though L1 has no new head: a slot of L1 may go without a block.
    pub(crate) fn wake_at(&self, rules: &Rules<'_>) -> Option<UnixTime> {
        let next = self.next_block(rules);
        let mut windows = self.waiting.iter().map(|waiting| waiting.job.request.window());
        windows.find_map(|window| window.wakes_at(next, rules.time))
    }
}

/// The job has its answer.
fn ended(waiting: &Waiting, answer: Result<Outcome, Error>) -> Step {
    let job = waiting.job.id;
    Step::from(Note::Drop { job }).then(Effect::Answer(job, answer))
}
