//! The publisher's durable records: what may be on L1's way, kept before it is.
//!
//! Every method is one LMDB transaction, on disk when it returns. They block for a disk write: call them off the runtime.

mod journal;
mod outlay;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::{Address, B256};
use fermata_primitives::{UnixTime, crash_point};
use heed::{Env, EnvClosingEvent, RoTxn, RwTxn, WithoutTls};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fsck::Contents;
use crate::machine::step::{Committed, Lease, Record, Step};
use crate::records::{AccountRecord, AttemptRecord, IntentId, IntentRecord, StoredTx};
use crate::store_open::{Databases, DirLock, RawDb, damaged, open_env};
use crate::tx::SignedTx;
use crate::{Error, PreparedBlobs};

pub use journal::{JournalEntry, JournalEvent, Landed, journal};

const NEXT_ID_KEY: &[u8] = b"next_intent_id";

/// The store of one data directory.
#[derive(Debug)]
pub(crate) struct Store {
    env: Env<WithoutTls>,
    db: Databases,
    file: PathBuf,
    keep_settled: usize,
    keep_entries: u64,
    _lock: DirLock,
}

impl Store {
    /// Opens the store in `dir` for `chain_id`; a new one when there is none. The last `keep_settled` settled
    /// transactions are kept.
    pub(crate) fn open(dir: &Path, chain_id: u64, keep_settled: usize) -> Result<Self, Error> {
        let lock = DirLock::take(dir)?;
        let (env, db) = open_env(dir, Some(chain_id))?;
        Ok(Self { env, db, file: dir.join("data.mdb"), keep_settled, keep_entries: journal::KEPT, _lock: lock })
    }

    /// Opens the store in `dir` to look at it. There must be one.
    pub(crate) fn open_to_check(dir: &Path) -> Result<Self, Error> {
        let file = dir.join("data.mdb");
        std::fs::metadata(&file).map_err(|source| Error::DataDir { path: file.clone(), source })?;
        let lock = DirLock::take(dir)?;
        let (env, db) = open_env(dir, None)?;
        Ok(Self { env, db, file, keep_settled: usize::MAX, keep_entries: journal::KEPT, _lock: lock })
    }

    /// All that it holds, the attempts checked against their hashes.
    pub(crate) fn contents(&self) -> Result<Contents, Error> {
        let txn = self.read()?;
        let mut contents = Contents {
            next_id: self.get(&txn, self.db.meta, NEXT_ID_KEY)?.unwrap_or(0),
            hashes: self.ids_by_hash(&txn, self.db.hash_index)?,
            dedup: self.ids_by_hash(&txn, self.db.dedup)?,
            ..Contents::default()
        };
        for row in self.db.accounts.iter(&txn).map_err(|error| self.failed(error))? {
            let (key, bytes) = row.map_err(|error| self.failed(error))?;
            let address = Address::try_from(key).map_err(|_| self.damaged("a key is no account".into()))?;
            contents.accounts.insert(address, self.decode(bytes)?);
        }
        for intent in self.intents(&txn)? {
            let has_blob = |index| Ok(self.get_raw(&txn, self.db.blobs, &numbered(intent.id, index))?.is_some());
            let blobs: Vec<bool> = (0..intent.blob_count).map(has_blob).collect::<Result<_, Error>>()?;
            let has_calldata = self.get_raw(&txn, self.db.payloads, &intent.id.to_be_bytes())?.is_some();
            if !has_calldata || blobs.contains(&false) {
                contents.without_payload.push(intent.id);
            }
            contents.txs.insert(intent.id, self.with_attempts(&txn, intent)?);
        }
        Ok(contents)
    }

    fn ids_by_hash(&self, txn: &RoTxn<'_>, db: RawDb) -> Result<HashMap<B256, IntentId>, Error> {
        let rows = db.iter(txn).map_err(|error| self.failed(error))?;
        let entry = |row: heed::Result<(&[u8], &[u8])>| {
            let (key, id) = row.map_err(|error| self.failed(error))?;
            let hash = B256::try_from(key).map_err(|_| self.damaged("a key of an index is no hash".into()))?;
            let id = id.try_into().map_err(|_| self.damaged("an index names no number".into()))?;
            Ok((hash, IntentId::from_be_bytes(id)))
        };
        rows.map(entry).collect()
    }

