//! What Ethereum's keys signed, as tables of their own: rows with the checksum of every record.
//!
//! The key comes first: what surrounds an attestation is found by one range over its own key's rows.

use std::ops::Bound;

use alloy::primitives::B256;
use fermata_primitives::{Epoch, Slot};
use heed::{Env, RoTxn, RwTxn};

use super::environment::Table;
use super::failure::Failure;
use super::record::{CHECKSUM_LEN, check, seal};
use crate::eth::history::KeyHistory;
use crate::eth::judging::EthStanding;
use crate::{EthAttestation, EthBlock, EthMarks, EthPublicKey};

pub(super) const BLOCKS: &str = "eth-blocks";
pub(super) const ATTESTATIONS: &str = "eth-attestations";
pub(super) const KEYS: &str = "eth-keys";

const KEY_LEN: usize = EthPublicKey::len_bytes();
/// Root, checksum.
const ROOT_LEN: usize = 32 + CHECKSUM_LEN;
/// Which marks there are and whether the key is retired; slot, source, target; checksum.
const STANDING_LEN: usize = 1 + 3 * 8 + CHECKSUM_LEN;

const HAS_BLOCK: u8 = 1;
const HAS_ATTESTATION: u8 = 2;
const IS_RETIRED: u8 = 4;

/// The tables of Ethereum's keys.
#[derive(Clone, Copy)]
pub(super) struct EthTables {
    /// (key, slot) to the block's root.
    pub(super) blocks: Table,
    /// (key, target, source) to the attestation's root.
    pub(super) attestations: Table,
    /// Key to its marks.
    pub(super) keys: Table,
    /// What is refused to every key, whether anything is known of it or not.
    pub(super) floor: EthMarks,
}

impl EthTables {
    pub(super) fn create(env: &Env, txn: &mut RwTxn<'_>) -> Result<(), heed::Error> {
        for name in [BLOCKS, ATTESTATIONS, KEYS] {
            let _: Table = env.create_database(txn, Some(name))?;
        }
        Ok(())
    }

    pub(super) fn standing(self, txn: &RoTxn<'_>, public_key: EthPublicKey) -> Result<EthStanding, Failure> {
        let bytes = self.keys.get(txn, public_key.as_slice())?;
        let known = bytes.map(|bytes| decode_standing(public_key.as_slice(), bytes)).transpose();
        let EthStanding { marks, retired } = known.map_err(Failure::damage)?.unwrap_or_default();
        Ok(EthStanding { marks: marks.join(self.floor), retired })
    }

    pub(super) fn put_standing(
        self,
        txn: &mut RwTxn<'_>,
        public_key: EthPublicKey,
        standing: EthStanding,
    ) -> Result<(), Failure> {
        let bytes = encode_standing(public_key.as_slice(), &standing);
        Ok(self.keys.put(txn, public_key.as_slice(), &bytes)?)
    }

    pub(super) fn block(
        self,
        txn: &RoTxn<'_>,
        public_key: EthPublicKey,
        block: EthBlock,
    ) -> Result<Option<B256>, Failure> {
        let key = block_key(public_key, block);
        let bytes = self.blocks.get(txn, &key)?;
        bytes.map(|bytes| decode_root(&key, bytes)).transpose().map_err(Failure::damage)
    }

    pub(super) fn put_block(
        self,
        txn: &mut RwTxn<'_>,
        public_key: EthPublicKey,
        (block, root): (EthBlock, B256),
    ) -> Result<(), Failure> {
        let key = block_key(public_key, block);
        Ok(self.blocks.put(txn, &key, &encode_root(&key, root))?)
    }

    pub(super) fn put_attestation(
        self,
        txn: &mut RwTxn<'_>,
        public_key: EthPublicKey,
        (vote, root): (EthAttestation, B256),
    ) -> Result<(), Failure> {
        let key = attestation_key(public_key, vote);
        Ok(self.attestations.put(txn, &key, &encode_root(&key, root))?)
    }

    /// The attestations with a target of `first` or later.
    pub(super) fn attestations_from(
        self,
        txn: &RoTxn<'_>,
        public_key: EthPublicKey,
        first: Epoch,
    ) -> Result<Vec<(EthAttestation, B256)>, Failure> {
        let start = attestation_key(public_key, EthAttestation { source: Epoch(0), target: first });
        let end = attestation_key(public_key, EthAttestation { source: Epoch(u64::MAX), target: Epoch(u64::MAX) });
        let range = (Bound::Included(start.as_slice()), Bound::Included(end.as_slice()));
        let rows = self.attestations.range(txn, &range)?;
        rows.map(|row| {
            let (key, bytes) = row?;
            let (_, vote) = from_attestation_key(key).map_err(Failure::damage)?;
            Ok((vote, decode_root(key, bytes).map_err(Failure::damage)?))
        })
        .collect()
    }

