//! Starts and stops of the manager: what each begins, ends, and leaves as it is.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use std::sync::Arc;

use alloy::consensus::Transaction;
use common::fake_l1::{FakeL1, GENESIS};
use common::{ETHEREUM_SLOT, Sending, mined, open, request, started, try_open};
use fermata_publisher::{Error, L1Request, L1TxState, Outcome, PublisherManager};
use futures::FutureExt as _;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const SEND: &str = "eth_sendRawTransaction";
/// Each look at L1 asks for the balance of every account.
const LOOK: &str = "eth_getBalance";

/// A request with a deadline that no test reaches.
fn lasting(label: &str) -> L1Request {
    request(label, GENESIS, GENESIS + 999 * ETHEREUM_SLOT)
}

/// A manager with these accounts that was stopped while a transaction of each was pending.
async fn stopped_with_pending(fake: &FakeL1, dir: &TempDir, keys: u8) -> Arc<PublisherManager> {
    let manager = started(fake, dir.path(), keys).await;
    let sends: Vec<_> = (0..keys).map(|key| Sending::begin(&manager, lasting(&format!("propose {key}")))).collect();
    fake.until_called(SEND, usize::from(keys)).await;
    manager.stop().await;
    for send in sends {
        assert!(matches!(send.outcome().await, Outcome::Interrupted { sent: Some(_) }));
    }
    manager
}

/// How many accounts are looked at for each of the next two L1 blocks.
async fn looks_a_head(fake: &FakeL1) -> usize {
    let before = fake.calls(LOOK);
    for heads in 1..=2 {
        fake.mine_empty();
        fake.until_called(LOOK, before + heads).await;
        settle().await;
    }
    let looks = fake.calls(LOOK) - before;
    assert_eq!(looks % 2, 0, "one head led to more looks than the other");
    looks / 2
}

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_manager_without_an_account_runs_and_says_what_it_lacks_when_it_is_to_send() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 0).await;
    let refused = manager.send(lasting("propose"), CancellationToken::new()).await;
    assert!(matches!(refused, Err(Error::NoSigners)), "{refused:?}");
    assert_eq!(fake.calls(SEND), 0);
    manager.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn work_is_refused_until_a_start_has_loaded_and_reconciled_everything() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = stopped_with_pending(&fake, &dir, 1).await;
    let looks = fake.calls(LOOK);
    fake.hold(LOOK);
    let (report, ()) = tokio::join!(manager.start(), async {
        fake.until_called(LOOK, looks + 1).await;
        let early = manager.send(lasting("early"), CancellationToken::new()).await;
        assert!(matches!(early, Err(Error::NotRunning)), "{early:?}");
        assert!(!manager.status().await.unwrap().running);
        fake.release();
    });
    assert_eq!(report.unwrap().resumed.len(), 1);
    assert!(manager.status().await.unwrap().running);
    fake.mine();
    let sending = Sending::begin(&manager, lasting("after the start"));
    fake.until_called(SEND, 2).await;
    fake.mine();
    mined(sending.outcome().await);
}