    /// The store's file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Gives this reference up; the event comes when the last one is gone.
    pub(crate) fn closing(self: Arc<Self>) -> EnvClosingEvent {
        self.env.clone().prepare_for_closing()
    }

    /// The nonces of an account; zeros when it was never used.
    pub(crate) fn account(&self, account: Address) -> Result<AccountRecord, Error> {
        let txn = self.read()?;
        Ok(self.get(&txn, self.db.accounts, account.as_slice())?.unwrap_or_default())
    }

    /// The number of the next intent.
    pub(crate) fn next_id(&self) -> Result<IntentId, Error> {
        let txn = self.read()?;
        Ok(self.get(&txn, self.db.meta, NEXT_ID_KEY)?.unwrap_or(0))
    }

    /// Makes a step durable that was decided `at` this time, in one transaction with its entries in the journal.
    ///
    /// # Errors
    /// [`Error::Store`]: the step has not happened, and is decided again.
    pub(crate) fn commit_step(&self, step: Step, at: UnixTime) -> Result<Committed, Error> {
        step.commit(|records| self.write_records(records, at))
    }

    fn write_records(&self, records: &[Record], at: UnixTime) -> Result<(), Error> {
        let mut txn = self.write()?;
        for record in records {
            match record {
                Record::Lease(lease) => self.write_lease(&mut txn, lease)?,
                Record::Attempt { intent, number, attempt } => self.put_attempt(&mut txn, *intent, *number, attempt)?,
                Record::Move { intent, account } => self.write_move(&mut txn, intent, account)?,
            }
            self.journal_record(&mut txn, at, record)?;
        }
        self.commit(txn)
    }

    /// An intent with its first attempt and its payload.
    fn write_lease(&self, txn: &mut RwTxn<'_>, lease: &Lease) -> Result<(), Error> {
        let (id, blobs) = (lease.intent.id, lease.job.blobs.as_ref());
        self.put(txn, self.db.meta, NEXT_ID_KEY, &(id + 1))?;
        self.put_raw(txn, self.db.payloads, &id.to_be_bytes(), &lease.job.request.calldata)?;
        for index in 0..blobs.map_or(0, PreparedBlobs::len) {
            let stored = blobs.map(|blobs| blobs.stored(index)).unwrap_or_default();
            self.put_raw(txn, self.db.blobs, &numbered(id, index), &stored)?;
        }
        for key in lease.intent.dedup_keys() {
            self.put_raw(txn, self.db.dedup, &dedup_hash(key), &id.to_be_bytes())?;
        }
        self.put_attempt(txn, id, 0, &lease.attempt)?;
        self.put_intent(txn, &lease.intent)?;
        self.put(txn, self.db.accounts, lease.intent.account.as_slice(), &lease.account)?;
        crash_point!("publisher.before_record", |error| self.failed(heed::Error::Io(error)));
        Ok(())
    }

    /// An intent as it stands now, with its account. Those dedup keys are free that had no effect, unless its block was removed:
    /// it may land again. The oldest final ones go beyond those that are kept; one that sent value along is kept for as long
    /// as a cap counts it.
    fn write_move(&self, txn: &mut RwTxn<'_>, intent: &IntentRecord, account: &AccountRecord) -> Result<(), Error> {
        self.put_intent(txn, intent)?;
        self.put(txn, self.db.accounts, intent.account.as_slice(), account)?;
        for key in intent.ineffective_keys() {
            self.free_dedup_key(txn, intent.id, key)?;
        }
        if !intent.state.is_settled() {
            for key in intent.dedup_keys() {
                self.take_dedup_key(txn, intent.id, key)?;
            }
        }
        if !intent.is_final() {
            return Ok(());
        }
        let all = self.intents(txn)?;
        let now = all.iter().map(|intent| intent.recorded_at).max().unwrap_or_default();
        let last: Vec<_> = all.iter().filter(|intent| intent.is_final() && !outlay::counts_at(intent, now)).collect();
        for old in &last[..last.len().saturating_sub(self.keep_settled)] {
            self.prune(txn, old)?;
        }
        Ok(())
    }

    /// Every transaction that is not final, oldest first, its attempts checked against their hashes.
    pub(crate) fn unsettled(&self) -> Result<Vec<StoredTx>, Error> {
        let txn = self.read()?;
        let intents = self.intents(&txn)?.into_iter().filter(|intent| !intent.is_final());
        intents.map(|intent| self.with_attempts(&txn, intent)).collect()
    }

