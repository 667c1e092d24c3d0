//! The admin token: 32 random bytes in a private file, of which the node keeps only the hash.

use std::fmt;
use std::path::Path;

use alloy::hex;
use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{DataDir, DataDirError, write_private};

const FILE: &str = "admin.token";

/// What a caller of the admin RPC shows. It is never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(String);

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<token>")
    }
}

impl AdminToken {
    /// A token of text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the request's header.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the node keeps of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }

    fn random() -> Result<Self, std::io::Error> {
        let mut bytes = [0; 32];
        rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self(hex::encode(bytes)))
    }

    fn read(path: &Path) -> Result<Option<Self>, DataDirError> {
        match std::fs::read_to_string(path) {
            Ok(text) if is_token(text.trim()) => Ok(Some(Self(text.trim().to_owned()))),
            Ok(_) => Err(DataDirError::BadToken { path: path.to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataDirError::unusable("read", path)(source)),
        }
    }
}

fn is_token(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// SHA-256 of the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Whether `shown` is the token, in a time that does not tell how much of it is right.
    #[must_use]
    pub fn admits(&self, shown: &str) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        shown.ct_eq(&self.0).into()
    }
}

impl DataDir {
    /// The hash of the token that admits to this node, given the one on record.
    ///
    /// The file wins, so that writing another token into it and restarting rotates the token. Without the file the hash on
    /// record stays good: the operator keeps the token elsewhere. With neither, a token is made.
    ///
    /// # Errors
    /// [`DataDirError::BadToken`] where the file holds something else; [`DataDirError::Unusable`].
    pub fn admin_token(&self, on_record: Option<TokenHash>) -> Result<TokenHash, DataDirError> {
        let path = self.root().join(FILE);
        if let Some(token) = AdminToken::read(&path)? {
            return Ok(token.hash());
        }
        if let Some(hash) = on_record {
            return Ok(hash);
        }
        let token = AdminToken::random().map_err(DataDirError::unusable("make a token for", &path))?;
        write_private(&path, &format!("{}\n", token.expose()))?;
        Ok(token.hash())
    }
}

/// The token of a data directory, for the command line on the same machine.
///
/// # Errors
/// [`DataDirError::NoNode`] where there is no such file; [`DataDirError::BadToken`]; [`DataDirError::Unusable`].
pub fn find_token(root: &Path) -> Result<AdminToken, DataDirError> {
    let path = root.join(FILE);
    AdminToken::read(&path)?.ok_or(DataDirError::NoNode { path })
}
