//! What a block's transactions see of their block, and the header it ends as.

use alloy::consensus::Header;
use alloy::consensus::constants::EMPTY_WITHDRAWALS;
use alloy::eips::eip1559::BaseFeeParams;
use alloy::eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy::primitives::{Address, B256, U256};
use revm::context::{BlockEnv, CfgEnv};

use super::RULES;
use crate::{BlockAttributes, BlockId};

/// What is known of a block before its transactions run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BlockEnvironment {
    pub(crate) chain_id: u64,
    pub(crate) parent: BlockId,
    pub(crate) timestamp: u64,
    pub(crate) beneficiary: Address,
    pub(crate) prev_randao: B256,
    pub(crate) gas_limit: u64,
    pub(crate) base_fee: u64,
}

/// The base fee that EIP-1559 gives the block after this one.
pub(crate) fn next_base_fee(parent: &Header) -> u64 {
    parent.next_block_base_fee(BaseFeeParams::ethereum()).unwrap_or_default()
}

impl BlockEnvironment {
    /// The block that `attributes` describe, on this parent.
    pub(crate) fn on(parent: &Header, parent_hash: B256, chain_id: u64, attributes: &BlockAttributes) -> Self {
        Self {
            chain_id,
            parent: BlockId { number: parent.number, hash: parent_hash },
            timestamp: attributes.timestamp,
            beneficiary: attributes.beneficiary,
            prev_randao: attributes.prev_randao,
            gas_limit: attributes.gas_limit,
            base_fee: next_base_fee(parent),
        }
    }

    /// The block that somebody's header describes, on this parent. What does not follow from the header's free fields
    /// is computed, not taken from it.
    pub(crate) fn of(header: &Header, parent: &Header, chain_id: u64) -> Self {
        Self {
            chain_id,
            parent: BlockId { number: parent.number, hash: header.parent_hash },
            timestamp: header.timestamp,
            beneficiary: header.beneficiary,
            prev_randao: header.mix_hash,
            gas_limit: header.gas_limit,
            base_fee: next_base_fee(parent),
        }
    }

    /// The block's number.
    pub(crate) const fn number(&self) -> u64 {
        self.parent.number + 1
    }

    pub(super) fn block_env(&self) -> BlockEnv {
        BlockEnv {
            number: U256::from(self.number()),
            beneficiary: self.beneficiary,
            timestamp: U256::from(self.timestamp),
            gas_limit: self.gas_limit,
            basefee: self.base_fee,
            prevrandao: Some(self.prev_randao),
            ..BlockEnv::default()
        }
    }

    pub(super) fn cfg(&self) -> CfgEnv {
        let mut cfg = CfgEnv::new_with_spec(RULES);
        cfg.chain_id = self.chain_id;
        cfg
    }

    /// The header, without what only execution shows.
    pub(super) fn header(&self) -> Header {
        Header {
            parent_hash: self.parent.hash,
            number: self.number(),
            timestamp: self.timestamp,
            beneficiary: self.beneficiary,
            mix_hash: self.prev_randao,
            gas_limit: self.gas_limit,
            base_fee_per_gas: Some(self.base_fee),
            ..empty_header()
        }
    }
}

/// A header whose fields for things this chain does not have hold what Prague puts there for none.
pub(crate) fn empty_header() -> Header {
    Header {
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}
