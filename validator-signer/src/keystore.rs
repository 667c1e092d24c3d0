//! Where the keys are.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::dyn_abi::TypedData;
use alloy::primitives::{Address, Signature};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use futures::future::BoxFuture;

use crate::v3_file::decrypt;
use crate::{DevMnemonic, Password, SignerError, SigningPermit};

/// Keys that sign duties, here or elsewhere. They sign under a [`SigningPermit`] alone, so that no payload reaches a key
/// before it is on record.
pub trait Keystore: Send + Sync + fmt::Debug + 'static {
    /// The validators whose keys are here, in order.
    fn addresses(&self) -> Vec<Address>;

    /// Whether the key of `validator` is here.
    fn holds(&self, validator: Address) -> bool {
        self.addresses().contains(&validator)
    }

    /// Signs [`SigningPermit::signed_hash`] with the key of the permit's validator.
    ///
    /// # Errors
    /// [`SignerError::UnknownKey`]; [`SignerError::KeyFailed`], after which the same payload may be asked for again.
    fn sign<'a>(&'a self, permit: &'a SigningPermit) -> BoxFuture<'a, Result<Signature, SignerError>>;

    /// As [`sign`](Self::sign), for a key that hashes `typed` itself; its EIP-712 hash is the permit's digest. Most keys
    /// take the digest's word for it.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    fn sign_typed<'a>(
        &'a self,
        permit: &'a SigningPermit,
        typed: &'a TypedData,
    ) -> BoxFuture<'a, Result<Signature, SignerError>> {
        let _ = typed;
        self.sign(permit)
    }
}

/// Keys in this process's memory, each in one place that is wiped when the last who holds it lets it go. Signing is
/// deterministic (RFC 6979).
#[derive(Clone, Default)]
pub struct LocalKeys {
    keys: BTreeMap<Address, Arc<PrivateKeySigner>>,
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
        Self::default().with(signers.into_iter().map(Arc::new))
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
        let keys = Self::in_directory(dir, password)?;
        if keys.keys.is_empty() { Err(SignerError::NoKeys { path: dir.to_owned() }) } else { Ok(keys) }
    }

    /// As [`from_directory`](Self::from_directory), where no keys are fine too.
    ///
    /// # Errors
    /// As [`from_directory`](Self::from_directory), but [`SignerError::NoKeys`].
    pub(crate) fn in_directory(dir: &Path, password: &Password) -> Result<Self, SignerError> {
        let signers: Result<Vec<_>, _> = keystore_paths(dir)?.iter().map(|path| decrypt(path, password)).collect();
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
        self.keys.into_values().map(Arc::unwrap_or_clone).collect()
    }

    /// These keys and those of `other`.
    ///
    /// # Errors
    /// [`SignerError::DuplicateKey`].
    pub fn merge(self, other: Self) -> Result<Self, SignerError> {
        self.with(other.keys.into_values())
    }

    fn with(mut self, signers: impl IntoIterator<Item = Arc<PrivateKeySigner>>) -> Result<Self, SignerError> {
        for signer in signers {
            let address = signer.address();
            if self.keys.insert(address, signer).is_some() {
                return Err(SignerError::DuplicateKey { address });
            }
        }
        Ok(self)
    }
}

impl Keystore for LocalKeys {
    fn addresses(&self) -> Vec<Address> {
        self.keys.keys().copied().collect()
    }

    fn holds(&self, validator: Address) -> bool {
        self.keys.contains_key(&validator)
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

/// The `*.json` files of a directory, in order; hidden ones are drafts.
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
