//! The keys that sign, as the signing store has them.

use alloy::primitives::Address;
use fermata_primitives::Slot;
use fermata_validator_signer::{Halt, KeyState};
use serde::{Deserialize, Serialize};

use crate::own_keys::UnjudgedStatus;
use crate::pruning::PruningStatus;

/// The signer.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignerStatus {
    /// The validators whose keys are here.
    pub keys: Vec<KeyStatus>,
    /// Whether it signs: while the node runs.
    pub started: bool,
    /// The first slot that is signed, while the signing store only listens for another node that signs with its keys.
    pub listens_until: Option<Slot>,
    /// What was seen of these keys that the signing store could not be asked about yet.
    pub unjudged: UnjudgedStatus,
    /// How the signing store is pruned.
    pub pruning: PruningStatus,
}

/// A validator's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// Whose it is.
    pub address: Address,
    /// What the signing store says of it.
    pub state: KeyStanding,
    /// What it was seen to sign elsewhere, with its signature, where another node signs with it.
    pub halt: Option<Halt>,
}

/// What the signing store says of a key as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStanding {
    /// It signs.
    Enabled,
    /// An operator has retired it.
    Retired,
    /// Another node was seen to sign with it.
    Halted,
}

impl KeyStatus {
    /// What the store says of the key at `address`.
    #[must_use]
    pub const fn new(address: Address, state: KeyState) -> Self {
        let standing = match state {
            KeyState { retired: true, .. } => KeyStanding::Retired,
            KeyState { retired: false, halt: Some(_) } => KeyStanding::Halted,
            KeyState { retired: false, halt: None } => KeyStanding::Enabled,
        };
        Self { address, state: standing, halt: state.halt }
    }

    /// Who signs with it besides this node, and what to do about it.
    #[must_use]
    pub fn amiss(&self) -> Option<String> {
        let (key, halt) = (self.address, self.halt?);
        Some(format!(
            "another node signs with {key} (seen: {} in slot {}); stop it, then `fermata protection lift-halt {key}`",
            halt.duty.kind, halt.duty.slot
        ))
    }
}

impl SignerStatus {
    /// Why nothing is signed with the key at `address` in `slot`, as far as the store as a whole and the key go.
    #[must_use]
    pub fn refusal(&self, address: Address, slot: Slot) -> Option<String> {
        let key = self.keys.iter().find(|key| key.address == address);
        let of_key = key.and_then(|key| match key.state {
            KeyStanding::Enabled => None,
            KeyStanding::Retired => {
                Some(format!("{address} is retired; it signs here no more unless an operator enables it again"))
            }
            KeyStanding::Halted => key.amiss(),
        });
        let listens = self.listens_until.is_some_and(|until| slot < until);
        of_key.or_else(|| self.listening().filter(|_| listens))
    }

    /// Why nothing is signed yet, while the store only listens.
    #[must_use]
    pub fn listening(&self) -> Option<String> {
        let until = self.listens_until?;
        Some(format!(
            "the signing store is new, restored or imported, and only listens until slot {until} for another node that signs \
             with its keys"
        ))
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, Signature};
    use fermata_validator_signer::{Duty, DutyKind};

    use super::*;

    const KEY: Address = Address::repeat_byte(1);

    fn halted() -> KeyState {
        let duty = Duty { validator: KEY, slot: Slot(7), kind: DutyKind::Attestation };
        let halt = Halt { duty, digest: B256::repeat_byte(3), signature: Signature::test_signature() };
        KeyState { retired: false, halt: Some(halt) }
    }

    fn signer(state: KeyState, listens_until: Option<Slot>) -> SignerStatus {
        let keys = vec![KeyStatus::new(KEY, state)];
        SignerStatus { keys, listens_until, ..SignerStatus::default() }
    }

    #[test]
    fn what_stands_against_a_key_in_a_slot_is_told_with_the_longest_reason_first() {
        let enabled = KeyState::default();
        let cases = [
            (signer(enabled, None), None),
            (signer(KeyState { retired: true, ..halted() }, Some(Slot(99))), Some("is retired")),
            (signer(halted(), Some(Slot(99))), Some("attestation in slot 7); stop it")),
            (signer(enabled, Some(Slot(9))), Some("only listens until slot 9")),
            (signer(enabled, Some(Slot(8))), None),
        ];
        for (signer, expected) in cases {
            let refusal = signer.refusal(KEY, Slot(8));
            assert_eq!(refusal.is_some(), expected.is_some(), "{refusal:?}");
            assert!(
                expected.is_none_or(|words| refusal.is_some_and(|refusal| refusal.contains(words))),
                "{expected:?}"
            );
        }
    }

    #[test]
    fn a_halted_key_is_told_in_json_with_what_was_seen() {
        let told = serde_json::to_value(signer(halted(), None)).expect("JSON");
        let key = &told["keys"][0];
        assert_eq!((&key["state"], &key["halt"]["duty"]["slot"]), (&"halted".into(), &7.into()), "{told}");
        assert_eq!(key["halt"]["digest"], B256::repeat_byte(3).to_string(), "{told}");
        let again: SignerStatus = serde_json::from_value(told).expect("it reads what it writes");
        assert_eq!(again, signer(halted(), None));
    }
}
