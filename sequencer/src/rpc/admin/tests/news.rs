//! Waiting and subscribing: on what happens, not on a timer.

use std::time::Duration;

use alloy::primitives::B256;
use fermata_primitives::{CheckpointNumber, Slot};
use jsonrpsee::core::client::{Subscription, SubscriptionClientT as _};
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::{HeaderMap, WsClient, WsClientBuilder};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::bench::{Bench, HEAD, client};
use crate::feed::{News, Notice, Told, Topic};
use crate::lifecycle::Drain;
use crate::verbs::{Head, StartRequest, StopRequest};

/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

fn l1(number: u64) -> News {
    News::L1 { number, hash: B256::ZERO, timestamp: number * 12, slot: Slot(number) }
}

fn block(number: u64) -> News {
    News::Block { number, hash: B256::ZERO, dropped: 0 }
}

fn tell(bench: &Bench, told: Told) {
    bench.news.send(told).expect("the server listens");
}

async fn connected(bench: &Bench) -> WsClient {
    let bearer = format!("Bearer {}", bench.token.expose());
    let mut headers = HeaderMap::new();
    headers.insert("authorization", bearer.parse().expect("a value"));
    let url = format!("ws://{}", bench.server.local_addr());
    WsClientBuilder::default().set_headers(headers).build(url).await.expect("connects")
}

async fn subscribed(client: &WsClient, topics: Value) -> Subscription<Notice> {
    let params = if topics.is_null() { rpc_params![] } else { rpc_params![topics] };
    client.subscribe("admin_subscribe", params, "admin_unsubscribe").await.expect("subscribes")
}

async fn next(subscription: &mut Subscription<Notice>) -> Notice {
    timeout(PATIENCE, subscription.next()).await.expect("told in time").expect("it stands").expect("a notice")
}

#[tokio::test]
async fn a_wait_ends_with_the_event_it_waits_for_and_answers_the_status() {
    let bench = Bench::running().await;
    let reached = bench.call("admin_waitFor", json!({ "block": HEAD.number })).await.expect("is there already");
    assert_eq!(reached["head"]["unsafe"]["number"], HEAD.number);

    let cases = [
        (json!({ "block": 1_050 }), "/head/unsafe/number", json!(1_050)),
        (json!({ "checkpoint": 9 }), "/l1/checkpoint", json!(9)),
        (json!({ "l1Block": 60 }), "/l1/number", json!(60)),
    ];
    let before = bench.chains.lock().unwrap().clone();
    for (condition, field, value) in cases {
        *bench.chains.lock().unwrap() = before.clone();
        let wait = bench.call("admin_waitFor", condition.clone());
        let happen = async {
            tell(&bench, Told::News(l1(51)));
            tokio::task::yield_now().await;
            let mut chains = bench.chains.lock().unwrap();
            chains.head = Head { number: 1_050, ..HEAD };
            (chains.l1.checkpoint, chains.l1.number) = (Some(CheckpointNumber(9)), 60);
            drop(chains);
            tell(&bench, Told::News(block(1_050)));
        };
        let (status, ()) = tokio::join!(wait, happen);
        assert_eq!(status.expect("comes").pointer(field), Some(&value), "{condition}");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_wait_for_a_state_sees_the_stop_of_another_caller() {
    let bench = Bench::running().await;
    let wait = bench.call("admin_waitFor", json!({ "state": "stopped" }));
    let stop = bench.engine.stop(StopRequest::of(Drain::Interrupt));
    let (status, stopped) = tokio::join!(wait, stop);
    stopped.expect("stops");
    assert_eq!(status.expect("comes")["actual"]["lifecycle"], "stopped");
    bench.end().await;
}

#[tokio::test]
async fn a_wait_that_is_over_first_says_where_the_node_is() {
    let bench = Bench::running().await;
    let error = bench.call("admin_waitFor", json!({ "block": 2_000, "timeoutMs": 20 })).await.expect_err("too long");
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32017), &json!("TIMEOUT")));
    assert_eq!(error["data"]["status"]["head"]["unsafe"]["number"], HEAD.number);
    bench.end().await;
}

