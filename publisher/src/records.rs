//! What the store keeps about a transaction.

use alloy::primitives::{Address, B256, Bytes, U256};
use fermata_primitives::{L1Timestamp, UnixTime};
use serde::{Deserialize, Serialize};

use crate::{Fees, L1Request, L1TxState, MinedTx, PreparedBlobs, SuccessRule};

/// Number of an intent, counted up from 0 and never used again.
pub(crate) type IntentId = u64;

/// What is to be reached with one nonce of one account. Its calldata and blobs are kept beside it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct IntentRecord {
    pub(crate) id: IntentId,
    pub(crate) label: String,
    pub(crate) dedup_key: Option<String>,
    pub(crate) account: Address,
    pub(crate) nonce: u64,
    pub(crate) state: L1TxState,
    pub(crate) to: Address,
    pub(crate) value: U256,
    pub(crate) gas_limit: u64,
    pub(crate) blob_count: usize,
    pub(crate) not_before: L1Timestamp,
    pub(crate) deadline: L1Timestamp,
    pub(crate) success: SuccessRule,
    pub(crate) recorded_at: UnixTime,
    pub(crate) mined: Option<MinedTx>,
    /// The expired transaction whose nonce it has taken over.
    #[serde(default)]
    pub(crate) recycles: Option<IntentId>,
    /// How far the block that holds it is believed. What earlier versions called settled was.
    #[serde(default = "Finality::of_old_records")]
    pub(crate) finality: Finality,
}

/// How far the block that holds a transaction is believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Finality {
    /// No block holds it, or too few blocks lie on top of it.
    Open,
    /// Deep enough to act upon.
    Confirmed,
    /// L1 never takes it back.
    Final,
}

impl Finality {
    const fn of_old_records() -> Self {
        Self::Final
    }
}

impl IntentRecord {
    /// A record of `request`, leased to `nonce` of `account`. The store gives it its id.
    pub(crate) fn new(request: &L1Request, (account, nonce): (Address, u64), gas_limit: u64, at: UnixTime) -> Self {
        Self {
            id: 0,
            label: request.label.clone(),
            dedup_key: request.dedup_key.clone(),
            account,
            nonce,
            state: L1TxState::Leased,
            to: request.to,
            value: request.value,
            gas_limit,
            blob_count: request.blobs.len(),
            not_before: request.not_before,
            deadline: request.deadline,
            success: request.success.clone(),
            recorded_at: at,
            mined: None,
            recycles: None,
            finality: Finality::Open,
        }
    }

    /// Its own dedup key, and those of its entries.
    pub(crate) fn dedup_keys(&self) -> impl Iterator<Item = &String> {
        self.dedup_key.iter().chain(self.success.entry_keys())
    }

    /// What its cancel carries: one empty blob in place of blobs, because a pool replaces a blob transaction by another alone.
    pub(crate) fn cancel_blobs(&self) -> Option<PreparedBlobs> {
        (self.blob_count > 0).then(PreparedBlobs::one_empty)
    }

    /// True when its nonce was never used and is free again: nobody else had it.
    pub(crate) fn frees_its_nonce(&self) -> bool {
        self.state.freed_its_nonce() && self.recycles.is_none()
    }

    /// True once nothing more can happen to it.
    pub(crate) fn is_final(&self) -> bool {
        match self.state {
            L1TxState::Leased | L1TxState::Live | L1TxState::Cancelling => false,
            L1TxState::Included | L1TxState::Reverted | L1TxState::Cancelled => self.finality == Finality::Final,
            L1TxState::Superseded | L1TxState::Rejected | L1TxState::Withdrawn => true,
        }
    }

    /// Those of its dedup keys whose effect it certainly did not have: its end is believed, and shows none.
    pub(crate) fn ineffective_keys(&self) -> Vec<&String> {
        if !self.is_final() && self.finality < Finality::Confirmed {
            return Vec::new();
        }
        if self.state.had_no_effect() {
            return self.dedup_keys().collect();
        }
        let mined = self.mined.iter().flat_map(|mined| &mined.entries);
        let failed = self.success.entries().iter().zip(mined).filter(|(_, mined)| !mined.succeeded);
        failed.filter_map(|(entry, _)| entry.dedup_key.as_ref()).collect()
    }
}

/// Why a transaction was signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum AttemptKind {
    /// The first for its intent.
    Initial,
    /// The same with a higher bid.
    SpeedUp,
    /// A no-op with the same nonce.
    Cancel,
}

/// One signed transaction of an intent. A blob transaction is kept without its sidecar, which never changes: the blobs of
/// the intent, or one empty blob for a cancel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AttemptRecord {
    pub(crate) kind: AttemptKind,
    pub(crate) fees: Fees,
    pub(crate) hash: B256,
    pub(crate) signed: Bytes,
}

/// The nonces of one account.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    /// The nonce that comes next.
    pub(crate) next_nonce: u64,
    /// Every nonce below this was used on L1.
    pub(crate) settled_nonce: u64,
}

/// An intent with its attempts, oldest first.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct StoredTx {
    pub(crate) intent: IntentRecord,
    pub(crate) attempts: Vec<AttemptRecord>,
}
