//! The checkpoint header: what the committee attests and L1 checks.

use alloy::primitives::{Address, B256, U256};
use fermata_primitives::{L1Timestamp, Slot};
use serde::{Deserialize, Serialize};

use crate::error::{Result, RollupError};
use crate::{contracts, sha256_to_field};

/// What a unit of mana costs, in wei of the fee asset.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct GasFees {
    /// Data fee; L1 refuses anything but zero.
    pub da: u128,
    /// Execution fee: the contract's minimum for the slot, or zero while it runs without transactions.
    pub l2: u128,
}

/// The header of a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct CheckpointHeader {
    /// Archive of the checkpoint this one builds on: the hash of that checkpoint's last block.
    pub last_archive: B256,
    /// Commits to the headers of the checkpoint's blocks; L1 takes any value.
    pub block_headers_hash: B256,
    /// Commits to the blobs: [`crate::BlobCommitments::hash`].
    pub blobs_hash: B256,
    /// Root of the messages from L1 that this checkpoint consumes: the inbox's root of its number.
    pub in_hash: B256,
    /// Root of the messages to L1.
    pub out_hash: B256,
    /// The slot it is built for, which must be the slot of the L1 block it lands in.
    pub slot: Slot,
    /// First second of that slot.
    pub timestamp: L1Timestamp,
    /// Who receives the L1 rewards; L1 refuses the zero address.
    pub coinbase: Address,
    /// Who receives the L2 fees.
    pub fee_recipient: B256,
    /// What a unit of mana costs.
    pub gas_fees: GasFees,
    /// Mana the checkpoint used.
    pub total_mana_used: u64,
}

impl CheckpointHeader {
    /// Bytes of the packed fields that are hashed.
    const PACKED_BYTES: usize = 5 * 32 + 32 + 8 + 20 + 32 + 16 + 16 + 32;

    /// The header's hash: a zero byte and the first 31 of SHA-256 over the packed fields.
    #[must_use]
    pub fn hash(&self) -> B256 {
        let mut packed = Vec::with_capacity(Self::PACKED_BYTES);
        for word in [self.last_archive, self.block_headers_hash, self.blobs_hash, self.in_hash, self.out_hash] {
            packed.extend_from_slice(word.as_slice());
        }
        packed.extend_from_slice(&U256::from(self.slot.0).to_be_bytes::<32>());
        packed.extend_from_slice(&self.timestamp.0.to_be_bytes());
        packed.extend_from_slice(self.coinbase.as_slice());
        packed.extend_from_slice(self.fee_recipient.as_slice());
        packed.extend_from_slice(&self.gas_fees.da.to_be_bytes());
        packed.extend_from_slice(&self.gas_fees.l2.to_be_bytes());
        packed.extend_from_slice(&U256::from(self.total_mana_used).to_be_bytes::<32>());
        debug_assert_eq!(packed.len(), Self::PACKED_BYTES);
        sha256_to_field(&packed)
    }
}

impl From<&CheckpointHeader> for contracts::ProposedHeader {
    fn from(header: &CheckpointHeader) -> Self {
        Self {
            lastArchiveRoot: header.last_archive,
            blockHeadersHash: header.block_headers_hash,
            blobsHash: header.blobs_hash,
            inHash: header.in_hash,
            outHash: header.out_hash,
            slotNumber: U256::from(header.slot.0),
            timestamp: U256::from(header.timestamp.0),
            coinbase: header.coinbase,
            feeRecipient: header.fee_recipient,
            gasFees: contracts::GasFees { feePerDaGas: header.gas_fees.da, feePerL2Gas: header.gas_fees.l2 },
            totalManaUsed: U256::from(header.total_mana_used),
        }
    }
}

impl TryFrom<&contracts::ProposedHeader> for CheckpointHeader {
    type Error = RollupError;

