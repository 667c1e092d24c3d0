//! Each verb, op-node's names for them, and what becomes of callers that go away.

use std::time::Duration;

use fermata_validator_signer::{KeyOrigin, Password, create_keystore};
use futures::FutureExt as _;
use serde_json::{Value, json};

use super::bench::{Bench, HEAD, resting};
use crate::catalogue::Reason;
use crate::lifecycle::Lifecycle;
use crate::status::NodeStatus;
use crate::verbs::PartsError;

fn assert_error(error: &Value, word: &str, code: i64) {
    assert_eq!(error["data"]["reason"], word, "{error}");
    assert_eq!(error["code"], code, "{error}");
    assert!(error["data"]["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{error}");
}

#[tokio::test]
async fn a_start_and_a_stop_change_the_state_once_and_are_remembered() {
    let bench = Bench::new().await;
    let by = json!({ "by": "alice", "reason": "go" });
    let started = bench.call("admin_start", by.clone()).await.expect("starts");
    assert_eq!(started, json!({ "changed": true, "lifecycle": "running", "head": HEAD }));
    assert_eq!(bench.call("admin_start", json!([by])).await.expect("again")["changed"], false);
    bench.parts.ticking.notified().await;

    let stopped = bench.call("admin_stop", json!({ "mode": "now", "by": "bob" })).await.expect("stops");
    assert_eq!((&stopped["changed"], &stopped["lifecycle"]), (&json!(true), &json!("stopped")));
    assert_eq!(stopped["drain"]["outcome"], "interrupted");
    assert_eq!(stopped["drain"]["head"], serde_json::to_value(HEAD).expect("plain"));
    let again = bench.call("admin_stop", json!([])).await.expect("again");
    assert_eq!((&again["changed"], &again["drain"]), (&json!(false), &Value::Null));

    let status = bench.call("admin_status", json!([])).await.expect("answers");
    assert_eq!((&status["desired"]["state"], &status["desired"]["by"]), (&json!("stopped"), &json!("admin rpc")));
    let journal = bench.call("admin_journal", json!({ "most": 3 })).await.expect("answers");
    let rows: Vec<_> =
        journal.as_array().expect("rows").iter().map(|e| (&e["verb"], &e["by"], &e["outcome"])).collect();
    let expected = [
        (json!("admin_stop"), json!("admin rpc"), json!("unchanged")),
        (json!("admin_stop"), json!("bob"), json!("interrupted")),
        (json!("admin_start"), json!("alice"), json!("unchanged")),
    ];
    assert_eq!(rows, expected.iter().map(|(v, b, o)| (v, b, o)).collect::<Vec<_>>());
    bench.end().await;
}

#[tokio::test]
async fn a_graceful_stop_waits_for_the_tick_a_second_one_joins_it_and_a_start_is_refused() {
    let bench = Bench::running().await;
    let first = bench.call("admin_stop", json!({ "mode": "graceful" }));
    let second = bench.call("admin_stop", json!([]));
    let meddle = async {
        bench.engine.status().wait_for(|s| s.lifecycle.word() == "stopping").await.expect("the engine lives");
        let refused = bench.call("admin_start", json!([])).await.expect_err("refused");
        assert_error(&refused, "STOPPING", -32010);
        bench.parts.release.notify_one();
    };
    let (first, second, ()) = tokio::join!(first, second, meddle);
    let (first, second) = (first.expect("stops"), second.expect("stops"));
    assert_eq!(first["drain"]["outcome"], "drained");
    assert_eq!(first["drain"]["head"], second["drain"]["head"]);
    bench.end().await;
}

#[tokio::test]
async fn a_graceful_stop_interrupts_after_its_deadline() {
    let bench = Bench::running().await;
    let stopped = bench.call("admin_stop", json!({ "deadlineMs": 1 })).await.expect("stops");
    assert_eq!(stopped["drain"]["outcome"], "deadline");
    bench.end().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_abort_its_stop() {
    let bench = Bench::running().await;
    let request = bench.request("admin_stop", &json!([])).bearer_auth(bench.token.expose());
    let call = request.send();
    futures::pin_mut!(call);
    let mut status = bench.engine.status();
    tokio::select! {
        _ = &mut call => panic!("it waits for the tick"),
        stopping = status.wait_for(|s| s.lifecycle.word() == "stopping") => drop(stopping.expect("the engine lives")),
    }
    assert!(call.now_or_never().is_none(), "the connection is dropped here");
    bench.parts.release.notify_one();
    status.wait_for(|s| s.lifecycle == Lifecycle::Stopped).await.expect("the engine lives");
    bench.end().await;
}

#[tokio::test]
async fn a_start_that_fails_tells_the_reason_and_can_be_repeated() {
    let bench = Bench::new().await;
    for (reason, code) in [(Reason::Unfunded, -32018), (Reason::L1Down, -32022), (Reason::StartFailed, -32020)] {
        let fail = PartsError::new(reason, "publisher 0xab has 0 ETH; send to it".to_owned());
        *bench.parts.refuse_start.lock().unwrap() = Some(fail);
        let error = bench.call("admin_start", json!([])).await.expect_err("refused");
        assert_error(&error, reason.word(), code);
        assert!(error["message"].as_str().is_some_and(|m| m.contains("has 0 ETH; send to it")), "{error}");
    }
    assert_eq!(bench.store.wish().await.expect("read"), None, "a start that failed is nobody's wish");
    assert_eq!(bench.call("admin_start", json!([])).await.expect("starts")["changed"], true);
    bench.end().await;
}

#[tokio::test]
async fn parameters_that_are_not_the_methods_are_refused_and_change_nothing() {
    let bench = Bench::running().await;
    let cases = [
        ("admin_stop", json!({ "mode": "brutal" })),
        ("admin_stop", json!({ "mode": "now", "deadlineMs": 5 })),
        ("admin_stop", json!({ "deadline": 5 })),
        ("admin_stop", json!({ "deadlineMs": -5 })),
        ("admin_stop", json!({ "deadlineMs": 0 })),
        ("admin_stop", json!({ "mode": "now", "atSlot": 5 })),
        ("admin_stop", json!({ "atSlot": 5, "atBlock": 6 })),
        ("admin_start", json!({ "at": "0x12" })),
        ("admin_config", json!({ "get": [] })),
        ("admin_config", json!({ "set": { "log.filter": true } })),
        ("admin_waitFor", json!([])),
        ("admin_waitFor", json!({ "block": 1, "state": "idle" })),
        ("admin_waitFor", json!({ "state": "asleep" })),
        ("admin_explain", json!({ "slot": u64::MAX })),
        ("admin_explain", json!({ "slot": "next" })),
        ("admin_stop", json!([{}, {}])),
        ("admin_start", json!({ "why": "x" })),
        ("admin_close", json!(["now"])),
        ("admin_reloadKeys", json!({ "dir": "/keys" })),
        ("admin_status", json!([1])),
        ("admin_startSequencer", json!(["0x12"])),
        ("admin_start", json!({ "reason": "x".repeat(1_025) })),
        ("admin_stop", json!({ "by": "x".repeat(1_025) })),
        ("admin_stopSequencer", json!([true])),
    ];
    for (method, params) in cases {
        let error = bench.call(method, params.clone()).await.expect_err("refused");
        assert_error(&error, "INVALID_PARAMS", -32602);
        assert_eq!(bench.engine.status().borrow().lifecycle, Lifecycle::Running, "{method} {params}");
    }
    let journal = bench.store.journal(100).await.expect("read");
    assert!(journal.iter().all(|entry| entry.outcome == "INVALID_PARAMS"), "{journal:?}");
    assert_eq!(journal.len(), 18, "those of verbs, and none of those that only ask");
    bench.end().await;
}

#[tokio::test]
async fn two_stops_at_once_with_different_modes_end_as_the_harder_one() {
    let bench = Bench::running().await;
    let graceful = bench.call("admin_stop", json!({ "mode": "graceful" }));
    let now = async {
        bench.engine.status().wait_for(|s| s.lifecycle.word() == "stopping").await.expect("the engine lives");
        bench.call("admin_stop", json!({ "mode": "now" })).await
    };
    let (graceful, now) = tokio::join!(graceful, now);
    for answer in [graceful, now] {
        let answer = answer.expect("stops");
        assert_eq!((&answer["lifecycle"], &answer["drain"]["outcome"]), (&json!("stopped"), &json!("interrupted")));
    }
    bench.end().await;
}

#[tokio::test]
async fn a_stop_while_a_start_is_under_way_overtakes_it() {
    let bench = Bench::new().await;
    *bench.parts.hold_start.lock().unwrap() = true;
    let start = bench.call("admin_start", json!([]));
    let stop = async {
        bench.engine.status().wait_for(|status| status.starting).await.expect("the engine lives");
        bench.call("admin_stop", json!([])).await
    };
    let (started, stopped) = tokio::join!(start, stop);
    assert_error(&started.expect_err("overtaken"), "INTERRUPTED", -32019);
    assert_eq!(stopped.expect("stops")["changed"], false, "nothing ran");
    *bench.parts.hold_start.lock().unwrap() = false;
    assert_eq!(bench.call("admin_start", json!([])).await.expect("starts")["changed"], true);
    bench.end().await;
}

#[tokio::test]
async fn a_start_at_a_head_that_is_not_the_nodes_is_refused_with_both() {
    let bench = Bench::new().await;
    let other = "0x1111111111111111111111111111111111111111111111111111111111111111";
    let error = bench.call("admin_start", json!({ "at": other, "waitMs": 5 })).await.expect_err("another head");
    assert_error(&error, "HEAD_MISMATCH", -32011);
    assert_eq!((&error["data"]["have"], &error["data"]["want"]), (&json!(HEAD.hash), &json!(other)));
    let started = bench.call("admin_start", json!({ "at": HEAD.hash })).await.expect("starts");
    assert_eq!(started["head"]["hash"], json!(HEAD.hash));
    bench.end().await;
}

#[tokio::test]
async fn hot_keys_are_set_at_once_the_others_are_named_and_one_that_is_wrong_spoils_all() {
    let bench = Bench::new().await;
    let of = async |key: &str| {
        let keys = bench.call("admin_config", json!([])).await.expect("answers");
        keys.as_array().expect("a list").iter().find(|shown| shown["key"] == key).cloned().expect("a key")
    };
    assert_eq!(of("validator.mnemonic").await["value"], "\"<secret>\"");
    let set = json!({ "sequencer.min_transactions": 3, "sequencer.stop_deadline_ms": "9000", "rpc.max_batch": 7 });
    let answer = bench.call("admin_config", json!({ "set": set, "by": "alice" })).await.expect("set");
    assert_eq!(answer["applied"], json!(["sequencer.min_transactions", "sequencer.stop_deadline_ms"]));
    assert_eq!(answer["needsRestart"], json!(["rpc.max_batch"]));
    let shown = of("sequencer.min_transactions").await;
    assert_eq!((&shown["value"], &shown["origin"]), (&json!("3"), &json!({ "layer": "runtime", "at": "alice" })));
    assert_eq!(of("rpc.max_batch").await["value"], "1000");

    let wrong = json!({ "sequencer.min_transactions": 4, "publisher.tip_cap_gwei": 0, "sequencer.min_transaction": 1 });
    let error = bench.call("admin_config", json!({ "set": wrong, "by": "alice" })).await.expect_err("refused");
    assert_error(&error, "CONFIG_INVALID", -32030);
    assert!(error["data"]["problems"][0].as_str().is_some_and(|problem| problem.contains("did you mean")), "{error}");
    assert_eq!(of("sequencer.min_transactions").await["value"], "3");
    let journal = bench.store.journal(2).await.expect("read");
    assert_eq!(journal[0].outcome, "CONFIG_INVALID");
    assert_eq!(journal[1].outcome, "set sequencer.min_transactions, sequencer.stop_deadline_ms");
    bench.end().await;
}

#[tokio::test]
async fn keys_are_read_anew_in_one_step_and_one_that_cannot_be_read_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (keys, password_file) = (dir.path().join("keys"), dir.path().join("password"));
    std::fs::create_dir(&keys).expect("made");
    std::fs::write(&password_file, "open sesame").expect("written");
    let password = Password::from_file(&password_file).expect("a password");
    let first = create_keystore(&keys, &password).expect("made");
    let bench = Bench::with_keys(vec![KeyOrigin::Directory { dir: keys.clone(), password_file }]).await;
    let second = create_keystore(&keys, &password).expect("made");
    let answer = bench.call("admin_reloadKeys", json!({ "by": "alice" })).await.expect("reloads");
    assert_eq!(answer, json!({ "added": [second.address], "removed": [], "unchanged": [first.address] }));
    std::fs::write(&second.path, "{").expect("spoilt");
    let error = bench.call("admin_reloadKeys", json!({ "by": "alice" })).await.expect_err("refused");
    assert_error(&error, "KEYSTORE_UNUSABLE", -32037);
    assert!(
        error["message"].as_str().is_some_and(|says| says.contains(second.path.to_str().expect("text"))),
        "{error}"
    );
    assert_eq!(bench.keys.list().len(), 2);
    let journal = bench.store.journal(2).await.expect("read");
    let noted: Vec<_> = journal.iter().map(|entry| (entry.verb.as_str(), entry.outcome.as_str())).collect();
    assert_eq!(noted, [("admin_reloadKeys", "KEYSTORE_UNUSABLE"), ("admin_reloadKeys", "1 added, 0 removed")]);
    bench.end().await;
}

#[tokio::test]
async fn what_is_asked_is_answered_by_the_node() {
    let bench = Bench::new().await;
    let explained = bench.call("admin_explain", json!({ "slot": 120 })).await.expect("answers");
    assert_eq!((&explained["slot"], &explained["answer"]), (&json!(120), &json!("slot 120 is not ours")));
    let report = bench.call("admin_publisher", json!([])).await.expect("answers");
    assert_eq!((&report["accounts"][0]["nonce"], &report["accounts"][0]["checkpointsLeft"]), (&json!(7), &json!(12)));
    bench.end().await;
}

#[tokio::test]
async fn a_stopped_node_tells_what_its_publishers_send_through_and_what_is_amiss() {
    let bench = Bench::new().await;
    let asked = bench.call("admin_publisher", json!([])).await.expect("answers");
    assert_eq!((&asked["sends"], &asked["warnings"]), (&json!(false), &json!([])), "it was never started");
    bench.sending.lock().unwrap().1 = resting();
    let asked = bench.call("admin_publisher", json!([])).await.expect("answers");
    let backend =
        json!({ "name": "http://a", "rests": true, "failures": 4, "lastError": "no answer", "otherChain": null });
    assert_eq!(asked["backends"], json!([backend]));
    assert_eq!(asked["funder"]["neededWei"], "0x64");
    assert_eq!(asked["funder"]["state"], "ready", "the funder is an account like the others");
    let status = bench.call("admin_status", json!([])).await.expect("answers");
    assert_eq!(status["sending"]["warnings"], json!([{ "says": "nobody takes it", "remedy": "look" }]));
    let read_back: NodeStatus = serde_json::from_value(status).expect("reads back");
    assert_eq!(read_back.sending, resting());
    bench.end().await;
}

#[tokio::test]
async fn the_op_node_names_start_at_the_head_stop_with_a_hash_and_tell_whether_it_is_active() {
    let bench = Bench::new().await;
    assert_eq!(bench.call("admin_sequencerActive", json!([])).await.expect("answers"), false);
    let other = "0x1111111111111111111111111111111111111111111111111111111111111111";
    let error = bench.call("admin_startSequencer", json!([other])).await.expect_err("another head");
    assert_error(&error, "HEAD_MISMATCH", -32011);
    assert_eq!((&error["data"]["have"], &error["data"]["want"]), (&json!(HEAD.hash), &json!(other)));
    assert_eq!(bench.engine.status().borrow().lifecycle, Lifecycle::Idle, "nothing was started");

    assert_eq!(bench.call("admin_startSequencer", json!([HEAD.hash])).await.expect("starts"), Value::Null);
    assert_eq!(bench.call("admin_startSequencer", json!([])).await.expect("a redundant one"), Value::Null);
    assert_eq!(bench.call("admin_sequencerActive", json!([])).await.expect("answers"), true);
    bench.parts.release.notify_one();
    for _ in 0..2 {
        assert_eq!(bench.call("admin_stopSequencer", json!([])).await.expect("stops"), json!(HEAD.hash));
        assert_eq!(bench.call("admin_sequencerActive", json!([])).await.expect("answers"), false);
    }
    bench.end().await;
}

#[tokio::test]
async fn a_recorded_exchange_with_op_node_has_the_same_answers_byte_by_byte() {
    let bench = Bench::new().await;
    bench.parts.release.notify_one();
    let hash = HEAD.hash;
    let start = format!(r#"{{"jsonrpc":"2.0","id":2,"method":"admin_startSequencer","params":["{hash}"]}}"#);
    let stopped = format!(r#"{{"jsonrpc":"2.0","id":4,"result":"{hash}"}}"#);
    let exchange = [
        (r#"{"jsonrpc":"2.0","id":1,"method":"admin_sequencerActive"}"#, r#"{"jsonrpc":"2.0","id":1,"result":false}"#),
        (start.as_str(), r#"{"jsonrpc":"2.0","id":2,"result":null}"#),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"admin_sequencerActive","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":3,"result":true}"#,
        ),
        (r#"{"jsonrpc":"2.0","id":4,"method":"admin_stopSequencer","params":[]}"#, stopped.as_str()),
    ];
    for (asked, answered) in exchange {
        let request = super::bench::client().post(bench.url("/")).bearer_auth(bench.token.expose());
        let answer = request.header("content-type", "application/json").body(asked.to_owned()).send().await;
        assert_eq!(answer.expect("answers").text().await.expect("a body"), answered);
    }
    bench.end().await;
}

#[tokio::test]
async fn a_close_answers_what_it_released_and_asks_the_process_to_end() {
    let bench = Bench::running().await;
    assert!(!bench.server.closed().is_cancelled());
    let closed = bench.call("admin_close", json!({ "by": "alice" })).await.expect("closes");
    assert_eq!(closed["closed"], json!(["node"]));
    assert_eq!(closed["drain"]["outcome"], "interrupted");
    assert!(bench.server.closed().is_cancelled(), "the process is asked to end");

    assert_error(&bench.call("admin_start", json!([])).await.expect_err("closed"), "CLOSED", -32016);
    assert_eq!(bench.call("admin_stop", json!([])).await.expect("a no-op")["changed"], false);
    assert_eq!(bench.call("admin_close", json!([])).await.expect("a no-op")["closed"], json!([]));
    bench.end().await;
}

#[tokio::test]
async fn a_stop_of_the_server_delivers_the_answer_in_progress() {
    let bench = Bench::running().await;
    let request = bench.request("admin_stop", &json!([])).bearer_auth(bench.token.expose());
    let Bench { server, engine, parts, .. } = bench;
    let answer = request.send();
    let end = async {
        engine.status().wait_for(|s| s.lifecycle.word() == "stopping").await.expect("the engine lives");
        let (release, stop) = (async { parts.release.notify_one() }, server.stop());
        tokio::join!(stop, release);
    };
    let (answer, ()) = tokio::join!(answer, end);
    assert_eq!(super::bench::body(answer.expect("answers")).await["result"]["drain"]["outcome"], "drained");
}

#[tokio::test]
async fn a_journal_that_hangs_keeps_no_answer_and_gets_its_entry_in_the_end() {
    let bench = Bench::new().await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let hang = bench.store.write(move |_, _| {
        let _ = held.recv();
        Ok(())
    });
    let set = async {
        let set = bench.call("admin_config", json!({ "set": { "sequencer.min_transactions": 3 } })).await;
        release.send(()).expect("the writer waits");
        set
    };
    let (hung, set) = tokio::join!(hang, set);
    hung.expect("written");
    assert_eq!(set.expect("answered while the journal hung")["applied"][0], "sequencer.min_transactions");
    let entry = async {
        loop {
            match bench.store.journal(1).await.expect("read").first() {
                Some(entry) => return entry.verb.clone(),
                None => tokio::task::yield_now().await,
            }
        }
    };
    let verb = tokio::time::timeout(Duration::from_secs(60), entry).await.expect("it is written in the end");
    assert_eq!(verb, "admin_config");
    bench.end().await;
}

#[tokio::test]
async fn a_head_that_is_not_known_is_no_hash_to_start_at() {
    let bench = Bench::new().await;
    bench.chains.lock().unwrap().head = Default::default();
    let error = bench.call("admin_stopSequencer", json!([])).await.expect_err("no head");
    assert_error(&error, "INTERNAL", -32603);
    bench.end().await;
}
