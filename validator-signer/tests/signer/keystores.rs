//! Keys from encrypted files and from a mnemonic.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use alloy::primitives::address;
use fermata_primitives::Slot;
use fermata_validator_signer::{
    CreatedKey, DevMnemonic, Duty, DutyKind, Keystore, LocalKeys, Password, SignerError, ValidatorSigner,
    create_keystore, import_keystore, import_private_key,
};

use crate::support::{Place, digest, key};

const PHRASE: &str = "test test test test test test test test test test test junk";

fn password() -> Password {
    Password::from("open sesame".to_owned())
}

fn anvil_keys(first: u32, count: u32) -> DevMnemonic {
    DevMnemonic { phrase: PHRASE.to_owned().into(), path_prefix: "m/44'/60'/0'/0".to_owned(), first, count }
}

fn created(dir: &Path) -> CreatedKey {
    create_keystore(dir, &password()).unwrap()
}

#[tokio::test]
async fn a_created_key_signs_once_it_is_loaded_from_its_file() {
    let (place, dir) = (Place::new(), tempfile::tempdir().unwrap());
    let key = created(dir.path());
    assert_eq!(fs::metadata(&key.path).unwrap().permissions().mode() & 0o777, 0o600);
    let keys = LocalKeys::from_file(&key.path, &password()).unwrap();
    let signer = ValidatorSigner::owning(Arc::new(place.open()), Arc::new(keys));
    assert_eq!(signer.addresses(), [key.address]);
    signer.start().unwrap();
    let duty = Duty { validator: key.address, slot: Slot(1), kind: DutyKind::Attestation };
    let signature = signer.sign(duty, digest(1)).await.unwrap();
    let recovered = signature.recover_address_from_prehash(&duty.kind.signed_hash(digest(1))).unwrap();
    assert_eq!(recovered, key.address);
    signer.close().await;
}

#[test]
fn a_directory_gives_all_its_keys_for_one_password_file() {
    let (dir, secrets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut expected = [created(dir.path()).address, created(dir.path()).address];
    expected.sort();
    fs::write(dir.path().join("README.txt"), "not a key").unwrap();
    fs::write(dir.path().join(".half.json"), "{").unwrap();
    let password_file = secrets.path().join("password");
    fs::write(&password_file, "open sesame\n").unwrap();
    let password = Password::from_file(&password_file).unwrap();
    assert_eq!(LocalKeys::from_directory(dir.path(), &password).unwrap().addresses(), expected);
    assert!(matches!(Password::from_file(&secrets.path().join("other")), Err(SignerError::Io { .. })));
}

#[test]
fn a_wrong_password_names_the_file_and_what_to_check() {
    let dir = tempfile::tempdir().unwrap();
    let key = created(dir.path());
    let wrong = Password::from("open barley".to_owned());
    let refused = LocalKeys::from_directory(dir.path(), &wrong).unwrap_err();
    assert!(matches!(&refused, SignerError::WrongPassword { path } if *path == key.path));
    assert!(refused.to_string().contains("check the password file"));
}

#[test]
fn a_file_that_is_no_keystore_is_refused_whatever_is_wrong_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let key = created(dir.path());
    let good = fs::read_to_string(&key.path).unwrap();
    let n = format!("\"n\":{}", serde_json::from_str::<serde_json::Value>(&good).unwrap()["crypto"]["kdfparams"]["n"]);
    let spoilt = [
        String::new(),
        "{}".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace("\"version\":3", "\"version\":1"),
        good.replace("\"dklen\":32", "\"dklen\":8"),
        good.replace("aes-128-ctr", "aes-128-cbc"),
        good.replace(&n, "\"n\":0"),
        good.replace(&n, "\"n\":1073741824"),
        good.replace("\"iv\":\"", "\"iv\":\"00"),
        good.replace("\"mac\":\"", "\"mac\":\"zz"),
    ];
    for text in spoilt {
        assert_ne!(text, good);
        fs::write(&key.path, &text).unwrap();
        let refused = LocalKeys::from_file(&key.path, &password());
        assert!(matches!(refused, Err(SignerError::BadKeystore { .. })), "{text}: {refused:?}");
    }
}

#[test]
fn the_same_key_twice_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let key = created(dir.path());
    fs::copy(&key.path, dir.path().join("copy.json")).unwrap();
    let refused = LocalKeys::from_directory(dir.path(), &password());
    assert!(matches!(refused, Err(SignerError::DuplicateKey { address }) if address == key.address));
    let some = || LocalKeys::from_mnemonic(&anvil_keys(0, 2)).unwrap();
    assert!(matches!(some().merge(some()), Err(SignerError::DuplicateKey { .. })));
    let more = LocalKeys::from_mnemonic(&anvil_keys(2, 3)).unwrap();
    assert_eq!(some().merge(more).unwrap().addresses().len(), 5);
}

