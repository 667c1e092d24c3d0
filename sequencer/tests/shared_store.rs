//! The signing store that nodes share, from the command line: the real binary, on a real server, while a node uses it.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

#[path = "../../validator-signer/tests/signer/postgres/server.rs"]
#[expect(dead_code, reason = "the signing stores' own, who do more to servers")]
mod server;

/// What the servers' stores are for.
mod support {
    use alloy::primitives::Address;
    use fermata_validator_signer::Domain;

    pub(crate) const DOMAIN: Domain = Domain { l1_chain_id: 7, rollup: Address::repeat_byte(0xbb) };
}

use std::fs;
use std::path::Path;
use std::process::Command;

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::Slot;
use fermata_validator_signer::{
    Duty, DutyKind, EthBlock, EthDuty, Halt, NotSafe, PostgresProtection, Protection as _, SignerError,
};
use serde_json::Value;
use server::{SharedPlace, shared};
use support::DOMAIN;
use tempfile::TempDir;

const PUBLIC_KEY: &str =
    "0x222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222";
const ROOT: &str = "0x4444444444444444444444444444444444444444444444444444444444444444";

/// A node's configuration, and its directory.
struct Configured {
    dir: TempDir,
    place: SharedPlace,
}

impl Configured {
    fn new() -> Self {
        let (dir, place) = (tempfile::tempdir().unwrap(), SharedPlace::on(shared().url()));
        let keys = "mnemonic = \"test test test test test test test test test test test junk\"\n";
        let (rollup, port, schema) = (DOMAIN.rollup, shared().port(), &place.schema);
        let config = format!(
            "[l1]\nrpc_url = \"http://127.0.0.1:9\"\nrollup_address = \"{rollup}\"\nchain_id = 7\nblobs = \"anvil\"\n\
             [validator]\n{keys}[validator.protection]\npostgres = \"postgres://fermata@127.0.0.1:{port}/postgres\"\n\
             schema = \"{schema}\"\nnode = \"a\"\n[publisher]\n{keys}[execution]\nchain_id = 7\n"
        );
        fs::write(dir.path().join("fermata.toml"), config).unwrap();
        Self { dir, place }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// What a command of the configured node printed, and its exit code.
    fn run(&self, args: &[&str]) -> (i32, String) {
        let of_node = ["--config", &self.path("fermata.toml"), "--data-dir", &self.path("data")];
        run(&[args, &of_node].concat())
    }
}

fn run(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fermata")).arg("protection").args(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn attestation(slot: u64) -> Duty {
    Duty { validator: Address::repeat_byte(0x11), slot: Slot(slot), kind: DutyKind::Attestation }
}

async fn a_node(configured: &Configured) -> PostgresProtection {
    PostgresProtection::open(&configured.place.url, DOMAIN, configured.place.options("b")).await.unwrap()
}

#[tokio::test]
async fn files_go_into_the_shared_store_and_out_of_it_beside_a_node_that_uses_it() {
    let configured = Configured::new();
    assert_eq!(configured.run(&["init-shared"]).0, 0);
    let node = a_node(&configured).await;
    let _ = node.reserve(attestation(4), B256::repeat_byte(1)).await.unwrap();

    let file = configured.path("lighthouse.json");
    let text = format!(
        r#"{{"metadata":{{"interchange_format_version":"5","genesis_validators_root":"{ROOT}"}},"data":[{{"pubkey":"{PUBLIC_KEY}",
        "signed_blocks":[{{"slot":"81952"}}],"signed_attestations":[]}}]}}"#
    );
    fs::write(&file, text).unwrap();
    let (exit, told) = configured.run(&["import", &file, "--shared", "--genesis-validators-root", ROOT]);
    assert_eq!((exit, told.contains("1 Ethereum keys, 1 new records")), (0, true), "{told}");
    let block = |slot| EthDuty::Block(EthBlock { slot: Slot(slot) });
    let refused = node.reserve_eth(PUBLIC_KEY.parse().unwrap(), block(81_952), B256::repeat_byte(1)).await;
    assert!(matches!(refused, Err(SignerError::EthNotSafe(_))), "{refused:?}");

    let out = configured.path("all.json");
    let (exit, told) = configured.run(&["export", &out, "--shared"]);
    assert_eq!((exit, told.contains("1 rollup keys with 1 duties, 1 Ethereum keys")), (0, true), "{told}");
    let exported: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    assert_eq!(exported["data"][0]["signed_blocks"][0]["slot"], "81952");
    assert_eq!(exported["rollup_interchange"]["scopes"][0]["signers"][0]["duties"][0]["slot"], "4");
    assert!(!Path::new(&configured.path("data")).exists(), "a node's own directory is not touched");
    node.close().await;
}

