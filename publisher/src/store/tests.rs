use alloy::primitives::{Bytes, U256};
use alloy::signers::local::PrivateKeySigner;
use fermata_primitives::{L1Timestamp, UnixTime};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::broadcast_gate::BroadcastGate;
use crate::fsck::Contents;
use crate::funding::CAP_SPAN;
use crate::machine::job::{Job, Pinned};
use crate::records::{AttemptKind, Finality};
use crate::tx::TxBody;
use crate::{Fees, L1Request, L1TxState, MinedTx, RequestBlobs, SuccessRule};

const FEES: Fees = Fees { max_fee_per_gas: 10, tip: 1, max_fee_per_blob_gas: Some(3) };

fn lease(signer: &PrivateKeySigner, nonce: u64, key: &str) -> Lease {
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
    let mut intent = IntentRecord::new(&request, (signer.address(), nonce), 50_000, UnixTime::default());
    intent.id = nonce;
    let (gate, interrupt) = (Arc::new(BroadcastGate::default()), CancellationToken::new());
    Lease {
        tries: 0,
        intent,
        attempt: AttemptRecord {
            kind: AttemptKind::Initial,
            fees: FEES,
            hash: signed.hash(),
            signed: signed.canonical(),
        },
        job: Arc::new(Job { id: nonce, request, account: Pinned::Any, blobs: Some(blobs), gate, interrupt }),
        account: AccountRecord { next_nonce: nonce + 1, settled_nonce: nonce },
    }
}

fn commit(store: &Store, record: Record) {
    store.commit_step(record.into(), UnixTime::from_millis(7)).unwrap();
}

fn begin(store: &Store, lease: Lease) -> IntentId {
    let id = lease.intent.id;
    commit(store, Record::Lease(Box::new(lease)));
    assert_eq!(store.next_id().unwrap(), id + 1);
    id
}

fn reopen(store: Store, dir: &Path) -> Store {
    Arc::new(store).closing().wait();
    Store::open(dir, 1, 2).unwrap()
}

fn settle(store: &Store, id: IntentId, (state, finality): (L1TxState, Finality)) {
    let all = store.unsettled().unwrap();
    let mut intent = all.into_iter().find(|tx| tx.intent.id == id).unwrap().intent;
    (intent.state, intent.finality) = (state, finality);
    let account = AccountRecord { next_nonce: 9, settled_nonce: 9 };
    commit(store, Record::Move { intent: Box::new(intent), account });
}

#[test]
fn what_was_recorded_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1, 2).unwrap();
    let signer = PrivateKeySigner::random();
    let new = lease(&signer, 7, "slot 1");
    let (hash, blobs) = (new.attempt.hash, new.job.blobs.clone());
    let id = begin(&store, new);
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
fn a_dedup_key_is_held_by_what_landed_and_freed_by_what_is_believed_to_have_had_no_effect() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1, 8).unwrap();
    let signer = PrivateKeySigner::random();
    for (nonce, state, finality, held) in [
        (0, L1TxState::Included, Finality::Final, true),
        (1, L1TxState::Cancelled, Finality::Confirmed, false),
        (2, L1TxState::Rejected, Finality::Open, false),
        (3, L1TxState::Reverted, Finality::Confirmed, false),
        (4, L1TxState::Reverted, Finality::Open, true),
    ] {
        let key = format!("slot {nonce}");
        let id = begin(&store, lease(&signer, nonce, &key));
        assert!(store.dedup_holder(&key).unwrap().is_some());
        settle(&store, id, (state, finality));
        assert_eq!(store.dedup_holder(&key).unwrap().is_some(), held, "{state:?}");
    }
}

#[test]
fn a_dedup_key_is_held_again_once_the_block_without_its_effect_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1, 8).unwrap();
    let signer = PrivateKeySigner::random();
    let first = begin(&store, lease(&signer, 0, "slot 1"));
    settle(&store, first, (L1TxState::Reverted, Finality::Confirmed));
    assert!(store.dedup_holder("slot 1").unwrap().is_none());
    settle(&store, first, (L1TxState::Live, Finality::Open));
    assert_eq!(store.dedup_holder("slot 1").unwrap().unwrap().intent.id, first);
    assert_eq!(store.contents().unwrap().findings(), []);
}

#[test]
fn a_dedup_key_that_a_later_transaction_took_meanwhile_stays_with_that() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1, 8).unwrap();
    let signer = PrivateKeySigner::random();
    let first = begin(&store, lease(&signer, 0, "slot 1"));
    settle(&store, first, (L1TxState::Reverted, Finality::Confirmed));
    let second = begin(&store, lease(&signer, 1, "slot 1"));
    settle(&store, first, (L1TxState::Live, Finality::Open));
    assert_eq!(store.dedup_holder("slot 1").unwrap().unwrap().intent.id, second);
}

