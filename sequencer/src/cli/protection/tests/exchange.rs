//! What keys signed, carried by hand.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fermata_validator_signer::{Duty, DutyKind, NotSafe};
use tempfile::TempDir;

use super::*;

const SIGNER: &str = "0x1111111111111111111111111111111111111111";
const PUBLIC_KEY: &str =
    "0x222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222";
const ROOT: &str = "0x4444444444444444444444444444444444444444444444444444444444444444";

fn domain() -> Domain {
    Domain { l1_chain_id: 7, rollup: ROLLUP.parse().expect("an address") }
}

fn attestation(slot: u64) -> Duty {
    Duty { validator: SIGNER.parse().expect("an address"), slot: Slot(slot), kind: DutyKind::Attestation }
}

fn in_store<T>(path: &Path, work: impl AsyncFnOnce(&SlashingProtection) -> T) -> T {
    let store = SlashingProtection::open(path, domain(), StoreOptions::default()).expect("it is sound");
    futures::executor::block_on(async {
        let done = work(&store).await;
        store.close().await;
        done
    })
}

/// A directory with two stores, the first of which has signed slots 4 and 5.
fn two_stores() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    for store in [&old, &new] {
        SlashingProtection::init(store, domain()).expect("it is new");
    }
    in_store(&old, async |store| {
        for slot in [4, 5] {
            let _ = store.reserve(attestation(slot), B256::repeat_byte(1)).await.expect("it is new");
        }
    });
    (dir, old, new)
}

fn answer(path: &Path, slot: u64, byte: u8) -> Result<(), NotSafe> {
    match in_store(path, async |store| store.reserve(attestation(slot), B256::repeat_byte(byte)).await) {
        Ok(_) => Ok(()),
        Err(SignerError::NotSafe(refusal)) => Err(refusal),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_hand_over_retires_the_key_here_and_protects_it_there() {
    let (dir, old, new) = two_stores();
    let file = dir.path().join("hand-over.json");
    let (exit, told) = run(&["export", text(&file), "--store", text(&old), "--key", SIGNER, "--retire"]);
    assert_eq!(exit, 0, "{told}");
    assert!(told.contains("1 rollup keys with 2 duties, 0 Ethereum keys") && !told.contains("sign on"), "{told}");
    assert_eq!(fs::metadata(&file).expect("it was written").permissions().mode() & 0o777, 0o600);
    assert!(matches!(answer(&old, 6, 1), Err(NotSafe::Retired { .. })));

    let (exit, told) = run(&["import", text(&file), "--store", text(&new)]);
    assert_eq!(exit, 0, "{told}");
    assert!(told.contains("2 new records") && told.contains("was retired where it comes from"), "{told}");
    assert!(matches!(answer(&new, 5, 2), Err(NotSafe::Conflict { .. })));
    assert_eq!(answer(&new, 5, 1), Ok(()));
    assert_eq!(answer(&new, 6, 2), Ok(()));
    let left: Vec<_> =
        fs::read_dir(dir.path()).expect("it is there").map(|entry| entry.expect("read").file_name()).collect();
    assert_eq!(left.len(), 3, "no draft is left: {left:?}");
}

#[test]
fn a_file_that_is_there_is_replaced_only_when_told_and_the_key_is_not_retired_for_nothing() {
    let (dir, old, _) = two_stores();
    let file = dir.path().join("all.json");
    fs::write(&file, "mine").expect("written");
    let export = ["export", text(&file), "--store", text(&old), "--key", SIGNER, "--retire"];
    let (exit, told) = run(&export);
    assert_eq!(exit, 32);
    assert!(told.contains("is there already") && told.contains("--overwrite"), "{told}");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine");
    assert_eq!(answer(&old, 6, 1), Ok(()), "it is not retired");
    assert_eq!(run(&[&export[..], &["--overwrite"]].concat()).0, 0);
    assert!(fs::read_to_string(&file).expect("it is there").contains("rollup_interchange"));
}

#[test]
fn an_import_tells_conflicts_and_keys_that_still_sign_elsewhere() {
    let (dir, old, new) = two_stores();
    assert_eq!(answer(&new, 5, 2), Ok(()));
    let file = dir.path().join("all.json");
    let (exit, told) = run(&["export", text(&file), "--store", text(&old)]);
    assert_eq!((exit, told.contains("may sign on here")), (0, true), "{told}");
    let (exit, told) = run(&["import", text(&file), "--store", text(&new), "--json"]);
    let report: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((exit, &report["added"], &report["still_active"][0]), (0, &1.into(), &SIGNER.into()));
    let conflict = report["conflicts"][0].as_str().expect("a sentence");
    assert!(conflict.contains("in slot 5") && conflict.contains("0x0202") && conflict.contains("0x0101"), "{conflict}");
    for byte in [1, 2] {
        assert!(matches!(answer(&new, 5, byte), Err(NotSafe::Conflict { .. })));
    }
    let (_, told) = run(&["import", text(&file), "--store", text(&new)]);
    assert!(told.contains("stop that node before this one signs with it"), "{told}");
}

#[test]
fn ethereum_keys_are_imported_for_a_chain_that_is_named_once() {
    let (dir, _, new) = two_stores();
    let file = dir.path().join("lighthouse.json");
    let block = format!(
        r#"{{"metadata":{{"interchange_format_version":"5","genesis_validators_root":"{ROOT}"}},"data":[{{"pubkey":"{PUBLIC_KEY}",
        "signed_blocks":[{{"slot":"81952"}}],"signed_attestations":[]}}]}}"#
    );
    fs::write(&file, block).expect("written");
    let import = ["import", text(&file), "--store", text(&new), "--minify"];
    let (exit, told) = run(&import);
    assert_eq!(exit, 43);
    assert!(told.contains(ROOT) && told.contains("give this root with the import"), "{told}");
    let (exit, told) = run(&[&import[..], &["--genesis-validators-root", ROOT]].concat());
    assert_eq!((exit, told.contains("1 Ethereum keys")), (0, true), "{told}");
    let (exit, told) = run(&["export", "-", "--store", text(&new), "--key", PUBLIC_KEY]);
    let exported: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((exit, &exported["data"][0]["signed_blocks"][0]["slot"]), (0, &"81952".into()));
    let (_, told) = run(&["verify", "--store", text(&new)]);
    assert!(told.contains("1 Ethereum keys: 0 blocks, 0 attestations"), "{told}");
}

