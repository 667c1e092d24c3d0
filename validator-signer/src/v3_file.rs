//! Encrypted V3 keystore files.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use alloy::signers::k256::elliptic_curve::rand_core::OsRng;
use alloy::signers::local::{LocalSignerError, PrivateKeySigner};
use serde::Deserialize;

use crate::SignerError;

/// Most memory that a keystore may ask scrypt for; the customary strongest setting takes a quarter of it.
const MAX_SCRYPT_BYTES: u64 = 1 << 30;

/// The password of a keystore. Never shown.
#[derive(Clone)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(password)
    }
}

impl Password {
    /// The first line of a file.
    ///
    /// # Errors
    /// [`SignerError::Io`].
    pub fn from_file(path: &Path) -> Result<Self, SignerError> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|source| SignerError::Io { action: "read", path: path.to_owned(), source })?;
        Ok(Self(text.lines().next().unwrap_or_default().to_owned()))
    }
}

/// A key that was made, and the file it is in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedKey {
    /// Its address.
    pub address: Address,
    /// Its encrypted file, mode 0600.
    pub path: PathBuf,
}

/// Makes a random key and its encrypted file `<address>.json` in `dir`, durably and in one step. Blocks for the key
/// derivation.
///
/// # Errors
/// [`SignerError::Io`]; nothing is left behind that looks like a key.
pub fn create_keystore(dir: &Path, password: &Password) -> Result<CreatedKey, SignerError> {
    let key = PrivateKeySigner::random();
    let name = format!("{:#x}.json", key.address());
    let (draft_name, path) = (format!(".{name}.draft"), dir.join(&name));
    let io = |source| SignerError::Io { action: "write", path: path.clone(), source };
    PrivateKeySigner::encrypt_keystore(dir, &mut OsRng, key.to_bytes(), &password.0, Some(&draft_name))
        .map_err(|error| io(std::io::Error::other(error)))?;
    let draft = dir.join(draft_name);
    let put_in_place = || {
        let file = File::open(&draft)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(dir)?.sync_all()
    };
    put_in_place().map_err(io)?;
    Ok(CreatedKey { address: key.address(), path })
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
    PrivateKeySigner::decrypt_keystore(path, &password.0).map_err(|error| {
        // The type of the library's own error cannot be named from here; its text can.
        let mismatch = |error: &LocalSignerError| error.to_string() == "Mac Mismatch";
        if mismatch(&error) { SignerError::WrongPassword { path: path.to_owned() } } else { bad(error.to_string()) }
    })
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
