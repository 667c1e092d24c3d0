//! What the publisher counts, against an L1 in memory.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use alloy::eips::eip4844::Blob;
use alloy::primitives::U256;
use common::fake_l1::{CHAIN_ID, FakeL1, GENESIS, OnSend};
use common::{ETHEREUM_SLOT, PATIENCE, Sending, mined, request, signer};
use fermata_primitives::{L1Timestamp, ManualClock};
use fermata_publisher::{
    FIGURES, FundingConfig, L1Request, Outcome, PreparedBlobs, PublisherConfig, PublisherKeys, PublisherManager,
    RequestBlobs,
};
use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tempfile::TempDir;

const SEND: &str = "eth_sendRawTransaction";
const RECEIPT: &str = "eth_getTransactionReceipt";
/// What a transaction takes on the fake: 21000 gas at 11 gwei, in gwei.
const PAID: f64 = 231_000.0;
/// The key of the funder.
const FUNDER: u8 = 100;

/// Reads figures of the thread, on which everything but the disk runs.
struct Figures(PrometheusHandle);

impl Figures {
    fn recorder() -> (PrometheusRecorder, Self) {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        (recorder, Self(handle))
    }

    /// The series of that name whose labels include all of these; 0 while there is none.
    fn of(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = self.0.render();
        let labels: Vec<_> = labels.iter().map(|(label, word)| format!("{label}=\"{word}\"")).collect();
        let is_it = |line: &&str| {
            let (series, _) = line.split_once(['{', ' ']).unwrap();
            series == format!("fermata_publisher_{name}") && labels.iter().all(|label| line.contains(label.as_str()))
        };
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        text.lines().filter(|line| !line.is_empty()).filter(is_it).map(value).sum()
    }

    /// Waits until a figure has come to `value`.
    #[expect(clippy::disallowed_methods, reason = "paused time goes on only while everybody waits")]
    async fn until(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let reached = async {
            while self.of(name, labels) < value {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("no {name}: {}", self.0.render()));
        assert_eq!(self.of(name, labels), value, "{name}");
    }
}

/// A started manager with one account, and its figures.
struct Bench<'a> {
    fake: FakeL1,
    figures: &'a Figures,
    manager: Arc<PublisherManager>,
    _dir: TempDir,
    _guard: LocalRecorderGuard<'a>,
}

impl<'a> Bench<'a> {
    async fn started((recorder, figures): &'a (PrometheusRecorder, Figures)) -> Self {
        Self::funded_from((recorder, figures), None).await
    }

    async fn funded_from(
        (recorder, figures): (&'a PrometheusRecorder, &'a Figures),
        funding: Option<FundingConfig>,
    ) -> Self {
        let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
        let _guard = metrics::set_default_local_recorder(recorder);
        for key in [0, FUNDER] {
            fake.fund(signer(key).address(), ether(1));
        }
        fake.fund(request("any", 0, 0).to, U256::ZERO);
        let clock = Arc::new(ManualClock::new(L1Timestamp(GENESIS).into()));
        let slot = Duration::from_secs(ETHEREUM_SLOT);
        let config =
            PublisherConfig { name: "prover".to_owned(), funding, ..PublisherConfig::new(CHAIN_ID, slot, dir.path()) };
        let keys = PublisherKeys { publishers: vec![signer(0)], funder: Some(signer(FUNDER)) };
        let manager = Arc::new(PublisherManager::open(config, keys, fake.l1(), clock).unwrap());
        manager.start().await.unwrap();
        Self { fake, figures, manager, _dir: dir, _guard }
    }

    fn send(&self, blocks: u64) -> Sending {
        Sending::begin(&self.manager, self.request(blocks))
    }

    /// A request for so many blocks from now on.
    fn request(&self, blocks: u64) -> L1Request {
        let now = self.fake.head().timestamp.0;
        request(&format!("at {now}"), GENESIS, now + blocks * ETHEREUM_SLOT)
    }
}

