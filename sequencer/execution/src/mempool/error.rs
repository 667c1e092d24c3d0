//! Why a transaction is not taken.

use alloy::primitives::{Address, U256};
use thiserror::Error;

use crate::TransactionError;

/// Why the mempool refuses a transaction; the pool is as it was.
///
/// Each text begins as go-ethereum's does, because wallets and libraries match on those words, and ends with the remedy.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MempoolError {
    /// The bytes are no transaction, its signature is none, or it is of a kind this chain does not know.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// More raw bytes than a transaction may have.
    #[error("oversized data: transaction size {size}, limit {limit}; split what it does over several transactions")]
    Oversized {
        /// Raw bytes.
        size: usize,
        /// Most that are taken.
        limit: usize,
    },
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {have} want {want}; sign for the chain that eth_chainId names")]
    WrongChainId {
        /// The transaction's.
        have: u64,
        /// This chain's.
        want: u64,
    },
    /// The priority fee is part of the fee cap, so it cannot exceed it.
    #[error(
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: {tip}, maxFeePerGas: {cap}; \
         raise the latter or lower the former"
    )]
    TipAboveFeeCap {
        /// Wei per gas for the beneficiary.
        tip: u128,
        /// Wei per gas at most.
        cap: u128,
    },
    /// Less gas than the transaction costs before its first instruction.
    #[error("intrinsic gas too low: gas {have}, minimum needed {want}; raise the gas limit (eth_estimateGas)")]
    IntrinsicGas {
        /// The transaction's gas limit.
        have: u64,
        /// Intrinsic gas, or the floor its calldata sets.
        want: u64,
    },
    /// More gas than any block has.
    #[error("exceeds block gas limit: gas {have}, limit {limit}; lower the gas limit")]
    ExceedsBlockGasLimit {
        /// The transaction's gas limit.
        have: u64,
        /// A block's.
        limit: u64,
    },
    /// Contract creation code above the EIP-3860 limit.
    #[error("max initcode size exceeded: code size {size}, limit {limit}; split the contract")]
    InitcodeTooLarge {
        /// Bytes of creation code.
        size: usize,
        /// Most that the EVM takes.
        limit: usize,
    },
    /// A type 4 transaction that authorises nothing.
    #[error("set code transaction must have authorization list entries; add one, or send type 2")]
    EmptyAuthorizationList,
    /// The last nonce there is can never be used (EIP-2681).
    #[error("nonce has max value; use another account")]
    NonceMax,
    /// The account has used this nonce.
    #[error("nonce too low: next nonce {next}, tx nonce {have}; sign with the account's next nonce")]
    NonceTooLow {
        /// What the account's next transaction carries.
        next: u64,
        /// The transaction's.
        have: u64,
    },
    /// Pays less than this pool asks, or, where the pool is full, less than everything in it.
    #[error("transaction underpriced: {what} {have}, minimum needed {want}; raise it (eth_maxPriorityFeePerGas)")]
    Underpriced {
        /// Which fee.
        what: &'static str,
        /// Wei per gas offered.
        have: u128,
        /// Wei per gas needed.
        want: u128,
    },
    /// Another transaction of this sender and nonce waits, and this one does not outbid it.
    #[error(
        "replacement transaction underpriced: maxFeePerGas {cap} needs {cap_needed}, maxPriorityFeePerGas {tip} needs \
         {tip_needed}; raise both"
    )]
    ReplacementUnderpriced {
        /// Wei per gas at most, as offered.
        cap: u128,
        /// Wei per gas at most, as needed.
        cap_needed: u128,
        /// Priority wei per gas, as offered.
        tip: u128,
        /// Priority wei per gas, as needed.
        tip_needed: u128,
    },
    /// The account cannot pay for all that it has in the pool.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, tx cost {cost}; \
         fund {sender}, or send less"
    )]
    InsufficientFunds {
        /// Who would pay.
        sender: Address,
        /// Wei it has.
        balance: U256,
        /// Wei its other transactions in the pool may cost.
        queued: U256,
        /// Wei this one may cost.
        cost: U256,
    },
    /// The very same transaction waits already.
    #[error("already known; wait for its receipt")]
    AlreadyKnown,
    /// This sender has as many transactions waiting as one may.
    #[error("account limit exceeded: {limit} transactions of {sender} are waiting; wait until some are mined")]
    SenderFull {
        /// Whose transaction it is.
        sender: Address,
        /// How many one sender may have.
        limit: usize,
    },
    /// The pool is full of transactions that come before this one.
    #[error("txpool is full; fill the nonce gap before it, or try again later")]
    PoolFull,
}
