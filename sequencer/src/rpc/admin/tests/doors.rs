//! Who is refused, and that a refusal changes nothing.

use serde_json::{Value, json};

use super::bench::{Bench, body, client, config};
use crate::catalogue::Reason;
use crate::lifecycle::Lifecycle;
use crate::rpc::admin::{AdminContext, AdminError, serve};

/// Every method, each with parameters it takes.
fn methods() -> Vec<(&'static str, Value)> {
    vec![
        ("admin_start", json!([])),
        ("admin_stop", json!({ "mode": "now" })),
        ("admin_close", json!([])),
        ("admin_status", json!([])),
        ("admin_journal", json!([])),
        ("admin_startSequencer", json!([])),
        ("admin_stopSequencer", json!([])),
        ("admin_sequencerActive", json!([])),
    ]
}

/// Nothing has happened to a running node.
async fn assert_untouched(bench: &Bench) {
    assert_eq!(bench.engine.status().borrow().lifecycle, Lifecycle::Running);
    assert_eq!(bench.engine.status().borrow().runs, 1);
    assert!(bench.store.journal(10).await.expect("read").is_empty());
    assert_eq!(bench.store.wish().await.expect("read"), None);
}

fn assert_refused(answer: &Value, reason: Reason) {
    let entry = reason.entry();
    assert_eq!(answer["error"]["code"], entry.rpc_code.expect("an RPC code"));
    assert_eq!(answer["error"]["data"], json!({ "reason": entry.word, "hint": entry.hint }));
    assert!(answer.get("result").is_none());
}

#[tokio::test]
async fn without_the_token_every_method_is_refused_and_nothing_changes() {
    let bench = Bench::running().await;
    let right = bench.token.expose().to_owned();
    let almost = format!("{}{}", &right[..63], if right.ends_with('0') { '1' } else { '0' });
    let wrong = ["", "Bearer", "Bearer wrong", "Basic YWRtaW46YWRtaW4=", &format!("Bearer {almost}"), &right];
    for (method, params) in methods() {
        for header in [None].into_iter().chain(wrong.map(Some)) {
            let request = bench.request(method, &params);
            let request = header.map_or_else(|| bench.request(method, &params), |h| request.header("authorization", h));
            let answer = request.send().await.expect("answers");
            assert_eq!(answer.status(), 401, "{method} {header:?}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
            assert_refused(&body(answer).await, Reason::Unauthorized);
        }
    }
    assert_untouched(&bench).await;
    bench.end().await;
}

#[tokio::test]
async fn a_web_page_of_a_foreign_origin_is_refused_even_with_the_token() {
    let bench = Bench::running().await;
    for origin in ["https://evil.example.org", "null", "http://127.0.0.1:8547", "https://ops.example.org.evil.org"] {
        for (method, params) in methods() {
            let request = bench.request(method, &params).bearer_auth(bench.token.expose()).header("origin", origin);
            let answer = request.send().await.expect("answers");
            assert_eq!(answer.status(), 403, "{method} {origin}");
            assert!(!answer.headers().contains_key("access-control-allow-origin"));
            assert_refused(&body(answer).await, Reason::OriginRefused);
        }
        let page = client().get(bench.url("/status")).header("origin", origin).send().await.expect("answers");
        assert_eq!(page.status(), 403, "the pages as well: {origin}");
    }
    assert_untouched(&bench).await;
    bench.end().await;
}

#[tokio::test]
async fn a_name_that_was_rebound_to_loopback_is_refused_even_with_the_token() {
    let bench = Bench::running().await;
    for host in ["evil.example.org", "evil.example.org:8547", "127.0.0.1.evil.org", "[2001:db8::1]:80", ""] {
        for (method, params) in methods() {
            let request = bench.request(method, &params).bearer_auth(bench.token.expose()).header("host", host);
            let answer = request.send().await.expect("answers");
            assert_eq!(answer.status(), 403, "{method} {host}");
            assert_refused(&body(answer).await, Reason::HostRefused);
        }
    }
    assert_untouched(&bench).await;
    bench.end().await;
}

#[tokio::test]
async fn loopback_names_and_allowed_hosts_and_origins_are_let_in() {
    let bench = Bench::running().await;
    for host in ["127.0.0.1:1", "127.9.9.9", "localhost", "LocalHost:80", "[::1]:8547", "node-1.internal:443"] {
        let request = bench.request("admin_sequencerActive", &json!([])).bearer_auth(bench.token.expose());
        let answer = request.header("host", host).send().await.expect("answers");
        assert_eq!(body(answer).await["result"], true, "{host}");
    }
    let origin = "https://ops.example.org";
    let request = bench.request("admin_sequencerActive", &json!([])).bearer_auth(bench.token.expose());
    let answer = request.header("origin", origin).send().await.expect("answers");
    assert_eq!(answer.headers()["access-control-allow-origin"], origin);
    assert_eq!(body(answer).await["result"], true);
    bench.end().await;
}

#[tokio::test]
async fn a_preflight_of_an_allowed_origin_is_answered_and_of_another_refused() {
    let bench = Bench::new().await;
    let preflight = |origin: &'static str| {
        let method = "OPTIONS".parse().expect("a method");
        client().request(method, bench.url("/")).header("origin", origin).send()
    };
    let answer = preflight("https://ops.example.org").await.expect("answers");
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["access-control-allow-headers"], "authorization, content-type");
    assert_eq!(preflight("https://evil.example.org").await.expect("answers").status(), 403);
    bench.end().await;
}

