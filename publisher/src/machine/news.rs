//! What the machine is told.

use std::sync::Arc;

use alloy::primitives::{Address, Bytes, U256};

use crate::classify::Verdict;
use crate::machine::job::{Job, JobId};
use crate::records::IntentId;
use crate::{L1HeadInfo, MinedTx};

/// Something the machine did not know. It changes what is known, and nothing that is durable.
#[derive(Debug)]
pub(crate) enum News {
    /// L1 has this head.
    Head(L1HeadInfo),
    /// What L1 answered when it was asked for all that matters at a head.
    Looked(Look),
    /// Balances that were read beside a look, in wei.
    Balances(Vec<(Address, U256)>),
    /// A request that is to become a transaction.
    Submitted(Arc<Job>),
    /// Nothing more is to go out for this request.
    Interrupted(JobId),
    /// What a call of this request needs, or what it reverts with.
    Estimated(JobId, Result<u64, Bytes>),
    /// An estimate came to nothing: it is asked for again.
    EstimateFailed(JobId, String),
    /// An attempt was handed to L1.
    Sent(IntentId, usize, Verdict),
    /// A first attempt was not handed to L1, and never will be.
    NotSent(IntentId),
}

/// What L1 answered at one head.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Look {
    /// The beat at which it was asked for.
    pub(crate) at: u64,
    /// The tip the node suggests, in wei.
    pub(crate) suggested_tip: u128,
    /// The blob base fee in wei, where it was asked for.
    pub(crate) blob_base_fee: Option<u128>,
    pub(crate) accounts: Vec<(Address, AccountSight)>,
    pub(crate) txs: Vec<(IntentId, TxSight)>,
}

/// An account as L1 shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AccountSight {
    /// The beat at which it was asked for.
    pub(crate) at: u64,
    /// Its transactions in blocks.
    pub(crate) latest_nonce: u64,
    /// Those and the ones in the node's pool, where it was asked for.
    pub(crate) pending_nonce: Option<u64>,
    /// Its transactions in blocks that are final, where it was asked for.
    pub(crate) final_nonce: Option<u64>,
    /// Its balance in wei.
    pub(crate) balance: U256,
}

/// A transaction as L1 shows it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum TxSight {
    /// A block holds one of its attempts.
    InBlock(Box<MinedTx>),
    /// No block holds it, and the chain counts its nonce as used.
    NonceUsed,
    /// A block holds it, deep enough; nothing was asked.
    Believed,
    /// No block holds it, and the node was not asked whether its pool does.
    NotInBlock,
    /// The node's pool holds its last attempt.
    Pooled,
    /// Neither a block nor the node's pool holds its last attempt.
    Absent,
}
