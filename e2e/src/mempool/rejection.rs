//! Why a pool does not take a transaction.

use std::fmt;

/// The rules of a pool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum PoolRule {
    /// A transaction is taken once.
    AlreadyKnown,
    /// It has no more bytes than the pool handles.
    Size,
    /// It has no more blobs than one transaction may.
    BlobCount,
    /// A transaction with blobs has some.
    NoBlobs,
    /// It has no more gas than one transaction may.
    TxGas,
    /// It has no more gas than a block.
    BlockGas,
    /// Its tip is within its fee cap.
    TipAboveFeeCap,
    /// It tips as much as the node's operator wants.
    TipFloor,
    /// It bids what the protocol asks for at the least.
    ProtocolFloor,
    /// Its sidecar has the form that the fork wants.
    Sidecar,
    /// It costs no more than the node's operator allows.
    FeeCap,
    /// Its nonce was not used.
    NonceTooLow,
    /// Transactions with blobs follow one another without a gap.
    BlobNonceGap,
    /// The account can pay it.
    Funds,
    /// The account can pay it and what is in the pool already.
    CumulativeFunds,
    /// The account has a place left.
    AccountSlots,
    /// What replaces another bids enough more.
    Replacement,
    /// All transactions of an account have blobs, or none has.
    OneKindPerAccount,
}

/// A rejection in the words of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rejection {
    /// The rule that was broken.
    pub rule: PoolRule,
    /// The code of the JSON-RPC error.
    pub code: i64,
    /// Its message.
    pub message: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Rejection {}