#[tokio::test]
async fn a_websocket_upgrade_goes_through_the_same_doors() {
    let bench = Bench::running().await;
    let upgrade = || {
        let request = client().get(bench.url("/")).header("connection", "upgrade").header("upgrade", "websocket");
        request.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let token = bench.token.expose();
    assert_eq!(upgrade().send().await.expect("answers").status(), 401);
    let foreign = upgrade().bearer_auth(token).header("origin", "https://evil.example.org");
    assert_eq!(foreign.send().await.expect("answers").status(), 403);
    let rebound = upgrade().bearer_auth(token).header("host", "evil.example.org");
    assert_eq!(rebound.send().await.expect("answers").status(), 403);
    assert_eq!(upgrade().bearer_auth(token).send().await.expect("answers").status(), 101);
    assert_untouched(&bench).await;
    bench.end().await;
}

#[tokio::test]
async fn a_batch_and_an_oversized_request_are_refused_and_nothing_changes() {
    let bench = Bench::running().await;
    let post = |text: String| {
        client()
            .post(bench.url("/"))
            .bearer_auth(bench.token.expose())
            .header("content-type", "application/json")
            .body(text)
    };
    let stop = json!({ "jsonrpc": "2.0", "id": 1, "method": "admin_stop", "params": { "mode": "now" } });
    let answer = post(json!([stop, stop]).to_string()).send().await.expect("answers");
    assert_eq!(body(answer).await["error"]["code"], -32005);
    let long = json!({ "jsonrpc": "2.0", "id": 1, "method": "admin_stop", "params": { "reason": "x".repeat(70_000) } });
    assert_eq!(post(long.to_string()).send().await.expect("answers").status(), 413);
    assert_untouched(&bench).await;
    bench.end().await;
}

#[tokio::test]
async fn a_port_in_use_is_refused_by_name_and_with_a_remedy() {
    let bench = Bench::new().await;
    let mut taken = config();
    taken.listen = bench.server.local_addr();
    let context = AdminContext {
        engine: bench.engine.clone(),
        status: std::sync::Arc::new(Never),
        store: std::sync::Arc::clone(&bench.store),
        metrics: bench.metrics.handle(),
        clock: std::sync::Arc::new(fermata_primitives::SystemClock),
    };
    let error = serve(&taken, bench.token.hash(), context).await.expect_err("taken");
    assert!(matches!(error, AdminError::PortInUse { addr } if addr == taken.listen), "{error:?}");
    assert_eq!(error.reason().exit_code(), 35);
    assert!(
        error.to_string().contains(&taken.listen.to_string()) && error.to_string().contains("admin.listen"),
        "{error}"
    );
    bench.end().await;
}

/// A status that nobody asks for.
struct Never;

impl crate::status::StatusSource for Never {
    fn status(&self) -> futures::future::BoxFuture<'_, crate::status::NodeStatus> {
        unreachable!("nothing is served")
    }
}
