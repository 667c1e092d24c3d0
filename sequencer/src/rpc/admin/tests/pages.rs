//! The pages without a token.

use alloy::primitives::{Address, U256};
use metrics::Recorder as _;

use super::bench::{Bench, body, resting};
use crate::lifecycle::Drain;
use crate::status::{InFlightTx, PublisherStatus};
use crate::verbs::{StartRequest, StopRequest};

#[tokio::test]
async fn a_node_that_is_stopped_is_healthy_and_not_ready() {
    let bench = Bench::running().await;
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(bench.get(path).await.status(), 200, "{path}");
    }
    bench.engine.stop(StopRequest::of(Drain::Interrupt)).await.expect("stops");
    assert_eq!(bench.get("/healthz").await.status(), 200);
    let ready = bench.get("/readyz").await;
    assert_eq!(ready.status(), 503);
    assert_eq!(body(ready).await["reasons"][0], "the node is stopped");
    bench.end().await;
}

#[tokio::test]
async fn a_node_without_progress_is_live_neither_healthy_nor_ready_and_says_why() {
    let bench = Bench::running().await;
    bench.reasons.lock().unwrap().push("L1 has not been seen for 40 s".to_owned());
    assert_eq!(bench.get("/livez").await.status(), 200);
    for path in ["/readyz", "/healthz"] {
        let answer = bench.get(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert_eq!(body(answer).await["reasons"][0], "L1 has not been seen for 40 s", "{path}");
    }
    bench.end().await;
}

#[tokio::test]
async fn the_status_page_is_what_the_method_answers() {
    let bench = Bench::running().await;
    let page = bench.get("/status").await;
    assert_eq!((page.status().as_u16(), &page.headers()["content-type"]), (200, &"application/json".parse().unwrap()));
    let mut page = body(page).await;
    let mut answer = bench.call("admin_status", serde_json::json!([])).await.expect("answers");
    assert_eq!(page["actual"]["lifecycle"], "running");
    assert_eq!(page["head"]["unsafe"]["number"], 1_042);
    for status in [&mut page, &mut answer] {
        status["nowMs"].take();
    }
    assert_eq!(page, answer);
    bench.end().await;
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let bench = Bench::new().await;
    let key = metrics::Key::from_name("fermata_test_blocks");
    let metadata = metrics::Metadata::new(module_path!(), metrics::Level::INFO, None);
    bench.metrics.register_counter(&key, &metadata).increment(7);
    let page = bench.get("/metrics").await;
    assert!(page.headers()["content-type"].to_str().expect("text").starts_with("text/plain"));
    assert!(page.text().await.expect("a body").contains("fermata_test_blocks 7"));
    bench.end().await;
}

#[tokio::test]
async fn of_the_states_exactly_one_is_1_whatever_the_node_goes_through() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let bench = Bench::new().await;
    let is = async |word: &str| {
        bench.get("/metrics").await;
        let text = handle.render();
        let series: Vec<_> = text.lines().filter(|line| line.starts_with("fermata_lifecycle{")).collect();
        let ones: Vec<_> = series.iter().filter(|line| line.ends_with(" 1")).collect();
        assert_eq!((series.len(), ones.len()), (5, 1), "{text}");
        assert!(ones[0].contains(&format!("\"{word}\"")), "{} is not {word}", ones[0]);
    };
    is("idle").await;
    bench.engine.start(StartRequest::default()).await.expect("starts");
    is("running").await;
    bench.parts.ticking.notified().await;
    let stop = bench.engine.stop(StopRequest::of(Drain::Graceful));
    let meanwhile = async {
        bench.engine.status().wait_for(|s| s.lifecycle.word() == "stopping").await.expect("the engine lives");
        is("stopping").await;
        bench.parts.release.notify_one();
    };
    let (stopped, ()) = tokio::join!(stop, meanwhile);
    stopped.expect("stops");
    is("stopped").await;
    bench.engine.close().await.expect("closes");
    is("closed").await;
    bench.end().await;
}