    /// # Errors
    /// [`RollupError::HeaderOutOfRange`] where slot, timestamp or mana exceed 64 bits; L1 refuses such a header too.
    fn try_from(header: &contracts::ProposedHeader) -> Result<Self> {
        let narrow = |value: U256, field| u64::try_from(value).map_err(|_| RollupError::HeaderOutOfRange(field));
        Ok(Self {
            last_archive: header.lastArchiveRoot,
            block_headers_hash: header.blockHeadersHash,
            blobs_hash: header.blobsHash,
            in_hash: header.inHash,
            out_hash: header.outHash,
            slot: Slot(narrow(header.slotNumber, "slot")?),
            timestamp: L1Timestamp(narrow(header.timestamp, "timestamp")?),
            coinbase: header.coinbase,
            fee_recipient: header.feeRecipient,
            gas_fees: GasFees { da: header.gasFees.feePerDaGas, l2: header.gasFees.feePerL2Gas },
            total_mana_used: narrow(header.totalManaUsed, "mana")?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use alloy::sol_types::SolValue;
    use proptest::prelude::*;

    use super::*;

    /// Any header.
    pub(crate) fn any_header() -> impl Strategy<Value = CheckpointHeader> {
        let words = proptest::array::uniform6(any::<[u8; 32]>());
        let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u128>(), any::<u128>());
        (words, any::<[u8; 20]>(), numbers).prop_map(|(words, coinbase, (slot, timestamp, mana, da, l2))| {
            CheckpointHeader {
                last_archive: words[0].into(),
                block_headers_hash: words[1].into(),
                blobs_hash: words[2].into(),
                in_hash: words[3].into(),
                out_hash: words[4].into(),
                slot: Slot(slot),
                timestamp: L1Timestamp(timestamp),
                coinbase: coinbase.into(),
                fee_recipient: words[5].into(),
                gas_fees: GasFees { da, l2 },
                total_mana_used: mana,
            }
        })
    }

    /// The header with each of its fields changed in turn.
    fn variations(header: &CheckpointHeader) -> Vec<CheckpointHeader> {
        let other = |word: B256| B256::from(U256::from_be_bytes(word.0) ^ U256::from(1));
        let GasFees { da, l2 } = header.gas_fees;
        vec![
            CheckpointHeader { last_archive: other(header.last_archive), ..*header },
            CheckpointHeader { block_headers_hash: other(header.block_headers_hash), ..*header },
            CheckpointHeader { blobs_hash: other(header.blobs_hash), ..*header },
            CheckpointHeader { in_hash: other(header.in_hash), ..*header },
            CheckpointHeader { out_hash: other(header.out_hash), ..*header },
            CheckpointHeader { slot: Slot(header.slot.0 ^ 1), ..*header },
            CheckpointHeader { timestamp: L1Timestamp(header.timestamp.0 ^ 1), ..*header },
            CheckpointHeader { coinbase: header.coinbase.create(0), ..*header },
            CheckpointHeader { fee_recipient: other(header.fee_recipient), ..*header },
            CheckpointHeader { gas_fees: GasFees { da: da ^ 1, l2 }, ..*header },
            CheckpointHeader { gas_fees: GasFees { da, l2: l2 ^ 1 }, ..*header },
            CheckpointHeader { total_mana_used: header.total_mana_used ^ 1, ..*header },
        ]
    }

    #[test]
    fn the_hash_is_of_the_fields_as_solidity_packs_them() {
        let header = CheckpointHeader {
            last_archive: B256::repeat_byte(1),
            slot: Slot(77),
            timestamp: L1Timestamp(1_700_000_000),
            coinbase: Address::repeat_byte(9),
            gas_fees: GasFees { da: 0, l2: 123_456 },
            total_mana_used: 5,
            ..CheckpointHeader::default()
        };
        let packed = (
            (header.last_archive, B256::ZERO, B256::ZERO, B256::ZERO, B256::ZERO),
            (U256::from(77), 1_700_000_000_u64, header.coinbase, B256::ZERO),
            (0_u128, 123_456_u128, U256::from(5)),
        )
            .abi_encode_packed();
        assert_eq!(packed.len(), CheckpointHeader::PACKED_BYTES);
        assert_eq!(header.hash(), sha256_to_field(&packed));
        assert_eq!(header.hash()[0], 0);
    }

    #[test]
    fn a_slot_beyond_64_bits_is_refused() {
        let mut sol = contracts::ProposedHeader::from(&CheckpointHeader::default());
        sol.slotNumber = U256::from(u64::MAX) + U256::from(1);
        assert!(matches!(CheckpointHeader::try_from(&sol), Err(RollupError::HeaderOutOfRange("slot"))));
    }

    proptest! {
        #[test]
        fn a_header_round_trips_through_its_contract_form(header in any_header()) {
            let sol = contracts::ProposedHeader::from(&header);
            let decoded = contracts::ProposedHeader::abi_decode(&sol.abi_encode()).expect("own encoding");
            prop_assert_eq!(CheckpointHeader::try_from(&decoded).expect("in range"), header);
        }

        #[test]
        fn the_hash_changes_with_each_field(header in any_header()) {
            for variation in variations(&header) {
                prop_assert_ne!(variation.hash(), header.hash(), "{:?}", variation);
            }
        }
    }
}
