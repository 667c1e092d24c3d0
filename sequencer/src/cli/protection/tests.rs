//! Signing stores made and read from the command line.

mod exchange;
mod hand_over;
mod shared;

use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256, Signature};
use clap::Parser;
use fermata_primitives::{Epoch, Slot};
use fermata_validator_signer::{
    Domain, Duty, DutyKind, EthAttestation, EthDuty, EthPublicKey, Halt, Sentinel, SlashingProtection, StoreOptions,
};
use serde_json::Value;

use super::*;
use crate::cli::tests::Captured;
use crate::config::NodeConfig;
use crate::data_dir::{DataDir, signer_anchor, signer_dir};

const ROLLUP: &str = "0x00000000000000000000000000000000000000bb";

#[derive(Parser, Debug)]
struct Cli {
    #[command(subcommand)]
    command: ProtectionCommand,
}

/// What a command printed on both ways out, and its exit code.
fn run(args: &[&str]) -> (u8, String) {
    let out = Captured::default();
    let cli = Cli::try_parse_from(["protection"].iter().chain(args)).expect("valid arguments");
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let exit = runtime.block_on(cli.command.run(&mut Console::new(out.clone(), out.clone()), &Scan::InProcess));
    (exit, out.text())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn a_store_is_made_once_says_what_it_means_and_is_found_sound() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("signing");
    let init = ["init", "--store", text(&store), "--l1-chain-id", "7", "--rollup", ROLLUP];
    let (exit, told) = run(&init);
    assert_eq!(exit, 0, "{told}");
    assert!(told.contains("on L1 chain 7") && told.contains("must not be used"), "{told}");
    let (exit, told) = run(&init);
    assert_eq!(exit, 23);
    assert!(told.contains("exists already"), "{told}");

    let (exit, told) = run(&["verify", "--store", text(&store)]);
    assert_eq!(exit, 0, "{told}");
    assert!(told.starts_with("sound: store 0x") && told.contains("\nno duty is on record\n"), "{told}");
    assert!(told.ends_with("the next node to open it listens before it signs\n"), "{told}");
    let (_, told) = run(&["verify", "--store", text(&store), "--json"]);
    let survey: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(survey["domain"]["l1_chain_id"], 7);
}

#[test]
fn a_store_of_a_data_directory_is_made_where_a_node_looks_for_it_and_not_beside_a_node() {
    let dir = tempfile::tempdir().expect("a directory");
    let init = ["init", "--data-dir", text(dir.path()), "--l1-chain-id", "7", "--rollup", ROLLUP];
    let held = DataDir::open(dir.path()).expect("it is free");
    assert_eq!(run(&init).0, 31);
    let store = held.signer();
    held.close();
    assert_eq!(run(&init).0, 0);
    let domain = Domain { l1_chain_id: 7, rollup: ROLLUP.parse().expect("an address") };
    let opened = SlashingProtection::open(&store, domain, StoreOptions::default());
    drop(opened.expect("it is for that rollup"));
}

#[test]
fn chain_and_rollup_come_from_the_configuration_where_they_are_not_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, store) = (dir.path().join("fermata.toml"), dir.path().join("signing"));
    let keys = "mnemonic = \"test test test test test test test test test test test junk\"\n";
    let config = format!(
        "[l1]\nrpc_url = \"http://127.0.0.1:9\"\nrollup_address = \"{ROLLUP}\"\nblobs = \"anvil\"\n[validator]\n{keys}[publisher]\n{keys}"
    );
    std::fs::write(&file, config + "[execution]\nchain_id = 7\n").expect("written");
    let from_file = ["--store", text(&store), "--config", text(&file)];
    let (exit, told) = run(&[&["init"], &from_file[..]].concat());
    assert_eq!(exit, 30);
    assert!(told.contains("--l1-chain-id"), "{told}");
    let (exit, told) = run(&[&["init", "--set", "l1.chain_id=11"], &from_file[..]].concat());
    assert_eq!(exit, 0, "{told}");
    let survey = SlashingProtection::verify(&store, &Sentinel::default()).expect("it is sound");
    assert_eq!((survey.domain.l1_chain_id, survey.domain.rollup), (11, ROLLUP.parse().expect("an address")));
}

#[test]
fn a_missing_store_is_not_taken_for_an_empty_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let (exit, told) = run(&["verify", "--store", text(dir.path())]);
    assert_eq!(exit, 33);
    assert!(told.contains("no signing store at"), "{told}");
    let (exit, told) = run(&["verify", "--json", "--store", text(dir.path())]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((exit, &told["error"]["reason"]), (33, &"STORE_DAMAGED".into()));
}