#[tokio::test]
async fn callers_who_wait_are_bounded_and_keep_no_stop_out() {
    let bench = Bench::running().await;
    let waits = (0..33).map(|_| bench.call("admin_waitFor", json!({ "block": 2_000 })));
    let stop = async {
        let stopped = bench.call("admin_stop", json!({ "mode": "now" })).await.expect("stops");
        bench.engine.close().await.expect("closes");
        stopped
    };
    let (waited, stopped) = tokio::join!(futures::future::join_all(waits), stop);
    assert_eq!(stopped["lifecycle"], "stopped");
    let busy = waited.into_iter().filter(|waited| waited.as_ref().is_err_and(|e| e["data"]["reason"] == "BUSY"));
    assert_eq!(busy.count(), 1);
    bench.end().await;
}

#[tokio::test]
async fn websockets_are_bounded_and_keep_no_stop_out() {
    let bench = Bench::running().await;
    let clients = futures::future::join_all((0..64).map(|_| connected(&bench))).await;
    let upgrade = client().get(bench.url("/")).bearer_auth(bench.token.expose());
    let upgrade = upgrade.header("connection", "upgrade").header("upgrade", "websocket");
    let upgrade = upgrade.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(upgrade.try_clone().expect("no body").send().await.expect("answers").status(), 429);
    let waits = futures::future::join_all((0..32).map(|_| bench.call("admin_waitFor", json!({ "block": 2_000 }))));
    let stop = async {
        bench.call("admin_stop", json!({ "mode": "now" })).await.expect("stops");
        bench.engine.close().await.expect("closes");
    };
    tokio::join!(waits, stop);
    drop(clients);
    // A place is free as soon as the server has seen the end of one.
    let free = async { while upgrade.try_clone().expect("no body").send().await.expect("answers").status() == 429 {} };
    timeout(PATIENCE, free).await.expect("in time");
    bench.end().await;
}

#[tokio::test]
async fn a_wait_for_what_cannot_come_ends_when_the_node_is_closed() {
    let bench = Bench::running().await;
    let wait = bench.call("admin_waitFor", json!({ "block": 2_000 }));
    let (error, closed) = tokio::join!(wait, bench.engine.close());
    closed.expect("closes");
    assert_eq!(error.expect_err("closed")["data"]["reason"], "CLOSED");
    bench.end().await;
}

#[tokio::test]
async fn a_subscriber_is_told_its_topics_in_order_with_numbers_of_their_own() {
    let bench = Bench::new().await;
    let client = connected(&bench).await;
    let mut everything = subscribed(&client, Value::Null).await;
    let mut blocks = subscribed(&client, json!("block")).await;
    for news in [l1(51), block(1), l1(52), block(2)] {
        tell(&bench, Told::News(news));
    }
    let heard = [next(&mut blocks).await, next(&mut blocks).await];
    assert_eq!(heard.map(|notice| (notice.seq, notice.news)), [(1, block(1)), (2, block(2))]);
    for (seq, news) in [(1, l1(51)), (1, block(1)), (2, l1(52)), (2, block(2))] {
        let notice = next(&mut everything).await;
        assert_eq!((notice.seq, notice.news), (seq, news));
    }
    bench.engine.start(StartRequest::default()).await.expect("starts");
    let states = async {
        loop {
            if let News::State(state) = next(&mut everything).await.news
                && state.lifecycle.word() == "running"
            {
                break state;
            }
        }
    };
    assert!(!timeout(PATIENCE, states).await.expect("told in time").starting);
    bench.end().await;
}

#[tokio::test]
async fn what_was_missed_is_seen_by_the_number() {
    let bench = Bench::new().await;
    let client = connected(&bench).await;
    let mut subscription = subscribed(&client, json!(["l1"])).await;
    tell(&bench, Told::Missed(Topic::L1, 41));
    tell(&bench, Told::News(l1(51)));
    assert_eq!(next(&mut subscription).await.seq, 42);
    bench.end().await;
}

#[tokio::test]
async fn a_subscription_ends_with_the_server_and_an_unknown_topic_is_refused() {
    let bench = Bench::new().await;
    let client = connected(&bench).await;
    let refused = client
        .subscribe::<Notice, _>("admin_subscribe", rpc_params!["weather"], "admin_unsubscribe")
        .await
        .expect_err("refused");
    assert!(format!("{refused:?}").contains("INVALID_PARAMS"), "{refused:?}");
    let mut subscription = subscribed(&client, json!("state")).await;
    let ended = async { while let Some(Ok(_)) = subscription.next().await {} };
    tokio::join!(async { timeout(PATIENCE, ended).await.expect("ends") }, bench.end());
}
