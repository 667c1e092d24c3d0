//! Whether checkpoints of ours go to L1.

use serde::{Deserialize, Serialize};

/// Whether a checkpoint of ours that was attested is sent to L1. It is looked at when the committee has attested it, and again
/// when its window on L1 opens.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Publishing {
    /// It is.
    #[default]
    On,
    /// It is withheld: built, told and attested, and left to be dropped by every node once its slot has passed.
    Off,
}

impl Publishing {
    /// Why nothing of ours lands, and what to do; `None` where it is not the operator's wish.
    #[must_use]
    pub fn off_because(self) -> Option<String> {
        match self {
            Self::On => None,
            Self::Off => Some(
                "publishing is off: sequencer.publish_checkpoints is `no`, and checkpoints are attested, and withheld from L1; \
                 `fermata config set sequencer.publish_checkpoints=yes` publishes again"
                    .to_owned(),
            ),
        }
    }
}
