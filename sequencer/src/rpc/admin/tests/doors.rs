//! Who is refused, and that a refusal changes nothing.

use alloy::transports::http::reqwest::Client;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::bench::{Bench, body, client, config};
use crate::catalogue::Reason;
use crate::data_dir::Scope;
use crate::lifecycle::Lifecycle;
use crate::rpc::admin::{AdminContext, AdminError, Doors, serve};

/// Every method, each with parameters it takes, and the scope it needs.
fn methods() -> Vec<(&'static str, Value, Scope)> {
    use Scope::{Danger, Operate, Read};
    vec![
        ("admin_start", json!([]), Operate),
        ("admin_stop", json!({ "mode": "now" }), Operate),
        ("admin_close", json!([]), Danger),
        ("admin_config", json!([]), Read),
        ("admin_config", json!({ "set": { "sequencer.min_transactions": 3 } }), Operate),
        ("admin_reloadKeys", json!([]), Danger),
        ("admin_status", json!([]), Read),
        ("admin_waitFor", json!({ "block": 1 }), Read),
        ("admin_explain", json!([]), Read),
        ("admin_publisher", json!([]), Read),
        ("admin_journal", json!([]), Read),
        ("admin_subscribe", json!([]), Read),
        ("admin_unsubscribe", json!([1]), Read),
        ("admin_startSequencer", json!([]), Operate),
        ("admin_stopSequencer", json!([]), Operate),
        ("admin_sequencerActive", json!([]), Read),
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
    for (method, params, _) in methods() {
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
        for (method, params, _) in methods() {
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
        for (method, params, _) in methods() {
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
async fn the_table_of_this_test_has_every_method_there_is() {
    let bench = Bench::running().await;
    let named: std::collections::BTreeSet<_> = methods().into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(bench.server.methods().collect::<std::collections::BTreeSet<_>>(), named);
    bench.end().await;
}

#[tokio::test]
async fn a_token_opens_what_its_scope_includes_and_nothing_else() {
    for scope in Scope::ALL {
        for (method, params, needed) in methods() {
            let bench = Bench::running().await;
            bench.parts.release.notify_one();
            let answer = bench.request(method, &params).bearer_auth(bench.token_of(scope).expose()).send();
            let answer = answer.await.expect("answers");
            if scope >= needed {
                assert_ne!(answer.status(), 403, "{method} {params} with {scope:?}");
                assert_ne!(body(answer).await["error"]["data"]["reason"], "FORBIDDEN", "{method} with {scope:?}");
            } else {
                assert_eq!(answer.status(), 403, "{method} {params} with {scope:?}");
                let told = body(answer).await;
                let error = &told["error"];
                assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32004), &json!("FORBIDDEN")));
                assert_eq!(bench.engine.status().borrow().lifecycle, Lifecycle::Running, "{method}");
                assert_eq!(bench.settings.config().sequencer.min_transactions, 0);
                let journal = bench.store.journal(10).await.expect("read");
                assert_eq!(journal, [], "what a token does not open washes no entry out of the journal");
            }
            bench.end().await;
        }
    }
}

/// A caller over the socket in the data directory.
fn over_the_socket(bench: &Bench) -> Client {
    Client::builder().no_proxy().tls_certs_only([]).unix_socket(bench.socket.path()).build().expect("a client")
}

#[tokio::test]
async fn over_the_socket_no_token_is_needed_and_the_journal_tells_the_door() {
    let bench = Bench::running().await;
    let call = |method: &str, params: Value| {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        over_the_socket(&bench).post("http://localhost/").header("content-type", "application/json").body(body).send()
    };
    assert_eq!(body(call("admin_sequencerActive", json!([])).await.expect("answers")).await["result"], true);
    let stopped = body(call("admin_stop", json!({ "mode": "now" })).await.expect("answers")).await;
    assert_eq!(stopped["result"]["lifecycle"], "stopped");
    assert_eq!(bench.store.journal(1).await.expect("read")[0].by, "admin socket");
    let page = over_the_socket(&bench).get("http://localhost/healthz").send().await.expect("answers");
    assert_eq!(page.status(), 200);
    let foreign = over_the_socket(&bench).post("http://localhost/").header("origin", "https://evil.example.org");
    assert_eq!(foreign.send().await.expect("answers").status(), 403);
    bench.end().await;
}

#[tokio::test]
async fn what_is_no_call_is_refused_in_the_catalogues_words_and_nothing_changes() {
    let bench = Bench::running().await;
    let post = |text: String, content_type: &'static str| {
        let request = client().post(bench.url("/")).bearer_auth(bench.token.expose());
        request.header("content-type", content_type).body(text).send()
    };
    let stop = json!({ "jsonrpc": "2.0", "id": 1, "method": "admin_stop", "params": { "mode": "now" } });
    let silent = json!({ "jsonrpc": "2.0", "method": "admin_stop", "params": { "mode": "now" } });
    const JSON: &str = "application/json";
    let cases = [
        (json!([stop, stop]).to_string(), JSON, Reason::InvalidRequest),
        (silent.to_string(), JSON, Reason::InvalidRequest),
        (stop.to_string(), "text/plain", Reason::InvalidRequest),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":".to_owned(), JSON, Reason::InvalidRequest),
        ("hello".to_owned(), JSON, Reason::InvalidRequest),
        (String::new(), JSON, Reason::InvalidRequest),
        (json!({ "id": 1, "method": "admin_stop" }).to_string(), JSON, Reason::InvalidRequest),
        (format!("{{\"reason\":\"{}\"}}", "x".repeat(70_000)), JSON, Reason::TooLarge),
    ];
    for (text, content_type, reason) in cases {
        let answer = post(text.clone(), content_type).await.expect("answers");
        assert_eq!(answer.status(), reason.entry().http, "{text:.60}");
        assert_refused(&body(answer).await, reason);
    }
    let unknown = bench.call("admin_shutdown", json!([])).await.expect_err("unknown");
    assert_eq!((&unknown["code"], &unknown["data"]["reason"]), (&json!(-32601), &json!("UNKNOWN_METHOD")));
    assert!(unknown["message"].as_str().is_some_and(|message| message.contains("admin_shutdown")));
    let get = client().get(bench.url("/")).bearer_auth(bench.token.expose()).send().await.expect("answers");
    assert_eq!(get.status(), 400, "a look is no call");
    let http = bench.call("admin_subscribe", json!(["l1"])).await.expect_err("refused");
    assert_eq!(http["data"]["reason"], "INVALID_REQUEST", "{http}");
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
        settings: std::sync::Arc::clone(&bench.settings),
        keys: std::sync::Arc::clone(&bench.keys),
        store: std::sync::Arc::clone(&bench.store),
        metrics: bench.metrics.handle(),
        slot: std::time::Duration::from_secs(36),
        clock: std::sync::Arc::new(fermata_primitives::SystemClock),
    };
    let error = serve(&taken, Doors { tokens: bench.tokens, socket: None }, context).await.expect_err("taken");
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
    fn status(&self) -> BoxFuture<'_, crate::status::NodeStatus> {
        unreachable!("nothing is served")
    }

    fn explain(&self, _: Option<fermata_primitives::Slot>) -> BoxFuture<'_, crate::explain::Explanation> {
        unreachable!("nothing is served")
    }

    fn publisher(&self) -> BoxFuture<'_, crate::status::PublisherReport> {
        unreachable!("nothing is served")
    }

    fn news(&self) -> futures::stream::BoxStream<'static, crate::feed::Told> {
        Box::pin(futures::stream::empty())
    }
}
