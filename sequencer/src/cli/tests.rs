//! The command line against a served node: what is printed, and with which exit code it ends.

mod captured;

use std::io::Write;

use clap::{CommandFactory as _, Parser};
use serde_json::Value;

pub(super) use self::captured::Captured;
use super::*;
use crate::config::{Setting, Sources};
use crate::rpc::admin::tests::{Bench, resting};
use crate::verbs::PartsError;

/// The commands of this module, as `main` would take them.
#[derive(Parser, Debug)]
#[command(name = "fermata")]
enum Cli {
    #[command(flatten)]
    Verb(VerbCommand),
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// What a command printed, and its exit code.
#[derive(Debug)]
struct Ran {
    exit: u8,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

async fn run(args: &[&str]) -> Ran {
    run_on(args, |console| console).await
}

async fn run_on(args: &[&str], adjust: fn(Console) -> Console) -> Ran {
    let (out, err) = (Captured::default(), Captured::default());
    let mut console = adjust(Console::new(out.clone(), err.clone()));
    let exit = match Cli::try_parse_from(["fermata"].iter().chain(args)).expect("valid arguments") {
        Cli::Verb(verb) => verb.run(&mut console).await,
        Cli::Config(config) => config.run(&mut console).await,
    };
    Ran { exit, out: out.text(), err: err.text() }
}

/// Runs a command on the node of that bench, found from its data directory.
async fn on(bench: &Bench, args: &[&str]) -> Ran {
    let dir = bench.dir.path().to_str().expect("text");
    run(&[args, &["--data-dir", dir]].concat()).await
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[tokio::test]
async fn start_status_stop_and_close_find_the_node_from_its_data_directory() {
    let bench = Bench::new().await;
    let started = on(&bench, &["start", "--reason", "the show begins"]).await;
    assert_eq!((started.exit, started.out.as_str()), (0, "started at #1042 0xabababab…abab\n"), "{started:?}");
    assert_eq!(on(&bench, &["start"]).await.out, "running already at #1042 0xabababab…abab\n");
    bench.parts.ticking.notified().await;

    let status = on(&bench, &["status"]).await;
    assert_eq!(status.exit, 0);
    for expected in
        ["state  running for", "desired  running, says", "head  #1042 0xabababab…abab", "health  ok", "signer  0 keys"]
    {
        assert!(status.out.contains(expected), "{expected} not in\n{}", status.out);
    }

    bench.parts.release.notify_one();
    let stopped = on(&bench, &["stop", "--reason", "db maintenance"]).await;
    assert_eq!(stopped.exit, 0);
    let lines: Vec<_> = stopped.out.lines().collect();
    assert!(
        lines[0].starts_with("stopped in ") && lines[0].ends_with("everything in flight ended by itself"),
        "{lines:?}"
    );
    assert_eq!(lines[1..], ["head #1042 0xabababab…abab"]);
    assert_eq!(on(&bench, &["stop", "--now"]).await.out, "stopped already; nothing was in flight\n");

    let journal = on(&bench, &["journal", "--most", "2"]).await;
    assert_eq!(journal.out.lines().count(), 2);
    assert!(journal.out.contains("admin_stop") && journal.out.contains("\"db maintenance\""), "{}", journal.out);

    let closed = on(&bench, &["close"]).await;
    assert_eq!((closed.exit, closed.out.as_str()), (0, "closed\nreleased  node\n"));
    assert!(bench.server.closed().is_cancelled(), "the process is asked to end");
    bench.end().await;
}

#[tokio::test]
async fn with_json_the_answer_is_what_the_rpc_answers() {
    let bench = Bench::running().await;
    let status = on(&bench, &["status", "--json"]).await.json();
    assert_eq!(status["actual"]["lifecycle"], "running");
    assert_eq!(status["head"]["unsafe"]["number"], 1_042);
    let stopped = on(&bench, &["stop", "--now", "--json"]).await.json();
    assert_eq!((&stopped["changed"], &stopped["drain"]["outcome"]), (&Value::Bool(true), &Value::from("interrupted")));
    assert!(
        on(&bench, &["journal", "--json"]).await.json()[0]["by"].as_str().is_some_and(|by| by.ends_with("via cli"))
    );
    bench.end().await;
}

#[tokio::test]
async fn each_refusal_has_its_exit_code_its_cause_and_a_hint() {
    let bench = Bench::new().await;
    let fail = PartsError::new(crate::catalogue::Reason::Unfunded, "publisher 0xab has 0 ETH".to_owned());
    *bench.parts.refuse_start.lock().unwrap() = Some(fail.clone());
    let unfunded = on(&bench, &["start"]).await;
    assert_eq!((unfunded.exit, unfunded.out.as_str()), (18, ""));
    assert!(
        unfunded.err.contains("publisher 0xab has 0 ETH") && unfunded.err.contains("hint: send ETH"),
        "{}",
        unfunded.err
    );
    *bench.parts.refuse_start.lock().unwrap() = Some(fail);
    let json = on(&bench, &["start", "--json"]).await;
    assert_eq!((json.exit, &json.json()["error"]["reason"]), (18, &Value::from("UNFUNDED")));

    let wrong = on(&bench, &["stop", "--token", "wrong"]).await;
    assert_eq!(wrong.exit, 3, "{wrong:?}");
    assert!(wrong.err.contains("admin.token"), "{}", wrong.err);
    let read = bench.token_of(crate::data_dir::Scope::Read);
    let forbidden = on(&bench, &["stop", "--token", read.expose()]).await;
    assert_eq!(forbidden.exit, 7, "{forbidden:?}");
    assert!(forbidden.err.contains("operate"), "{}", forbidden.err);
    on(&bench, &["close"]).await;
    assert_eq!(on(&bench, &["start"]).await.exit, 16);
    bench.end().await;
}

#[tokio::test]
async fn a_start_during_a_stop_ends_with_the_catalogues_code() {
    let bench = Bench::running().await;
    let meddle = async {
        bench.engine.status().wait_for(|s| s.lifecycle.word() == "stopping").await.expect("the engine lives");
        let refused = on(&bench, &["start"]).await;
        bench.parts.release.notify_one();
        refused
    };
    let (stopped, refused) = tokio::join!(on(&bench, &["stop"]), meddle);
    assert_eq!((stopped.exit, refused.exit), (0, 10), "{refused:?}");
    bench.end().await;
}

#[tokio::test]
async fn while_a_stop_waits_it_shows_what_for() {
    let bench = Bench::running().await;
    let dir = bench.dir.path().to_str().expect("text").to_owned();
    let args = ["stop", "--deadline", "1200ms", "--data-dir", dir.as_str()];
    let stopped = run_on(&args, Console::with_progress).await;
    assert!(stopped.err.contains("stopping: the tick in flight, head #1042"), "{:?}", stopped.err);
    assert!(stopped.out.contains("the deadline passed"), "{}", stopped.out);
    bench.end().await;
}

#[tokio::test]
async fn without_a_node_it_says_so_and_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("text");
    let ran = run(&["status", "--data-dir", path]).await;
    assert_eq!(ran.exit, 4);
    assert!(ran.err.contains("admin.endpoint is not there") && ran.err.contains("fermata node"), "{}", ran.err);

    std::fs::write(dir.path().join("admin.token"), "ab".repeat(32)).expect("written");
    // A port of loopback that was just given back: what a killed node leaves behind.
    let freed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let stale = run(&["status", "--data-dir", path, "--endpoint", &format!("http://{freed}")]).await;
    assert_eq!(stale.exit, 4, "{stale:?}");
    assert!(stale.err.contains("no node answers at"), "{}", stale.err);
    let nonsense = run(&["status", "--data-dir", path, "--endpoint", "not a url"]).await;
    assert_eq!(nonsense.exit, 2, "{nonsense:?}");
}

#[tokio::test]
async fn the_socket_is_used_where_there_is_one_and_the_token_where_there_is_none() {
    let bench = Bench::new().await;
    for token in ["admin.token", "operate.token", "read.token"] {
        std::fs::remove_file(bench.dir.path().join(token)).expect("removed");
    }
    assert_eq!(on(&bench, &["status"]).await.exit, 0, "over the socket");
    std::fs::remove_file(bench.socket.path()).expect("removed");
    assert_eq!(on(&bench, &["status"]).await.exit, 3, "nothing opens the listener");
    bench.end().await;
}

#[tokio::test]
async fn wait_explain_publisher_and_config_answer_as_the_node_does() {
    let bench = Bench::new().await;
    let reached = on(&bench, &["wait", "--block", "7"]).await;
    let expected = "idle: head #1042 0xabababab…abab, checkpoint 7 on L1, L1 block 50\n";
    assert_eq!((reached.exit, reached.out.as_str()), (0, expected));
    let late = on(&bench, &["wait", "--state", "stopped", "--timeout", "20ms"]).await;
    assert_eq!(late.exit, 17, "{late:?}");
    assert_eq!(on(&bench, &["wait", "--state", "asleep"]).await.exit, 2);
    assert_eq!(on(&bench, &["explain", "--slot", "9"]).await.out, "slot 9 is not ours\n");
    assert!(on(&bench, &["publisher"]).await.out.contains("about 12 checkpoints"));
    bench.end().await;
}

#[tokio::test]
async fn publisher_status_is_a_table_or_json_and_its_warnings_are_in_the_status() {
    let bench = Bench::new().await;
    let stopped = on(&bench, &["publisher", "status"]).await;
    assert!(stopped.exit == 0 && stopped.out.starts_with("nothing is sent: the node does not run"), "{stopped:?}");
    assert_eq!(stopped.out, on(&bench, &["publisher"]).await.out, "`status` is what is shown without a word");
    bench.sending.lock().unwrap().1 = resting();
    let told = on(&bench, &["publisher", "status"]).await.out;
    assert!(told.contains("http://a  rests after 4 failures  no answer"), "{told}");
    assert!(told.ends_with("warning: nobody takes it; look\n"), "{told}");
    let json = on(&bench, &["publisher", "status", "--json"]).await.json();
    assert_eq!(json["warnings"][0]["remedy"], "look");
    assert!(on(&bench, &["status"]).await.out.contains("warning  nobody takes it; look"));
    let nowhere = tempfile::tempdir().expect("a directory");
    let unreached = run(&["publisher", "status", "--json", "--data-dir", nowhere.path().to_str().expect("text")]).await;
    assert_eq!((unreached.exit, &unreached.json()["error"]["reason"]), (4, &Value::from("NODE_UNREACHABLE")));
    bench.end().await;
}

#[tokio::test]
async fn a_publishers_journal_is_of_a_store_that_is_there() {
    let nowhere = tempfile::tempdir().expect("a directory");
    let dir = nowhere.path().to_str().expect("text");
    let missing = run(&["publisher", "journal", dir]).await;
    assert!(missing.exit != 0 && missing.err.contains(dir), "{missing:?}");
    let missing = run(&["publisher", "journal", "--json", dir]).await;
    assert!(missing.json()["error"]["message"].as_str().expect("text").contains(dir), "{missing:?}");
}

#[tokio::test]
async fn hot_keys_are_set_and_shown_and_what_is_wrong_is_named() {
    let bench = Bench::new().await;
    let set = on(&bench, &["config", "set", "sequencer.min_transactions=3", "rpc.max_batch=7"]).await;
    assert_eq!(set.exit, 0, "{set:?}");
    assert!(set.out.contains("set until the process ends: sequencer.min_transactions"), "{}", set.out);
    assert!(set.out.contains("takes a restart: rpc.max_batch"), "{}", set.out);
    let get = on(&bench, &["config", "get", "sequencer.min_transactions"]).await;
    let shown = get.out.strip_prefix("sequencer.min_transactions = 3  set by ");
    assert!(shown.is_some_and(|rest| rest.lines().count() == 1), "{}", get.out);
    let wrong = on(&bench, &["config", "set", "sequencer.min_transactions=few"]).await;
    assert_eq!(wrong.exit, 30, "{wrong:?}");
    let unknown = on(&bench, &["config", "get", "sequencer.min_transaction"]).await;
    assert!(unknown.exit == 30 && unknown.err.contains("did you mean"), "{unknown:?}");
    bench.end().await;
}

/// Takes two screens, and then is a closed pipe.
#[derive(Clone, Default)]
struct TwoScreens(Captured);

impl Write for TwoScreens {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.text().matches("\x1b[J").count() == 2 {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_watched_status_is_drawn_in_place_and_ends_when_nobody_reads() {
    let bench = Bench::new().await;
    let dir = bench.dir.path().to_str().expect("text");
    let out = TwoScreens::default();
    let mut console = Console::new(out.clone(), Captured::default());
    let parsed = Cli::try_parse_from(["fermata", "status", "--watch", "--data-dir", dir]).expect("valid");
    let Cli::Verb(verb) = parsed else { panic!("not a verb") };
    assert_eq!(verb.run(&mut console).await, 0);
    let screens = out.0.text();
    assert_eq!(screens.matches("\x1b[H").count(), 2);
    assert!(screens.contains("state  idle for") && !screens.contains("\x1b[2J"), "{screens:?}");
    bench.end().await;
}

#[tokio::test]
async fn a_node_of_another_machine_is_reached_by_endpoint_and_token() {
    let bench = Bench::new().await;
    let nowhere = tempfile::tempdir().expect("a directory");
    let (dir, url) = (nowhere.path().to_str().expect("text"), bench.url(""));
    let with_token = ["status", "--data-dir", dir, "--endpoint", &url, "--token", bench.token.expose()];
    assert_eq!(run(&with_token).await.exit, 0);
    let without = run(&with_token[..5]).await;
    assert_eq!(without.exit, 3);
    assert!(without.err.contains("FERMATA_TOKEN"), "{}", without.err);
    bench.end().await;
}

#[test]
fn arguments_that_exclude_each_other_are_refused() {
    for args in [
        &["stop", "--graceful", "--now"][..],
        &["stop", "--now", "--deadline", "3s"],
        &["stop", "--deadline", "3"],
        &["stop", "--now", "--at-slot", "3"],
        &["stop", "--at-block", "3", "--at-slot", "3"],
        &["start", "--wait", "3s"],
        &["wait"],
        &["wait", "--block", "3", "--state", "idle"],
        &["config", "set"],
    ] {
        let refused = Cli::try_parse_from(["fermata"].iter().chain(args)).expect_err("refused");
        assert_eq!(refused.exit_code(), 2, "{args:?}");
    }
}

/// Runs `config show` on layers of its own, without the environment of the test.
fn show(args: &[&str], sources: &Sources) -> Ran {
    let parsed = Cli::try_parse_from(["fermata", "config", "show"].iter().chain(args)).expect("valid arguments");
    let Cli::Config(ConfigCommand::Show(args)) = parsed else { panic!("not config show") };
    let (out, err) = (Captured::default(), Captured::default());
    let exit = show_config(&args, sources, &mut Console::new(out.clone(), err.clone()));
    Ran { exit, out: out.text(), err: err.text() }
}

#[test]
fn config_show_tells_each_value_where_it_comes_from_and_all_that_is_wrong() {
    let sources = Sources {
        env: vec![("FERMATA_RPC__LISTEN".to_owned(), "127.0.0.1:9".to_owned())],
        flags: vec![Setting::new("publisher.mnemonic", "not a mnemonic", "--set")],
        ..Sources::default()
    };
    let ran = show(&["--origin"], &sources);
    assert_eq!(ran.exit, 30);
    let line = |key: &str| ran.out.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(
        line("rpc.listen").starts_with("rpc.listen = \"127.0.0.1:9\"")
            && line("rpc.listen").ends_with("  env FERMATA_RPC__LISTEN")
    );
    assert!(line("clock").ends_with("  default"), "{}", line("clock"));
    assert!(line("publisher.mnemonic").starts_with("publisher.mnemonic = \"<secret>\""));
    assert!(!ran.out.contains("not a mnemonic"));
    assert!(
        ran.err.contains("`publisher.mnemonic` is not a mnemonic") && ran.err.contains("`l1.rpc_url` is not set"),
        "{}",
        ran.err
    );

    let json = show(&["--json"], &sources).json();
    let of = |key: &str| json.as_array().expect("rows").iter().find(|row| row["key"] == key).cloned().expect("a row");
    assert_eq!(of("rpc.listen")["origin"]["layer"], "env");
    assert_eq!(of("l1.rpc_url")["value"], Value::Null);
}

#[test]
fn what_config_show_prints_is_a_file_that_means_the_same() {
    let setting = |key, value| Setting::new(key, value, "--set");
    let sources = Sources {
        flags: vec![
            setting("l1.rpc_url", "http://127.0.0.1:8545"),
            setting("l1.addresses_file", "/etc/fermata/addresses.json"),
            setting("l1.blobs", "anvil"),
            setting("validator.keystore_dir", "/keys/v"),
            setting("validator.password_file", "/keys/v.password"),
            setting("publisher.keystore_dir", "/keys/p"),
            setting("publisher.password_file", "/keys/p.password"),
            setting("execution.chain_id", "1337"),
            setting("admin.allowed_hosts", "a,b"),
            setting("data_dir", "/data"),
        ],
        ..Sources::default()
    };
    let ran = show(&[], &sources);
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("fermata.toml");
    std::fs::write(&file, &ran.out).expect("written");
    let from_file = Sources { file: Some(file), ..Sources::default() };
    let load = |sources| crate::config::NodeConfig::load(sources).expect("valid");
    assert_eq!(load(&from_file), load(&sources));
}

#[test]
fn a_flag_is_named_as_the_origin_of_its_key() {
    let args = ["--rpc-listen", "127.0.0.1:1", "--set", "log.format=json"];
    let Cli::Config(ConfigCommand::Show(_)) =
        Cli::try_parse_from(["fermata", "config", "show"].iter().chain(&args)).expect("valid")
    else {
        panic!("not config show")
    };
    let node = NodeArgs {
        rpc_listen: Some("127.0.0.1:1".to_owned()),
        set: vec![("log.format".to_owned(), "json".to_owned())],
        ..NodeArgs::default()
    };
    let flags: Vec<_> = node.sources().flags.into_iter().map(|s| (s.key, s.by)).collect();
    let expected = [("log.format", "--set"), ("rpc.listen", "--rpc-listen")];
    assert_eq!(flags, expected.map(|(key, by)| (key.to_owned(), by.to_owned())));
}