fn ether(count: u64) -> U256 {
    U256::from(count) * U256::from(10).pow(U256::from(18))
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_lands_is_counted_once_in_every_figure_it_belongs_to() {
    let parts = Figures::recorder();
    let bench = Bench::started(&parts).await;
    let (figures, fake) = (bench.figures, &bench.fake);
    figures.until("recovery_seconds_count", &[("manager", "prover")], 1.0).await;
    let sending = bench.send(6);
    figures.until("recorded_to_sent_seconds_count", &[], 1.0).await;
    fake.mine();
    mined(sending.outcome().await);
    figures.until("answers_total", &[("outcome", "mined")], 1.0).await;
    assert_eq!(figures.of("attempts_total", &[("reason", "initial"), ("manager", "prover")]), 1.0);
    assert_eq!(figures.of("fee_paid_gwei_total", &[("kind", "plain")]), PAID);
    assert_eq!(figures.of("ready_to_included_seconds_count", &[]), 1.0);
    assert_eq!(figures.of("ready_to_included_seconds_sum", &[]), ETHEREUM_SLOT as f64);
    assert_eq!(figures.of("wal_commit_seconds_count", &[]), 3.0, "recorded, sent, in a block");
    for method in [SEND, "eth_getBalance", RECEIPT, "eth_chainId", "eth_getTransactionCount"] {
        assert_eq!(figures.of("rpc_calls_total", &[("method", method)]), fake.calls(method) as f64, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_expires_is_told_by_how_far_it_came_and_its_cancel_by_whether_it_landed() {
    let parts = Figures::recorder();
    let bench = Bench::started(&parts).await;
    let (figures, fake) = (bench.figures, &bench.fake);
    assert_eq!(bench.send(1).outcome().await, Outcome::Expired);
    figures.until("expired_total", &[("phase", "waiting")], 1.0).await;
    let blobs = RequestBlobs::Prepared(PreparedBlobs::compute(vec![Blob::ZERO]).unwrap());
    let sending = Sending::begin(&bench.manager, L1Request { blobs, ..bench.request(2) });
    fake.until_called(SEND, 1).await;
    for _ in 0..2 {
        fake.mine_empty();
        tokio::task::yield_now().await;
    }
    figures.until("expired_total", &[("phase", "in_flight")], 1.0).await;
    fake.until_called(SEND, 2).await;
    fake.mine();
    assert_eq!(sending.outcome().await, Outcome::Expired);
    figures.until("cancels_total", &[("outcome", "landed")], 1.0).await;
    assert_eq!(figures.of("attempts_total", &[("reason", "cancel")]), 1.0);
    assert_eq!(figures.of("answers_total", &[("outcome", "expired")]), 2.0);
    assert_eq!(figures.of("fee_paid_gwei_total", &[("kind", "cancel")]), PAID);
    assert_eq!(figures.of("ready_to_included_seconds_count", &[]), 0.0, "a cancel is no inclusion");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_by_backend_and_class_and_give_their_nonce_back() {
    let parts = Figures::recorder();
    let bench = Bench::started(&parts).await;
    let (figures, fake) = (bench.figures, &bench.fake);
    fake.on_send([OnSend::Refuse("txpool is full"), OnSend::Refuse("the moon is full")]);
    let sending = bench.send(6);
    figures.until("nonces_released_total", &[], 1.0).await;
    fake.mine_empty();
    figures.until("send_errors_total", &[("backend", "L1"), ("class", "ambiguous")], 1.0).await;
    assert_eq!(figures.of("send_errors_total", &[("backend", "L1"), ("class", "pool_full")]), 1.0);
    figures.until("attempts_total", &[("reason", "rebroadcast")], 1.0).await;
    fake.mine();
    mined(sending.outcome().await);
    assert_eq!(figures.of("attempts_total", &[("reason", "initial")]), 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_a_removed_block_and_a_strangers_nonce_are_told() {
    let parts = Figures::recorder();
    let bench = Bench::started(&parts).await;
    let (figures, fake) = (bench.figures, &bench.fake);
    fake.set_base_fee(5_000_000_000_000);
    let sending = bench.send(9);
    figures.until("fee_blocked_total", &[("field", "gas")], 1.0).await;
    fake.set_base_fee(1_000_000_000);
    fake.until_called(SEND, 1).await;
    fake.mine();
    mined(sending.outcome().await);
    fake.take_back_last();
    fake.mine_empty();
    figures.until("unmined_total", &[], 1.0).await;
    // Its window is nearly over by now: it comes back with a higher bid.
    figures.until("attempts_total", &[("reason", "fee")], 1.0).await;
    fake.until_called(SEND, 2).await;
    fake.empty_pool();
    fake.use_nonce_elsewhere(signer(0).address());
    for _ in 0..2 {
        let before = fake.calls(RECEIPT);
        fake.mine_empty();
        fake.until_called(RECEIPT, before + 1).await;
    }
    figures.until("superseded_total", &[], 1.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_tells_what_it_found_of_the_run_before() {
    let parts = Figures::recorder();
    let bench = Bench::started(&parts).await;
    let sending = bench.send(6);
    bench.fake.until_called(SEND, 1).await;
    bench.manager.stop().await;
    assert!(matches!(sending.outcome().await, Outcome::Interrupted { sent: Some(_) }));
    bench.fake.mine();
    bench.manager.start().await.unwrap();
    assert_eq!(bench.figures.of("recovered_total", &[("verdict", "settled")]), 1.0);
    assert_eq!(bench.figures.of("recovery_seconds_count", &[]), 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_top_up_is_told_by_its_end_and_by_what_it_gave() {
    let (recorder, figures) = Figures::recorder();
    let tenth = ether(1) / U256::from(10);
    let funding = FundingConfig::new(ether(1) + tenth, ether(1) + tenth * U256::from(5), ether(3));
    let bench = Bench::funded_from((&recorder, &figures), Some(funding)).await;
    bench.fake.until_called(SEND, 1).await;
    bench.fake.mine();
    figures.until("funding_attempts_total", &[("outcome", "mined")], 1.0).await;
    assert_eq!(figures.of("funded_gwei_total", &[("manager", "prover")]), 5e8);
}

#[test]
fn every_figure_that_is_listed_is_held_by_a_test_of_this_page() {
    let page = include_str!("figures.rs");
    for (name, _, says) in FIGURES {
        let short = name.strip_prefix("fermata_publisher_").unwrap();
        assert!(page.contains(&format!("\"{short}")), "{name}");
        assert!(!says.is_empty(), "{name}");
    }
}