    fn blocks_of(self, txn: &RoTxn<'_>, public_key: EthPublicKey) -> Result<Vec<(EthBlock, B256)>, Failure> {
        let rows = self.blocks.prefix_iter(txn, public_key.as_slice())?;
        rows.map(|row| {
            let (key, bytes) = row?;
            let (_, block) = from_block_key(key).map_err(Failure::damage)?;
            Ok((block, decode_root(key, bytes).map_err(Failure::damage)?))
        })
        .collect()
    }

    /// All that is known of a key.
    pub(super) fn history(self, txn: &RoTxn<'_>, public_key: EthPublicKey) -> Result<KeyHistory, Failure> {
        Ok(KeyHistory {
            marks: self.standing(txn, public_key)?.marks,
            blocks: self.blocks_of(txn, public_key)?.into_iter().collect(),
            attestations: self.attestations_from(txn, public_key, Epoch(0))?.into_iter().collect(),
        })
    }

    /// All that is known of all keys.
    pub(super) fn histories(self, txn: &RoTxn<'_>) -> Result<Vec<(EthPublicKey, KeyHistory)>, Failure> {
        let public_keys = self.public_keys(txn)?.into_iter();
        public_keys.map(|public_key| Ok((public_key, self.history(txn, public_key)?))).collect()
    }

    /// Writes what changed from `old` to `new`. Gives the rows that were removed.
    pub(super) fn replace(
        self,
        txn: &mut RwTxn<'_>,
        public_key: EthPublicKey,
        (old, new): (&KeyHistory, &KeyHistory),
    ) -> Result<u64, Failure> {
        let mut removed = 0;
        for block in old.blocks.keys().filter(|block| !new.blocks.contains_key(block)) {
            removed += u64::from(self.blocks.delete(txn, &block_key(public_key, *block))?);
        }
        for vote in old.attestations.keys().filter(|vote| !new.attestations.contains_key(vote)) {
            removed += u64::from(self.attestations.delete(txn, &attestation_key(public_key, *vote))?);
        }
        for (&block, &root) in new.blocks.iter().filter(|(block, root)| old.blocks.get(block) != Some(root)) {
            self.put_block(txn, public_key, (block, root))?;
        }
        for (&vote, &root) in new.attestations.iter().filter(|(vote, root)| old.attestations.get(vote) != Some(root)) {
            self.put_attestation(txn, public_key, (vote, root))?;
        }
        let standing = self.standing(txn, public_key)?;
        self.put_standing(txn, public_key, EthStanding { marks: new.marks, ..standing })?;
        Ok(removed)
    }

    /// Every key that anything is known of: the first record of a key sets its marks.
    pub(super) fn public_keys(self, txn: &RoTxn<'_>) -> Result<Vec<EthPublicKey>, Failure> {
        let rows = self.keys.iter(txn)?;
        rows.map(|row| {
            let (key, _) = row?;
            EthPublicKey::try_from(key).map_err(|_| Failure::damage("an Ethereum key has a wrong length"))
        })
        .collect()
    }
}

fn block_key(public_key: EthPublicKey, block: EthBlock) -> [u8; KEY_LEN + 8] {
    let mut key = [0; KEY_LEN + 8];
    key[..KEY_LEN].copy_from_slice(public_key.as_slice());
    key[KEY_LEN..].copy_from_slice(&block.slot.0.to_be_bytes());
    key
}

pub(super) fn from_block_key(key: &[u8]) -> Result<(EthPublicKey, EthBlock), &'static str> {
    let (public_key, slot) = key.split_first_chunk::<KEY_LEN>().ok_or("a block has a wrong key")?;
    let slot = slot.try_into().map_err(|_| "a block has a wrong key")?;
    Ok((public_key.into(), EthBlock { slot: Slot(u64::from_be_bytes(slot)) }))
}

