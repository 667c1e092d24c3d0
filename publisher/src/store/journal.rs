//! What happened to transactions, kept longer than they are: for the person who asks afterwards, and for the hour's ceiling.
//!
//! An entry is written in the transaction that makes the change durable, so that the journal never says what did not happen
//! and never leaves out what did. The oldest entries go.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use fermata_primitives::{L1Timestamp, UnixTime};
use heed::RwTxn;
use serde::{Deserialize, Serialize};

use super::Store;
use crate::machine::step::Record;
use crate::records::{AttemptKind, AttemptRecord, Finality, IntentId, IntentRecord};
use crate::{Error, Fees, L1TxState, MinedTx};

/// How many entries are kept.
pub(super) const KEPT: u64 = 100_000;

/// Something that happened to a transaction.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When, by the node's clock.
    pub at: UnixTime,
    /// The transaction, by its number in the store.
    pub intent: u64,
    /// What its caller called it.
    pub label: String,
    /// Who sends it.
    pub account: Address,
    /// Its nonce.
    pub nonce: u64,
    /// What happened.
    pub event: JournalEvent,
}

/// What happened to a transaction.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalEvent {
    /// It was signed and recorded, to be sent.
    Recorded {
        /// Hash of what was signed.
        hash: B256,
        /// What it bids.
        fees: Fees,
        /// The expired transaction, by its number in the store, whose nonce it takes over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recycles: Option<u64>,
    },
    /// The same with a higher bid was recorded, to be sent.
    SpedUp {
        /// Hash of what was signed.
        hash: B256,
        /// What it bids.
        fees: Fees,
    },
    /// What takes its nonce back was recorded, to be sent.
    CancelRecorded {
        /// Hash of what was signed.
        hash: B256,
        /// What it bids.
        fees: Fees,
    },
    /// It moved.
    Moved {
        /// Where to.
        state: L1TxState,
        /// The block that holds it.
        landed: Option<Landed>,
        /// How far that block is believed.
        finality: Finality,
    },
}

/// A block holds a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Landed {
    /// Number of the block.
    pub block: u64,
    /// Its timestamp.
    pub at: L1Timestamp,
    /// What the transaction has cost in it besides its value, in wei.
    pub fees_wei: U256,
}

impl Landed {
    pub(crate) fn of(mined: &MinedTx) -> Self {
        Self { block: mined.block_number, at: mined.block_timestamp, fees_wei: mined.fees_paid() }
    }
}

impl JournalEvent {
    const fn of_attempt(intent: &IntentRecord, attempt: &AttemptRecord) -> Self {
        let (hash, fees) = (attempt.hash, attempt.fees);
        match attempt.kind {
            AttemptKind::Initial => Self::Recorded { hash, fees, recycles: intent.recycles },
            AttemptKind::SpeedUp => Self::SpedUp { hash, fees },
            AttemptKind::Cancel => Self::CancelRecorded { hash, fees },
        }
    }

    fn of_move(intent: &IntentRecord) -> Self {
        let landed = intent.mined.as_ref().map(Landed::of);
        Self::Moved { state: intent.state, landed, finality: intent.finality }
    }
}

/// The last `most` entries of the journal of the store in `dir`, oldest first. Nothing is changed. Blocks for disk reads.
///
/// # Errors
/// As [`crate::fsck`].
pub fn journal(dir: &Path, most: usize) -> Result<Vec<JournalEntry>, Error> {
    Store::open_to_check(dir)?.last_entries(most)
}

impl Store {
    /// The last `most` entries, oldest first.
    pub(crate) fn last_entries(&self, most: usize) -> Result<Vec<JournalEntry>, Error> {
        let txn = self.read()?;
        let rows = self.db.journal.rev_iter(&txn).map_err(|error| self.failed(error))?;
        let entry = |row: heed::Result<(&[u8], &[u8])>| self.decode(row.map_err(|error| self.failed(error))?.1);
        let mut entries = rows.take(most).map(entry).collect::<Result<Vec<JournalEntry>, Error>>()?;
        entries.reverse();
        Ok(entries)
    }

    /// Where transactions are that moved within `span` before `now`, by the last that is told of each.
    pub(crate) fn landed_within(&self, span: Duration, now: UnixTime) -> Result<BTreeMap<IntentId, Landed>, Error> {
        let txn = self.read()?;
        let mut last = BTreeMap::new();
        for row in self.db.journal.rev_iter(&txn).map_err(|error| self.failed(error))? {
            let (_, bytes) = row.map_err(|error| self.failed(error))?;
            let entry: JournalEntry = self.decode(bytes)?;
            if now.since(entry.at) >= span {
                break;
            }
            if let JournalEvent::Moved { landed, .. } = entry.event {
                last.entry(entry.intent).or_insert(landed);
            }
        }
        Ok(last.into_iter().filter_map(|(intent, landed)| Some((intent, landed?))).collect())
    }

    /// Writes down what `record` makes durable.
    pub(super) fn journal_record(&self, txn: &mut RwTxn<'_>, at: UnixTime, record: &Record) -> Result<(), Error> {
        let entry = match record {
            Record::Lease(lease) => {
                entry_of(at, &lease.intent, JournalEvent::of_attempt(&lease.intent, &lease.attempt))
            }
            Record::Attempt { intent, attempt, number: _ } => {
                let intent = self.intent(txn, *intent)?;
                entry_of(at, &intent, JournalEvent::of_attempt(&intent, attempt))
            }
            Record::Move { intent, account: _ } => entry_of(at, intent, JournalEvent::of_move(intent)),
        };
        let last = self.db.journal.last(txn).map_err(|error| self.failed(error))?;
        let next = match last {
            Some((key, _)) => self.sequence(key)? + 1,
            None => 0,
        };
        self.put(txn, self.db.journal, &next.to_be_bytes(), &entry)?;
        match next.checked_sub(self.keep_entries) {
            Some(oldest) => self.delete(txn, self.db.journal, &oldest.to_be_bytes()),
            None => Ok(()),
        }
    }

    fn sequence(&self, key: &[u8]) -> Result<u64, Error> {
        let key = key.try_into().map_err(|_| self.damaged("a key of the journal is no number".into()))?;
        Ok(u64::from_be_bytes(key))
    }

    fn intent(&self, txn: &RwTxn<'_>, id: IntentId) -> Result<IntentRecord, Error> {
        let intent = self.get(txn, self.db.intents, &id.to_be_bytes())?;
        intent.ok_or_else(|| self.damaged(format!("an attempt names intent {id}, which is missing")))
    }
}

fn entry_of(at: UnixTime, intent: &IntentRecord, event: JournalEvent) -> JournalEntry {
    let (label, account, nonce) = (intent.label.clone(), intent.account, intent.nonce);
    JournalEntry { at, intent: intent.id, label, account, nonce, event }
}
