//! Bundles against an L1 in memory that fails in every way a node does.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use alloy::consensus::Transaction;
use alloy::eips::eip4844::Blob;
use alloy::primitives::Address;
use common::fake_l1::{FakeL1, GENESIS, Simulating};
use common::{ETHEREUM_SLOT, SendingBundle, bundle, entry, open, started};
use fermata_publisher::{
    Bundle, BundleEntry, EntryOutcome, InvalidRequest, L1TxState, PreparedBlobs, RejectReason, RequestBlobs,
    SuccessRule,
};

const SEND: &str = "eth_sendRawTransaction";
const SIMULATE: &str = "eth_simulateV1";
const PROPOSE: Address = Address::repeat_byte(0xa1);
const SIGNAL: Address = Address::repeat_byte(0xa2);
const VOTE: Address = Address::repeat_byte(0xa3);

/// The bundle of a slot of six L1 blocks.
fn slot() -> Bundle {
    of(vec![entry("propose", PROPOSE), entry("signal", SIGNAL), entry("vote", VOTE)])
}

fn of(entries: Vec<BundleEntry>) -> Bundle {
    bundle(entries, GENESIS, GENESIS + 6 * ETHEREUM_SLOT)
}

fn keyed(label: &str, to: Address) -> BundleEntry {
    BundleEntry { dedup_key: Some(label.to_owned()), ..entry(label, to) }
}

#[tokio::test(start_paused = true)]
async fn entries_that_would_revert_are_left_out_and_the_rest_goes_in_one_transaction() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.revert_calls_of(PROPOSE);
    fake.revert_calls_of(VOTE);
    let sending = SendingBundle::begin(&manager, slot());
    fake.until_called(SEND, 1).await;
    fake.mine();
    let outcome = sending.outcome().await;
    let dropped = EntryOutcome::Dropped { revert_data: b"no".into() };
    assert_eq!(outcome.entries, [dropped.clone(), EntryOutcome::Succeeded, dropped]);
    assert_eq!((fake.mined().len(), outcome.mined.unwrap().succeeded), (1, true));
    assert_eq!(fake.calls(SIMULATE), 2 * 3, "one entry at a time, at both edges of the window");
}