fn attestation_key(public_key: EthPublicKey, vote: EthAttestation) -> [u8; KEY_LEN + 16] {
    let mut key = [0; KEY_LEN + 16];
    key[..KEY_LEN].copy_from_slice(public_key.as_slice());
    key[KEY_LEN..KEY_LEN + 8].copy_from_slice(&vote.target.0.to_be_bytes());
    key[KEY_LEN + 8..].copy_from_slice(&vote.source.0.to_be_bytes());
    key
}

pub(super) fn from_attestation_key(key: &[u8]) -> Result<(EthPublicKey, EthAttestation), &'static str> {
    let wrong = "an attestation has a wrong key";
    let (public_key, rest) = key.split_first_chunk::<KEY_LEN>().ok_or(wrong)?;
    let (target, source) = rest.split_first_chunk::<8>().ok_or(wrong)?;
    let source = source.try_into().map_err(|_| wrong)?;
    let vote = EthAttestation { source: Epoch(u64::from_be_bytes(source)), target: Epoch(u64::from_be_bytes(*target)) };
    Ok((public_key.into(), vote))
}

fn encode_root(key: &[u8], root: B256) -> [u8; ROOT_LEN] {
    let mut bytes = [0; ROOT_LEN];
    bytes[..32].copy_from_slice(root.as_slice());
    seal(key, &mut bytes);
    bytes
}

pub(super) fn decode_root(key: &[u8], bytes: &[u8]) -> Result<B256, &'static str> {
    let bytes: &[u8; ROOT_LEN] = bytes.try_into().map_err(|_| "a root has a wrong length")?;
    check(key, bytes)?;
    Ok(B256::from_slice(&bytes[..32]))
}

pub(super) fn encode_standing(key: &[u8], standing: &EthStanding) -> [u8; STANDING_LEN] {
    let mut bytes = [0; STANDING_LEN];
    let EthStanding { marks, retired } = standing;
    if let Some(slot) = marks.block {
        bytes[0] |= HAS_BLOCK;
        bytes[1..9].copy_from_slice(&slot.0.to_be_bytes());
    }
    if let Some(EthAttestation { source, target }) = marks.attestation {
        bytes[0] |= HAS_ATTESTATION;
        bytes[9..17].copy_from_slice(&source.0.to_be_bytes());
        bytes[17..25].copy_from_slice(&target.0.to_be_bytes());
    }
    if *retired {
        bytes[0] |= IS_RETIRED;
    }
    seal(key, &mut bytes);
    bytes
}

pub(super) fn decode_standing(key: &[u8], bytes: &[u8]) -> Result<EthStanding, &'static str> {
    let bytes: &[u8; STANDING_LEN] = bytes.try_into().map_err(|_| "marks of an Ethereum key have a wrong length")?;
    check(key, bytes)?;
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[at..at + 8]);
        u64::from_be_bytes(number)
    };
    let vote = EthAttestation { source: Epoch(number(9)), target: Epoch(number(17)) };
    let marks = EthMarks {
        block: (bytes[0] & HAS_BLOCK != 0).then(|| Slot(number(1))),
        attestation: (bytes[0] & HAS_ATTESTATION != 0).then_some(vote),
    };
    Ok(EthStanding { marks, retired: bytes[0] & IS_RETIRED != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_give_back_what_they_were_made_of() {
        let public_key = EthPublicKey::repeat_byte(7);
        let block = EthBlock { slot: Slot(u64::MAX - 3) };
        let vote = EthAttestation { source: Epoch(3), target: Epoch(1 << 40) };
        assert_eq!(from_block_key(&block_key(public_key, block)), Ok((public_key, block)));
        assert_eq!(from_attestation_key(&attestation_key(public_key, vote)), Ok((public_key, vote)));
        let root = B256::repeat_byte(9);
        assert_eq!(decode_root(b"key", &encode_root(b"key", root)), Ok(root));
        for marks in [EthMarks::default(), EthMarks { block: Some(Slot(0)), attestation: Some(vote) }] {
            for retired in [false, true] {
                let standing = EthStanding { marks, retired };
                assert_eq!(decode_standing(b"key", &encode_standing(b"key", &standing)), Ok(standing));
            }
        }
    }

    #[test]
    fn a_flipped_bit_and_another_key_are_noticed() {
        let mut root = encode_root(b"key", B256::repeat_byte(9));
        assert!(decode_root(b"other", &root).is_err());
        root[5] ^= 1;
        assert!(decode_root(b"key", &root).is_err());
        let mut standing = encode_standing(b"key", &EthStanding::default());
        standing[0] ^= IS_RETIRED;
        assert!(decode_standing(b"key", &standing).is_err());
    }
}
