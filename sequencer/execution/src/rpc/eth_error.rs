//! What a JSON-RPC caller is told: codes and first words as Ethereum's clients use them, because wallets match on both.

use alloy::primitives::Bytes;
use alloy::sol_types::decode_revert_reason;
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error::{INTERNAL_ERROR_CODE, INVALID_PARAMS_CODE};

use crate::mempool::MempoolError;
use crate::{CallOutcome, ExecutionError, TransactionError};

/// go-ethereum's code for a request that was understood and refused.
const SERVER_ERROR: i32 = -32_000;
/// EIP-1474: the request exceeds a limit.
const LIMIT_EXCEEDED: i32 = -32_005;
/// go-ethereum's code for a call that reverted; `data` is the revert data.
const REVERTED: i32 = 3;

/// Why a request is not answered.
#[derive(Debug)]
pub(super) enum EthError {
    /// The mempool does not take the transaction.
    Mempool(Box<MempoolError>),
    /// The chain could not be read, or the call not be made.
    Execution(Box<ExecutionError>),
    /// There is no such block.
    BlockNotFound,
    /// A parameter that parses and still makes no sense.
    BadParams(String),
    /// The answer would be too large.
    LimitExceeded(String),
    /// The call reverted with this data.
    Reverted(Bytes),
    /// The EVM stopped the call.
    Halted(String),
    /// The node is shutting down.
    Stopping,
}

impl From<MempoolError> for EthError {
    fn from(error: MempoolError) -> Self {
        Self::Mempool(Box::new(error))
    }
}

impl From<ExecutionError> for EthError {
    fn from(error: ExecutionError) -> Self {
        Self::Execution(Box::new(error))
    }
}

impl EthError {
    /// What a call returned, or how it failed.
    pub(super) fn of_call(outcome: CallOutcome) -> Result<Bytes, Self> {
        match outcome {
            CallOutcome::Success { output, .. } => Ok(output),
            CallOutcome::Reverted { output, .. } => Err(Self::Reverted(output)),
            CallOutcome::Halted { reason, .. } => Err(Self::Halted(reason)),
        }
    }
}

impl From<EthError> for ErrorObjectOwned {
    fn from(error: EthError) -> Self {
        match error {
            EthError::Mempool(error) => object(mempool_code(&error), error.to_string()),
            EthError::Execution(error) => execution(&error),
            EthError::BlockNotFound => object(SERVER_ERROR, "header not found; ask for a block of the chain".into()),
            EthError::BadParams(what) => object(INVALID_PARAMS_CODE, what),
            EthError::LimitExceeded(what) => object(LIMIT_EXCEEDED, what),
            EthError::Reverted(data) => reverted(data),
            EthError::Halted(reason) => object(SERVER_ERROR, halted(&reason)),
            EthError::Stopping => object(SERVER_ERROR, "the node is stopping; try again when it is back".into()),
        }
    }
}

fn object(code: i32, message: String) -> ErrorObjectOwned {
    ErrorObjectOwned::owned::<()>(code, message, None)
}

/// Bytes that are no transaction are a wrong parameter; all else was understood and refused.
const fn mempool_code(error: &MempoolError) -> i32 {
    match error {
        MempoolError::Transaction(TransactionError::Malformed(_)) => INVALID_PARAMS_CODE,
        MempoolError::Transaction(TransactionError::Blob | TransactionError::InvalidSignature)
        | MempoolError::Oversized { .. }
        | MempoolError::WrongChainId { .. }
        | MempoolError::TipAboveFeeCap { .. }
        | MempoolError::IntrinsicGas { .. }
        | MempoolError::ExceedsBlockGasLimit { .. }
        | MempoolError::InitcodeTooLarge { .. }
        | MempoolError::EmptyAuthorizationList
        | MempoolError::NonceMax
        | MempoolError::NonceTooLow { .. }
        | MempoolError::Underpriced { .. }
        | MempoolError::ReplacementUnderpriced { .. }
        | MempoolError::InsufficientFunds { .. }
        | MempoolError::AlreadyKnown
        | MempoolError::SenderFull { .. }
        | MempoolError::PoolFull => SERVER_ERROR,
    }
}

/// What the caller can mend is told as it is; what the operator must mend is logged with its cause.
fn execution(error: &ExecutionError) -> ErrorObjectOwned {
    if let ExecutionError::BadCall(what) = error {
        return object(SERVER_ERROR, what.clone());
    }
    if let ExecutionError::UnknownBlock(_) = error {
        return EthError::BlockNotFound.into();
    }
    if let ExecutionError::Closed = error {
        return EthError::Stopping.into();
    }
    tracing::error!(%error, cause = ?std::error::Error::source(error), "a request could not be answered");
    object(INTERNAL_ERROR_CODE, error.to_string())
}

fn reverted(data: Bytes) -> ErrorObjectOwned {
    let message = match decode_revert_reason(&data) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    };
    ErrorObjectOwned::owned(REVERTED, message, Some(data))
}

/// Running out of gas has a name that libraries know.
fn halted(reason: &str) -> String {
    if reason.starts_with("OutOfGas") { "out of gas; raise the gas limit".into() } else { reason.to_owned() }
}
