//! A store in a directory that vanishes, and keys that remember what they were asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use alloy::primitives::{Address, B256, Signature};
use alloy::signers::local::PrivateKeySigner;
use fermata_primitives::Slot;
use fermata_validator_signer::{
    Domain, Duty, DutyKind, Keystore, LocalKeys, SignerError, SigningPermit, SlashingProtection, StoreOptions,
    ValidatorSigner,
};
use futures::future::BoxFuture;
use tempfile::TempDir;
use tokio::sync::Semaphore;

pub(crate) const DOMAIN: Domain = Domain { l1_chain_id: 31_337, rollup: Address::repeat_byte(0xaa) };

/// A directory with an initialised store in it.
pub(crate) struct Place {
    _dir: TempDir,
    pub(crate) store: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("signing");
        SlashingProtection::init(&store, DOMAIN).unwrap();
        Self { _dir: dir, store }
    }

    pub(crate) fn data_file(&self) -> PathBuf {
        self.store.join("data.mdb")
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.store.join("STORE.json")
    }

    /// The same records in another place. The store is closed.
    pub(crate) fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("signing");
        std::fs::create_dir(&store).unwrap();
        for file in [self.data_file(), self.manifest()] {
            std::fs::copy(&file, store.join(file.file_name().unwrap())).unwrap();
        }
        Self { _dir: dir, store }
    }

    pub(crate) fn open(&self) -> SlashingProtection {
        open(&self.store).unwrap()
    }

    pub(crate) fn signer(&self, keys: &Arc<RecordingKeys>) -> ValidatorSigner {
        let signer = ValidatorSigner::owning(Arc::new(self.open()), keys.clone());
        signer.start().unwrap();
        signer
    }
}

pub(crate) fn open(dir: &Path) -> Result<SlashingProtection, SignerError> {
    SlashingProtection::open(dir, DOMAIN, small())
}

/// Options with a window of no slots, so that `prune(s)` forgets all up to `s`.
pub(crate) fn small() -> StoreOptions {
    StoreOptions { keep_slots: 0, holder: "a test".to_owned(), ..StoreOptions::default() }
}

pub(crate) fn key(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[number + 1; 32]).unwrap()
}

pub(crate) fn attestation(validator: u8, slot: u64) -> Duty {
    duty(validator, slot, DutyKind::Attestation)
}

pub(crate) fn duty(validator: u8, slot: u64, kind: DutyKind) -> Duty {
    static ADDRESSES: LazyLock<Vec<Address>> = LazyLock::new(|| (0..8).map(|number| key(number).address()).collect());
    Duty { validator: ADDRESSES[usize::from(validator)], slot: Slot(slot), kind }
}

pub(crate) fn digest(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

/// How a key behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    Honest,
    Failing,
    /// Signs with a key that is not the one asked for.
    Foreign,
    /// Never answers.
    Silent,
}

/// Keys 0 to 7. They note each digest they are asked to sign: the oracle of "never twice".
#[derive(Debug)]
pub(crate) struct RecordingKeys {
    keys: LocalKeys,
    asked: Mutex<BTreeMap<(Address, u64, DutyKind), Vec<B256>>>,
    manner: Mutex<BTreeMap<Address, Manner>>,
    /// Whether each digest is said before it is signed: "asks SLOT VALIDATOR DIGEST".
    is_telling: bool,
    /// A signing takes one of these and gives it back: a test that holds them all holds the keys.
    pub(crate) turn: Semaphore,
}

impl RecordingKeys {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::quiet())
    }

    /// Keys of a child process, which say what they are asked for to the process that started it.
    pub(crate) fn telling() -> Arc<Self> {
        Arc::new(Self { is_telling: true, ..Self::quiet() })
    }

    fn quiet() -> Self {
        Self {
            keys: LocalKeys::from_signers((0..8).map(key)).unwrap(),
            asked: Mutex::default(),
            manner: Mutex::default(),
            is_telling: false,
            turn: Semaphore::new(1),
        }
    }

    pub(crate) fn behave(&self, validator: u8, manner: Manner) {
        self.manner.lock().unwrap().insert(key(validator).address(), manner);
    }

    /// Every digest the key was asked for, a repeat each time.
    pub(crate) fn asked(&self, duty: Duty) -> Vec<B256> {
        let asked = self.asked.lock().unwrap();
        asked.get(&(duty.validator, duty.slot.0, duty.kind)).cloned().unwrap_or_default()
    }

    /// Panics when two different digests were asked for in one duty.
    pub(crate) fn assert_never_twice(&self) {
        for (duty, digests) in &*self.asked.lock().unwrap() {
            let different: BTreeSet<_> = digests.iter().collect();
            assert_eq!(different.len(), 1, "{duty:?} was signed for {different:?}");
        }
    }
}

impl Keystore for RecordingKeys {
    fn addresses(&self) -> Vec<Address> {
        self.keys.addresses()
    }

    fn sign<'a>(&'a self, permit: &'a SigningPermit) -> BoxFuture<'a, Result<Signature, SignerError>> {
        Box::pin(async move {
            let duty = permit.duty();
            let asked_as = (duty.validator, duty.slot.0, duty.kind);
            self.asked.lock().unwrap().entry(asked_as).or_default().push(permit.digest());
            if self.is_telling {
                let index = (0..8).position(|number| attestation(number, 0).validator == duty.validator).unwrap();
                println!("child: asks {} {index} {}", duty.slot, permit.digest());
            }
            let turn = self.turn.acquire().await.unwrap();
            let manner = self.manner.lock().unwrap().get(&duty.validator).copied().unwrap_or(Manner::Honest);
            match manner {
                Manner::Honest => self.keys.sign(permit).await,
                Manner::Failing => {
                    Err(SignerError::KeyFailed { validator: duty.validator, source: "the line is dead".into() })
                }
                Manner::Silent => {
                    drop(turn);
                    std::future::pending().await
                }
                Manner::Foreign => {
                    Ok(alloy::signers::SignerSync::sign_hash_sync(&key(200), &permit.signed_hash()).unwrap())
                }
            }
        })
    }
}