    /// The blobs of an intent; `None` when it has none.
    pub(crate) fn blobs(&self, intent: &IntentRecord) -> Result<Option<PreparedBlobs>, Error> {
        if intent.blob_count == 0 {
            return Ok(None);
        }
        let txn = self.read()?;
        let parts = (0..intent.blob_count).map(|index| {
            let stored = self.get_raw(&txn, self.db.blobs, &numbered(intent.id, index))?;
            let blob = stored.and_then(PreparedBlobs::from_stored);
            blob.ok_or_else(|| self.damaged(format!("blob {index} of intent {} is missing or cut", intent.id)))
        });
        Ok(Some(PreparedBlobs::join(parts.collect::<Result<_, _>>()?)))
    }

    /// The transaction that holds a dedup key: one that may be live or has landed.
    pub(crate) fn dedup_holder(&self, key: &str) -> Result<Option<StoredTx>, Error> {
        let txn = self.read()?;
        let Some(id) = self.get_raw(&txn, self.db.dedup, &dedup_hash(key))? else { return Ok(None) };
        let intent = self.get(&txn, self.db.intents, id)?;
        let intent =
            intent.ok_or_else(|| self.damaged(format!("dedup key {key:?} names an intent that is missing")))?;
        self.with_attempts(&txn, intent).map(Some)
    }

    /// The transaction one of whose attempts has this hash.
    pub(crate) fn by_hash(&self, hash: B256) -> Result<Option<StoredTx>, Error> {
        let txn = self.read()?;
        let Some(id) = self.get_raw(&txn, self.db.hash_index, hash.as_slice())? else { return Ok(None) };
        let intent = self.get(&txn, self.db.intents, id)?;
        let intent = intent.ok_or_else(|| self.damaged(format!("the index names {hash}, whose intent is missing")))?;
        self.with_attempts(&txn, intent).map(Some)
    }

    fn with_attempts(&self, txn: &RoTxn<'_>, intent: IntentRecord) -> Result<StoredTx, Error> {
        let mut attempts = Vec::new();
        while let Some(attempt) = self.get(txn, self.db.attempts, &numbered(intent.id, attempts.len()))? {
            let attempt: AttemptRecord = attempt;
            let signed = SignedTx::from_canonical(&attempt.signed);
            let matches = signed.is_some_and(|tx| tx.hash() == attempt.hash && tx.account() == Some(intent.account));
            if !matches {
                let number = attempts.len();
                return Err(self.damaged(format!("attempt {number} of intent {} is not what was signed", intent.id)));
            }
            attempts.push(attempt);
        }
        if attempts.is_empty() {
            return Err(self.damaged(format!("intent {} has no attempt", intent.id)));
        }
        Ok(StoredTx { intent, attempts })
    }

    fn intents(&self, txn: &RoTxn<'_>) -> Result<Vec<IntentRecord>, Error> {
        let rows = self.db.intents.iter(txn).map_err(|error| self.failed(error))?;
        rows.map(|row| {
            let (_, bytes) = row.map_err(|error| self.failed(error))?;
            self.decode(bytes)
        })
        .collect()
    }

    fn put_intent(&self, txn: &mut RwTxn<'_>, intent: &IntentRecord) -> Result<(), Error> {
        self.put(txn, self.db.intents, &intent.id.to_be_bytes(), intent)
    }

    fn put_attempt(
        &self,
        txn: &mut RwTxn<'_>,
        id: IntentId,
        number: usize,
        attempt: &AttemptRecord,
    ) -> Result<(), Error> {
        self.put(txn, self.db.attempts, &numbered(id, number), attempt)?;
        self.put_raw(txn, self.db.hash_index, attempt.hash.as_slice(), &id.to_be_bytes())
    }

    /// Where nobody has it: what a later intent holds stays with that.
    fn take_dedup_key(&self, txn: &mut RwTxn<'_>, id: IntentId, key: &str) -> Result<(), Error> {
        let key = dedup_hash(key);
        if self.get_raw(txn, self.db.dedup, &key)?.is_none() {
            self.put_raw(txn, self.db.dedup, &key, &id.to_be_bytes())?;
        }
        Ok(())
    }