#[test]
fn a_record_of_before_finality_was_told_apart_reads_as_final() {
    let signer = PrivateKeySigner::random();
    let intent = IntentRecord { state: L1TxState::Included, ..lease(&signer, 0, "slot 1").intent };
    let mut old = serde_json::to_value(&intent).unwrap();
    old.as_object_mut().unwrap().remove("finality").unwrap();
    let read: IntentRecord = serde_json::from_value(old).unwrap();
    assert!(read.is_final());
}

#[test]
fn only_the_last_final_transactions_are_kept_and_nothing_of_the_others_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1, 2).unwrap();
    let signer = PrivateKeySigner::random();
    let mut hashes = Vec::new();
    for nonce in 0..5 {
        let new = lease(&signer, nonce, &format!("slot {nonce}"));
        hashes.push(new.attempt.hash);
        let id = begin(&store, new);
        settle(&store, id, (L1TxState::Included, Finality::Final));
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
    let mut new = lease(&PrivateKeySigner::random(), 0, "slot 0");
    new.attempt.hash = B256::repeat_byte(9);
    begin(&store, new);
    assert!(matches!(store.unsettled(), Err(Error::StoreDamaged { .. })));
}

#[test]
fn a_hash_that_a_later_intent_took_over_outlives_the_earlier_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1, 1).unwrap();
    let signer = PrivateKeySigner::random();
    // A refused transaction leaves its nonce to the next, which may be the same to the last byte.
    let refused = lease(&signer, 0, "slot 0");
    let hash = refused.attempt.hash;
    let mut again = refused.clone();
    again.intent.id = 1;
    let first = begin(&store, refused);
    settle(&store, first, (L1TxState::Rejected, Finality::Open));
    let second = begin(&store, again);
    let mut third = lease(&signer, 1, "slot 1");
    third.intent.id = 2;
    let third = begin(&store, third);
    settle(&store, third, (L1TxState::Rejected, Finality::Open));
    assert_eq!(store.by_hash(hash).unwrap().map(|tx| tx.intent.id), Some(second), "the first was pruned, not this");
}

/// A store with a transaction that landed, one that was refused, and one in flight.
fn lived_in(dir: &Path) -> Store {
    let store = Store::open(dir, 1, 8).unwrap();
    let signer = PrivateKeySigner::random();
    let landed = begin(&store, lease(&signer, 0, "slot 0"));
    settle(&store, landed, (L1TxState::Included, Finality::Final));
    let mut flying = lease(&signer, 9, "slot 2");
    flying.intent.id = 1;
    begin(&store, flying);
    store
}

#[test]
fn a_sound_store_has_no_findings_and_a_check_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    Arc::new(lived_in(dir.path())).closing().wait();
    let report = crate::fsck(dir.path()).unwrap();
    assert_eq!((report.transactions, report.in_flight, &report.findings[..]), (2, 1, &[][..]));
    assert_eq!(crate::fsck(dir.path()).unwrap(), report);
}

