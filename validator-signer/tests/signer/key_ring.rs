//! Keys that change while signing goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::Address;
use fermata_primitives::Slot;
use fermata_validator_signer::{
    DevMnemonic, Duty, DutyKind, KeyChanges, KeyOrigin, KeyRing, Keystore as _, LocalKeys, Password, RemoteError,
    SignerError, SlashingProtection, ValidatorSigner, create_keystore,
};
use futures::FutureExt;
use tempfile::TempDir;

use crate::fake_signer::FakeSigner;
use crate::support::{Place, attestation, digest, key};

/// A directory of keystores, and the password beside it.
struct Keys {
    dir: TempDir,
    _secrets: TempDir,
    password_file: PathBuf,
}

impl Keys {
    fn new() -> Self {
        let (dir, secrets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let password_file = secrets.path().join("password");
        fs::write(&password_file, "open sesame\n").unwrap();
        Self { dir, _secrets: secrets, password_file }
    }

    fn create(&self) -> (Address, PathBuf) {
        let created = create_keystore(self.dir.path(), &Password::from_file(&self.password_file).unwrap()).unwrap();
        (created.address, created.path)
    }

    fn origin(&self) -> KeyOrigin {
        KeyOrigin::Directory { dir: self.dir.path().to_owned(), password_file: self.password_file.clone() }
    }

    fn file(&self, path: &Path) -> KeyOrigin {
        KeyOrigin::File { path: path.to_owned(), password_file: self.password_file.clone() }
    }
}

fn attest(validator: Address, slot: u64) -> Duty {
    Duty { validator, slot: Slot(slot), kind: DutyKind::Attestation }
}

fn started(store: SlashingProtection, ring: &Arc<KeyRing>) -> ValidatorSigner {
    let signer = ValidatorSigner::owning(Arc::new(store), ring.clone());
    signer.start().unwrap();
    signer
}

#[tokio::test]
async fn a_reload_brings_keys_and_takes_keys_and_the_signer_follows() {
    let (place, keys) = (Place::new(), Keys::new());
    let (stays, (goes, its_file)) = (keys.create().0, keys.create());
    let ring = Arc::new(KeyRing::load(vec![keys.origin()]).await.unwrap());
    let signer = started(place.open(), &ring);
    signer.sign(attest(goes, 1), digest(1)).await.unwrap();
    let comes = keys.create().0;
    assert!(matches!(signer.sign(attest(comes, 1), digest(1)).await, Err(SignerError::UnknownKey { .. })));
    fs::remove_file(its_file).unwrap();
    let changes = ring.reload().await.unwrap();
    assert_eq!(changes, KeyChanges { added: vec![comes], removed: vec![goes], unchanged: vec![stays] });
    signer.sign(attest(comes, 1), digest(1)).await.unwrap();
    assert!(matches!(signer.sign(attest(goes, 2), digest(1)).await, Err(SignerError::UnknownKey { .. })));
    let mut expected = [stays, comes];
    expected.sort();
    assert_eq!(signer.addresses(), expected);
    signer.close().await;
}

#[tokio::test]
async fn a_reload_that_fails_names_the_file_and_changes_nothing() {
    let (place, keys) = (Place::new(), Keys::new());
    let (first, file) = keys.create();
    let ring = Arc::new(KeyRing::load(vec![keys.origin()]).await.unwrap());
    let signer = started(place.open(), &ring);
    keys.create();
    let good = fs::read(&file).unwrap();
    fs::write(&file, "{").unwrap();
    assert!(matches!(ring.reload().await, Err(SignerError::BadKeystore { path, .. }) if path == file));
    fs::write(&file, good).unwrap();
    fs::write(&keys.password_file, "open barley").unwrap();
    assert!(matches!(ring.reload().await, Err(SignerError::WrongPassword { .. })));
    fs::remove_file(&keys.password_file).unwrap();
    assert!(matches!(ring.reload().await, Err(SignerError::Io { path, .. }) if path == keys.password_file));
    assert_eq!(ring.addresses(), [first]);
    signer.sign(attest(first, 1), digest(1)).await.unwrap();
    signer.close().await;
}

#[tokio::test]
async fn a_directory_that_was_emptied_takes_no_key_away() {
    let keys = Keys::new();
    let (first, file) = keys.create();
    let ring = KeyRing::load(vec![keys.origin()]).await.unwrap();
    fs::remove_file(file).unwrap();
    assert!(matches!(ring.reload().await, Err(SignerError::NoKeys { .. })));
    assert_eq!(ring.addresses(), [first]);
}

#[tokio::test]
async fn a_signing_in_flight_ends_with_its_key_though_a_reload_takes_it_away() {
    let (place, remote) = (Place::new(), FakeSigner::plain().await);
    let ring = Arc::new(KeyRing::load(vec![KeyOrigin::Remote(remote.settings())]).await.unwrap());
    let signer = started(place.open(), &ring);
    let turn = remote.turn.acquire().await.unwrap();
    let signing = signer.sign(attestation(0, 1), digest(1));
    let reloading = async {
        while remote.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        remote.hold_keys(vec![key(1)]);
        let changes = ring.reload().await.unwrap();
        drop(turn);
        changes
    };
    let (signed, changes) = tokio::join!(signing, reloading);
    assert_eq!(changes.removed, [key(0).address()]);
    signed.unwrap();
    assert!(matches!(signer.sign(attestation(0, 2), digest(1)).await, Err(SignerError::UnknownKey { .. })));
    signer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_duty_has_its_answer_whatever_is_reloaded_meanwhile() {
    let (place, keys) = (Place::new(), Keys::new());
    let (stays, (comes_and_goes, file)) = (keys.create().0, keys.create());
    let ring = Arc::new(KeyRing::load(vec![keys.origin()]).await.unwrap());
    let signer = Arc::new(started(place.open(), &ring));
    let hidden = file.with_extension("hidden");
    let done = tokio_util::sync::CancellationToken::new();
    let reloading = async {
        let mut reloads = 0;
        while !done.is_cancelled() || reloads < 6 {
            let (from, to) = if reloads % 2 == 0 { (&file, &hidden) } else { (&hidden, &file) };
            fs::rename(from, to).unwrap();
            ring.reload().await.unwrap();
            reloads += 1;
        }
    };
    let signing = async {
        for slot in 0..100 {
            let duties = [(attest(comes_and_goes, slot), digest(1)), (attest(stays, slot), digest(2))];
            let signed = signer.sign_many(&duties).await;
            assert!(signed[0].is_ok() || matches!(signed[0], Err(SignerError::UnknownKey { .. })), "{signed:?}");
            let hash = DutyKind::Attestation.signed_hash(digest(2));
            assert_eq!(signed[1].as_ref().unwrap().recover_address_from_prehash(&hash).unwrap(), stays);
        }
        done.cancel();
    };
    tokio::join!(reloading, signing);
    signer.close().await;
}

#[tokio::test]
async fn keys_of_several_origins_are_listed_with_theirs_and_no_secret() {
    let (keys, remote) = (Keys::new(), FakeSigner::plain().await);
    let one = tempfile::tempdir().unwrap();
    let file = one.path().join("one.json");
    let (in_file, created) = keys.create();
    fs::rename(created, &file).unwrap();
    let in_directory = keys.create().0;
    let mnemonic = DevMnemonic {
        phrase: "test test test test test test test test test test test junk".to_owned().into(),
        path_prefix: "m/44'/60'/0'/0".to_owned(),
        first: 0,
        count: 1,
    };
    let derived = mnemonic.signers().unwrap()[0].address();
    let ring = KeyRing::load(vec![
        keys.origin(),
        keys.file(&file),
        KeyOrigin::Mnemonic(mnemonic),
        KeyOrigin::Remote(remote.settings()),
        KeyOrigin::Given(LocalKeys::from_signers([key(5)]).unwrap()),
    ]);
    let ring = ring.await.unwrap();
    let origin = |address| ring.list().into_iter().find(|key| key.address == address).unwrap().origin;
    assert_eq!(origin(in_directory), format!("keystores in {}", keys.dir.path().display()));
    assert_eq!(origin(in_file), format!("keystore {}", file.display()));
    assert_eq!(origin(derived), "mnemonic");
    assert_eq!(origin(key(0).address()), format!("remote signer {}", remote.url));
    assert_eq!(origin(key(5).address()), "memory");
    assert_eq!(ring.list().len(), 6);
    let shown = format!("{ring:?}");
    assert!(
        shown.contains(&format!("{derived:?}")) && !shown.contains("junk") && !shown.contains("0606060606"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_key_of_two_origins_is_refused_at_the_start_and_at_a_reload() {
    let (keys, elsewhere) = (Keys::new(), tempfile::tempdir().unwrap());
    let (first, file) = keys.create();
    let moved = elsewhere.path().join("moved.json");
    fs::copy(&file, &moved).unwrap();
    let refused = KeyRing::load(vec![keys.origin(), keys.file(&moved)]).await;
    assert!(matches!(refused, Err(SignerError::DuplicateKey { address }) if address == first));
    let second = keys.create().0;
    fs::remove_file(&file).unwrap();
    let ring = KeyRing::load(vec![keys.origin(), keys.file(&moved)]).await.unwrap();
    fs::copy(&moved, &file).unwrap();
    assert!(matches!(ring.reload().await, Err(SignerError::DuplicateKey { address }) if address == first));
    assert!(ring.holds(first) && ring.holds(second));
}

#[tokio::test]
async fn a_remote_signer_that_is_away_fails_a_reload_and_loses_no_key() {
    let remote = FakeSigner::plain().await;
    let ring = KeyRing::load(vec![KeyOrigin::Remote(remote.settings())]).await.unwrap();
    assert!(ring.reload().now_or_never().is_none(), "a reload that is dropped has changed nothing");
    drop(remote);
    let refused = ring.reload().await;
    assert!(matches!(refused, Err(SignerError::Remote(RemoteError::Unreachable { .. }))), "{refused:?}");
    assert_eq!(ring.addresses().len(), 2);
}
