//! Keys derived from a phrase.

use std::fmt;

use alloy::signers::local::{MnemonicBuilder, PrivateKeySigner};
use zeroize::Zeroizing;

use crate::SignerError;

/// A run of keys derived from a BIP-39 phrase. For development: whoever has the phrase has all of them.
#[derive(Clone)]
pub struct DevMnemonic {
    /// The phrase, English words; wiped when it goes.
    pub phrase: Zeroizing<String>,
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