#[tokio::test]
async fn what_is_said_of_keys_in_the_shared_store_holds_for_a_node_that_uses_it() {
    let configured = Configured::new();
    assert_eq!(configured.run(&["init-shared"]).0, 0);
    let node = a_node(&configured).await;
    for slot in [4, 5] {
        let _ = node.reserve(attestation(slot), B256::repeat_byte(1)).await.unwrap();
    }
    let (exit, told) = configured.run(&["prune", "--finalized-slot", "9", "--keep-slots", "5", "--shared"]);
    assert_eq!((exit, told.starts_with("forgot 1 records")), (0, true), "{told}");
    let refused = node.reserve(attestation(4), B256::repeat_byte(1)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::BelowLow { low: Slot(4), .. }))), "{refused:?}");

    let seen = Halt { duty: attestation(6), digest: B256::repeat_byte(1), signature: Signature::test_signature() };
    node.observe(seen).await.unwrap();
    let signer = attestation(7).validator.to_string();
    let (exit, told) = configured.run(&["lift-halt", &signer, "--shared"]);
    assert_eq!((exit, told.contains("may sign again") && told.contains("slot 6")), (0, true), "{told}");
    assert!(node.reserve(attestation(7), B256::repeat_byte(1)).await.is_ok());

    let (exit, told) = configured.run(&["retire", &signer, PUBLIC_KEY, "--shared"]);
    assert_eq!((exit, told.starts_with("2 keys are refused")), (0, true), "{told}");
    let refused = node.reserve(attestation(8), B256::repeat_byte(1)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Retired { .. }))), "{refused:?}");
    node.close().await;
}

#[test]
fn vectors_are_run_against_a_database_and_nothing_of_them_stays_there() {
    let (dir, name) = (tempfile::tempdir().unwrap(), "from_genesis_on.json");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../validator-signer/tests/vectors");
    fs::copy(own.join(name), dir.path().join(name)).unwrap();
    let url = format!("postgres://fermata@127.0.0.1:{}/postgres", shared().port());
    let (exit, told) = run(&["vectors", dir.path().to_str().unwrap(), "--database", &url]);
    assert_eq!((exit, told.contains("6 passed, 0 failed")), (0, true), "{told}");
    assert_eq!(shared().sql("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'fermata_vectors%'"), "0");
    let gone = "postgres://fermata:hunter2@127.0.0.1:1/postgres";
    let (exit, told) = run(&["vectors", dir.path().to_str().unwrap(), "--database", gone]);
    assert_eq!((exit, told.contains("not available"), told.contains("hunter2")), (39, true, false), "{told}");
}

#[test]
fn a_shared_store_that_is_not_configured_or_named_beside_a_local_one_is_no_store() {
    let configured = Configured::new();
    let (exit, told) = configured.run(&["export", "-", "--shared", "--set", "validator.protection.postgres="]);
    assert_ne!(exit, 0, "{told}");
    let (exit, told) = configured.run(&["export", "-", "--shared"]);
    assert_eq!((exit, told.contains("no signing store at")), (33, true), "{told}");
    let (exit, told) = configured.run(&["export", "-", "--shared", "--store", "elsewhere"]);
    assert_eq!((exit, told.contains("cannot be used with")), (2, true), "{told}");
}
