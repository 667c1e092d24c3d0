//! What a node is for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing a node can be for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Builds blocks and lands checkpoints in the slots of its validators.
    Sequencer,
    /// Attests the checkpoints of others.
    Validator,
    /// Has epochs proven, and submits the proofs.
    Prover,
}

impl Role {
    const ALL: [Self; 3] = [Self::Sequencer, Self::Validator, Self::Prover];

    /// Its name in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sequencer => "sequencer",
            Self::Validator => "validator",
            Self::Prover => "prover",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What a node is for. Every node follows L1 and serves the L2 RPC; one that is for nothing else is a follower.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Roles(u8);

/// The name of a node without roles.
const FOLLOWER: &str = "follower";

/// Words that name no roles.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RolesError {
    /// A word is no role.
    #[error("has `{0}`")]
    Unknown(String),
    /// There is no word.
    #[error("is empty")]
    Empty,
    /// It follows L1 only, and does something else.
    #[error("has `follower` beside other roles")]
    FollowerAndMore,
}

impl Roles {
    /// No role: a node that follows L1.
    pub const FOLLOWER: Self = Self(0);

    /// These roles.
    #[must_use]
    pub fn of(roles: impl IntoIterator<Item = Role>) -> Self {
        Self(roles.into_iter().fold(0, |bits, role| bits | role.bit()))
    }

    /// Whether this is one of them.
    #[must_use]
    pub const fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether a start gives it something to do: whoever proposes or attests.
    #[must_use]
    pub const fn has_a_start(self) -> bool {
        self.has(Role::Sequencer) || self.has(Role::Validator)
    }

    /// The roles of these names; `follower` alone is none.
    ///
    /// # Errors
    /// [`RolesError`] says what is wrong with the words.
    pub fn from_words<W: AsRef<str>>(words: &[W]) -> Result<Self, RolesError> {
        let mut roles = Self::FOLLOWER;
        for word in words.iter().map(AsRef::as_ref).filter(|word| *word != FOLLOWER) {
            let role = Role::ALL.into_iter().find(|role| role.word() == word);
            roles.0 |= role.ok_or_else(|| RolesError::Unknown(word.to_owned()))?.bit();
        }
        let is_follower = words.iter().any(|word| word.as_ref() == FOLLOWER);
        match (is_follower, roles == Self::FOLLOWER) {
            (false, true) => Err(RolesError::Empty),
            (true, false) => Err(RolesError::FollowerAndMore),
            (true, true) | (false, false) => Ok(roles),
        }
    }

    /// Their names; `follower` where there is none.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        let words: Vec<_> = Role::ALL.into_iter().filter(|role| self.has(*role)).map(Role::word).collect();
        if words.is_empty() { vec![FOLLOWER] } else { words }
    }
}

impl Default for Roles {
    /// Proposes and attests.
    fn default() -> Self {
        Self::of([Role::Sequencer, Role::Validator])
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(", "))
    }
}

impl From<Roles> for Vec<String> {
    fn from(roles: Roles) -> Self {
        roles.words().into_iter().map(str::to_owned).collect()
    }
}

impl TryFrom<Vec<String>> for Roles {
    type Error = RolesError;

    fn try_from(words: Vec<String>) -> Result<Self, RolesError> {
        Self::from_words(&words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_roles_has_words_that_name_it() {
        for bits in 0..1 << Role::ALL.len() {
            let roles = Roles(bits);
            assert_eq!(Roles::from_words(&roles.words()), Ok(roles), "{roles}");
            let json = serde_json::to_string(&roles).expect("plain data");
            assert_eq!(serde_json::from_str::<Roles>(&json).expect("own words"), roles, "{json}");
        }
        assert_eq!(Roles::default().to_string(), "sequencer, validator");
        assert_eq!(Roles::FOLLOWER.to_string(), "follower");
    }

    #[test]
    fn words_that_name_no_roles_are_refused_each_for_its_reason() {
        assert_eq!(Roles::from_words(&["sequencer", "juggler"]), Err(RolesError::Unknown("juggler".into())));
        assert_eq!(Roles::from_words::<&str>(&[]), Err(RolesError::Empty));
        assert_eq!(Roles::from_words(&["follower", "prover"]), Err(RolesError::FollowerAndMore));
    }
}
