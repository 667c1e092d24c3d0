//! Secrets that open keystores.

use std::fmt;
use std::fs;
use std::path::Path;

use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::SignerError;

/// The password of a keystore. Never shown, and wiped when it goes.
#[derive(Clone, ZeroizeOnDrop)]
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
        let text = fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|source| SignerError::Io { action: "read", path: path.to_owned(), source })?;
        Ok(Self(text.lines().next().unwrap_or_default().to_owned()))
    }

    pub(crate) const fn expose(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_of_a_type_that_wipes_itself() {
        const fn wipes<T: ZeroizeOnDrop>(of: T) -> T {
            of
        }
        assert_eq!(wipes(Password::from("open sesame".to_owned())).expose(), "open sesame");
    }
}
