//! What an operator does with a running node: look, wait, ask why, set, and be kept out.

use std::collections::BTreeSet;
use std::time::Duration;

use alloy::consensus::Transaction as _;
use alloy::primitives::address;
use alloy::providers::Provider as _;
use anyhow::Context as _;
use fermata_e2e::{ChildNode, Condition, Happening, Net, Seen, run};
use fermata_primitives::Slot;
use fermata_sequencer::config::Setting;
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::feed::{Told, Topic};
use fermata_sequencer::status::StatusSource as _;
use futures::StreamExt as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

type Result<T = ()> = anyhow::Result<T>;

/// Runs a verb that must succeed, and gives its JSON.
async fn json(node: &ChildNode, arguments: &[&str]) -> Result<Value> {
    let output = node.verb(&[arguments, &["--json"]].concat()).await?;
    anyhow::ensure!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_waited_for_explained_and_tells_how_far_its_money_goes() -> Result {
    let net = Net::start().await?;
    let node = net.spawn_node("a").await?;
    let status = json(&node, &["wait", "--checkpoint", "1"]).await?;
    assert!(status["l1"]["checkpoint"].as_u64() >= Some(1), "{status}");
    assert_eq!(status["unready"], serde_json::json!([]), "a node at work is ready: {status}");
    assert_eq!(status["signer"]["started"], true, "{status}");
    assert_eq!(status["signer"]["keys"][0]["state"], "enabled", "{status}");
    assert_eq!(status["signer"]["pruning"]["failures"], 0, "L1 tells how far it is final: {status}");

    let explained = json(&node, &["explain"]).await?;
    for check in ["desired", "running", "l1", "synced", "turn", "keys", "signer", "funds"] {
        let found = explained["checks"].as_array().expect("checks").iter().find(|found| found["name"] == check);
        assert_eq!(found.context(check)?["verdict"], "pass", "{explained}");
    }
    let report = json(&node, &["publisher"]).await?;
    let left = report["accounts"][0]["checkpointsLeft"].as_u64().context("it is known")?;
    assert!(left > 1_000, "{report}");
    assert!(report["costBasis"].as_str().is_some_and(|basis| basis.starts_with("what checkpoint")), "{report}");

    let stopped = json(&node, &["stop", "--reason", "to look at it"]).await?;
    let explained = json(&node, &["explain"]).await?;
    let answer = explained["answer"].as_str().context("an answer")?;
    assert!(answer.contains("wants it stopped: \"to look at it\""), "{answer}");
    let late = node.verb(&["wait", "--state", "running", "--timeout", "100ms"]).await?;
    assert_eq!(late.status.code(), Some(17), "{late:?}");

    let nowhere = format!("0x{}", "11".repeat(32));
    let refused = node.verb(&["start", "--at", &nowhere, "--wait", "100ms"]).await?;
    assert_eq!(refused.status.code(), Some(14), "no such block has come: {refused:?}");
    let behind = status["head"]["finalized"]["hash"].as_str().context("a hash")?;
    let refused = node.verb(&["start", "--at", behind]).await?;
    assert_eq!(refused.status.code(), Some(11), "the head is further: {refused:?}");
    let head = stopped["drain"]["head"]["hash"].as_str().context("a hash")?;
    let started = json(&node, &["start", "--at", head]).await?;
    assert_eq!(started["head"]["hash"], head, "{started}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_killed_while_stopped_says_by_whom_and_why_it_stays_so() -> Result {
    let net = Net::start().await?;
    let mut node = net.spawn_node("a").await?;
    json(&node, &["stop", "--now", "--reason", "db maintenance"]).await?;
    node.kill().await?;
    let mut node = net.spawn_node("a").await?;
    let line: Value = serde_json::from_str(&node.log_line("desired state").await?)?;
    assert_eq!(line["fields"]["running"], false, "{line}");
    let why = line["fields"]["why"].as_str().context("a reason")?;
    assert!(why.contains("via cli asked for stopped") && why.ends_with("ago: db maintenance"), "{why}");
    assert!(line["fields"]["precedence"].as_str().is_some_and(|order| order.contains('>')), "{line}");
    let status = json(&node, &["status"]).await?;
    let unready = status["unready"][0].as_str().context("a reason")?;
    assert!(unready.contains("idle, as") && unready.contains("db maintenance"), "{unready}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_new_signing_store_listens_says_so_and_then_signs() -> Result {
    let net = Net::start().await?;
    let node = net.open_node_with("a", &[("validator.protection.listen_only_slots", "3")]).await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    let source = node.node().status_source();
    let status = source.status().await;
    let until = status.signer.listens_until.context("its store is new")?;
    assert!(status.unready.iter().any(|reason| reason.contains("only listens")), "{:?}", status.unready);
    let explained = source.explain(Some(Slot(until.0 - 1))).await;
    assert!(explained.answer.contains("only listens until slot"), "{explained:?}");
    let left_out = watch.until("a slot that is left out", |event| {
        let SequencerEvent::CheckpointLeftOut { slot, reason } = event else { return None };
        reason.contains("only listens").then_some(*slot)
    });
    assert!(left_out.await? < until);

    watch.checkpoint(1).await?;
    let status = source.status().await;
    let landed = status.last_checkpoint.context("it has just landed")?;
    assert!(landed.slot >= until, "{landed:?}");
    assert_eq!((status.signer.listens_until, status.signer.pruning.failure), (None, None));
    let failures = watch.seen().iter().filter(|event| event.is_failure()).count();
    assert_eq!(failures, 0, "to listen is no failure: {:?}", watch.seen());
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_in_a_running_node_takes_effect_in_it() -> Result {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let coinbase = address!("00000000000000000000000000000000000000cc");
    let setting = |key: &str, value: &str| Setting::new(key, value, "the test");
    let set = [setting("validator.coinbase", &coinbase.to_string()), setting("publisher.tip_floor_gwei", "3")];
    assert_eq!(node.node().settings().set(&set)?.applied.len(), 2);
    let mut watch = net.watch(&node);
    node.start().await?;
    let landed = watch.checkpoint(1).await?;
    let tx = net.chain().provider.get_transaction_by_hash(landed.l1_tx).await?.context("mined")?;
    assert_eq!(tx.max_priority_fee_per_gas(), Some(3_000_000_000));
    let reader = node.node().execution().reader().clone();
    let head = reader.header(reader.heads()?.unsafe_head.hash)?.context("the head is stored")?;
    assert_eq!(head.beneficiary, coinbase);

    // Nobody sends a transaction: from the slot after the next on there is nothing to build.
    node.node().settings().set(&[setting("sequencer.min_transactions", "1")])?;
    let prepared = |event: &SequencerEvent| {
        if let SequencerEvent::PreparingCheckpoint { slot, .. } = event { Some(*slot) } else { None }
    };
    let mut watch = net.watch(&node);
    let first = watch.until("a slot with the new setting", prepared).await?;
    let second = watch.until("the slot after it", |event| prepared(event).filter(|slot| *slot > first.next())).await?;
    let built = |event: &&SequencerEvent| matches!(event, SequencerEvent::BlockProposed { slot, .. } if *slot >= first);
    assert_eq!(watch.seen().iter().find(built), None, "up to slot {second}");
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_and_the_deadline_of_a_process_can_be_set_and_its_exit_code_tells_a_cut() -> Result {
    let net = Net::start().await?;
    let mut node = net.spawn_node("a").await?;
    json(&node, &["wait", "--checkpoint", "1"]).await?;
    let set = json(&node, &["config", "set", "log.filter=debug", "sequencer.stop_deadline_ms=1"]).await?;
    assert_eq!(set["applied"], serde_json::json!(["log.filter", "sequencer.stop_deadline_ms"]), "{set}");
    let origin = json(&node, &["config", "get", "log.filter"]).await?;
    assert_eq!(origin[0]["origin"]["layer"], "runtime", "{origin}");
    // Told at `debug` alone.
    node.log_line("PhaseEntered").await?;
    node.terminate()?;
    assert_eq!(node.exit_code().await?, Some(15), "the deadline cut the slot in flight");

    let mut node = net.spawn_node("a").await?;
    json(&node, &["wait", "--state", "running"]).await?;
    node.terminate()?;
    assert_eq!(node.exit_code().await?, Some(0), "what was set is gone with the process");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_topic_has_news() -> Result {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let mut news = node.node().status_source().news();
    node.start().await?;
    let mut heard = BTreeSet::new();
    let all = async {
        while heard.len() < Topic::ALL.len() {
            match news.next().await.context("the node goes on")? {
                Told::News(news) => heard.insert(format!("{:?}", news.topic())),
                Told::Missed(topic, missed) => anyhow::bail!("{missed} of {topic:?} were missed"),
            };
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(120), all).await.context("within two minutes")??;
    drop(news);
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_nothing_amiss_where_a_node_runs_and_names_what_is() -> Result {
    let net = Net::start().await?;
    let doctor = async |changes: &[(&str, &str)]| {
        let output = run(&net.settings("a", changes), &["doctor", "--json"]).await?;
        let findings: Vec<Value> = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
        let failed = findings.iter().filter(|finding| finding["verdict"] == "fail");
        let failed: Vec<_> = failed.map(|finding| finding["check"].as_str().unwrap_or_default().to_owned()).collect();
        anyhow::Ok((output.status.code(), failed))
    };
    assert_eq!(doctor(&[]).await?, (Some(0), vec![]));
    assert!(!net.data_dir("a").exists(), "a look changes nothing");
    let proves = ("node.roles", "sequencer,prover");
    assert_eq!(doctor(&[proves]).await?, (Some(0), vec![]));
    let without_money = ("prover.derivation_path", "m/44'/60'/9'/0");
    assert_eq!(doctor(&[proves, without_money]).await?, (Some(39), vec!["prover".to_owned()]));
    let cases = [
        (("l1.chain_id", "5"), "contract"),
        (("l1.rpc_url", "http://127.0.0.1:9"), "l1"),
        (("execution.prefunded", ""), "genesis"),
        (("validator.derivation_path", "m/44'/60'/9'/0"), "validators"),
        (("publisher.derivation_path", "m/44'/60'/9'/0"), "publishers"),
        (("timetable.block_ms", "3000"), "timetable"),
    ];
    for (change, check) in cases {
        assert_eq!(doctor(&[change]).await?, (Some(39), vec![check.to_owned()]), "{change:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_suspended_answers_nothing_until_it_goes_on() -> Result {
    let net = Net::start().await?;
    let mut node = net.spawn_node("a").await?;
    node.freeze()?;
    let door = node.admin();
    let mut asked = Box::pin(door.call::<Value>("admin_status", serde_json::json!([])));
    let early = tokio::time::timeout(Duration::from_millis(500), &mut asked).await;
    assert!(early.is_err(), "a suspended process has answered: {early:?}");
    node.thaw()?;
    tokio::time::timeout(Duration::from_secs(30), asked).await.context("it goes on")??;
    node.kill().await
}

/// A process tells nothing more of itself.
struct TellsNoMore;

impl Condition for TellsNoMore {
    type Found = ();

    fn what(&self) -> String {
        "end of what the process tells".to_owned()
    }

    fn find(&self, seen: &Seen<'_>) -> Option<()> {
        let is_end = |what: &Happening| matches!(what, Happening::Note(note) if note.contains("tells no more"));
        seen.entries().iter().any(|entry| is_end(&entry.what)).then_some(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_closed_is_no_failure_and_one_that_dies_without_a_word_is() -> Result {
    let net = Net::start().await?;
    let (mut node, before) = (net.spawn_node("a").await?, net.mark());
    node.terminate()?;
    net.wait(TellsNoMore).since(before).await?;
    assert_eq!(net.failures_since(before), []);
    assert_eq!(node.exit_code().await?, Some(0));

    let (mut node, before) = (net.spawn_node("a").await?, net.mark());
    let pid = Pid::from_raw(i32::try_from(node.pid().context("it runs")?)?).context("it has a number")?;
    kill_process(pid, Signal::KILL)?;
    net.wait(TellsNoMore).since(before).await?;
    assert_eq!(node.exit_code().await?, None);
    assert_eq!(net.failures_since(before).len(), 1, "{:?}", net.since(before));
    Ok(())
}
