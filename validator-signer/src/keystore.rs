//! Where the keys are.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use alloy::primitives::{Address, Signature};
use alloy::signers::SignerSync;
use alloy::signers::local::{MnemonicBuilder, PrivateKeySigner};
use futures::future::BoxFuture;

use crate::v3_file::{Password, decrypt};
use crate::{SignerError, SigningPermit};

/// Keys that sign duties, here or elsewhere. They sign under a [`SigningPermit`] alone, so that no payload reaches a key
/// before it is on record.
pub trait Keystore: Send + Sync + fmt::Debug + 'static {
    /// The validators whose keys are here.
    fn addresses(&self) -> Vec<Address>;

    /// Signs [`SigningPermit::signed_hash`] with the key of the permit's validator.
    ///
    /// # Errors
    /// [`SignerError::UnknownKey`]; [`SignerError::KeyFailed`], after which the same payload may be asked for again.
    fn sign<'a>(&'a self, permit: &'a SigningPermit) -> BoxFuture<'a, Result<Signature, SignerError>>;
}

/// Keys in this process's memory. Signing is deterministic (RFC 6979).
#[derive(Clone, Default)]
pub struct LocalKeys {
    keys: BTreeMap<Address, PrivateKeySigner>,
}

/// Shows the addresses and nothing of the keys.
impl fmt::Debug for LocalKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalKeys").field(&self.keys.keys()).finish()
    }
}

impl LocalKeys {
    /// Keys that are at hand.
    ///
    /// # Errors
    /// [`SignerError::DuplicateKey`].
    pub fn from_signers(signers: impl IntoIterator<Item = PrivateKeySigner>) -> Result<Self, SignerError> {
        let mut keys = BTreeMap::new();
        for signer in signers {
            let address = signer.address();
            if keys.insert(address, signer).is_some() {
                return Err(SignerError::DuplicateKey { address });
            }
        }
        Ok(Self { keys })
    }

    /// The key of one encrypted V3 file. Blocks for the key derivation, which is slow by intent.
    ///
    /// # Errors
    /// [`SignerError::WrongPassword`], [`SignerError::BadKeystore`], [`SignerError::Io`].
    pub fn from_file(path: &Path, password: &Password) -> Result<Self, SignerError> {
        Self::from_signers([decrypt(path, password)?])
    }

    /// The keys of all `*.json` files of a directory, which one password opens. Blocks as [`from_file`](Self::from_file)
    /// does, for each of them.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file), and [`SignerError::NoKeys`], [`SignerError::DuplicateKey`].
    pub fn from_directory(dir: &Path, password: &Password) -> Result<Self, SignerError> {
        let paths = keystore_paths(dir)?;
        if paths.is_empty() {
            return Err(SignerError::NoKeys { path: dir.to_owned() });
        }
        let signers: Result<Vec<_>, _> = paths.iter().map(|path| decrypt(path, password)).collect();
        Self::from_signers(signers?)
    }

    /// Keys of a mnemonic, for development.
    ///
    /// # Errors
    /// [`SignerError::BadMnemonic`].
    pub fn from_mnemonic(mnemonic: &DevMnemonic) -> Result<Self, SignerError> {
        Self::from_signers(mnemonic.signers()?)
    }

    /// The keys themselves: for accounts that sign other things than duties, such as publishers.
    #[must_use]
    pub fn into_signers(self) -> Vec<PrivateKeySigner> {
        self.keys.into_values().collect()
    }

    /// These keys and those of `other`.
    ///
    /// # Errors
    /// [`SignerError::DuplicateKey`].
    pub fn merge(self, other: Self) -> Result<Self, SignerError> {
        Self::from_signers(self.keys.into_values().chain(other.keys.into_values()))
    }
}

impl Keystore for LocalKeys {
    fn addresses(&self) -> Vec<Address> {
        self.keys.keys().copied().collect()
    }

    fn sign<'a>(&'a self, permit: &'a SigningPermit) -> BoxFuture<'a, Result<Signature, SignerError>> {
        let validator = permit.duty().validator;
        Box::pin(async move {
            let key = self.keys.get(&validator).ok_or(SignerError::UnknownKey { validator })?;
            key.sign_hash_sync(&permit.signed_hash())
                .map_err(|error| SignerError::KeyFailed { validator, source: Box::new(error) })
        })
    }
}

/// A run of keys derived from a BIP-39 phrase. For development: whoever has the phrase has all of them.
#[derive(Clone)]
pub struct DevMnemonic {
    /// The phrase, English words.
    pub phrase: String,
    /// Derivation path without the last number, like `m/44'/60'/0'/0`.
    pub path_prefix: String,
    /// Last number of the first key's path.
    pub first: u32,
    /// Number of keys.
    pub count: u32,
}

/// Shows where the keys lie and nothing of the phrase.
impl fmt::Debug for DevMnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevMnemonic")
            .field("path_prefix", &self.path_prefix)
            .field("first", &self.first)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl DevMnemonic {
    /// The keys, in the order of their paths.
    ///
    /// # Errors
    /// [`SignerError::BadMnemonic`], which does not repeat the phrase.
    pub fn signers(&self) -> Result<Vec<PrivateKeySigner>, SignerError> {
        let bad = |what: &str| SignerError::BadMnemonic { what: what.to_owned() };
        let end = self.first.checked_add(self.count).ok_or_else(|| bad("the last key's number is too large"))?;
        if self.count == 0 {
            return Err(bad("no key is asked for"));
        }
        let first = format!("{}/{}", self.path_prefix, self.first);
        let parent = MnemonicBuilder::english()
            .phrase(self.phrase.trim())
            .derivation_path(&first)
            .map_err(|_| bad(&format!("{first} is not a derivation path")))?
            .build_parent_key()
            // The cause may quote the phrase.
            .map_err(|_| bad("the phrase is not a BIP-39 phrase"))?;
        (self.first..end)
            .map(|at| parent.child(at).map(|key| key.signer()).map_err(|_| bad(&format!("there is no key {at}"))))
            .collect()
    }
}

fn keystore_paths(dir: &Path) -> Result<Vec<PathBuf>, SignerError> {
    let io = |source| SignerError::Io { action: "list", path: dir.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_file() && !hidden && path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