#[tokio::test(start_paused = true)]
async fn a_bundle_of_which_nothing_is_left_is_not_sent() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    for contract in [PROPOSE, SIGNAL, VOTE] {
        fake.revert_calls_of(contract);
    }
    let outcome = SendingBundle::begin(&manager, slot()).outcome().await;
    assert!(outcome.entries.iter().all(|entry| matches!(entry, EntryOutcome::Dropped { .. })), "{outcome:?}");
    assert_eq!((outcome.mined, fake.broadcasts().len()), (None, 0));
    assert!(manager.status().await.unwrap().accounts[0].in_flight.is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_l1_cannot_simulate_all_go_with_the_most_gas_there_may_be() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.simulate_as(Simulating::Unsupported);
    fake.revert_calls_of(SIGNAL);
    let sending = SendingBundle::begin(&manager, slot());
    fake.until_called(SEND, 1).await;
    assert_eq!(fake.broadcasts()[0].tx.gas_limit(), 1 << 24);
    fake.mine();
    let failed = EntryOutcome::Failed { revert_data: None };
    assert_eq!(sending.outcome().await.entries, [EntryOutcome::Succeeded, failed, EntryOutcome::Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn while_a_simulation_fails_nothing_goes_and_it_goes_once_it_works() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.simulate_as(Simulating::Fails);
    let sending = SendingBundle::begin(&manager, slot());
    fake.until_called(SIMULATE, 1).await;
    fake.mine();
    fake.until_called(SIMULATE, 2).await;
    assert_eq!(fake.broadcasts().len(), 0);
    fake.simulate_as(Simulating::Works);
    fake.mine();
    fake.until_called(SEND, 1).await;
    fake.mine();
    assert_eq!(sending.outcome().await.entries, vec![EntryOutcome::Succeeded; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_simulation_that_fails_until_the_window_is_over_is_told_and_nothing_is_sent() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.simulate_as(Simulating::Fails);
    let sending = SendingBundle::begin(&manager, slot());
    fake.until_called(SIMULATE, 1).await;
    fake.mine_at(GENESIS + 6 * ETHEREUM_SLOT);
    let outcome = sending.outcome().await;
    let unusable = |entry: &EntryOutcome| matches!(entry, EntryOutcome::Rejected { reason: RejectReason::L1Unusable { message } } if message.contains("out of memory"));
    assert!(outcome.entries.iter().all(unusable), "{outcome:?}");
    assert_eq!(fake.broadcasts().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_entry_whose_effect_another_bundle_may_have_is_left_out_and_the_rest_goes() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 2).await;
    let first = SendingBundle::begin(&manager, of(vec![keyed("vote 1", VOTE)]));
    fake.until_called(SEND, 1).await;
    let second = SendingBundle::begin(&manager, of(vec![keyed("propose 1", PROPOSE), keyed("vote 1", VOTE)]));
    fake.until_called(SEND, 2).await;
    fake.mine();
    assert_eq!(first.outcome().await.entries, [EntryOutcome::Succeeded]);
    let entries = second.outcome().await.entries;
    assert_eq!(entries[0], EntryOutcome::Succeeded);
    assert!(
        matches!(&entries[1], EntryOutcome::Rejected { reason: RejectReason::Duplicate { dedup_key, .. } } if dedup_key == "vote 1"),
        "{entries:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_is_held_by_the_entry_that_took_effect_and_free_after_the_one_that_did_not() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.fail_calls_of(VOTE);
    let both = || of(vec![keyed("signal 1", SIGNAL), keyed("vote 1", VOTE)]);
    let first = SendingBundle::begin(&manager, both());
    fake.until_called(SEND, 1).await;
    fake.mine();
    let failed = EntryOutcome::Failed { revert_data: None };
    assert_eq!(first.outcome().await.entries, [EntryOutcome::Succeeded, failed.clone()]);
    let second = SendingBundle::begin(&manager, both());
    fake.until_called(SEND, 2).await;
    fake.mine();
    let entries = second.outcome().await.entries;
    assert!(matches!(entries[0], EntryOutcome::Rejected { .. }), "{entries:?}");
    assert_eq!(entries[1], failed);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_before_anything_was_sent_leaves_every_key_free() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.hold(SIMULATE);
    let cut = SendingBundle::begin(&manager, of(vec![keyed("vote 1", VOTE)]));
    fake.until_called(SIMULATE, 1).await;
    cut.interrupt.cancel();
    assert_eq!(cut.outcome().await.entries, [EntryOutcome::NotSent]);
    fake.release();
    let again = SendingBundle::begin(&manager, of(vec![keyed("vote 1", VOTE)]));
    fake.until_called(SEND, 1).await;
    fake.mine();
    assert_eq!(again.outcome().await.entries, [EntryOutcome::Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn a_bundle_in_flight_over_a_restart_is_judged_entry_by_entry() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    fake.fail_calls_of(SIGNAL);
    let both = || of(vec![keyed("signal 1", SIGNAL), keyed("vote 1", VOTE)]);
    let sending = SendingBundle::begin(&manager, both());
    fake.until_called(SEND, 1).await;
    manager.close().await.unwrap();
    let in_flight = EntryOutcome::InFlight { tx_hash: fake.pool()[0].hash() };
    assert_eq!(sending.outcome().await.entries, [in_flight.clone(), in_flight]);
    fake.mine();
    let manager = open(&fake, dir.path(), 1);
    let report = manager.start().await.unwrap();
    assert_eq!(report.settled[0].state, L1TxState::Included);
    let succeeded: Vec<_> = report.settled[0].mined.iter().flat_map(|tx| &tx.entries).map(|e| e.succeeded).collect();
    assert_eq!(succeeded, [false, true]);
    let again = SendingBundle::begin(&manager, both());
    fake.until_called(SEND, 2).await;
    fake.mine();
    let entries = again.outcome().await.entries;
    assert!(matches!(entries[0], EntryOutcome::Failed { .. }), "its key is free: {entries:?}");
    assert!(matches!(entries[1], EntryOutcome::Rejected { .. }), "its key is held: {entries:?}");
}

#[tokio::test(start_paused = true)]
async fn without_the_entry_that_reads_them_no_blobs_go_along() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let blobs = RequestBlobs::Prepared(PreparedBlobs::compute(vec![Blob::ZERO]).unwrap());
    let propose = BundleEntry { blobs, unsimulated_gas: 50_000, ..entry("propose", PROPOSE) };
    let whole = SendingBundle::begin(&manager, of(vec![propose.clone(), entry("vote", VOTE)]));
    fake.until_called(SEND, 1).await;
    let sent = &fake.broadcasts()[0].tx;
    assert!(sent.is_eip4844());
    assert_eq!(sent.gas_limit(), (100_000_u64 * 64).div_ceil(63) * 12 / 10 + 50_000);
    fake.mine();
    assert_eq!(whole.outcome().await.entries, vec![EntryOutcome::Succeeded; 2]);
    fake.revert_calls_of(PROPOSE);
    let part = SendingBundle::begin(&manager, of(vec![propose, entry("vote", VOTE)]));
    fake.until_called(SEND, 2).await;
    assert!(fake.broadcasts()[1].tx.is_eip1559());
    fake.mine();
    assert_eq!(part.outcome().await.entries[1], EntryOutcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_never_was_mined_is_expired_entry_by_entry() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = SendingBundle::begin(&manager, slot());
    fake.until_called(SEND, 1).await;
    for _ in 0..6 {
        fake.mine_empty();
        tokio::task::yield_now().await;
    }
    assert_eq!(sending.outcome().await.entries, vec![EntryOutcome::Expired; 3]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_no_event_tells_and_blobs_of_two_entries_are_refused() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let untold = BundleEntry { success: SuccessRule::Status, ..entry("vote", VOTE) };
    let one_blob = || RequestBlobs::Raw(vec![Blob::ZERO]);
    let both = [PROPOSE, VOTE].map(|to| BundleEntry { blobs: one_blob(), ..entry("blobs", to) });
    let cases = [
        (vec![untold], InvalidRequest::EntryWithoutEvent("vote".to_owned())),
        (both.to_vec(), InvalidRequest::BlobsOfManyEntries),
    ];
    for (entries, why) in cases {
        let outcome = SendingBundle::begin(&manager, of(entries)).outcome().await;
        let refused = EntryOutcome::Rejected { reason: RejectReason::Invalid(why) };
        assert!(outcome.entries.iter().all(|entry| *entry == refused), "{outcome:?}");
    }
    assert_eq!(
        fake.call_count(),
        ["eth_chainId", "eth_maxPriorityFeePerGas", "eth_feeHistory", "eth_getTransactionCount", "eth_getBalance"]
            .map(|method| fake.calls(method))
            .iter()
            .sum::<usize>()
    );
}
