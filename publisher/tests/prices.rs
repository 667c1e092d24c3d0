//! What is bid where L1's sources tell different prices.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use alloy::consensus::Transaction;
use alloy::eips::eip4844::Blob;
use alloy::eips::eip7840::BlobParams;
use common::fake_l1::{FakeL1, GENESIS};
use common::{ETHEREUM_SLOT, Sending, config, mined, request, started_with};
use fermata_primitives::L1Timestamp;
use fermata_publisher::{Disputed, FeeConfig, ForkSchedule, L1Request, PublisherConfig, RequestBlobs};

const SEND: &str = "eth_sendRawTransaction";
const GWEI: u128 = 1_000_000_000;
/// Blob gas that makes blobs cost something.
const EXCESS: u64 = 115_000_000;

fn soon(label: &str) -> L1Request {
    request(label, GENESIS, GENESIS + 6 * ETHEREUM_SLOT)
}

fn with_blob(label: &str) -> L1Request {
    L1Request { blobs: RequestBlobs::Raw(vec![Blob::ZERO]), ..soon(label) }
}

#[tokio::test(start_paused = true)]
async fn the_tip_is_the_higher_of_what_the_node_suggests_and_what_the_last_blocks_paid() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    fake.tell_paid_tips(&[2 * GWEI, 90 * GWEI, 3 * GWEI, 4 * GWEI, GWEI]);
    let (manager, _clock) = started_with(&fake, config(dir.path())).await;
    let sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    fake.mine();
    mined(sending.outcome().await);
    assert_eq!(fake.broadcasts()[0].tx.max_priority_fee_per_gas(), Some(3 * GWEI), "the median, empty blocks apart");
    let sources = manager.status().await.unwrap().prices.sources;
    assert_eq!((sources.suggested_tip, sources.paid_tip), (Some(GWEI), Some(3 * GWEI)));
    let asked = ["eth_maxPriorityFeePerGas", "eth_feeHistory"].map(|method| fake.calls(method));
    assert_eq!(asked[0], asked[1], "both are asked in the one batch of a look");
}

#[tokio::test(start_paused = true)]
async fn what_the_last_blocks_paid_raises_no_tip_above_the_cap() {
    let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
    fake.tell_paid_tips(&[500 * GWEI]);
    let fees = FeeConfig { tip_cap: 2 * GWEI, ..FeeConfig::default() };
    let (manager, _clock) = started_with(&fake, PublisherConfig { fees, ..config(dir.path()) }).await;
    let _sending = Sending::begin(&manager, soon("propose"));
    fake.until_called(SEND, 1).await;
    assert_eq!(fake.broadcasts()[0].tx.max_priority_fee_per_gas(), Some(GWEI));
    assert_eq!(manager.status().await.unwrap().prices.disputed, [Disputed::Tip]);
}

#[tokio::test(start_paused = true)]
async fn a_blob_fee_that_a_node_computes_by_other_rules_is_disputed_and_the_higher_one_is_bid() {
    let by = |params: BlobParams| params.calc_blob_fee(EXCESS);
    let (old, new) = (by(BlobParams::osaka()), by(BlobParams::bpo2()));
    assert!(old > 2 * new);
    for (told, rules, is_disputed) in
        [(new, BlobParams::osaka(), true), (old, BlobParams::bpo2(), true), (old, BlobParams::osaka(), false)]
    {
        let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
        fake.tell_blob_fee(told, EXCESS);
        let forks = Some(ForkSchedule::new(L1Timestamp(0), vec![(L1Timestamp(0), rules)]));
        let (manager, _clock) = started_with(&fake, PublisherConfig { forks, ..config(dir.path()) }).await;
        let sending = Sending::begin(&manager, with_blob("propose"));
        fake.until_called(SEND, 1).await;
        let bid = fake.broadcasts()[0].tx.max_fee_per_blob_gas().unwrap();
        assert!(bid > old && bid < 2 * old, "{bid} for {old}");
        let disputed = manager.status().await.unwrap().prices.disputed;
        assert_eq!(disputed.contains(&Disputed::BlobBaseFee), is_disputed, "{told} {rules:?}");
        fake.mine();
        mined(sending.outcome().await);
    }
}
