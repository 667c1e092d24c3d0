//! Records as bytes, each with a checksum, since LMDB does not notice damaged pages.

use alloy::primitives::{Address, B256, Keccak256, Signature};
use fermata_primitives::Slot;

use crate::DutyKind;

const CHECKSUM_LEN: usize = 8;
/// State, digest, signature, checksum. Of one length in both states, so that adding the signature moves no page.
pub(super) const RECORD_LEN: usize = 1 + 32 + 65 + CHECKSUM_LEN;
/// Slot, checksum.
const MARK_LEN: usize = 8 + CHECKSUM_LEN;

const PINNED: u8 = 1;
const SIGNED: u8 = 2;

/// What is known of a duty: the digest it is pinned to and, once there is one, the signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub(super) digest: B256,
    pub(super) signature: Option<Signature>,
}

impl Record {
    pub(super) const fn pinned(digest: B256) -> Self {
        Self { digest, signature: None }
    }

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

/// Key of a watermark: validator, kind.
pub(super) type MarkKey = [u8; 21];

pub(super) fn mark_key(validator: Address, kind: DutyKind) -> MarkKey {
    let mut key = [0; 21];
    key[..20].copy_from_slice(validator.as_slice());
    key[20] = kind.code();
    key
}

pub(super) fn encode_mark(key: &[u8], slot: Slot) -> [u8; MARK_LEN] {
    let mut bytes = [0; MARK_LEN];
    bytes[..8].copy_from_slice(&slot.0.to_be_bytes());
    seal(key, &mut bytes);
    bytes
}

/// # Errors
/// What is wrong with the bytes.
pub(super) fn decode_mark(key: &[u8], bytes: &[u8]) -> Result<Slot, &'static str> {
    let bytes: &[u8; MARK_LEN] = bytes.try_into().map_err(|_| "a watermark has a wrong length")?;
    check(key, bytes)?;
    let (slot, _) = bytes.split_first_chunk::<8>().ok_or("a watermark has a wrong length")?;
    Ok(Slot(u64::from_be_bytes(*slot)))
}

/// Checksum over key and value: a value that slipped under another key is damage too.
fn checksum(key: &[u8], body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut hasher = Keccak256::new();
    hasher.update(key);
    hasher.update(body);
    let mut sum = [0; CHECKSUM_LEN];
    sum.copy_from_slice(&hasher.finalize()[..CHECKSUM_LEN]);
    sum
}

fn seal(key: &[u8], bytes: &mut [u8]) {
    let (body, sum) = bytes.split_at_mut(bytes.len() - CHECKSUM_LEN);
    sum.copy_from_slice(&checksum(key, body));
}

fn check(key: &[u8], bytes: &[u8]) -> Result<(), &'static str> {
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
        let key = mark_key(Address::repeat_byte(1), DutyKind::Attestation);
        assert_eq!(decode_mark(&key, &encode_mark(&key, Slot(9))), Ok(Slot(9)));
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
