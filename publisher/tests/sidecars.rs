//! Blobs go out in the form that the next block demands.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use alloy::consensus::Transaction;
use alloy::eips::eip4844::Blob;
use common::fake_l1::{FakeL1, GENESIS};
use common::{ETHEREUM_SLOT, Sending, config, idle, mined, request, started_with};
use fermata_primitives::L1Timestamp;
use fermata_publisher::{ForkSchedule, L1Request, Outcome, PublisherConfig, RejectReason, RequestBlobs};

const SEND: &str = "eth_sendRawTransaction";

fn with_blob(fake: &FakeL1, label: &str) -> L1Request {
    let mut blob = Blob::ZERO;
    blob[5] = 7;
    let now = fake.head().timestamp.0;
    L1Request { blobs: RequestBlobs::Raw(vec![blob]), ..request(label, now, now + 20 * ETHEREUM_SLOT) }
}

/// Osaka comes with the second block from now.
fn osaka_in_two(dir: &std::path::Path) -> PublisherConfig {
    let osaka = L1Timestamp(GENESIS + 2 * ETHEREUM_SLOT);
    PublisherConfig { forks: Some(ForkSchedule::new(osaka, Vec::new())), ..config(dir) }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_the_sidecar_of_the_block_it_may_land_in() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    let (manager, _clock) = started_with(&fake, osaka_in_two(dir.path())).await;
    for version in [0, 1] {
        fake.demand_sidecar(version);
        let sending = Sending::begin(&manager, with_blob(&fake, "propose"));
        fake.until_called(SEND, 1 + usize::from(version)).await;
        fake.mine();
        assert!(mined(sending.outcome().await).succeeded);
    }
    let versions: Vec<_> = fake.broadcasts().iter().map(|seen| seen.sidecar).collect();
    assert_eq!(versions, [Some(0), Some(1)], "none went out in vain");
}

#[tokio::test(start_paused = true)]
async fn what_a_fork_drops_from_the_pool_goes_out_again_in_the_new_form_with_its_nonce_and_lands() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    fake.demand_sidecar(0);
    let (manager, _clock) = started_with(&fake, osaka_in_two(dir.path())).await;
    let sending = Sending::begin(&manager, with_blob(&fake, "propose"));
    fake.until_called(SEND, 1).await;
    fake.mine_empty();
    fake.demand_sidecar(1);
    assert!(fake.pool().is_empty(), "the fork has dropped it");
    idle().await;
    fake.mine_empty();
    fake.until_called(SEND, 2).await;
    fake.mine();
    assert!(mined(sending.outcome().await).succeeded);
    let all = fake.broadcasts();
    assert_eq!(all.iter().map(|seen| seen.sidecar).collect::<Vec<_>>(), [Some(0), Some(1)]);
    assert_eq!((all[0].hash(), all[0].tx.nonce()), (all[1].hash(), 0), "the form is no part of what was signed");
}

#[tokio::test(start_paused = true)]
async fn where_the_forks_are_not_known_a_refusal_tells_the_form_and_the_next_goes_out_in_it_at_once() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    fake.demand_sidecar(0);
    let (manager, _clock) = started_with(&fake, config(dir.path())).await;
    for sends in [2, 3] {
        let sending = Sending::begin(&manager, with_blob(&fake, "propose"));
        fake.until_called(SEND, sends).await;
        fake.mine();
        assert!(mined(sending.outcome().await).succeeded);
    }
    let all = fake.broadcasts();
    assert_eq!(all.iter().map(|seen| seen.sidecar).collect::<Vec<_>>(), [Some(1), Some(0), Some(0)]);
    assert_eq!(all.iter().map(|seen| seen.tx.nonce()).collect::<Vec<_>>(), [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_takes_neither_form_ends_the_request_with_its_words_and_frees_the_nonce() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    fake.demand_sidecar(2);
    fake.on_send(
        ["unexpected sidecar version, want: 2", "unexpected sidecar version, want: 2"]
            .map(common::fake_l1::OnSend::Refuse),
    );
    let (manager, _clock) = started_with(&fake, config(dir.path())).await;
    let outcome = Sending::begin(&manager, with_blob(&fake, "propose")).outcome().await;
    let Outcome::Rejected { reason: RejectReason::Refused { message, .. } } = outcome else { panic!("{outcome:?}") };
    assert_eq!(message, "unexpected sidecar version, want: 2");
    assert_eq!((fake.broadcasts().len(), manager.status().await.unwrap().accounts[0].next_nonce), (2, 0));
}
