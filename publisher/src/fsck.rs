//! An offline look at a store: does everything in it fit together?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use alloy::primitives::{Address, B256};

use crate::machine::account::MOST_IN_FLIGHT;
use crate::records::{AccountRecord, IntentId, IntentRecord, StoredTx};
use crate::store::Store;
use crate::{Error, L1TxState};

/// What a check of a store found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FsckReport {
    /// How many transactions it has, settled ones included.
    pub transactions: usize,
    /// How many of them may be live.
    pub in_flight: usize,
    /// What does not fit, most telling first; none in a sound store.
    pub findings: Vec<FsckFinding>,
}

/// Something in a store that does not fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FsckFinding {
    /// The transaction it is about, by its number in the store, or none where it is about an account or a key.
    pub intent: Option<u64>,
    /// What does not fit.
    pub what: String,
}

impl fmt::Display for FsckFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.intent {
            Some(intent) => write!(f, "transaction {intent}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// All that a store holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) next_id: IntentId,
    pub(crate) txs: BTreeMap<IntentId, StoredTx>,
    pub(crate) accounts: BTreeMap<Address, AccountRecord>,
    /// Hash, and the intent that the index gives it to.
    pub(crate) hashes: HashMap<B256, IntentId>,
    /// Intents that hold a dedup key each, by the key's hash.
    pub(crate) dedup: HashMap<B256, IntentId>,
    /// Intents whose payload, or one of whose blobs, is missing.
    pub(crate) without_payload: Vec<IntentId>,
}

/// Checks the store in `dir`, whichever chain it is of. Nothing is changed. Blocks for disk reads.
///
/// # Errors
/// [`Error::DataDir`] when there is none, [`Error::DataDirHeld`] while a process uses it, and where it cannot be read at all:
/// [`Error::StoreDamaged`], [`Error::StoreNewer`], [`Error::Store`].
pub fn fsck(dir: &Path) -> Result<FsckReport, Error> {
    let contents = Store::open_to_check(dir)?.contents()?;
    let in_flight = contents.txs.values().filter(|tx| !tx.intent.state.is_settled()).count();
    Ok(FsckReport { transactions: contents.txs.len(), in_flight, findings: contents.findings() })
}

impl Contents {
    pub(crate) fn findings(&self) -> Vec<FsckFinding> {
        let mut found = Vec::new();
        found.extend(self.nonces_with_two_intents());
        for tx in self.txs.values() {
            found.extend(self.of_tx(tx).into_iter().map(|what| FsckFinding { intent: Some(tx.intent.id), what }));
        }
        for (address, account) in &self.accounts {
            found.extend(self.of_account(*address, account).into_iter().map(|what| FsckFinding { intent: None, what }));
        }
        let orphaned = self.dedup.values().chain(self.hashes.values()).filter(|id| !self.txs.contains_key(id));
        found.extend(
            orphaned.map(|id| FsckFinding { intent: Some(*id), what: "an index names it, and it is not there".into() }),
        );
        found
    }

    fn nonces_with_two_intents(&self) -> Vec<FsckFinding> {
        let mut owners: HashMap<(Address, u64), IntentId> = HashMap::new();
        let holding = self.txs.values().filter(|tx| !tx.intent.state.freed_its_nonce());
        let twice = holding.filter_map(|tx| {
            let first = owners.insert((tx.intent.account, tx.intent.nonce), tx.intent.id)?;
            if tx.intent.recycles == Some(first) {
                return None;
            }
            let what = format!("nonce {} of {} belongs to transaction {first} too", tx.intent.nonce, tx.intent.account);
            Some(FsckFinding { intent: Some(tx.intent.id), what })
        });
        twice.collect()
    }

    fn of_tx(&self, tx: &StoredTx) -> Vec<String> {
        let (intent, mut found) = (&tx.intent, Vec::new());
        if intent.id >= self.next_id {
            found.push(format!("the next number is {}, so it cannot be there", self.next_id));
        }
        if self.without_payload.contains(&intent.id) {
            found.push("its calldata, or one of its blobs, is missing".into());
        }
        let is_unindexed = |hash: B256| self.hashes.get(&hash).is_none_or(|id| *id < intent.id);
        if !intent.state.freed_its_nonce() && tx.attempts.iter().any(|attempt| is_unindexed(attempt.hash)) {
            found.push("the index of hashes does not lead to it".into());
        }
        for (number, pair) in tx.attempts.windows(2).enumerate() {
            if !pair[1].fees.outbids(&pair[0].fees) {
                found.push(format!("attempt {} does not outbid the one before: no pool would take it", number + 1));
            }
        }
        let free = intent.ineffective_keys();
        let held = intent.dedup_keys().filter(|key| !free.contains(key));
        for key in held.filter(|key| !self.holds(intent, key)) {
            found.push(format!("its dedup key {key:?} is not held: its effect could be tried twice"));
        }
        found
    }

    /// True when the effect of `key` is not tried beside this one: the key is its own, or that of a later one that was made for
    /// the same request when another transaction had taken the nonce of this one.
    fn holds(&self, intent: &IntentRecord, key: &str) -> bool {
        let lost_its_nonce = intent.state == L1TxState::Cancelling && intent.recycles.is_some();
        let holder = self.dedup.get(&alloy::primitives::keccak256(key));
        holder.is_some_and(|id| *id == intent.id || (lost_its_nonce && *id > intent.id))
    }

    fn of_account(&self, address: Address, account: &AccountRecord) -> Vec<String> {
        let mine: Vec<_> = self.txs.values().filter(|tx| tx.intent.account == address).collect();
        let in_flight: Vec<_> = mine.iter().filter(|tx| !tx.intent.state.is_settled()).collect();
        let mut found = Vec::new();
        let highest = mine.iter().filter(|tx| !tx.intent.state.freed_its_nonce()).map(|tx| tx.intent.nonce).max();
        if highest.is_some_and(|nonce| nonce >= account.next_nonce) {
            found.push(format!("nonce {} of {address} comes next, and it is used", account.next_nonce));
        }
        if account.settled_nonce > account.next_nonce {
            found.push(format!("{address} has more final nonces than it ever had"));
        }
        let nonces = in_flight.iter().map(|tx| tx.intent.nonce).collect::<BTreeSet<_>>().len();
        if nonces > MOST_IN_FLIGHT {
            found.push(format!("{address} has {nonces} nonces in flight, and may have {MOST_IN_FLIGHT}"));
        }
        if in_flight.iter().any(|tx| (tx.intent.blob_count > 0) != (in_flight[0].intent.blob_count > 0)) {
            found.push(format!("{address} has transactions of both types in flight: pools take one type at a time"));
        }
        if in_flight.iter().filter(|tx| tx.intent.state == L1TxState::Leased).count() > 1 {
            found.push(format!("{address} has two transactions whose first broadcast was never answered"));
        }
        found
    }
}