    fn free_dedup_key(&self, txn: &mut RwTxn<'_>, id: IntentId, key: &str) -> Result<(), Error> {
        let key = dedup_hash(key);
        if self.get_raw(txn, self.db.dedup, &key)? == Some(&id.to_be_bytes()[..]) {
            self.delete(txn, self.db.dedup, &key)?;
        }
        Ok(())
    }

    /// The same bytes may belong to a later intent: one that was refused leaves its nonce, and so its hash, to the next.
    fn forget_hash(&self, txn: &mut RwTxn<'_>, id: IntentId, hash: B256) -> Result<(), Error> {
        if self.get_raw(txn, self.db.hash_index, hash.as_slice())? == Some(&id.to_be_bytes()[..]) {
            self.delete(txn, self.db.hash_index, hash.as_slice())?;
        }
        Ok(())
    }

    fn prune(&self, txn: &mut RwTxn<'_>, intent: &IntentRecord) -> Result<(), Error> {
        let id = intent.id.to_be_bytes();
        let mut number = 0;
        while let Some(attempt) = self.get::<AttemptRecord>(txn, self.db.attempts, &numbered(intent.id, number))? {
            self.forget_hash(txn, intent.id, attempt.hash)?;
            self.delete(txn, self.db.attempts, &numbered(intent.id, number))?;
            number += 1;
        }
        for index in 0..intent.blob_count {
            self.delete(txn, self.db.blobs, &numbered(intent.id, index))?;
        }
        for key in intent.dedup_keys() {
            self.free_dedup_key(txn, intent.id, key)?;
        }
        self.delete(txn, self.db.payloads, &id)?;
        self.delete(txn, self.db.intents, &id)
    }
}

/// Reading and writing, with the store's own errors.
impl Store {
    fn read(&self) -> Result<RoTxn<'_, WithoutTls>, Error> {
        self.env.read_txn().map_err(|error| self.failed(error))
    }

    fn write(&self) -> Result<RwTxn<'_>, Error> {
        self.env.write_txn().map_err(|error| self.failed(error))
    }

    fn commit(&self, txn: RwTxn<'_>) -> Result<(), Error> {
        txn.commit().map_err(|error| self.failed(error))
    }

    fn get<T: DeserializeOwned>(&self, txn: &RoTxn<'_>, db: RawDb, key: &[u8]) -> Result<Option<T>, Error> {
        self.get_raw(txn, db, key)?.map(|bytes| self.decode(bytes)).transpose()
    }

    fn put<T: Serialize>(&self, txn: &mut RwTxn<'_>, db: RawDb, key: &[u8], value: &T) -> Result<(), Error> {
        let bytes = serde_json::to_vec(value).map_err(|error| self.failed(heed::Error::Encoding(error.into())))?;
        self.put_raw(txn, db, key, &bytes)
    }

    fn get_raw<'txn>(&self, txn: &'txn RoTxn<'_>, db: RawDb, key: &[u8]) -> Result<Option<&'txn [u8]>, Error> {
        db.get(txn, key).map_err(|error| self.failed(error))
    }

    fn put_raw(&self, txn: &mut RwTxn<'_>, db: RawDb, key: &[u8], value: &[u8]) -> Result<(), Error> {
        db.put(txn, key, value).map_err(|error| self.failed(error))
    }

    fn delete(&self, txn: &mut RwTxn<'_>, db: RawDb, key: &[u8]) -> Result<(), Error> {
        db.delete(txn, key).map(drop).map_err(|error| self.failed(error))
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(bytes).map_err(|error| self.damaged(format!("a record cannot be read ({error})")))
    }

    fn failed(&self, source: heed::Error) -> Error {
        Error::Store { file: self.file.clone(), source }
    }

    fn damaged(&self, detail: String) -> Error {
        damaged(&self.file, detail)
    }
}

/// A key of a row that belongs to an intent: its id and a number, big-endian, so that rows lie in order.
fn numbered(id: IntentId, number: usize) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&id.to_be_bytes());
    key[8..].copy_from_slice(&(number as u16).to_be_bytes());
    key
}

/// Dedup keys are as long as a caller likes; LMDB's are not.
fn dedup_hash(key: &str) -> [u8; 32] {
    alloy::primitives::keccak256(key).0
}

#[cfg(test)]
mod tests;
