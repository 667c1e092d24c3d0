//! Keys that move to another node at a slot.

use fermata_validator_signer::{NotSafe, Safe};

use super::*;

const KEY: Address = Address::repeat_byte(0x11);

/// A store in a directory of its own, and whether its key may attest in a slot.
struct Node {
    _dir: tempfile::TempDir,
    store: PathBuf,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = dir.path().join("signing");
        assert_eq!(run(&["init", "--store", text(&store), "--l1-chain-id", "7", "--rollup", ROLLUP]).0, 0);
        Self { _dir: dir, store }
    }

    fn told(&self, args: &[&str]) -> (u8, String) {
        run(&[args, &["--store", text(&self.store)]].concat())
    }

    /// The slots, of these, that it attests in.
    fn signs(&self, slots: std::ops::Range<u64>) -> Vec<u64> {
        let domain = Domain { l1_chain_id: 7, rollup: ROLLUP.parse().expect("an address") };
        let store = SlashingProtection::open(&self.store, domain, StoreOptions::default()).expect("it is free");
        futures::executor::block_on(async {
            let mut signed = Vec::new();
            for slot in slots {
                let duty = Duty { validator: KEY, slot: Slot(slot), kind: DutyKind::Attestation };
                match store.reserve(duty, B256::repeat_byte(1)).await {
                    Ok(Safe::Granted(_) | Safe::Resume(_)) => signed.push(slot),
                    Err(SignerError::NotSafe(NotSafe::BelowLow { .. } | NotSafe::AtOrAboveHigh { .. })) => {}
                    answer => panic!("slot {slot}: {answer:?}"),
                }
            }
            store.close().await;
            signed
        })
    }
}

#[test]
fn a_key_that_is_handed_over_and_taken_over_signs_each_slot_at_one_node() {
    let (old, new, key) = (Node::new(), Node::new(), KEY.to_string());
    assert_eq!(old.signs(1..5), [1, 2, 3, 4]);
    let (exit, told) = old.told(&["hand-over", "--key", &key, "--from-slot", "4"]);
    assert!(exit != 0 && told.contains("slot 4"), "{exit}: {told}");
    let other = Address::repeat_byte(0x22).to_string();
    let (exit, told) = old.told(&["hand-over", "--key", &other, "--from-slot", "8"]);
    assert!(exit == 0 && told.contains(&format!("nothing that {other} has signed")), "{exit}: {told}");
    for _ in 0..2 {
        let (exit, told) = old.told(&["hand-over", "--key", &key, "--from-slot", "8"]);
        assert!(exit == 0 && told.contains("take-over --from-slot 8") && !told.contains("nothing"), "{exit}: {told}");
        let (exit, told) = new.told(&["take-over", "--key", &key, "--from-slot", "8"]);
        assert!(exit == 0 && told.contains("from slot 8 on"), "{exit}: {told}");
    }
    assert_eq!((old.signs(5..12), new.signs(5..12)), (vec![5, 6, 7], vec![8, 9, 10, 11]));

    let (_, told) = old.told(&["verify"]);
    let line = format!("handed over: {KEY}, which another node signs with from slot 8 on");
    assert!(told.contains(&line), "{told}");
    let (_, told) = new.told(&["verify"]);
    assert!(!told.contains("handed over") && told.contains("low marks, from slot 7 to 7"), "{told}");
}

#[test]
fn a_key_comes_back_to_the_node_that_handed_it_over() {
    let (old, key) = (Node::new(), KEY.to_string());
    assert_eq!(old.told(&["hand-over", "--key", &key, "--from-slot", "8"]).0, 0);
    assert_eq!(old.told(&["take-over", "--key", &key, "--from-slot", "20"]).0, 0);
    assert_eq!(old.signs(18..23), [20, 21, 22]);
    assert!(!old.told(&["verify"]).1.contains("handed over"));
}

#[test]
fn a_move_names_its_keys_and_its_slot_and_its_help_tells_the_order() {
    for (name, words) in [("hand-over", "In this order"), ("take-over", "Only after")] {
        let refused = Cli::try_parse_from(["protection", name, "--key", &KEY.to_string()]).expect_err("no slot");
        assert!(refused.to_string().contains("--from-slot"), "{refused}");
        let refused = Cli::try_parse_from(["protection", name, "--from-slot", "8"]).expect_err("no key");
        assert!(refused.to_string().contains("--key"), "{refused}");
        let help = Cli::try_parse_from(["protection", name, "--help"]).expect_err("it prints help");
        assert!(help.to_string().contains(words), "{help}");
    }
}
