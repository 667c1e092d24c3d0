//! What is said of keys in a node's own store and in the one that it shares, by one command.

use fermata_validator_signer::{KeyState, PostgresOptions, PostgresProtection, Protection};
use serde_json::json;

use super::*;

const KEY: Address = Address::repeat_byte(0x11);

fn domain() -> Domain {
    Domain { l1_chain_id: 7, rollup: ROLLUP.parse().expect("an address") }
}

/// A node that is stopped, with a store of its own and one that it shares.
struct Node {
    dir: tempfile::TempDir,
    server: Server,
}

impl Node {
    /// Its key was seen to sign elsewhere, which both stores know.
    fn halted() -> Self {
        let node = Self { dir: tempfile::tempdir().expect("a directory"), server: Server::start() };
        let file = config(node.dir.path(), node.server.port());
        for init in ["init", "init-shared"] {
            let (exit, told) = run(&[init, "--config", text(&file)]);
            assert_eq!(exit, 0, "{told}");
        }
        let duty = Duty { validator: KEY, slot: Slot(5), kind: DutyKind::Attestation };
        let seen = Halt { duty, digest: B256::repeat_byte(1), signature: Signature::test_signature() };
        node.in_each(async |store| store.observe(seen).await.expect("it is kept"));
        node
    }

    fn own(&self) -> PathBuf {
        signer_dir(&self.dir.path().join("data"))
    }

    /// In its own store, and in the shared one.
    fn in_each<T>(&self, work: impl AsyncFn(&dyn Protection) -> T) -> [T; 2] {
        let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
        runtime.block_on(async {
            let own = SlashingProtection::open(&self.own(), domain(), StoreOptions::default()).expect("it is free");
            let options = PostgresOptions::new("another");
            let shared = PostgresProtection::open(&self.server.url(), domain(), options).await.expect("it is there");
            let done = [work(&own).await, work(&shared).await];
            own.close().await;
            Protection::close(&shared).await;
            done
        })
    }

    fn states(&self) -> [KeyState; 2] {
        self.in_each(async |store| store.key_states().get(&KEY).copied().unwrap_or_default())
    }

    fn is_halted(&self) -> [bool; 2] {
        self.states().map(|state| state.halt.is_some())
    }

    fn told(&self, args: &[&str]) -> (u8, String) {
        run(&[args, &["--config", text(&self.dir.path().join("fermata.toml"))]].concat())
    }
}

#[test]
fn a_halt_is_lifted_in_both_stores_by_one_command_that_says_so() {
    let (node, key) = (Node::halted(), KEY.to_string());
    assert_eq!(node.is_halted(), [true, true]);
    let (exit, told) = node.told(&["lift-halt", &key]);
    assert_eq!(exit, 0, "{told}");
    assert!(told.contains("may sign again") && told.contains("slot 5"), "{told}");
    assert!(told.contains("the node's own store: lifted\n  the shared store: lifted"), "{told}");
    assert_eq!(node.is_halted(), [false, false]);
    let (exit, told) = node.told(&["lift-halt", &key, "--json"]);
    let again: Value = serde_json::from_str(&told).expect("JSON");
    let nothing = [("own", Value::Null), ("shared", Value::Null)]
        .map(|(store, lifted)| json!({ "store": store, "lifted": lifted }));
    assert_eq!((exit, &again["lifted"], &again["stores"]), (0, &Value::Null, &json!(nothing)), "{told}");
}

#[test]
fn one_store_alone_is_lifted_in_where_it_is_named() {
    let (node, key) = (Node::halted(), KEY.to_string());
    let (exit, told) = run(&["lift-halt", &key, "--data-dir", text(&node.dir.path().join("data"))]);
    assert!(exit == 0 && told.contains("may sign again") && !told.contains("shared"), "{told}");
    assert_eq!(node.is_halted(), [false, true]);
    let (exit, told) = node.told(&["lift-halt", &key, "--shared"]);
    assert!(exit == 0 && told.contains("may sign again") && !told.contains("own"), "{told}");
    assert_eq!(node.is_halted(), [false, false]);
}

#[test]
fn a_halt_that_the_shared_store_keeps_is_told_with_what_is_done_and_what_to_run() {
    let (node, key) = (Node::halted(), KEY.to_string());
    let sql = |statement: &str| node.server.sql(&format!("SET search_path = fermata_signer; {statement}"));
    sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON keys EXECUTE FUNCTION refuse()");
    let (exit, told) = node.told(&["lift-halt", &key]);
    assert!(exit != 0 && told.contains("not now"), "{exit}: {told}");
    assert!(told.contains("done in the node's own store") && told.contains("again, with --shared"), "{told}");
    assert_eq!(node.is_halted(), [false, true]);
    sql("DROP TRIGGER refuse ON keys");
    assert_eq!(node.told(&["lift-halt", &key, "--shared"]).0, 0);
    assert_eq!(node.is_halted(), [false, false]);
}

#[test]
fn while_the_shared_store_is_away_nothing_is_lifted_but_where_the_own_store_is_named() {
    let (mut node, key) = (Node::halted(), KEY.to_string());
    node.server.down();
    let (exit, told) = node.told(&["lift-halt", &key]);
    assert!(exit != 0 && told.contains("nothing is changed in the node's own store either"), "{exit}: {told}");
    assert!(told.contains(&format!("--store {}", node.own().display())), "{told}");
    node.server.up("");
    assert_eq!(node.is_halted(), [true, true]);
    node.server.down();
    let own = node.own();
    assert_eq!(node.told(&["lift-halt", &key, "--store", text(&own)]).0, 0);
    node.server.up("");
    assert_eq!(node.is_halted(), [false, true]);
}

#[test]
fn a_key_is_retired_in_both_stores_by_one_command() {
    let (node, key) = (Node::halted(), KEY.to_string());
    let (exit, told) = node.told(&["retire", &key]);
    assert!(exit == 0 && told.contains("by the node's own store and by the shared store"), "{exit}: {told}");
    assert_eq!(node.states().map(|state| state.retired), [true, true]);
}
