//! Keys made, imported, listed and read anew from the command line.

use std::os::unix::fs::PermissionsExt as _;

use clap::Parser;
use fermata_primitives::Slot;
use fermata_validator_signer::{
    Domain, Duty, DutyKind, Halt, KeyChange, KeyOrigin, Keystore as _, LocalKeys, SlashingProtection, StoreOptions,
};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::cli::tests::Captured;
use crate::rpc::admin::tests::Bench;

const KEY: &str = "0x0101010101010101010101010101010101010101010101010101010101010101";

#[derive(Parser, Debug)]
struct Cli {
    #[command(subcommand)]
    command: KeysCommand,
}

/// What a command printed on both ways out, and its exit code.
async fn run(args: &[&str]) -> (u8, String) {
    let out = Captured::default();
    let cli = Cli::try_parse_from(["keys"].iter().chain(args)).expect("valid arguments");
    let exit = cli.command.run(&mut Console::new(out.clone(), out.clone()), &Scan::default()).await;
    (exit, out.text())
}

/// A directory that is not there yet, and a password file beside it.
struct Place {
    top: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { top: tempfile::tempdir().expect("a directory") };
        place.write("password", "open sesame\n");
        place
    }

    fn path(&self, name: &str) -> String {
        self.top.path().join(name).to_str().expect("text").to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).expect("written");
        self.path(name)
    }

    async fn run(&self, args: &[&str]) -> (u8, String) {
        let (dir, password) = (self.path("keys"), self.path("password"));
        run(&[args, &["--dir", &dir, "--password-file", &password]].concat()).await
    }

    fn keys(&self) -> LocalKeys {
        let password = Password::from_file(Path::new(&self.path("password"))).expect("a password");
        LocalKeys::from_directory(Path::new(&self.path("keys")), &password).expect("keys")
    }

    /// The file of a configuration with these keystores.
    fn config(&self) -> String {
        let config = format!(
            "data_dir = {:?}\n[l1]\nrpc_url = \"http://127.0.0.1:9\"\nrollup_address = \"{}\"\nblobs = \"anvil\"\n\
             [node]\nroles = [\"validator\"]\n[validator]\nkeystore_dir = {:?}\npassword_file = {:?}\n\
             [execution]\nchain_id = 7\n",
            self.path("data"),
            Address::repeat_byte(0xbb),
            self.path("keys"),
            self.path("password"),
        );
        self.write("fermata.toml", &config)
    }
}

#[tokio::test]
async fn new_keys_are_private_and_all_opened_by_the_password_of_their_directory() {
    let place = Place::new();
    let (exit, told) = place.run(&["new", "--count", "2"]).await;
    assert_eq!((exit, told.lines().count()), (0, 2), "{told}");
    for address in place.keys().addresses() {
        assert!(told.contains(&address.to_string()), "{told}");
    }
    let mode = |path: String| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(place.path("keys")), 0o700);
    let (_, told) = place.run(&["new", "--json"]).await;
    let made: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(mode(made["path"].as_str().expect("a path").to_owned()), 0o600);
    assert_eq!(place.keys().addresses().len(), 3);
}

#[tokio::test]
async fn a_private_key_and_a_keystore_are_imported_once_and_not_shown() {
    let (place, other) = (Place::new(), Place::new());
    let file = place.write("key.hex", &format!("{KEY}\n"));
    let (exit, told) = place.run(&["import", "--private-key-file", &file]).await;
    assert_eq!(exit, 0, "{told}");
    let address = place.keys().addresses()[0];
    assert!(told.starts_with(&address.to_string()) && !told.contains("0101010101"), "{told}");
    let (exit, told) = place.run(&["import", "--private-key-file", &file]).await;
    assert_eq!(exit, 37);
    assert!(told.contains("exists already") && !told.contains("0101010101"), "{told}");

    other.write("password", "open barley");
    let keystore = place.path(&format!("keys/{address:#x}.json"));
    let from = ["import", "--keystore", &keystore, "--keystore-password-file"];
    let (exit, told) = other.run(&[&from[..], &[&other.path("password")]].concat()).await;
    assert_eq!(exit, 36, "{told}");
    let (exit, told) = other.run(&[&from[..], &[&place.path("password")]].concat()).await;
    assert_eq!(exit, 0, "{told}");
    assert_eq!(other.keys().addresses(), [address]);
}

#[tokio::test]
async fn what_is_no_key_is_refused_without_being_repeated() {
    let place = Place::new();
    let file = place.write("key.hex", "0x5ec7e75ec7e7");
    let (exit, told) = place.run(&["import", "--private-key-file", &file]).await;
    assert_eq!(exit, 37);
    assert!(told.contains("64 hexadecimal digits") && !told.contains("5ec7e7"), "{told}");
    assert_eq!(place.run(&["import", "--private-key-file", &place.path("missing")]).await.0, 32);
}

#[test]
fn an_import_names_one_key_and_a_directory_goes_with_its_password() {
    let bad: [&[&str]; 5] = [
        &["import"],
        &["import", "--private-key-file", "a", "--keystore", "b", "--keystore-password-file", "c"],
        &["import", "--keystore", "b"],
        &["new", "--dir", "keys"],
        &["new", "--count", "0"],
    ];
    for args in bad {
        assert!(Cli::try_parse_from(["keys"].iter().chain(args)).is_err(), "{args:?}");
    }
}

