//! Keys that move from one shared store to another at a slot, while nodes use both.

use fermata_validator_signer::{NotSafe, PostgresOptions, PostgresProtection, Protection as _, Safe};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::*;

const KEY: Address = Address::repeat_byte(0x11);

/// Nodes that share a store: the configuration of one, and another that runs.
struct Group {
    _dir: tempfile::TempDir,
    file: PathBuf,
    _server: Server,
    runtime: Runtime,
    running: PostgresProtection,
}

impl Group {
    fn new() -> Self {
        let (dir, server) = (tempfile::tempdir().expect("a directory"), Server::start());
        let file = config(dir.path(), server.port());
        assert_eq!(run(&["init-shared", "--config", text(&file)]).0, 0);
        let runtime = Runtime::new().expect("threads can be started");
        let domain = Domain { l1_chain_id: 7, rollup: ROLLUP.parse().expect("an address") };
        let url = server.url();
        let opened = PostgresProtection::open(&url, domain, PostgresOptions::new("running"));
        let running = runtime.block_on(opened).expect("it was made");
        Self { _dir: dir, file, _server: server, runtime, running }
    }

    fn told(&self, args: &[&str]) -> (u8, String) {
        run(&[args, &["--shared", "--config", text(&self.file)]].concat())
    }

    /// The slots, of these, that the node which runs attests in.
    fn signs(&self, slots: std::ops::Range<u64>) -> Vec<u64> {
        let signs = |slot: &u64| {
            let duty = Duty { validator: KEY, slot: Slot(*slot), kind: DutyKind::Attestation };
            match self.runtime.block_on(self.running.reserve(duty, B256::repeat_byte(1))) {
                Ok(Safe::Granted(_) | Safe::Resume(_)) => true,
                Err(SignerError::NotSafe(NotSafe::BelowLow { .. } | NotSafe::AtOrAboveHigh { .. })) => false,
                answer => panic!("slot {slot}: {answer:?}"),
            }
        };
        slots.filter(signs).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.runtime.block_on(self.running.close());
    }
}

#[test]
fn a_key_moves_from_one_shared_store_to_another_beside_their_nodes_and_each_slot_is_signed_on_one_side() {
    let (old, new, key) = (Group::new(), Group::new(), KEY.to_string());
    assert_eq!(old.signs(1..5), [1, 2, 3, 4]);
    for _ in 0..2 {
        let (exit, told) = old.told(&["hand-over", "--key", &key, "--from-slot", "8"]);
        assert!(exit == 0 && told.contains("take-over --from-slot 8") && !told.contains("nothing"), "{exit}: {told}");
        let (exit, told) = new.told(&["take-over", "--key", &key, "--from-slot", "8"]);
        assert!(exit == 0 && told.contains("from slot 8 on"), "{exit}: {told}");
    }
    assert_eq!((old.signs(5..12), new.signs(5..12)), (vec![5, 6, 7], vec![8, 9, 10, 11]));

    // And back again.
    assert_eq!(new.told(&["hand-over", "--key", &key, "--from-slot", "20"]).0, 0);
    assert_eq!(old.told(&["take-over", "--key", &key, "--from-slot", "20"]).0, 0);
    assert_eq!((old.signs(18..23), new.signs(18..23)), (vec![20, 21, 22], vec![18, 19]));
}

#[test]
fn a_hand_over_of_slots_that_any_node_has_signed_changes_nothing_and_one_of_an_unknown_key_is_told() {
    let (group, key) = (Group::new(), KEY.to_string());
    assert_eq!(group.signs(1..5), [1, 2, 3, 4]);
    let (exit, told) = group.told(&["hand-over", "--key", &key, "--from-slot", "4", "--json"]);
    let refused: Value = serde_json::from_str(&told).expect("JSON");
    let message = refused["error"]["message"].as_str().expect("a message");
    assert!(exit != 0 && message.contains(&key) && message.contains("slot 4"), "{exit}: {told}");
    assert_eq!(group.signs(4..7), [4, 5, 6], "nothing was handed over");

    let other = Address::repeat_byte(0x22).to_string();
    let both = ["hand-over", "--key", &key, "--key", &other, "--from-slot", "7", "--json"];
    let (exit, told) = group.told(&both);
    let done: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((exit, &done["without_records"]), (0, &serde_json::json!([other.to_lowercase()])), "{told}");
    assert_eq!(group.signs(7..9), [0_u64; 0]);
    let slip = &key[..key.len() - 1];
    let no_address = Cli::try_parse_from(["protection", "hand-over", "--key", slip, "--from-slot", "7", "--shared"]);
    assert!(no_address.expect_err("a digit is missing").to_string().contains(slip));
}

#[test]
fn a_node_that_shares_a_store_neither_hands_over_nor_takes_over_alone_unless_its_own_store_is_named() {
    let (group, key) = (Group::new(), KEY.to_string());
    assert_eq!(run(&["init", "--config", text(&group.file)]).0, 0);
    let own = signer_dir(&group.file.with_file_name("data"));
    for name in ["hand-over", "take-over"] {
        let moving = [name, "--key", &key, "--from-slot", "8", "--config", text(&group.file)];
        let (exit, told) = run(&moving);
        assert!(exit == 30 && told.contains("--shared") && told.contains("--store"), "{exit}: {told}");
        assert_eq!(run(&[&moving[..], &["--store", text(&own)]].concat()).0, 0);
    }
    assert_eq!(group.signs(7..9), [7, 8], "nobody else was told");
}
