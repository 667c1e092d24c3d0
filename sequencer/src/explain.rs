//! Why the node does or does not propose in a slot: ordered checks, the first that fails is the answer. Pure.

mod checks;
#[cfg(test)]
mod tests;

use std::time::Duration;

use alloy::primitives::{Address, U256};
use fermata_primitives::{CheckpointNumber, Slot};
use serde::{Deserialize, Serialize};

use crate::publishing::Publishing;
use crate::roles::Roles;
use crate::status::{ActualState, DesiredState};

/// What a check has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does not stand in the way.
    Pass,
    /// It does.
    Fail,
    /// It cannot be told, or not yet.
    Unknown,
}

/// One check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// What was found.
    pub verdict: Verdict,
    /// A sentence about it.
    pub says: String,
}

/// Why the node does or does not propose in a slot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The slot.
    pub slot: Slot,
    /// The answer in one sentence.
    pub answer: String,
    /// What was looked at, in the order in which it stands in the way.
    pub checks: Vec<Check>,
}

/// All that the checks look at.
#[derive(Clone, PartialEq, Debug)]
pub struct Facts {
    /// The slot in question.
    pub slot: Slot,
    /// What the node is for.
    pub roles: Roles,
    /// What an operator wants.
    pub wish: Option<DesiredState>,
    /// What is.
    pub actual: ActualState,
    /// Why the last run ended, where nobody asked it to.
    pub failure: Option<String>,
    /// L1, as far as it can be seen.
    pub l1: L1Fact,
    /// Whether the chain is where L1 says; `None` until it was followed once.
    pub followed: Option<CheckpointNumber>,
    /// Whose turn it is.
    pub turn: Turn,
    /// How many validator keys are loaded.
    pub keys: usize,
    /// Whether the signer signs.
    pub signer_open: bool,
    /// Why the signing store refuses the slot to our proposer, where it does.
    pub signer_refusal: Option<String>,
    /// What the publisher's accounts have, in wei; or why that is not known.
    pub funds: Result<Vec<(Address, U256)>, String>,
    /// When what is due, seen from now.
    pub moments: Moments,
    /// Slots before this one whose checkpoints are still on their way to L1.
    pub ahead: Vec<Slot>,
    /// Whether checkpoints of ours go to L1.
    pub publishing: Publishing,
    /// What has come of this slot's checkpoint so far.
    pub progress: Progress,
}

/// L1, as far as it can be seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct L1Fact {
    /// Number of the head.
    pub head: u64,
    /// How old it is.
    pub age: Duration,
    /// How old it may be.
    pub allowed: Duration,
    /// What the endpoint said when it was asked just now, where it did not answer.
    pub error: Option<String>,
}

/// Whose turn the slot is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Ours.
    Ours {
        /// With this key.
        key: Address,
    },
    /// Another's.
    Theirs {
        /// Whose; `None` where anyone may propose and we have no key.
        proposer: Option<Address>,
        /// Our next slot in the epochs that are known.
        next_ours: Option<Slot>,
    },
    /// It cannot be told.
    Unknown(String),
}

/// When what is due for the slot, seen from now; negative spans lie in the past.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moments {
    /// The build frame opens.
    pub frame: FromNow,
    /// The last moment to begin.
    pub start_deadline: FromNow,
    /// The slot ends.
    pub end: FromNow,
}

/// A moment, seen from now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FromNow {
    /// It comes after this long.
    In(Duration),
    /// It was this long ago.
    Ago(Duration),
}

/// What has come of the slot's checkpoint so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing.
    None,
    /// It is being worked on; the word says how.
    UnderWay(String),
    /// It was attested, and withheld from L1.
    Withheld,
    /// It is on L1.
    Landed {
        /// Its number.
        checkpoint: CheckpointNumber,
        /// The L1 block that holds it.
        l1_block: u64,
    },
}

/// Explains.
#[must_use]
pub fn explain(facts: &Facts) -> Explanation {
    let checks = checks::all(facts);
    let failed = checks.iter().find(|check| check.verdict == Verdict::Fail);
    let unknown = checks.iter().find(|check| check.verdict == Verdict::Unknown);
    let slot = facts.slot;
    let answer = match (&facts.progress, failed, unknown) {
        (Progress::Landed { checkpoint, l1_block }, _, _) => {
            format!("slot {slot} is done: checkpoint {checkpoint} is in L1 block {l1_block}")
        }
        (Progress::UnderWay(how), _, _) => format!("slot {slot} is being worked on: {how}"),
        (Progress::Withheld, _, _) => {
            format!("the checkpoint of slot {slot} was withheld from L1, as publishing was off")
        }
        (Progress::None, Some(check), _) if check.name == checks::PUBLISHING => {
            format!("not publishing in slot {slot}: {}", check.says)
        }
        (Progress::None, Some(check), _) => format!("not proposing in slot {slot}: {}", check.says),
        (Progress::None, None, Some(check)) => format!("nothing stands against slot {slot} yet: {}", check.says),
        (Progress::None, None, None) => format!("proposing in slot {slot}: every check passes"),
    };
    Explanation { slot, answer, checks }
}
