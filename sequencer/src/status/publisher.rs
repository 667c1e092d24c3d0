//! The L1 accounts that publish.

use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

/// One L1 account that sends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublisherStatus {
    /// The account.
    pub address: Address,
    /// Its balance in wei, where L1 has answered.
    pub balance_wei: Option<U256>,
    /// Its next nonce.
    pub nonce: Option<u64>,
    /// Its transactions that are not settled, oldest first.
    pub in_flight: Vec<InFlightTx>,
}

/// An L1 transaction that is not settled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InFlightTx {
    /// Hash of the newest attempt; `None` before it is signed.
    pub tx: Option<B256>,
    /// Its nonce.
    pub nonce: u64,
    /// How long ago it was recorded.
    pub age_ms: u64,
    /// What it is for.
    pub label: String,
    /// Where it stands, in a word.
    pub state: String,
    /// How many transactions were signed for it, a cancel included.
    pub attempts: usize,
    /// Most the newest bids for each gas, in wei.
    pub max_fee_per_gas_wei: Option<U256>,
    /// Most it bids for each blob gas, in wei.
    pub max_fee_per_blob_gas_wei: Option<U256>,
    /// When it is given up, in seconds since the Unix epoch.
    pub deadline: u64,
}

/// The accounts that publish, and how far their money goes.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublisherReport {
    /// The accounts, in the order of the keys.
    pub accounts: Vec<PublisherAccount>,
    /// What L1 asks for now; `None` where it did not answer.
    pub fees: Option<FeesNow>,
    /// What a checkpoint costs at these fees, in wei.
    pub checkpoint_cost_wei: Option<U256>,
    /// What that figure rests on, in words.
    pub cost_basis: String,
    /// What could not be read from L1.
    pub failures: Vec<String>,
}

/// One account, and how far its money goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublisherAccount {
    /// The account.
    #[serde(flatten)]
    pub status: PublisherStatus,
    /// About how many checkpoints its balance pays for.
    pub checkpoints_left: Option<u64>,
}

/// What L1 asks for, in wei.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeesNow {
    /// Base fee of the head.
    pub base_fee_wei: U256,
    /// Least tip that is bid.
    pub tip_wei: U256,
    /// Blob base fee.
    pub blob_base_fee_wei: U256,
}