#[tokio::test]
async fn a_scrape_shows_what_the_status_shows() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let bench = Bench::running().await;
    bench.get("/metrics").await;
    let text = recorder.handle().render();
    for line in [
        "fermata_ready 1",
        "fermata_healthy 1",
        "fermata_head_block{kind=\"unsafe\"} 1042",
        "fermata_l1_block 50",
        "fermata_checkpoint_on_l1 7",
        "fermata_requests_live 0",
        "fermata_runs 1",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} not in\n{text}");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_scrape_shows_what_the_publishers_hold_have_in_flight_and_bid() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let bench = Bench::running().await;
    let scraped = async |expected: &[&str]| {
        bench.get("/metrics").await;
        let text = recorder.handle().render();
        for line in expected {
            assert!(text.lines().any(|told| told == *line), "{line} not in\n{text}");
        }
    };
    scraped(&["fermata_publisher_waiting 0", "fermata_l1_base_fee_wei 9", "fermata_l1_blob_base_fee_wei 1"]).await;
    let address = Address::repeat_byte(0x11);
    let tx = InFlightTx {
        age_ms: 2_500,
        blobs: 1,
        max_fee_per_gas_wei: Some(U256::from(30)),
        max_fee_per_blob_gas_wei: Some(U256::from(4)),
        ..InFlightTx::empty("propose", 6)
    };
    let account = PublisherStatus {
        balance_wei: Some(U256::from(1_500_000_000_000_000_000_u64)),
        affordable: Some(12),
        nonce: Some(7),
        latest_nonce: Some(6),
        in_flight: vec![tx],
        ..PublisherStatus::empty(address)
    };
    *bench.sending.lock().unwrap() = (vec![account], resting());
    let of = |name: &str, value: &str| format!("fermata_publisher_{name}{{account=\"{address}\"}} {value}");
    let of_account = [
        of("in_flight", "1"),
        of("oldest_seconds", "2.5"),
        of("balance_ether", "1.5"),
        of("nonce_next", "7"),
        of("nonce_latest", "6"),
        of("affordable", "12"),
    ];
    scraped(&of_account.each_ref().map(String::as_str)).await;
    scraped(&[
        "fermata_publisher_intents{manager=\"publisher\",state=\"live\",kind=\"blob\"} 1",
        "fermata_publisher_intents{manager=\"publisher\",state=\"live\",kind=\"plain\"} 0",
        "fermata_publisher_bid_wei{manager=\"publisher\",field=\"gas\"} 30",
        "fermata_publisher_bid_wei{manager=\"publisher\",field=\"blob_gas\"} 4",
        "fermata_publisher_backend_rests{backend=\"http://a\"} 1",
        "fermata_publisher_funder_needed_ether 0.0000000000000001",
        "fermata_publisher_funder_balance_ether 0.000000000000000007",
        "fermata_publisher_warnings 1",
    ])
    .await;
    bench.sending.lock().unwrap().0[0].in_flight.clear();
    scraped(&["fermata_publisher_intents{manager=\"publisher\",state=\"live\",kind=\"blob\"} 0"]).await;
    bench.end().await;
}

#[test]
fn the_operators_page_names_every_figure_of_the_publisher() {
    let page = include_str!("../../../../docs/operating.md");
    for (name, labels, _) in fermata_publisher::FIGURES {
        assert!(page.contains(&format!("`{name}{{{labels}}}`")), "{name}{{{labels}}}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_no_pages() {
    let bench = Bench::new().await;
    for path in ["/", "/livez/", "/admin", "/status/../status2"] {
        assert_eq!(bench.get(path).await.status(), 401, "{path}");
    }
    let post = super::bench::client().post(bench.url("/status")).send().await.expect("answers");
    assert_eq!(post.status(), 401);
    bench.end().await;
}
