//! Records as bytes, each with a checksum, since LMDB does not notice damaged pages.

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::Slot;
use xxhash_rust::xxh3::Xxh3;

use crate::duty::KEY_LEN;
pub(super) use crate::rules::Record;
use crate::{Duty, DutyKind, Halt, KeyState, Marks};

pub(super) const CHECKSUM_LEN: usize = 8;
/// State, digest, signature, checksum. Of one length in both states, so that adding the signature moves no page.
pub(super) const RECORD_LEN: usize = 1 + 32 + 65 + CHECKSUM_LEN;
/// Which marks there are, low, high, highest pinned, checksum.
const MARKS_LEN: usize = 1 + 3 * 8 + CHECKSUM_LEN;

const PINNED: u8 = 1;
const SIGNED: u8 = 2;

impl Record {
    pub(super) fn encode(&self, key: &[u8]) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        bytes[0] = PINNED;
        bytes[1..33].copy_from_slice(self.digest.as_slice());
        if let Some(signature) = &self.signature {
            bytes[0] = SIGNED;
            bytes[33..98].copy_from_slice(&signature.as_bytes());
        }
        seal(key, &mut bytes);
        bytes
    }

    /// # Errors
    /// What is wrong with the bytes.
    pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes: &[u8; RECORD_LEN] = bytes.try_into().map_err(|_| "a record has a wrong length")?;
        check(key, bytes)?;
        let digest = B256::from_slice(&bytes[1..33]);
        match bytes[0] {
            PINNED => Ok(Self::pinned(digest)),
            SIGNED => Signature::from_raw(&bytes[33..98])
                .map(|signature| Self { digest, signature: Some(signature) })
                .map_err(|_| "a record holds no signature where there should be one"),
            _ => Err("a record has an unknown state"),
        }
    }
}

/// Key of a validator's marks: validator, kind.
pub(super) type MarksKey = [u8; 21];

pub(super) fn marks_key(validator: Address, kind: DutyKind) -> MarksKey {
    let mut key = [0; 21];
    key[..20].copy_from_slice(validator.as_slice());
    key[20] = kind.code();
    key
}

/// The validator and the kind whose marks a key stands for; `None` for bytes that are no such key.
pub(super) fn from_marks_key(key: &[u8]) -> Option<(Address, DutyKind)> {
    let key: &MarksKey = key.try_into().ok()?;
    Some((Address::from_slice(&key[..20]), DutyKind::from_code(key[20], 0)?))
}

impl Marks {
    pub(super) fn encode(&self, key: &[u8]) -> [u8; MARKS_LEN] {
        let mut bytes = [0; MARKS_LEN];
        for (at, mark) in [self.low, self.high, self.max_signed].into_iter().enumerate() {
            if let Some(slot) = mark {
                bytes[0] |= 1 << at;
                bytes[1 + 8 * at..9 + 8 * at].copy_from_slice(&slot.0.to_be_bytes());
            }
        }
        seal(key, &mut bytes);
        bytes
    }

    /// # Errors
    /// What is wrong with the bytes.
    pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes: &[u8; MARKS_LEN] = bytes.try_into().map_err(|_| "marks have a wrong length")?;
        check(key, bytes)?;
        let mark = |at: usize| {
            let mut slot = [0; 8];
            slot.copy_from_slice(&bytes[1 + 8 * at..9 + 8 * at]);
            (bytes[0] & 1 << at != 0).then(|| Slot(u64::from_be_bytes(slot)))
        };
        Ok(Self { low: mark(0), high: mark(1), max_signed: mark(2) })
    }
}

/// What is said of a key: whether it is retired, whether it is halted, and the proof.
const KEY_STATE_LEN: usize = 1 + 1 + KEY_LEN + 32 + 65 + CHECKSUM_LEN;

impl KeyState {
    pub(crate) fn encode(&self, key: &[u8]) -> [u8; KEY_STATE_LEN] {
        let mut bytes = [0; KEY_STATE_LEN];
        bytes[0] = u8::from(self.retired);
        if let Some(halt) = &self.halt {
            bytes[1] = 1;
            let (duty, rest) = bytes[2..].split_at_mut(KEY_LEN);
            duty.copy_from_slice(&halt.duty.key());
            rest[..32].copy_from_slice(halt.digest.as_slice());
            rest[32..97].copy_from_slice(&halt.signature.as_bytes());
        }
        seal(key, &mut bytes);
        bytes
    }

    /// # Errors
    /// What is wrong with the bytes.
    pub(crate) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes: &[u8; KEY_STATE_LEN] = bytes.try_into().map_err(|_| "the state of a key has a wrong length")?;
        check(key, bytes)?;
        let (duty, rest) = bytes[2..].split_at(KEY_LEN);
        let halt = || {
            let duty = Duty::from_key(duty).ok_or("a halt is for a duty that there is not")?;
            let signature = Signature::from_raw(&rest[32..97]).map_err(|_| "a halt has no signature")?;
            Ok::<_, &'static str>(Halt { duty, digest: B256::from_slice(&rest[..32]), signature })
        };
        let halt = if bytes[1] == 1 { Some(halt()?) } else { None };
        Ok(Self { retired: bytes[0] == 1, halt })
    }
}