#[test]
fn what_does_not_fit_is_found_and_named() {
    type Damage = fn(&mut Contents);
    let cases: [(Damage, &str); 7] = [
        (|contents| contents.txs.get_mut(&1).unwrap().intent.nonce = 0, "belongs to transaction 0 too"),
        (|contents| contents.next_id = 1, "cannot be there"),
        (|contents| contents.without_payload.push(1), "is missing"),
        (|contents| contents.hashes.clear(), "the index of hashes does not lead to it"),
        (|contents| contents.dedup.clear(), "could be tried twice"),
        (|contents| drop(contents.txs.remove(&0)), "an index names it"),
        (
            |contents| {
                let tx = contents.txs.get_mut(&1).unwrap();
                tx.attempts.push(tx.attempts[0].clone());
            },
            "does not outbid",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let store = lived_in(dir.path());
    for (damage, told) in cases {
        let mut contents = store.contents().unwrap();
        assert_eq!(contents.findings(), []);
        damage(&mut contents);
        let findings: Vec<_> = contents.findings().iter().map(ToString::to_string).collect();
        assert!(findings.iter().any(|finding| finding.contains(told)), "{told}: {findings:?}");
    }
}

#[test]
fn where_there_is_no_store_a_check_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(crate::fsck(dir.path()), Err(Error::DataDir { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn value_counts_for_an_hour_unless_it_came_back_and_its_record_is_kept_for_as_long() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1, 0).unwrap();
    let signer = PrivateKeySigner::random();
    let at = |minutes: u64| UnixTime::from_millis(minutes * 60_000);
    for (nonce, minute, state) in [
        (0, 0, L1TxState::Included),
        (1, 30, L1TxState::Included),
        (2, 40, L1TxState::Reverted),
        (3, 59, L1TxState::Included),
    ] {
        let mut lease = lease(&signer, nonce, &format!("funding/{nonce}"));
        (lease.intent.value, lease.intent.recorded_at) = (U256::from(100 + nonce), at(minute));
        let id = begin(&store, lease);
        assert!(store.outlay(signer.address(), at(minute)).unwrap().is_in_flight);
        settle(&store, id, (state, Finality::Final));
    }
    let within = |minute| store.outlay(signer.address(), at(minute)).unwrap().within_hour;
    assert_eq!((within(59), within(60), within(90)), (U256::from(304), U256::from(204), U256::from(103)));
    assert!(!store.outlay(signer.address(), at(59)).unwrap().is_in_flight);
    assert!(store.dedup_holder("funding/0").unwrap().is_some(), "it can be used again while it still counts");
    let mut later = lease(&signer, 4, "slot 9");
    later.intent.recorded_at = at(60);
    let id = begin(&store, later);
    settle(&store, id, (L1TxState::Included, Finality::Final));
    assert!(store.dedup_holder("funding/0").unwrap().is_none(), "what counts no more is not kept");
    assert!(store.dedup_holder("funding/1").unwrap().is_some());
}

#[test]
fn the_journal_has_what_happened_and_outlives_the_transactions() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1, 0).unwrap();
    let new = lease(&PrivateKeySigner::random(), 4, "slot 1");
    let (hash, fees) = (new.attempt.hash, new.attempt.fees);
    let id = begin(&store, new.clone());
    let cancel = AttemptRecord { kind: AttemptKind::Cancel, ..new.attempt };
    commit(&store, Record::Attempt { intent: id, number: 1, attempt: cancel });
    settle(&store, id, (L1TxState::Cancelled, Finality::Final));
    assert!(store.contents().unwrap().txs.is_empty());
    Arc::new(store).closing().wait();
    let entries = journal(dir.path(), 10).unwrap();
    let events: Vec<_> = entries.iter().map(|entry| entry.event).collect();
    let end = JournalEvent::Moved { state: L1TxState::Cancelled, landed: None, finality: Finality::Final };
    assert_eq!(
        events,
        [JournalEvent::Recorded { hash, fees, recycles: None }, JournalEvent::CancelRecorded { hash, fees }, end]
    );
    assert!(entries.iter().all(|entry| (entry.intent, entry.nonce, entry.label.as_str()) == (id, 4, "propose")));
    assert_eq!(entries[0].at, UnixTime::from_millis(7));
    assert_eq!(journal(dir.path(), 1).unwrap(), entries[2..]);
}

#[test]
fn the_oldest_entries_of_the_journal_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store { keep_entries: 2, ..Store::open(dir.path(), 1, 8).unwrap() };
    let signer = PrivateKeySigner::random();
    for nonce in 0..4 {
        begin(&store, lease(&signer, nonce, &format!("slot {nonce}")));
    }
    let nonces: Vec<_> = store.last_entries(10).unwrap().iter().map(|entry| entry.nonce).collect();
    assert_eq!(nonces, [2, 3]);
}

#[test]
fn what_landed_within_the_hour_is_told_by_its_last_move_also_once_its_record_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1, 0).unwrap();
    let signer = PrivateKeySigner::random();
    let hour = CAP_SPAN;
    let fees_wei = U256::from(21_000 * 3 + 131_072 * 2);
    for (nonce, removed) in [(0, false), (1, true)] {
        let id = begin(&store, lease(&signer, nonce, &format!("slot {nonce}")));
        let mut intent = store.unsettled().unwrap().remove(0).intent;
        let account = AccountRecord { next_nonce: 9, settled_nonce: 9 };
        (intent.state, intent.finality, intent.mined) = (L1TxState::Included, Finality::Confirmed, Some(mined()));
        commit(&store, Record::Move { intent: Box::new(intent.clone()), account });
        match removed {
            true => (intent.state, intent.finality, intent.mined) = (L1TxState::Live, Finality::Open, None),
            false => intent.finality = Finality::Final,
        }
        commit(&store, Record::Move { intent: Box::new(intent), account });
        assert_eq!(store.contents().unwrap().txs.contains_key(&id), removed);
    }
    let landed = store.landed_within(hour, UnixTime::from_millis(7) + hour / 2).unwrap();
    assert_eq!(landed, [(0, Landed { block: 5, at: L1Timestamp(8), fees_wei })].into());
    assert_eq!(store.landed_within(hour, UnixTime::from_millis(7) + hour).unwrap(), [].into());
}

fn mined() -> MinedTx {
    MinedTx {
        tx_hash: B256::ZERO,
        block_number: 5,
        block_hash: B256::ZERO,
        block_timestamp: L1Timestamp(8),
        gas_used: 21_000,
        effective_gas_price: 3,
        blob_gas_used: Some(131_072),
        blob_gas_price: Some(2),
        reverted: false,
        succeeded: true,
        revert_data: None,
        entries: Vec::new(),
    }
}
