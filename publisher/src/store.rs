//! The publisher's durable records: what may be on L1's way, kept before it is.
//!
//! Every method is one LMDB transaction, on disk when it returns. They block for a disk write: call them off the runtime.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes};
use fermata_primitives::crash_point;
use heed::{Env, EnvClosingEvent, RoTxn, RwTxn, WithoutTls};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::records::{AccountRecord, AttemptRecord, IntentId, IntentRecord, StoredTx};
use crate::store_open::{Databases, DirLock, RawDb, damaged, open_env};
use crate::tx::SignedTx;
use crate::{Error, PreparedBlobs};

const NEXT_ID_KEY: &[u8] = b"next_intent_id";

/// The store of one data directory.
#[derive(Debug)]
pub(crate) struct Store {
    env: Env<WithoutTls>,
    db: Databases,
    file: PathBuf,
    keep_settled: usize,
    _lock: DirLock,
}

/// What becomes durable before the first broadcast of an intent.
#[derive(Debug)]
pub(crate) struct NewTx {
    pub(crate) intent: IntentRecord,
    pub(crate) attempt: AttemptRecord,
    pub(crate) calldata: Bytes,
    pub(crate) blobs: Option<PreparedBlobs>,
    pub(crate) account: AccountRecord,
}

impl Store {
    /// Opens the store in `dir` for `chain_id`; a new one when there is none. The last `keep_settled` settled
    /// transactions are kept.
    pub(crate) fn open(dir: &Path, chain_id: u64, keep_settled: usize) -> Result<Self, Error> {
        let lock = DirLock::take(dir)?;
        let (env, db) = open_env(dir, chain_id)?;
        Ok(Self { env, db, file: dir.join("data.mdb"), keep_settled, _lock: lock })
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

    /// Records an intent with its first attempt; answers the id it got.
    pub(crate) fn begin(&self, mut new: NewTx) -> Result<IntentId, Error> {
        let mut txn = self.write()?;
        let id: IntentId = self.get(&txn, self.db.meta, NEXT_ID_KEY)?.unwrap_or(0);
        new.intent.id = id;
        self.put(&mut txn, self.db.meta, NEXT_ID_KEY, &(id + 1))?;
        self.put_raw(&mut txn, self.db.payloads, &id.to_be_bytes(), &new.calldata)?;
        for index in 0..new.blobs.as_ref().map_or(0, PreparedBlobs::len) {
            let stored = new.blobs.as_ref().map(|blobs| blobs.stored(index)).unwrap_or_default();
            self.put_raw(&mut txn, self.db.blobs, &numbered(id, index), &stored)?;
        }
        for key in new.intent.dedup_keys() {
            self.put_raw(&mut txn, self.db.dedup, &dedup_hash(key), &id.to_be_bytes())?;
        }
        self.put_attempt(&mut txn, id, 0, &new.attempt)?;
        self.put_intent(&mut txn, &new.intent)?;
        self.put(&mut txn, self.db.accounts, new.intent.account.as_slice(), &new.account)?;
        crash_point!("publisher.before_record", |error| self.failed(heed::Error::Io(error)));
        self.commit(txn)?;
        Ok(id)
    }

    /// Records attempt `number` of an intent, and the intent as it stands now.
    pub(crate) fn add_attempt(
        &self,
        intent: &IntentRecord,
        number: usize,
        attempt: &AttemptRecord,
    ) -> Result<(), Error> {
        let mut txn = self.write()?;
        self.put_attempt(&mut txn, intent.id, number, attempt)?;
        self.put_intent(&mut txn, intent)?;
        self.commit(txn)
    }

    /// Records an intent as it stands now.
    pub(crate) fn save(&self, intent: &IntentRecord) -> Result<(), Error> {
        let mut txn = self.write()?;
        self.put_intent(&mut txn, intent)?;
        self.commit(txn)
    }

    /// Records the end of an intent and its account's nonces, gives those dedup keys free that had no effect, and drops the
    /// oldest settled ones beyond those that are kept.
    pub(crate) fn settle(&self, intent: &IntentRecord, account: &AccountRecord) -> Result<(), Error> {
        let mut txn = self.write()?;
        self.put_intent(&mut txn, intent)?;
        self.put(&mut txn, self.db.accounts, intent.account.as_slice(), account)?;
        for key in intent.ineffective_keys() {
            self.free_dedup_key(&mut txn, intent.id, key)?;
        }
        let all = self.intents(&txn)?;
        let settled: Vec<_> = all.iter().filter(|intent| intent.state.is_settled()).collect();
        for old in &settled[..settled.len().saturating_sub(self.keep_settled)] {
            self.prune(&mut txn, old)?;
        }
        self.commit(txn)
    }

    /// Every transaction that is not settled, oldest first, its attempts checked against their hashes.
    pub(crate) fn unsettled(&self) -> Result<Vec<StoredTx>, Error> {
        let txn = self.read()?;
        let intents = self.intents(&txn)?.into_iter().filter(|intent| !intent.state.is_settled());
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

    fn free_dedup_key(&self, txn: &mut RwTxn<'_>, id: IntentId, key: &str) -> Result<(), Error> {
        let key = dedup_hash(key);
        if self.get_raw(txn, self.db.dedup, &key)? == Some(&id.to_be_bytes()[..]) {
            self.delete(txn, self.db.dedup, &key)?;
        }
        Ok(())
    }

    fn prune(&self, txn: &mut RwTxn<'_>, intent: &IntentRecord) -> Result<(), Error> {
        let id = intent.id.to_be_bytes();
        let mut number = 0;
        while let Some(attempt) = self.get::<AttemptRecord>(txn, self.db.attempts, &numbered(intent.id, number))? {
            self.delete(txn, self.db.hash_index, attempt.hash.as_slice())?;
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
mod tests {
    use alloy::primitives::U256;
    use alloy::signers::local::PrivateKeySigner;
    use fermata_primitives::{L1Timestamp, UnixTime};

    use super::*;
    use crate::records::AttemptKind;
    use crate::tx::TxBody;
    use crate::{Fees, L1Request, L1TxState, RequestBlobs, SuccessRule};

    const FEES: Fees = Fees { max_fee_per_gas: 10, tip: 1, max_fee_per_blob_gas: Some(3) };

    fn new_tx(signer: &PrivateKeySigner, nonce: u64, key: &str) -> NewTx {
        let blobs = PreparedBlobs::one_empty();
        let request = L1Request {
            label: "propose".into(),
            dedup_key: Some(key.into()),
            to: Address::repeat_byte(1),
            calldata: Bytes::from_static(b"call"),
            value: U256::ZERO,
            blobs: RequestBlobs::Prepared(blobs.clone()),
            gas_limit: Some(50_000),
            not_before: L1Timestamp(1),
            deadline: L1Timestamp(9),
            success: SuccessRule::Status,
        };
        let body = TxBody {
            chain_id: 1,
            nonce,
            to: request.to,
            value: request.value,
            calldata: request.calldata.clone(),
            gas_limit: 50_000,
            fees: FEES,
            versioned_hashes: blobs.versioned_hashes(),
        };
        let signed = SignedTx::sign(body, signer).unwrap();
        NewTx {
            intent: IntentRecord::new(&request, (signer.address(), nonce), 50_000, UnixTime::default()),
            attempt: AttemptRecord {
                kind: AttemptKind::Initial,
                fees: FEES,
                hash: signed.hash(),
                signed: signed.canonical(),
            },
            calldata: request.calldata,
            blobs: Some(blobs),
            account: AccountRecord { next_nonce: nonce + 1, settled_nonce: nonce },
        }
    }

    fn reopen(store: Store, dir: &Path) -> Store {
        Arc::new(store).closing().wait();
        Store::open(dir, 1, 2).unwrap()
    }

    fn settle(store: &Store, id: IntentId, state: L1TxState) {
        let all = store.unsettled().unwrap();
        let mut intent = all.into_iter().find(|tx| tx.intent.id == id).unwrap().intent;
        intent.state = state;
        store.settle(&intent, &AccountRecord { next_nonce: 9, settled_nonce: 9 }).unwrap();
    }

    #[test]
    fn what_was_recorded_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 1, 2).unwrap();
        let signer = PrivateKeySigner::random();
        let new = new_tx(&signer, 7, "slot 1");
        let (hash, blobs) = (new.attempt.hash, new.blobs.clone());
        let id = store.begin(new).unwrap();
        let store = reopen(store, dir.path());
        let found = store.unsettled().unwrap();
        assert_eq!((found.len(), found[0].intent.id, found[0].intent.nonce), (1, id, 7));
        assert_eq!(found[0].attempts[0].hash, hash);
        assert_eq!(store.blobs(&found[0].intent).unwrap(), blobs);
        assert_eq!(store.by_hash(hash).unwrap().as_ref(), Some(&found[0]));
        assert_eq!(store.dedup_holder("slot 1").unwrap().as_ref(), Some(&found[0]));
        assert_eq!(store.account(signer.address()).unwrap().next_nonce, 8);
    }

    #[test]
    fn a_dedup_key_is_held_by_what_landed_and_freed_by_what_had_no_effect() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 1, 8).unwrap();
        let signer = PrivateKeySigner::random();
        for (nonce, state, held) in [
            (0, L1TxState::Included, true),
            (1, L1TxState::Cancelled, false),
            (2, L1TxState::Rejected, false),
            (3, L1TxState::Reverted, false),
        ] {
            let key = format!("slot {nonce}");
            let id = store.begin(new_tx(&signer, nonce, &key)).unwrap();
            assert!(store.dedup_holder(&key).unwrap().is_some());
            settle(&store, id, state);
            assert_eq!(store.dedup_holder(&key).unwrap().is_some(), held, "{state:?}");
        }
    }

    #[test]
    fn only_the_last_settled_transactions_are_kept_and_nothing_of_the_others_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 1, 2).unwrap();
        let signer = PrivateKeySigner::random();
        let mut hashes = Vec::new();
        for nonce in 0..5 {
            let new = new_tx(&signer, nonce, &format!("slot {nonce}"));
            hashes.push(new.attempt.hash);
            let id = store.begin(new).unwrap();
            settle(&store, id, L1TxState::Included);
        }
        let kept: Vec<_> = hashes.iter().map(|hash| store.by_hash(*hash).unwrap().is_some()).collect();
        assert_eq!(kept, [false, false, false, true, true]);
        let txn = store.env.read_txn().unwrap();
        for db in [store.db.intents, store.db.payloads, store.db.blobs, store.db.attempts, store.db.dedup] {
            assert_eq!(db.len(&txn).unwrap(), 2);
        }
    }

    #[test]
    fn an_attempt_that_was_tampered_with_is_reported_as_damage() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 1, 2).unwrap();
        let mut new = new_tx(&PrivateKeySigner::random(), 0, "slot 0");
        new.attempt.hash = B256::repeat_byte(9);
        store.begin(new).unwrap();
        assert!(matches!(store.unsettled(), Err(Error::StoreDamaged { .. })));
    }
}