#[tokio::test(start_paused = true)]
async fn starts_of_a_running_manager_and_starts_at_once_load_once_and_watch_nothing_twice() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = stopped_with_pending(&fake, &dir, 1).await;
    let (chain_ids, looks) = (fake.calls("eth_chainId"), fake.calls(LOOK));
    let (first, second) = tokio::join!(manager.start(), manager.start());
    let again = manager.start().await.unwrap();
    let resumed = [first.unwrap(), second.unwrap(), again].map(|report| report.resumed.len());
    assert_eq!(resumed, [1, 0, 0]);
    fake.until_called(LOOK, looks + 1).await;
    settle().await;
    assert_eq!(fake.calls("eth_chainId"), chain_ids + 1, "it was loaded more than once");
    assert_eq!(looks_a_head(&fake).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_pending_at_a_stop_is_watched_by_one_monitor_after_each_restart_and_ends_mined() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = stopped_with_pending(&fake, &dir, 1).await;
    let hash = fake.broadcasts()[0].hash();
    for _ in 0..3 {
        let report = manager.start().await.unwrap();
        assert_eq!((report.resumed.len(), report.resumed[0].state), (1, L1TxState::Live));
        settle().await;
        assert_eq!(looks_a_head(&fake).await, 1);
        manager.stop().await;
        assert_eq!(manager.status().await.unwrap().accounts[0].in_flight[0].hashes, [hash]);
    }
    manager.start().await.unwrap();
    settle().await;
    fake.mine();
    // The account is free for the next once the first is settled.
    let next = Sending::begin(&manager, lasting("next"));
    fake.until_called(SEND, 2).await;
    assert_eq!(manager.settled(hash).await.unwrap().unwrap().state, L1TxState::Included);
    fake.mine();
    mined(next.outcome().await);
    let nonces: Vec<_> = fake.mined().iter().map(|seen| seen.tx.nonce()).collect();
    assert_eq!((nonces, fake.broadcasts().len()), (vec![0, 1], 2), "it went out more than once");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_failed_while_loading_leaves_no_monitor_and_the_next_makes_one_for_each() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = stopped_with_pending(&fake, &dir, 2).await;
    for method in ["eth_getTransactionCount", LOOK] {
        fake.make_dead(method);
        assert!(matches!(manager.start().await, Err(Error::L1Unreachable { .. })));
        assert!(!manager.status().await.unwrap().running);
        fake.make_reachable();
        let calls = fake.call_count();
        fake.mine_empty();
        settle().await;
        assert_eq!(fake.call_count(), calls, "a start that failed still watches");
    }
    assert_eq!(manager.start().await.unwrap().resumed.len(), 2);
    settle().await;
    assert_eq!(looks_a_head(&fake).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_any_start_and_a_second_stop_change_nothing_and_ask_l1_nothing() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = open(&fake, dir.path(), 1);
    manager.stop().await;
    manager.stop().await;
    assert_eq!(fake.call_count(), 0);
    drop(manager);
    let manager = stopped_with_pending(&fake, &dir, 1).await;
    let (calls, status) = (fake.call_count(), manager.status().await.unwrap());
    tokio::join!(manager.stop(), manager.stop());
    assert_eq!((fake.call_count(), manager.status().await.unwrap()), (calls, status));
    manager.start().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_was_given_up_half_way_is_finished_by_the_next_start_which_sends() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let held = Sending::begin(&manager, lasting("held"));
    fake.until_called(SEND, 1).await;
    assert!(manager.stop().now_or_never().is_none(), "it waits for the send, and is dropped here");
    let report = manager.start().await.unwrap();
    assert_eq!(report.resumed.len(), 1, "it began anew");
    assert!(matches!(held.outcome().await, Outcome::Interrupted { .. }));
    fake.mine();
    let next = Sending::begin(&manager, lasting("next"));
    fake.until_called(SEND, 2).await;
    fake.mine();
    mined(next.outcome().await);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_interrupted_or_comes_while_stopped_fails_and_asks_l1_nothing() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let calls = fake.call_count();
    let interrupted = CancellationToken::new();
    interrupted.cancel();
    let outcome = manager.send(lasting("interrupted"), interrupted).await.unwrap();
    assert_eq!(outcome, Outcome::Interrupted { sent: None });
    settle().await;
    manager.stop().await;
    let refused = manager.send(lasting("stopped"), CancellationToken::new()).await;
    assert!(matches!(refused, Err(Error::NotRunning)), "{refused:?}");
    fake.mine();
    settle().await;
    assert_eq!(fake.call_count(), calls);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_is_not_lost_to_a_restart_right_after_it() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let opens = GENESIS + 3 * ETHEREUM_SLOT;
    let waiting = |label| request(label, opens, opens + 9 * ETHEREUM_SLOT);
    let (by_stop, by_caller) =
        (Sending::begin(&manager, waiting("by stop")), Sending::begin(&manager, waiting("by caller")));
    settle().await;
    by_caller.interrupt.cancel();
    manager.stop().await;
    manager.start().await.unwrap();
    for _ in 0..5 {
        fake.mine();
        settle().await;
    }
    assert_eq!(by_stop.outcome().await, Outcome::Interrupted { sent: None });
    assert_eq!(by_caller.outcome().await, Outcome::Interrupted { sent: None });
    assert_eq!(fake.broadcasts().len(), 0, "a send of an older run went out after the restart");
    let fresh = Sending::begin(&manager, waiting("fresh"));
    fake.until_called(SEND, 1).await;
    fake.mine();
    mined(fresh.outcome().await);
}

#[tokio::test]
async fn a_manager_that_is_dropped_without_a_close_asks_nothing_more_and_frees_its_directory() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let manager = started(&fake, dir.path(), 1).await;
    let sending = Sending::begin(&manager, lasting("propose"));
    fake.until_called(SEND, 1).await;
    sending.interrupt.cancel();
    sending.outcome().await;
    drop(manager);
    let free = async {
        loop {
            match try_open(&fake, dir.path(), 1) {
                Err(Error::DataDirHeld { .. }) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    };
    let manager = tokio::time::timeout(common::PATIENCE, free).await.expect("the directory is still held");
    let calls = fake.call_count();
    fake.mine_empty();
    settle().await;
    assert_eq!(fake.call_count(), calls, "what belonged to the dropped manager still watches");
    assert_eq!(manager.status().await.unwrap().accounts[0].in_flight.len(), 1);
}
