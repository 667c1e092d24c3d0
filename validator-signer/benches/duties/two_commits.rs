//! A store of duties on LMDB, in the shape of Aztec's: text keys, one operation at a time, a durable transaction that
//! reserves a duty and another that marks it signed. Theirs runs in JavaScript over a native module; this has the flushes
//! of theirs and none of that.

use std::sync::{Mutex, PoisonError};

use heed::types::{Bytes, Str};
use heed::{Database, Env, EnvOpenOptions, RwTxn};
use serde::{Deserialize, Serialize};

use crate::samples::{CALLERS, EARLIER_SLOTS, Effort, Samples, Until};

#[derive(Serialize, Deserialize)]
struct Record {
    status: Status,
    message_hash: String,
    lock_token: String,
    signature: Option<String>,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
enum Status {
    Signing,
    Signed,
}

struct Store {
    env: Env,
    duties: Database<Str, Bytes>,
}

/// That many threads, each with a duty of its own at a time, from its reservation until it is marked signed.
pub(crate) fn callers(callers: u64, effort: Effort) -> Samples {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let store = Store::new(dir.path());
    let queue = Mutex::new(());
    let until = Until::of(effort);
    let samples = std::thread::scope(|scope| {
        let caller = |caller: u64| {
            let (store, queue, until) = (&store, &queue, &until);
            scope.spawn(move || {
                let mut samples = Samples::default();
                for turn in 0.. {
                    let Some(begin) = until.goes_on() else { break };
                    let key = key(EARLIER_SLOTS * CALLERS + caller + turn * callers);
                    let reserving = queue.lock().unwrap_or_else(PoisonError::into_inner);
                    store.reserve(&key);
                    drop(reserving);
                    let marking = queue.lock().unwrap_or_else(PoisonError::into_inner);
                    store.mark_signed(&key);
                    drop(marking);
                    samples.note(begin, 1);
                }
                samples
            })
        };
        let threads: Vec<_> = (0..callers).map(caller).collect();
        threads.into_iter().map(|thread| thread.join().expect("no caller fails")).collect::<Vec<_>>()
    });
    Samples::together(samples).end(until)
}

impl Store {
    fn new(dir: &std::path::Path) -> Self {
        let mut options = EnvOpenOptions::new();
        options.map_size(1 << 30).max_dbs(1);
        // SAFETY: nobody else has the file, which lies in a directory made for it.
        #[expect(unsafe_code, reason = "LMDB maps a file")]
        let env = unsafe { options.open(dir) }.expect("an environment can be made");
        let mut txn = env.write_txn().expect("it is ours");
        let duties = env.create_database(&mut txn, Some("duties")).expect("a table can be made");
        let store = Self { env: env.clone(), duties };
        for number in 0..EARLIER_SLOTS * CALLERS {
            let record = Record { status: Status::Signed, signature: Some("0x07".repeat(33)), ..fresh() };
            store.put(&mut txn, &key(number), &record);
        }
        txn.commit().expect("the disk takes it");
        store
    }

    fn put(&self, txn: &mut RwTxn<'_>, key: &str, record: &Record) {
        let bytes = serde_json::to_vec(record).expect("it is plain");
        self.duties.put(txn, key, &bytes).expect("there is room");
    }

    fn reserve(&self, key: &str) {
        let mut txn = self.env.write_txn().expect("it is ours");
        assert!(self.duties.get(&txn, key).expect("it is sound").is_none(), "a fresh duty is safe");
        self.put(&mut txn, key, &fresh());
        txn.commit().expect("the disk takes it");
    }

    fn mark_signed(&self, key: &str) {
        let mut txn = self.env.write_txn().expect("it is ours");
        let bytes = self.duties.get(&txn, key).expect("it is sound").expect("it was reserved");
        let record: Record = serde_json::from_slice(bytes).expect("it was written so");
        assert!(record.status == Status::Signing && record.lock_token == fresh().lock_token, "it is ours");
        let record = Record { status: Status::Signed, signature: Some("0x07".repeat(33)), ..record };
        self.put(&mut txn, key, &record);
        txn.commit().expect("the disk takes it");
    }
}

fn fresh() -> Record {
    Record { status: Status::Signing, message_hash: "07".repeat(32), lock_token: "07".repeat(16), signature: None }
}

fn key(number: u64) -> String {
    format!("0x{:040}:0x{:040}:{}:attestation:-1", 1, number % CALLERS, number / CALLERS)
}
