//! The admin tokens, one a scope: 32 random bytes in a private file, of which the node keeps only the hash.

use std::fmt;
use std::path::Path;

use alloy::hex;
use fermata_primitives::crash_point;
use rand::TryRngCore as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{DataDir, DataDirError, write_private};

/// How much a caller of the admin RPC may do. A later scope includes the earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look, and change nothing.
    Read,
    /// Start and stop, and set hot keys of the configuration.
    Operate,
    /// What a person cannot take back from afar: close.
    Danger,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Operate, Self::Danger];

    /// Its word in the log and in errors.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Danger => "danger",
        }
    }

    /// The file in the data directory that holds its token.
    #[must_use]
    pub const fn token_file(self) -> &'static str {
        match self {
            Self::Read => "read.token",
            Self::Operate => "operate.token",
            Self::Danger => "admin.token",
        }
    }
}

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

/// The hash of each scope's token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenHashes {
    read: TokenHash,
    operate: TokenHash,
    danger: TokenHash,
}

impl TokenHashes {
    /// What `of` gives for each scope.
    ///
    /// # Errors
    /// Those of `of`.
    pub fn try_each<E>(mut of: impl FnMut(Scope) -> Result<TokenHash, E>) -> Result<Self, E> {
        Ok(Self { read: of(Scope::Read)?, operate: of(Scope::Operate)?, danger: of(Scope::Danger)? })
    }

    /// The hash of a scope's token.
    #[must_use]
    pub const fn of(&self, scope: Scope) -> TokenHash {
        match scope {
            Scope::Read => self.read,
            Scope::Operate => self.operate,
            Scope::Danger => self.danger,
        }
    }

    /// The widest scope that `shown` is the token of. Each is compared whichever fits, in a time that tells nothing.
    #[must_use]
    pub fn scope_of(&self, shown: &str) -> Option<Scope> {
        Scope::ALL.map(|scope| self.of(scope).admits(shown).then_some(scope)).into_iter().max().flatten()
    }
}

impl DataDir {
    /// The hash of the token that admits to `scope` of this node, given the one on record.
    ///
    /// The file wins, so that writing another token into it and restarting rotates the token. Without the file the hash on
    /// record stays good: the operator keeps the token elsewhere. With neither, a token is made.
    ///
    /// # Errors
    /// [`DataDirError::BadToken`] where the file holds something else; [`DataDirError::Unusable`].
    pub fn token(&self, scope: Scope, on_record: Option<TokenHash>) -> Result<TokenHash, DataDirError> {
        let path = self.root().join(scope.token_file());
        if let Some(token) = AdminToken::read(&path)? {
            return Ok(token.hash());
        }
        if let Some(hash) = on_record {
            return Ok(hash);
        }
        let token = AdminToken::random().map_err(DataDirError::unusable("make a token for", &path))?;
        write_private(&path, &format!("{}\n", token.expose()))?;
        crash_point!("data_dir.after_token");
        Ok(token.hash())
    }
}

/// The widest token of a data directory that this user may read, for the command line on the same machine.
///
/// # Errors
/// [`DataDirError::NoNode`] where there is none; [`DataDirError::BadToken`]; [`DataDirError::Unusable`].
pub fn find_token(root: &Path) -> Result<AdminToken, DataDirError> {
    let mut first = None;
    for scope in Scope::ALL.into_iter().rev() {
        match AdminToken::read(&root.join(scope.token_file())) {
            Ok(Some(token)) => return Ok(token),
            Ok(None) => {}
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    let path = root.join(Scope::Danger.token_file());
    Err(first.unwrap_or(DataDirError::NoNode { path }))
}