#[tokio::test]
async fn the_configured_keys_are_listed_with_their_origin_and_what_they_signed() {
    let place = Place::new();
    let config = place.config();
    let (exit, told) = run(&["new", "--config", &config]).await;
    assert_eq!(exit, 0, "{told}");
    let address = place.keys().addresses()[0];
    let (exit, told) = run(&["list", "--config", &config]).await;
    assert_eq!(exit, 0);
    let line = format!("{address}  keystores in {}\n1 keys\n", place.path("keys"));
    assert!(told.starts_with(&line) && told.contains("no signing store"), "{told}");

    let store = crate::data_dir::signer_dir(Path::new(&place.path("data")));
    std::fs::create_dir(place.path("data")).expect("made");
    let domain = Domain { l1_chain_id: 7, rollup: Address::repeat_byte(0xbb) };
    SlashingProtection::init(&store, domain).expect("made");
    let open = SlashingProtection::open(&store, domain, StoreOptions::default()).expect("opens");
    let duty = Duty { validator: address, slot: Slot(12), kind: DutyKind::Attestation };
    drop(open.reserve(duty, alloy::primitives::B256::repeat_byte(1)).await.expect("granted"));
    let (exit, told) = run(&["list", "--config", &config]).await;
    assert_eq!(exit, 0);
    assert!(told.contains("their state is not known") && told.contains("is held by process"), "{told}");
    open.hand_over(address, Slot(20)).await.expect("handed over");
    let seen = Halt {
        duty: Duty { slot: Slot(13), ..duty },
        digest: alloy::primitives::B256::repeat_byte(9),
        signature: alloy::primitives::Signature::test_signature(),
    };
    open.observe(seen).await.expect("it is kept");
    open.close().await;
    let (_, told) = run(&["list", "--config", &config]).await;
    let halted = ", halted: another node signs with it (attestation in slot 13, digest 0x0909";
    assert!(told.contains(halted) && told.contains(", handed over from slot 20 on\n"), "{told}");
    let open = SlashingProtection::open(&store, domain, StoreOptions::default()).expect("opens");
    open.change_key(address, KeyChange::Retire).await.expect("retired");
    open.close().await;
    let (_, told) = run(&["list", "--config", &config]).await;
    assert!(told.contains(", retired, signed up to slot 12, handed over from slot 20 on\n1 keys"), "{told}");
    let (_, told) = run(&["list", "--config", &config, "--json"]).await;
    let listing: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(listing["keys"][0]["address"], serde_json::json!(address));
    assert_eq!(listing["keys"][0]["lastSlot"], 12, "{listing}");
    assert_eq!((&listing["keys"][0]["state"], &listing["keys"][0]["handedOverFrom"]), (&"retired".into(), &20.into()));
    assert_eq!(listing["keys"][0]["halt"]["duty"]["slot"], 13, "{listing}");
    assert_eq!(listing.get("store"), None, "{listing}");
}

#[tokio::test]
async fn keys_of_a_mnemonic_have_no_directory_to_put_others_into() {
    let place = Place::new();
    let config = place.config();
    let phrase = "test test test test test test test test test test test junk";
    let text = std::fs::read_to_string(&config).expect("there");
    let start = text.find("keystore_dir").expect("set");
    let end = text.find("[execution]").expect("set");
    std::fs::write(&config, format!("{}mnemonic = \"{phrase}\"\n{}", &text[..start], &text[end..])).expect("written");
    let (exit, told) = run(&["new", "--config", &config]).await;
    assert_eq!(exit, 30);
    assert!(told.contains("--password-file"), "{told}");
    let (exit, told) = run(&["list", "--config", &config]).await;
    assert_eq!(exit, 0);
    assert!(told.contains("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266  mnemonic") && !told.contains("junk"), "{told}");
}

#[tokio::test]
async fn a_running_node_reads_its_keys_anew_when_it_is_told_to() {
    let place = Place::new();
    place.run(&["new"]).await;
    let first = place.keys().addresses()[0];
    let (dir, password_file) = (place.path("keys").into(), place.path("password").into());
    let bench = Bench::with_keys(vec![KeyOrigin::Directory { dir, password_file }]).await;
    let node = bench.dir.path().to_str().expect("text");
    let reload = ["reload", "--data-dir", node, "--reason", "one more"];
    assert_eq!(run(&reload).await, (0, "1 keys as before\n".to_owned()));
    place.run(&["new"]).await;
    let second = place.keys().addresses().into_iter().find(|address| *address != first).expect("two keys");
    assert_eq!(run(&reload).await, (0, format!("+ {second}\n1 keys as before\n")));
    std::fs::remove_file(place.path(&format!("keys/{first:#x}.json"))).expect("removed");
    assert_eq!(run(&reload).await, (0, format!("- {first}\n1 keys as before\n")));
    place.write("password", "open barley");
    let (exit, told) = run(&reload).await;
    assert_eq!(exit, 36, "{told}");
    assert_eq!(bench.keys.addresses(), [second]);
    bench.end().await;
}
