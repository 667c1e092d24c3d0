//! What a store says of a key as a whole.

use std::fmt;

use alloy::primitives::{B256, Signature};
use serde::{Deserialize, Serialize};

use crate::Duty;
use crate::rules::Standing;

/// What a store says of a key as a whole. Durable; a key that nothing was said of is enabled.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct KeyState {
    /// Retired by an operator: everything is refused until it is enabled again.
    pub retired: bool,
    /// Everything is refused until an operator lifts it.
    pub halt: Option<Halt>,
}

impl KeyState {
    /// What the rules look at.
    pub(crate) const fn standing(&self) -> Standing {
        match self {
            Self { retired: true, .. } => Standing::Retired,
            Self { halt: Some(halt), .. } => Standing::Halted(halt.duty),
            Self { retired: false, halt: None } => Standing::Enabled,
        }
    }
}

/// What an operator says of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyChange {
    /// Sign nothing with it any more: it moves to another node, or leaves the rollup.
    Retire,
    /// Take a retirement back; only where no other node signs with the key.
    Enable,
    /// Sign again after a halt, once the node that signed with the key elsewhere is stopped.
    LiftHalt,
}

impl KeyChange {
    /// The state after it.
    #[must_use]
    pub const fn apply(self, state: KeyState) -> KeyState {
        match self {
            Self::Retire => KeyState { retired: true, ..state },
            Self::Enable => KeyState { retired: false, ..state },
            Self::LiftHalt => KeyState { halt: None, ..state },
        }
    }
}

/// Proof that a key signs elsewhere: its signature over a payload that was never pinned here. Whatever is signed here is
/// pinned first, so that no message of this node can look like this.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Halt {
    /// What the key signed elsewhere.
    pub duty: Duty,
    /// The digest it signed.
    pub digest: B256,
    /// Its signature over that digest.
    pub signature: Signature,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signed elsewhere: {}, digest {}", self.duty, self.digest)
    }
}

/// What a store makes of a valid signature by a key, seen outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sighting {
    /// The payload is on record here.
    Ours,
    /// It cannot be told any more whose it is: the slot is pruned, or another node signs there by plan.
    Unknowable,
    /// It was never pinned here: the key signs elsewhere, and is halted (now or since before).
    Elsewhere,
}