#[test]
fn a_directory_without_keys_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(LocalKeys::from_directory(dir.path(), &password()), Err(SignerError::NoKeys { .. })));
    let missing = dir.path().join("missing");
    assert!(matches!(LocalKeys::from_directory(&missing, &password()), Err(SignerError::Io { .. })));
    assert!(matches!(create_keystore(&missing, &password()), Err(SignerError::Io { .. })));
}

#[test]
fn an_imported_private_key_is_the_same_key_and_private_from_its_first_byte() {
    let dir = tempfile::tempdir().unwrap();
    let written = [format!("0x{}", "02".repeat(32)), format!("  {}\n", "03".repeat(32))];
    for (number, hex) in written.iter().enumerate() {
        let imported = import_private_key(dir.path(), hex, &password()).unwrap();
        assert_eq!(imported.address, key(number as u8 + 1).address());
        assert_eq!(fs::metadata(&imported.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(LocalKeys::from_file(&imported.path, &password()).unwrap().addresses(), [imported.address]);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no draft is left");
}

#[test]
fn a_keystore_is_imported_under_the_password_of_its_new_directory_and_stays_where_it_was() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (key, its_password) = (created(old.path()), Password::from("open barley".to_owned()));
    let before = fs::read(&key.path).unwrap();
    let imported = import_keystore(new.path(), &key.path, &password(), &its_password).unwrap();
    assert_eq!(imported.address, key.address);
    assert_eq!(LocalKeys::from_directory(new.path(), &its_password).unwrap().addresses(), [key.address]);
    assert_eq!(fs::read(&key.path).unwrap(), before);
    let refused = import_keystore(new.path(), &key.path, &its_password, &its_password);
    assert!(matches!(refused, Err(SignerError::WrongPassword { path }) if path == key.path));
}

#[test]
fn an_import_neither_takes_a_file_s_place_nor_makes_a_directory_that_cannot_be_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let hex = "01".repeat(32);
    let imported = import_private_key(dir.path(), &hex, &password()).unwrap();
    let before = fs::read(&imported.path).unwrap();
    let refused = import_private_key(dir.path(), &hex, &password());
    assert!(matches!(refused, Err(SignerError::KeyFileExists { path }) if path == imported.path));
    assert_eq!(fs::read(&imported.path).unwrap(), before);
    let renamed = dir.path().join("mine.json");
    fs::rename(&imported.path, &renamed).unwrap();
    let refused = import_private_key(dir.path(), &hex, &password());
    assert!(matches!(refused, Err(SignerError::DuplicateKey { address }) if address == imported.address));
    let other = Password::from("open barley".to_owned());
    for refused in [import_private_key(dir.path(), &"02".repeat(32), &other), create_keystore(dir.path(), &other)] {
        assert!(matches!(refused, Err(SignerError::WrongPassword { path }) if path == renamed));
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_private_key_is_refused_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let above_the_order = "ff".repeat(32);
    let bad =
        ["", "0x", "5ecre7", &"5e".repeat(31), &"5e".repeat(33), &"5g".repeat(32), &"00".repeat(32), &above_the_order];
    for hex in bad {
        let refused = import_private_key(dir.path(), hex, &password()).unwrap_err();
        assert!(matches!(refused, SignerError::BadPrivateKey { .. }), "{hex}");
        let shown = format!("{refused} {refused:?}");
        assert!(!shown.contains("5e5e") && !shown.contains("ffff") && !shown.contains("5ecre7"), "{shown}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_mnemonic_gives_the_keys_of_its_path() {
    let signers = anvil_keys(0, 2).signers().unwrap();
    assert_eq!(signers[0].address(), address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
    assert_eq!(signers[1].address(), address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"));
    assert_eq!(anvil_keys(1, 1).signers().unwrap()[0].address(), signers[1].address());
}

#[test]
fn a_bad_mnemonic_is_refused_and_not_repeated() {
    let bad = [
        DevMnemonic { phrase: "test test test secretword".to_owned().into(), ..anvil_keys(0, 1) },
        DevMnemonic { path_prefix: "m/44'/sixty'".to_owned(), ..anvil_keys(0, 1) },
        anvil_keys(0, 0),
        anvil_keys(u32::MAX, 2),
        anvil_keys(0x8000_0000, 1),
    ];
    for mnemonic in bad {
        let refused = LocalKeys::from_mnemonic(&mnemonic).unwrap_err();
        assert!(matches!(refused, SignerError::BadMnemonic { .. }));
        assert!(!format!("{refused} {refused:?}").contains("secretword"));
    }
}

#[test]
fn secrets_are_not_shown() {
    let keys = LocalKeys::from_signers([key(0)]).unwrap();
    let shown = format!("{keys:?} {:?} {:?}", anvil_keys(0, 1), password());
    assert!(shown.contains(&format!("{:?}", key(0).address())));
    for secret in ["junk", "sesame", "0101010101"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
