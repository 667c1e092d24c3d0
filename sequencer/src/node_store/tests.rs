//! What is written survives; what is damaged is refused and left alone.

use std::fs;

use alloy::primitives::{Address, B256};
use fermata_primitives::{Slot, UnixTime};
use fermata_rollup::L1Signature;
use fermata_validator_signer::{Duty, DutyKind};

use super::*;
use crate::evidence::Proof;
use crate::verbs::Author;

fn wish(by: &str) -> Wish {
    let author = Author { by: by.to_owned(), reason: Some("db maintenance".to_owned()) };
    Wish { running: false, author, since: UnixTime::from_millis(1_234) }
}

fn entry(number: u64) -> JournalEntry {
    JournalEntry {
        at_ms: number,
        verb: "admin_stop".to_owned(),
        by: "alice".to_owned(),
        reason: None,
        outcome: "drained".to_owned(),
    }
}

fn equivocation() -> Equivocation {
    let proof = |byte| Proof {
        digest: B256::repeat_byte(byte),
        signature: L1Signature { v: 27, r: B256::repeat_byte(byte), s: B256::ZERO },
    };
    let duty = Duty { validator: Address::ZERO, slot: Slot(7), kind: DutyKind::BlockProposal { index: 2 } };
    Equivocation { duty, first: proof(1), second: proof(2) }
}

#[tokio::test]
async fn what_was_recorded_is_there_after_a_reopen() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = NodeStore::open(dir.path()).expect("made");
    assert_eq!(store.wish().await.expect("read"), None);
    assert_eq!(store.token_hash(Scope::Danger).await.expect("read"), None);
    store.record_wish(wish("alice")).await.expect("written");
    store.record_wish(wish("bob")).await.expect("written");
    let hashes = TokenHashes::try_each(|scope| Ok::<_, ()>(TokenHash([scope as u8; 32]))).expect("plain");
    store.record_token_hashes(hashes).await.expect("written");
    store.append(entry(1)).await.expect("written");
    assert_eq!(store.equivocations().await.expect("read"), []);
    store.record_equivocations(vec![equivocation()]).await.expect("written");
    store.close().await;

    let store = NodeStore::open(dir.path()).expect("opened");
    assert_eq!(store.equivocations().await.expect("read"), [equivocation()]);
    assert_eq!(store.wish().await.expect("read"), Some(wish("bob")));
    for scope in Scope::ALL {
        assert_eq!(store.token_hash(scope).await.expect("read"), Some(hashes.of(scope)));
    }
    assert_eq!(store.journal(10).await.expect("read"), [entry(1)]);
}

#[tokio::test]
async fn the_journal_is_bounded_and_newest_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = NodeStore::open(dir.path()).expect("made");
    let fill =
        |tables: &Tables, txn: &mut RwTxn<'_>| (0..JOURNAL_LENGTH + 5).try_for_each(|n| tables.append(txn, &entry(n)));
    store.write(fill).await.expect("written");
    let kept = store.journal(usize::MAX).await.expect("read");
    assert_eq!(kept.len() as u64, JOURNAL_LENGTH);
    assert_eq!(kept[0], entry(JOURNAL_LENGTH + 4));
    assert_eq!(kept[kept.len() - 1], entry(5));
    assert_eq!(store.journal(2).await.expect("read").len(), 2);
}

#[tokio::test]
async fn after_a_close_every_method_is_refused_and_it_can_be_opened_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = NodeStore::open(dir.path()).expect("made");
    store.close().await;
    store.close().await;
    assert!(matches!(store.wish().await, Err(NodeStoreError::Closed { .. })));
    assert!(matches!(store.record_wish(wish("a")).await, Err(NodeStoreError::Closed { .. })));
    NodeStore::open(dir.path()).expect("opened");
}

#[tokio::test]
async fn a_write_that_fails_half_way_writes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = NodeStore::open(dir.path()).expect("made");
    let half = |tables: &Tables, txn: &mut RwTxn<'_>| {
        tables.append(txn, &entry(1))?;
        Err::<(), _>(NodeStoreError::Closed { dir: PathBuf::new() })
    };
    store.write(half).await.expect_err("on purpose");
    assert!(store.journal(10).await.expect("read").is_empty());
}

/// A store that was made and closed.
async fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let store = NodeStore::open(dir.path()).expect("made");
    store.record_wish(wish("alice")).await.expect("written");
    store.close().await;
    dir
}

fn refused(dir: &Path) -> NodeStoreError {
    NodeStore::open(dir).expect_err("refused")
}

#[tokio::test]
async fn a_lost_database_is_not_taken_for_a_first_start() {
    let dir = made().await;
    fs::remove_file(dir.path().join(open::DATA_FILE)).expect("removed");
    let error = refused(dir.path());
    assert!(matches!(error, NodeStoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("data.mdb is missing; restore it from a backup"), "{error}");
    assert_eq!(error.reason().exit_code(), 33);
    assert!(!dir.path().join(open::DATA_FILE).exists(), "nothing was made");
}

#[tokio::test]
async fn an_emptied_or_overwritten_database_is_refused_and_left_alone() {
    for content in [Vec::new(), b"not a database".to_vec(), vec![0xAA; 64 * 1024]] {
        let dir = made().await;
        let file = dir.path().join(open::DATA_FILE);
        fs::write(&file, &content).expect("written");
        let error = refused(dir.path());
        assert!(matches!(error, NodeStoreError::Damaged { .. }), "{error:?}");
        assert!(fs::read(&file).expect("there") == content, "left alone");
    }
}

#[tokio::test]
async fn a_first_start_that_was_cut_before_anything_was_in_the_file_is_made_good() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(open::DATA_FILE), []).expect("written");
    let store = NodeStore::open(dir.path()).expect("made");
    store.record_wish(wish("alice")).await.expect("written");
    store.close().await;
    let store = NodeStore::open(dir.path()).expect("opened");
    assert_eq!(store.wish().await.expect("read"), Some(wish("alice")));
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let dir = made().await;
    let store = NodeStore::open(dir.path()).expect("opened");
    store.write(|tables, txn| tables.put_schema(txn, 2)).await.expect("written");
    store.close().await;
    let before = fs::read(dir.path().join(open::DATA_FILE)).expect("there");
    let error = refused(dir.path());
    assert!(matches!(error, NodeStoreError::Newer { found: 2, known: 1, .. }), "{error:?}");
    assert_eq!(error.reason().exit_code(), 34);
    assert!(fs::read(dir.path().join(open::DATA_FILE)).expect("there") == before, "left alone");
}

#[tokio::test]
async fn an_open_store_cannot_be_opened_again_and_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = NodeStore::open(dir.path()).expect("made");
    assert!(NodeStore::open(dir.path()).is_err(), "one owner");
    store.record_wish(wish("alice")).await.expect("written");
}
