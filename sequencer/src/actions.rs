//! What a slot does on L1, and what became of it.

use std::fmt;

use alloy::primitives::{Address, Bytes};
use fermata_primitives::Slot;
use fermata_publisher::{BundleEntry, EntryOutcome, RequestBlobs, SuccessRule};
use serde::{Deserialize, Serialize};

use crate::l1::revert_reason;

/// What an action does on L1, in the order a bundle carries them out (declaration order = priority).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// Drops a checkpoint with an attestation that is not its member's.
    InvalidateBadAttestation,
    /// Drops a checkpoint with fewer attestations than the quorum.
    InvalidateTooFewAttestations,
    /// Drops the checkpoints whose proof did not come in time.
    Prune,
    /// Proposes the slot's checkpoint.
    Propose,
    /// Signals for a governance payload.
    GovernanceSignal,
    /// Votes on whom to slash.
    SlashingVote,
    /// Carries out what a round of slashing votes decided.
    ExecuteSlash,
}

/// One call of a slot's bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct L1Action {
    /// What it does.
    pub kind: ActionKind,
    /// The slot it was made for; [`ActionKind::last_valid_slot`] says how long it is of use.
    pub slot: Slot,
    /// The contract it calls.
    pub to: Address,
    /// The call.
    pub calldata: Bytes,
    /// How the receipt tells whether it did what it was meant to do.
    pub success: SuccessRule,
}

impl ActionKind {
    /// The word for it in events, logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::InvalidateBadAttestation => "invalidate-bad-attestation",
            Self::InvalidateTooFewAttestations => "invalidate-too-few-attestations",
            Self::Prune => "prune",
            Self::Propose => "propose",
            Self::GovernanceSignal => "governance-signal",
            Self::SlashingVote => "slashing-vote",
            Self::ExecuteSlash => "execute-slash",
        }
    }

    /// The last slot in which an action that was made for `slot` is of use: votes count for their slot alone, and a bad
    /// checkpoint stays bad for a while.
    #[must_use]
    pub const fn last_valid_slot(self, slot: Slot) -> Slot {
        match self {
            Self::InvalidateBadAttestation | Self::InvalidateTooFewAttestations => slot.next().next(),
            Self::Prune | Self::Propose | Self::GovernanceSignal | Self::SlashingVote | Self::ExecuteSlash => slot,
        }
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl L1Action {
    /// True when it is of no use any more in `slot`.
    #[must_use]
    pub fn is_expired_in(&self, slot: Slot) -> bool {
        self.kind.last_valid_slot(self.slot) < slot
    }

    /// It as an entry of the bundle of `slot`. A slot does a thing once: another of its kind is left out.
    #[must_use]
    pub(crate) fn into_entry(self, slot: Slot) -> BundleEntry {
        let label = format!("{} {slot}", self.kind);
        BundleEntry {
            dedup_key: Some(label.clone()),
            label,
            to: self.to,
            calldata: self.calldata,
            blobs: RequestBlobs::None,
            unsimulated_gas: 0,
            success: self.success,
        }
    }
}

/// What became of a slot's actions.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionsReport {
    /// Those that went to L1 in a transaction.
    pub sent: Vec<ActionKind>,
    /// Those of them that took effect.
    pub succeeded: Vec<ActionKind>,
    /// Those of them that are in a block and took none.
    pub failed: Vec<ActionFailure>,
    /// Those whose slot ended before they were in a block.
    pub expired: Vec<ActionKind>,
    /// Those that were left out before anything was sent.
    pub dropped: Vec<ActionFailure>,
}

/// An action that had no effect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionFailure {
    /// What it was to do.
    pub action: ActionKind,
    /// Why it did not.
    pub reason: String,
}

impl ActionsReport {
    /// Adds how one action ended.
    pub(crate) fn add(&mut self, action: ActionKind, outcome: &EntryOutcome) {
        match outcome {
            EntryOutcome::Succeeded => {
                self.sent.push(action);
                self.succeeded.push(action);
            }
            EntryOutcome::Failed { revert_data } => {
                self.sent.push(action);
                self.failed.push(ActionFailure { action, reason: why_failed(revert_data.as_ref()) });
            }
            EntryOutcome::InFlight { .. } => self.sent.push(action),
            EntryOutcome::Expired => self.expired.push(action),
            EntryOutcome::Dropped { revert_data } => {
                self.dropped.push(ActionFailure { action, reason: revert_reason(revert_data) });
            }
            EntryOutcome::NotSent => {
                self.dropped.push(ActionFailure { action, reason: "interrupted".to_owned() });
            }
            EntryOutcome::Rejected { reason } => {
                self.dropped.push(ActionFailure { action, reason: reason.to_string() });
            }
        }
    }

