//! Encrypted V3 keystore files.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use alloy::hex;
use alloy::primitives::Address;
use alloy::signers::k256::elliptic_curve::rand_core::OsRng;
use alloy::signers::local::PrivateKeySigner;
use eth_keystore::KeystoreError;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{Keystore as _, LocalKeys, Password, SignerError};

/// Most memory that a keystore may ask scrypt for; the customary strongest setting takes a quarter of it.
const MAX_SCRYPT_BYTES: u64 = 1 << 30;

/// A key that was put into a directory, and the file it is in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedKey {
    /// Its address.
    pub address: Address,
    /// Its encrypted file, mode 0600.
    pub path: PathBuf,
}

/// Makes a random key and its encrypted file `<address>.json` in `dir`, durably and in one step. Blocks for the key
/// derivation, as the other functions do that make keystores.
///
/// # Errors
/// As [`import_private_key`].
pub fn create_keystore(dir: &Path, password: &Password) -> Result<CreatedKey, SignerError> {
    put(dir, &PrivateKeySigner::random(), password)
}

/// Puts a private key that is written in hex into `dir`, as [`create_keystore`] does a new one. It never takes another
/// file's place.
///
/// # Errors
/// [`SignerError::BadPrivateKey`], which does not repeat it; [`SignerError::KeyFileExists`];
/// [`SignerError::DuplicateKey`]: the directory holds it already; what a look at the keystores that are there comes
/// upon, which `password` has to open; [`SignerError::Io`]. Nothing is left behind that looks like a key.
pub fn import_private_key(dir: &Path, hex: &str, password: &Password) -> Result<CreatedKey, SignerError> {
    let mut secret = Zeroizing::new([0; 32]);
    let hex = hex.trim();
    let hex = hex.strip_prefix("0x").unwrap_or(hex);
    let bad = |what| SignerError::BadPrivateKey { what };
    hex::decode_to_slice(hex, secret.as_mut_slice()).map_err(|_| bad("it is not 64 digits"))?;
    let key = PrivateKeySigner::from_slice(secret.as_slice()).map_err(|_| bad("it is not of the curve secp256k1"))?;
    put(dir, &key, password)
}

/// Puts the key of the keystore `from`, which `its_password` opens, into `dir`, encrypted anew with the password of the
/// directory. `from` stays as it is.
///
/// # Errors
/// As [`import_private_key`], and [`SignerError::WrongPassword`], [`SignerError::BadKeystore`] about `from`.
pub fn import_keystore(
    dir: &Path,
    from: &Path,
    its_password: &Password,
    password: &Password,
) -> Result<CreatedKey, SignerError> {
    put(dir, &decrypt(from, its_password)?, password)
}

/// One password opens a directory: a key under another would keep all of it from being loaded.
fn put(dir: &Path, key: &PrivateKeySigner, password: &Password) -> Result<CreatedKey, SignerError> {
    let address = key.address();
    let path = dir.join(format!("{address:#x}.json"));
    if path.exists() {
        return Err(SignerError::KeyFileExists { path });
    }
    if LocalKeys::in_directory(dir, password)?.holds(address) {
        return Err(SignerError::DuplicateKey { address });
    }
    match write_new(dir, &path, key, password) {
        Ok(()) => Ok(CreatedKey { address, path }),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(SignerError::KeyFileExists { path }),
        Err(source) => Err(SignerError::Io { action: "write", path, source }),
    }
}

/// A draft is private from its first byte, and gets its name only once it is on disk.
fn write_new(dir: &Path, path: &Path, key: &PrivateKeySigner, password: &Password) -> std::io::Result<()> {
    let draft = tempfile::Builder::new().prefix(".").suffix(".draft").tempfile_in(dir)?;
    let name = draft.path().file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| std::io::Error::other("the draft has no name"))?;
    let secret = Zeroizing::new(<[u8; 32]>::from(key.to_field_bytes()));
    eth_keystore::encrypt_key(dir, &mut OsRng, secret.as_slice(), password.expose(), Some(name))
        .map_err(std::io::Error::other)?;
    draft.as_file().sync_all()?;
    draft.persist_noclobber(path)?;
    File::open(dir)?.sync_all()
}

/// The key of a keystore file.
///
/// # Errors
/// [`SignerError::WrongPassword`], [`SignerError::BadKeystore`], [`SignerError::Io`].
pub(crate) fn decrypt(path: &Path, password: &Password) -> Result<PrivateKeySigner, SignerError> {
    let text = fs::read(path);
    let text = text.map_err(|source| SignerError::Io { action: "read", path: path.to_owned(), source })?;
    let bad = |what: String| SignerError::BadKeystore { path: path.to_owned(), what };
    let shape: Shape = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    shape.check().map_err(|what| bad(what.to_owned()))?;
    let secret = eth_keystore::decrypt_key(path, password.expose()).map(Zeroizing::new);
    let secret = secret.map_err(|error| {
        if matches!(error, KeystoreError::MacMismatch) {
            SignerError::WrongPassword { path: path.to_owned() }
        } else {
            bad(error.to_string())
        }
    })?;
    PrivateKeySigner::from_slice(&secret).map_err(|_| bad("its secret is not of the curve secp256k1".to_owned()))
}

/// What the decrypting library takes for granted, and would panic without.
#[derive(Deserialize)]
struct Shape {
    version: u64,
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdfparams: KdfParams,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Deserialize)]
struct KdfParams {
    dklen: u64,
    prf: Option<String>,
    n: Option<u64>,
    r: Option<u64>,
}

impl Shape {
    fn check(&self) -> Result<(), &'static str> {
        let Crypto { cipher, cipherparams, ciphertext, kdfparams } = &self.crypto;
        if self.version != 3 {
            return Err("its version is not 3");
        }
        if cipher != "aes-128-ctr" || cipherparams.iv.len() != 32 {
            return Err("its cipher is not aes-128-ctr with 16 bytes of iv");
        }
        if ciphertext.len() != 64 {
            return Err("its secret is not of 32 bytes");
        }
        kdfparams.check()
    }
}

impl KdfParams {
    fn check(&self) -> Result<(), &'static str> {
        if self.dklen != 32 {
            return Err("its derived key is not of 32 bytes");
        }
        if self.prf.as_ref().is_some_and(|prf| prf != "hmac-sha256") {
            return Err("its key derivation is not hmac-sha256");
        }
        let Some(n) = self.n else { return Ok(()) };
        if !n.is_power_of_two() || n < 2 {
            return Err("its scrypt cost is not a power of two");
        }
        match n.checked_mul(128 * self.r.unwrap_or(1).clamp(1, u64::from(u32::MAX))) {
            Some(bytes) if bytes <= MAX_SCRYPT_BYTES => Ok(()),
            Some(_) | None => Err("its scrypt cost asks for more than 1 GiB of memory"),
        }
    }
}