/// The first slot a store signs for, as bytes.
pub(super) fn encode_slot(key: &[u8], slot: Slot) -> [u8; 8 + CHECKSUM_LEN] {
    let mut bytes = [0; 8 + CHECKSUM_LEN];
    bytes[..8].copy_from_slice(&slot.0.to_be_bytes());
    seal(key, &mut bytes);
    bytes
}

/// # Errors
/// What is wrong with the bytes.
pub(super) fn decode_slot(key: &[u8], bytes: &[u8]) -> Result<Slot, &'static str> {
    let bytes: &[u8; 8 + CHECKSUM_LEN] = bytes.try_into().map_err(|_| "a slot has a wrong length")?;
    check(key, bytes)?;
    let (slot, _) = bytes.split_first_chunk::<8>().ok_or("a slot has a wrong length")?;
    Ok(Slot(u64::from_be_bytes(*slot)))
}

/// A payload with its checksum behind it.
pub(super) fn encode_payload(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = payload.to_vec();
    bytes.resize(payload.len() + CHECKSUM_LEN, 0);
    seal(key, &mut bytes);
    bytes
}

/// # Errors
/// What is wrong with the bytes.
pub(super) fn decode_payload<'a>(key: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], &'static str> {
    if bytes.len() < CHECKSUM_LEN {
        return Err("a payload has a wrong length");
    }
    check(key, bytes)?;
    Ok(&bytes[..bytes.len() - CHECKSUM_LEN])
}

/// Checksum over key and value: a value that slipped under another key is damage too.
fn checksum(key: &[u8], body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut hasher = Xxh3::new();
    hasher.update(key);
    hasher.update(body);
    hasher.digest().to_be_bytes()
}

pub(super) fn seal(key: &[u8], bytes: &mut [u8]) {
    let (body, sum) = bytes.split_at_mut(bytes.len() - CHECKSUM_LEN);
    sum.copy_from_slice(&checksum(key, body));
}

pub(super) fn check(key: &[u8], bytes: &[u8]) -> Result<(), &'static str> {
    let (body, sum) = bytes.split_at(bytes.len() - CHECKSUM_LEN);
    if checksum(key, body) == sum { Ok(()) } else { Err("a checksum does not fit its record") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_gives_back_what_it_was_made_of() {
        let pinned = Record::pinned(B256::repeat_byte(3));
        let signed = Record { signature: Some(Signature::test_signature()), ..pinned };
        for record in [pinned, signed] {
            assert_eq!(Record::decode(b"key", &record.encode(b"key")), Ok(record));
        }
        let key = marks_key(Address::repeat_byte(1), DutyKind::Attestation);
        for marks in [Marks::default(), Marks::below(Slot(9)), Marks::from(Slot(0)).merge(Marks::signed(Slot(8)))] {
            assert_eq!(Marks::decode(&key, &marks.encode(&key)), Ok(marks));
        }
    }

    #[test]
    fn the_state_of_a_key_a_slot_and_a_payload_give_back_what_they_were_made_of() {
        let duty = Duty { validator: Address::repeat_byte(1), slot: Slot(3), kind: DutyKind::Attestation };
        let halt = Halt { duty, digest: B256::repeat_byte(3), signature: Signature::test_signature() };
        for retired in [false, true] {
            for halt in [None, Some(halt)] {
                let state = KeyState { retired, halt };
                assert_eq!(KeyState::decode(b"key", &state.encode(b"key")), Ok(state));
            }
        }
        assert_eq!(decode_slot(b"key", &encode_slot(b"key", Slot(7))), Ok(Slot(7)));
        for payload in [&b""[..], b"payload"] {
            let mut bytes = encode_payload(b"key", payload);
            assert_eq!(decode_payload(b"key", &bytes), Ok(payload));
            bytes[0] ^= 1;
            assert!(decode_payload(b"key", &bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_anywhere_is_noticed(at in 0..RECORD_LEN, bit in 0u8..8) {
            let record = Record { digest: B256::repeat_byte(3), signature: Some(Signature::test_signature()) };
            let mut bytes = record.encode(b"key");
            bytes[at] ^= 1 << bit;
            prop_assert!(Record::decode(b"key", &bytes).is_err());
        }
    }

    #[test]
    fn a_record_under_another_key_is_noticed() {
        let bytes = Record::pinned(B256::repeat_byte(3)).encode(b"key");
        assert!(Record::decode(b"another", &bytes).is_err());
    }
}
