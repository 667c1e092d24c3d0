//! The L1 accounts that publish.

use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

/// One L1 account that sends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublisherStatus {
    /// The account.
    pub address: Address,
    /// Whether it can send, in a word or two.
    pub state: String,
    /// Its balance in wei, where L1 has answered.
    pub balance_wei: Option<U256>,
    /// How many more transactions like the dearest of its last ones that balance pays for; `None` before one has landed.
    pub affordable: Option<u64>,
    /// Its next nonce.
    pub nonce: Option<u64>,
    /// How many of its transactions are in blocks, as L1 last said in this run.
    pub latest_nonce: Option<u64>,
    /// How often the funder has topped it up in this run.
    pub topped_up_times: u64,
    /// What it got so, in wei.
    pub topped_up_wei: U256,
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
    /// How many of them only bid more.
    pub speed_ups: usize,
    /// How many of them are cancels.
    pub cancels: usize,
    /// How many blobs it carries.
    pub blobs: usize,
    /// Most the newest bids for each gas, in wei.
    pub max_fee_per_gas_wei: Option<U256>,
    /// What of it is a tip, in wei.
    pub tip_wei: Option<U256>,
    /// Most it bids for each blob gas, in wei.
    pub max_fee_per_blob_gas_wei: Option<U256>,
    /// Why its bid could not be raised at this head.
    pub ceiling: Option<String>,
    /// When it is given up, in seconds since the Unix epoch.
    pub deadline: u64,
}

/// The accounts that publish, and how far their money goes.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublisherReport {
    /// The accounts, in the order of the keys.
    pub accounts: Vec<PublisherAccount>,
    /// What they send through.
    #[serde(flatten)]
    pub sending: SendingStatus,
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

/// What the accounts that publish send through, and who pays for it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendingStatus {
    /// Whether anything is sent: between a start and a stop.
    pub sends: bool,
    /// The nodes that transactions are handed to.
    pub backends: Vec<BackendStatus>,
    /// The account that tops up the publishers, where there is one.
    pub funder: Option<FunderStatus>,
    /// Requests that have no transaction yet, in the order they came.
    pub waiting: Vec<WaitingStatus>,
    /// What somebody should look at, though the node goes on.
    pub warnings: Vec<Warning>,
}

/// A node that transactions are handed to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// What it is called.
    pub name: String,
    /// Whether it is skipped for a while, since it did not answer.
    pub rests: bool,
    /// How often in a row it did not answer.
    pub failures: u32,
    /// What was last wrong with it, also when it is well again.
    pub last_error: Option<String>,
    /// The chain it serves, where that is another than the node's: then it is handed nothing.
    pub other_chain: Option<u64>,
}

/// The account that tops up the publishers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunderStatus {
    /// Itself.
    #[serde(flatten)]
    pub account: PublisherStatus,
    /// What it must hold to lift every publisher from nothing to the target, in wei.
    pub needed_wei: U256,
    /// The newest top-up of this run.
    pub last: Option<LastTopUp>,
}

/// A top-up that landed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastTopUp {
    /// Timestamp of its block, in seconds.
    pub at: u64,
    /// Its transaction.
    pub tx: B256,
    /// How many accounts it topped up.
    pub accounts: usize,
    /// What it gave in all, in wei.
    pub wei: U256,
}

/// A request that has no transaction yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingStatus {
    /// What it is for.
    pub label: String,
    /// The earliest timestamp of a block it may land in, in seconds.
    pub not_before: u64,
    /// When it is given up, in seconds.
    pub deadline: u64,
    /// What stood in the way when it was tried last.
    pub reason: Option<String>,
    /// Whether that is the ceiling of its bid.
    pub at_ceiling: bool,
}

/// Something that somebody should look at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Warning {
    /// What it is.
    pub says: String,
    /// What to do about it.
    pub remedy: String,
}

#[cfg(test)]
impl PublisherStatus {
    /// An account of which nothing is known.
    pub(crate) fn empty(address: Address) -> Self {
        Self {
            address,
            state: "ready".to_owned(),
            balance_wei: None,
            affordable: None,
            nonce: None,
            latest_nonce: None,
            topped_up_times: 0,
            topped_up_wei: U256::ZERO,
            in_flight: Vec::new(),
        }
    }
}

#[cfg(test)]
impl InFlightTx {
    /// A transaction that was sent once, and bids nothing.
    pub(crate) fn empty(label: &str, nonce: u64) -> Self {
        Self {
            tx: None,
            nonce,
            age_ms: 0,
            label: label.to_owned(),
            state: "live".to_owned(),
            attempts: 1,
            speed_ups: 0,
            cancels: 0,
            blobs: 0,
            max_fee_per_gas_wei: None,
            tip_wei: None,
            max_fee_per_blob_gas_wei: None,
            ceiling: None,
            deadline: 0,
        }
    }
}