#[test]
fn a_spoilt_file_and_one_of_another_rollup_are_refused_with_what_to_do() {
    let (dir, old, new) = two_stores();
    let file = dir.path().join("all.json");
    assert_eq!(run(&["export", text(&file), "--store", text(&old)]).0, 0);
    let sound = fs::read_to_string(&file).expect("it is there");
    fs::write(&file, sound.replace("\"slot\": \"5\"", "\"slot\": \"6\"")).expect("written");
    let (exit, told) = run(&["import", text(&file), "--store", text(&new)]);
    assert_eq!((exit, told.contains("was changed or cut; export it anew")), (43, true), "{told}");

    let other = dir.path().join("other");
    SlashingProtection::init(&other, Domain { l1_chain_id: 8, ..domain() }).expect("it is new");
    fs::write(&file, sound).expect("written");
    let (exit, told) = run(&["import", text(&file), "--store", text(&other)]);
    assert_eq!((exit, told.contains("import them into the store of that rollup")), (43, true), "{told}");
    assert_eq!(run(&["import", text(&dir.path().join("none.json")), "--store", text(&new)]).0, 32);
}

#[test]
fn a_store_that_somebody_uses_is_left_alone_and_its_holder_named() {
    let (dir, old, _) = two_stores();
    let file = dir.path().join("all.json");
    let held = SlashingProtection::open(&old, domain(), StoreOptions::default()).expect("it is sound");
    for args in [
        &["export", text(&file), "--key", SIGNER, "--retire"][..],
        &["prune", "--finalized-slot", "9"],
        &["retire", SIGNER],
    ] {
        let (exit, told) = run(&[args, &["--store", text(&old)]].concat());
        assert_eq!((exit, told.contains(&std::process::id().to_string())), (31, true), "{told}");
    }
    assert!(!file.exists());
    futures::executor::block_on(held.close());
    assert_eq!(answer(&old, 6, 1), Ok(()));
}

#[test]
fn pruning_and_retiring_refuse_from_then_on() {
    let (_dir, old, _) = two_stores();
    let (exit, told) = run(&["prune", "--finalized-slot", "9", "--keep-slots", "5", "--store", text(&old)]);
    assert_eq!((exit, told.starts_with("forgot 1 records")), (0, true), "{told}");
    assert!(matches!(answer(&old, 4, 1), Err(NotSafe::BelowLow { .. })));
    assert_eq!(answer(&old, 5, 1), Ok(()));
    let (exit, told) = run(&["retire", SIGNER, PUBLIC_KEY, "--store", text(&old)]);
    assert_eq!((exit, told.starts_with("2 keys are refused")), (0, true), "{told}");
    assert!(matches!(answer(&old, 5, 1), Err(NotSafe::Retired { .. })));
}

#[test]
fn a_key_is_an_address_or_a_public_key() {
    assert_eq!(SIGNER.parse(), Ok(Key::Signer(SIGNER.parse().expect("an address"))));
    assert_eq!(PUBLIC_KEY.parse(), Ok(Key::PublicKey(PUBLIC_KEY.parse().expect("a public key"))));
    for wrong in ["", "0x", "0x11", &SIGNER.replace('1', "g"), &SIGNER[..41]] {
        assert!(wrong.parse::<Key>().is_err(), "{wrong}");
    }
}

#[test]
fn vectors_are_told_one_by_one_and_a_failing_one_fails_the_command() {
    let dir = tempfile::tempdir().expect("a directory");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../validator-signer/tests/vectors");
    let name = "from_genesis_on.json";
    fs::copy(own.join(name), dir.path().join(name)).expect("it is there");
    let (exit, told) = run(&["vectors", text(dir.path())]);
    assert_eq!(exit, 0, "{told}");
    assert!(told.contains("passed from_genesis_on (watermark)") && told.contains("6 passed, 0 failed"), "{told}");
    let wrong = fs::read_to_string(own.join(name)).expect("it is there").replace("true", "false");
    fs::write(dir.path().join("wrong.json"), wrong).expect("written");
    let (exit, told) = run(&["vectors", text(dir.path())]);
    assert_eq!(exit, 39);
    assert!(told.contains("FAILED wrong (watermark)") && told.contains("should be refused"), "{told}");
    assert!(told.contains("6 passed, 6 failed"), "{told}");
    assert_eq!(run(&["vectors", text(&dir.path().join("none"))]).0, 32);
}