#[test]
fn a_halt_is_lifted_once_and_for_the_key_that_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("signing");
    assert_eq!(run(&["init", "--store", text(&store), "--l1-chain-id", "7", "--rollup", ROLLUP]).0, 0);
    let domain = Domain { l1_chain_id: 7, rollup: ROLLUP.parse().expect("an address") };
    let validator = Address::repeat_byte(0x11);
    let duty = Duty { validator, slot: Slot(5), kind: DutyKind::Attestation };
    let seen = Halt { duty, digest: B256::repeat_byte(1), signature: Signature::test_signature() };
    let open = || SlashingProtection::open(&store, domain, StoreOptions::default()).expect("it is free");
    futures::executor::block_on(async {
        let opened = open();
        opened.observe(seen).await.expect("it is kept");
        opened.close().await;
    });
    let lift = |key: Address| run(&["lift-halt", &key.to_string(), "--store", text(&store)]);
    let (exit, told) = lift(Address::repeat_byte(0x22));
    assert!(exit == 0 && told.contains("was not halted"), "{exit}: {told}");
    let (exit, told) = lift(validator);
    assert!(exit == 0 && told.contains("may sign again") && told.contains("slot 5"), "{exit}: {told}");
    assert_eq!(open().key_states().borrow()[&validator].halt, None);
}

#[test]
fn an_older_copy_in_a_data_directory_is_told_and_gone_on_with_under_a_mark() {
    let dir = tempfile::tempdir().expect("a directory");
    let domain = ["--l1-chain-id", "7", "--rollup", ROLLUP];
    let at = ["--data-dir", text(dir.path())];
    assert_eq!(run(&[&["init"], &at[..], &domain[..]].concat()).0, 0);
    let (store, anchor) = (signer_dir(dir.path()), signer_anchor(dir.path()));
    let options = StoreOptions {
        sentinel: Sentinel { scan: Scan::InProcess, anchor: Some(anchor.clone()) },
        ..StoreOptions::default()
    };
    let domain = Domain { l1_chain_id: 7, rollup: ROLLUP.parse().expect("an address") };
    drop(SlashingProtection::open(&store, domain, options).expect("it opens"));
    // It has closed once it can be looked at.
    while run(&[&["verify"], &at[..]].concat()).0 == 31 {}
    assert_eq!(run(&[&["verify"], &at[..]].concat()).0, 0);

    std::fs::remove_file(&anchor).expect("it was kept there");
    let (exit, told) = run(&[&["verify"], &at[..]].concat());
    assert_eq!(exit, 41, "{told}");
    assert!(told.contains("anchor is missing") && told.contains("accept-restored"), "{told}");
    let (exit, told) = run(&[&["accept-restored", "--raise-low-to", "90"], &at[..]].concat());
    assert_eq!((exit, told.ends_with("slots up to 90 are refused to every key\n")), (0, true), "{told}");
    let (exit, told) = run(&[&["verify"], &at[..]].concat());
    assert_eq!((exit, told.contains("restored once: slots up to 90")), (0, true), "{told}");
}

#[test]
fn a_store_with_ethereum_keys_is_gone_on_with_once_it_is_told_what_they_may_have_signed() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("signing");
    let at = ["--store", text(&store)];
    let accept = |more: &[&str]| run(&[&["accept-restored", "--raise-low-to", "90"], &at[..], more].concat());
    let told_of = ["--eth-slot", "500", "--eth-target", "15"];
    assert_eq!(run(&[&["init", "--l1-chain-id", "7", "--rollup", ROLLUP], &at[..]].concat()).0, 0);
    let (exit, told) = accept(&[]);
    assert!(exit == 0 && !told.contains("Ethereum"), "nobody asks of what there is none: {exit}: {told}");

    let domain = Domain { l1_chain_id: 7, rollup: ROLLUP.parse().expect("an address") };
    futures::executor::block_on(async {
        let opened = SlashingProtection::open(&store, domain, StoreOptions::default()).expect("it is free");
        let vote = EthDuty::Attestation(EthAttestation { source: Epoch(9), target: Epoch(10) });
        let _ = opened.reserve_eth(EthPublicKey::repeat_byte(1), vote, B256::repeat_byte(1)).await.expect("it is new");
        opened.close().await;
    });
    let verify = || run(&[&["verify"], &at[..]].concat()).1;
    let told = verify();
    assert!(told.contains("1 Ethereum keys: 0 blocks, 1 attestations, spent below target epoch 11"), "{told}");
    let (exit, told) = accept(&[]);
    assert!(exit != 0 && told.contains("1 Ethereum keys") && told.contains("--eth-slot SLOT"), "{exit}: {told}");
    let (exit, told) = accept(&told_of);
    assert!(exit == 0 && told.contains("through slot 500") && told.contains("through epoch 15"), "{exit}: {told}");
    let (exit, told) = accept(&["--eth-slot", "500", "--eth-target", "14"]);
    assert!(exit != 0 && told.contains("from epoch 15 to 15"), "{exit}: {told}");
    let told = verify();
    assert!(
        told.contains("every Ethereum key is refused what lies below slot 501 and below target epoch 16"),
        "{told}"
    );
}