    /// Counts each action by how it ended.
    pub(crate) fn count(&self) {
        let one = |action: ActionKind, ending: &'static str| {
            metrics::counter!("fermata_l1_actions_total", "action" => action.word(), "ending" => ending).increment(1);
        };
        self.succeeded.iter().for_each(|action| one(*action, "succeeded"));
        self.failed.iter().for_each(|failure| one(failure.action, "failed"));
        self.expired.iter().for_each(|action| one(*action, "expired"));
        self.dropped.iter().for_each(|failure| one(failure.action, "dropped"));
    }

    /// True when all of it took effect.
    #[must_use]
    pub const fn all_succeeded(&self) -> bool {
        self.succeeded.len() == self.sent.len() && self.expired.is_empty() && self.dropped.is_empty()
    }
}

impl fmt::Display for ActionsReport {
    /// A phrase each for what took effect and what did not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let succeeded = self.succeeded.iter().map(|action| format!("{action} succeeded"));
        let failed = self.failed.iter().map(|failure| format!("{} failed ({})", failure.action, failure.reason));
        let expired = self.expired.iter().map(|action| format!("{action} expired"));
        let dropped = self.dropped.iter().map(|failure| format!("{} left out ({})", failure.action, failure.reason));
        let phrases: Vec<_> = succeeded.chain(failed).chain(expired).chain(dropped).collect();
        f.write_str(&if phrases.is_empty() { "nothing was left to send".to_owned() } else { phrases.join(", ") })
    }
}

/// Why an action that is in a block had no effect.
pub(crate) fn why_failed(revert_data: Option<&Bytes>) -> String {
    revert_data.map_or_else(|| "its event is missing".to_owned(), |data| revert_reason(data))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;

    const ALL: [ActionKind; 7] = [
        ActionKind::InvalidateBadAttestation,
        ActionKind::InvalidateTooFewAttestations,
        ActionKind::Prune,
        ActionKind::Propose,
        ActionKind::GovernanceSignal,
        ActionKind::SlashingVote,
        ActionKind::ExecuteSlash,
    ];

    #[test]
    fn an_action_has_one_word_in_events_and_logs() {
        for kind in ALL {
            assert_eq!(serde_json::to_value(kind).expect("plain data"), kind.word());
        }
    }

    #[test]
    fn an_invalidation_is_of_use_for_two_slots_more_and_all_else_in_its_slot_alone() {
        for kind in ALL {
            let made_for = |slot| L1Action {
                kind,
                slot: Slot(slot),
                to: Address::ZERO,
                calldata: Bytes::new(),
                success: SuccessRule::Event { address: Address::ZERO, topic0: B256::ZERO },
            };
            let lasts = (0..9).filter(|later| !made_for(10).is_expired_in(Slot(10 + later))).count();
            let is_invalidation = kind < ActionKind::Prune;
            assert_eq!(lasts, if is_invalidation { 3 } else { 1 }, "{kind}");
        }
    }

    #[test]
    fn each_end_of_an_action_is_reported_once() {
        let mut report = ActionsReport::default();
        report.add(ActionKind::Prune, &EntryOutcome::Succeeded);
        report.add(ActionKind::Propose, &EntryOutcome::Failed { revert_data: None });
        report.add(ActionKind::GovernanceSignal, &EntryOutcome::Dropped { revert_data: Bytes::new() });
        report.add(ActionKind::SlashingVote, &EntryOutcome::Expired);
        report.add(ActionKind::ExecuteSlash, &EntryOutcome::NotSent);
        assert_eq!(report.sent, [ActionKind::Prune, ActionKind::Propose]);
        assert!(!report.all_succeeded());
        assert_eq!(
            report.to_string(),
            "prune succeeded, propose failed (its event is missing), slashing-vote expired, \
             governance-signal left out (unknown error 0x), execute-slash left out (interrupted)"
        );
    }
}
