//! What both rings of tests share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod anvil;
pub mod bidding;
pub mod fake_l1;
pub mod full_blocks;
pub mod market;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, Bytes, U256, keccak256};
use alloy::rpc::types::state::StateOverride;
use alloy::signers::local::PrivateKeySigner;
use fermata_primitives::{L1Timestamp, ManualClock, UnixTime};
use fermata_publisher::{
    Bundle, BundleEntry, BundleOutcome, L1Request, MULTICALL3_ADDRESS, Outcome, PublisherConfig, PublisherManager,
    RequestBlobs, SuccessRule,
};
use tokio_util::sync::CancellationToken;

use fake_l1::{CHAIN_ID, FakeL1, GENESIS};

/// Longest wait of a test for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Seconds between two blocks of the fake.
pub const ETHEREUM_SLOT: u64 = 12;

/// A key that depends on its number alone.
pub fn signer(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&alloy::primitives::B256::repeat_byte(number + 1)).unwrap()
}

/// A request for the window `[not_before, deadline)`.
pub fn request(label: &str, not_before: u64, deadline: u64) -> L1Request {
    L1Request {
        label: label.to_owned(),
        dedup_key: None,
        to: Address::repeat_byte(0xcc),
        calldata: Bytes::copy_from_slice(label.as_bytes()),
        value: U256::ZERO,
        blobs: RequestBlobs::None,
        gas_limit: Some(60_000),
        not_before: L1Timestamp(not_before),
        deadline: L1Timestamp(deadline),
        success: SuccessRule::Status,
    }
}

/// A manager on the fake, not started.
pub fn open(fake: &FakeL1, dir: &Path, keys: u8) -> Arc<PublisherManager> {
    Arc::new(try_open(fake, dir, keys).unwrap())
}

pub fn try_open(fake: &FakeL1, dir: &Path, keys: u8) -> Result<PublisherManager, fermata_publisher::Error> {
    let clock = Arc::new(ManualClock::new(UnixTime::from_millis(1_000_000)));
    open_by(fake, dir, keys, clock)
}

/// A manager whose time is the test's.
pub fn open_by(
    fake: &FakeL1,
    dir: &Path,
    keys: u8,
    clock: Arc<ManualClock>,
) -> Result<PublisherManager, fermata_publisher::Error> {
    let config = PublisherConfig::new(CHAIN_ID, Duration::from_secs(ETHEREUM_SLOT), dir);
    PublisherManager::open(config, (0..keys).map(signer).collect::<Vec<_>>(), fake.l1(), clock)
}

/// A started manager of one funded account, configured by the test, at the time of the fake's first head.
pub async fn started_with(fake: &FakeL1, config: PublisherConfig) -> (Arc<PublisherManager>, Arc<ManualClock>) {
    fake.fund(signer(0).address(), U256::from(10).pow(U256::from(18)));
    let clock = Arc::new(ManualClock::new(UnixTime::from(L1Timestamp(GENESIS))));
    let manager =
        PublisherManager::open(config, vec![signer(0)], fake.l1(), Arc::<ManualClock>::clone(&clock)).unwrap();
    manager.start().await.unwrap();
    (Arc::new(manager), clock)
}

/// Resolves once there is nothing left to do, in a test whose time is paused.
#[expect(clippy::disallowed_methods, reason = "paused time goes on only while everybody waits")]
pub async fn idle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The configuration of a manager on the fake.
pub fn config(dir: &Path) -> PublisherConfig {
    PublisherConfig::new(CHAIN_ID, Duration::from_secs(ETHEREUM_SLOT), dir)
}

/// A started manager on the fake, its accounts funded.
pub async fn started(fake: &FakeL1, dir: &Path, keys: u8) -> Arc<PublisherManager> {
    for key in 0..keys {
        fake.fund(signer(key).address(), U256::from(10).pow(U256::from(18)));
    }
    let manager = open(fake, dir, keys);
    manager.start().await.unwrap();
    manager
}

/// A send running beside the test.
pub struct Sending {
    pub interrupt: CancellationToken,
    answer: tokio::task::JoinHandle<Result<Outcome, fermata_publisher::Error>>,
}

impl Sending {
    #[expect(clippy::disallowed_methods, reason = "the test owns the handle")]
    pub fn begin(manager: &Arc<PublisherManager>, request: L1Request) -> Self {
        let (manager, interrupt) = (Arc::clone(manager), CancellationToken::new());
        let token = interrupt.clone();
        let answer = tokio::spawn(async move { manager.send(request, token).await });
        Self { interrupt, answer }
    }

    /// True once its outcome is there.
    pub fn is_over(&self) -> bool {
        self.answer.is_finished()
    }

    /// Ends it where it stands, as the end of a process does.
    pub fn abort(self) {
        self.answer.abort();
    }

    pub async fn outcome(self) -> Outcome {
        self.result().await.unwrap()
    }

    pub async fn result(self) -> Result<Outcome, fermata_publisher::Error> {
        tokio::time::timeout(PATIENCE, self.answer).await.expect("the send has not ended").unwrap()
    }
}

/// A bundle running beside the test.
pub struct SendingBundle {
    pub interrupt: CancellationToken,
    answer: tokio::task::JoinHandle<Result<BundleOutcome, fermata_publisher::Error>>,
}

impl SendingBundle {
    #[expect(clippy::disallowed_methods, reason = "the test owns the handle")]
    pub fn begin(manager: &Arc<PublisherManager>, bundle: Bundle) -> Self {
        let (manager, interrupt) = (Arc::clone(manager), CancellationToken::new());
        let token = interrupt.clone();
        let answer = tokio::spawn(async move { manager.send_bundle(bundle, token).await });
        Self { interrupt, answer }
    }

    pub async fn outcome(self) -> BundleOutcome {
        self.result().await.unwrap()
    }

    pub async fn result(self) -> Result<BundleOutcome, fermata_publisher::Error> {
        tokio::time::timeout(PATIENCE, self.answer).await.expect("the bundle has not ended").unwrap()
    }
}

/// An entry that calls `to`, which emits `Landed()` where it takes effect.
pub fn entry(label: &str, to: Address) -> BundleEntry {
    BundleEntry {
        label: label.to_owned(),
        dedup_key: None,
        to,
        calldata: Bytes::copy_from_slice(label.as_bytes()),
        blobs: RequestBlobs::None,
        unsimulated_gas: 0,
        success: SuccessRule::Event { address: to, topic0: keccak256("Landed()") },
    }
}

/// A bundle for the window `[not_before, deadline)`.
pub fn bundle(entries: Vec<BundleEntry>, not_before: u64, deadline: u64) -> Bundle {
    Bundle {
        label: "slot 1".to_owned(),
        entries,
        not_before: L1Timestamp(not_before),
        deadline: L1Timestamp(deadline),
        multicall: MULTICALL3_ADDRESS,
        assumed: StateOverride::default(),
    }
}

/// The receipt of an outcome that must be one.
pub fn mined(outcome: Outcome) -> fermata_publisher::MinedTx {
    match outcome {
        Outcome::Mined(tx) => tx,
        other => panic!("not mined: {other:?}"),
    }
}
