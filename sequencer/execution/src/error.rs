//! What can go wrong, by what the caller does next.

use std::path::PathBuf;

use alloy::primitives::B256;
use thiserror::Error;

use crate::{JobId, TransactionError};

/// Result of the crate.
pub type Result<T, E = ExecutionError> = std::result::Result<T, E>;

/// Errors of execution and of its store.
#[derive(Debug, Error)]
pub enum ExecutionError {
    /// The caller may open the execution again.
    #[error("the execution engine is closed; open it again")]
    Closed,
    /// The caller inserts the block first, or asks for another.
    #[error("block {0} is not stored; insert it and its ancestors first")]
    UnknownBlock(B256),
    /// The caller begins again.
    #[error("job {0:?} is unknown: cancelled, displaced by newer jobs, or from before a restart; begin it again")]
    UnknownJob(JobId),
    /// No block can be built with these attributes.
    #[error("the block attributes are not usable: {0}")]
    BadAttributes(String),
    /// A given list cannot be executed: another list is needed.
    #[error("transaction {index} of the given list ({hash}) cannot be executed: {reason}; leave it out")]
    InvalidTransaction {
        /// Position in the list.
        index: usize,
        /// Keccak-256 of its raw bytes.
        hash: B256,
        /// The rule it breaks.
        reason: String,
    },
    /// Heads that do not lie on one chain, in order.
    #[error("{what}; heads must lie on one chain with finalized <= safe <= unsafe")]
    HeadsOutOfOrder {
        /// Which two heads do not fit.
        what: String,
    },
    /// A request for a call that no transaction could be made of.
    #[error("the call cannot be made: {0}")]
    BadCall(String),
    /// The given genesis cannot be one.
    #[error("the genesis is not usable: {0}")]
    BadGenesis(String),
    /// The data directory belongs to another chain.
    #[error(
        "{path} holds the chain of genesis {stored}, not of {given}; use the genesis it was made with, or another data directory"
    )]
    GenesisMismatch {
        /// The store's directory.
        path: PathBuf,
        /// Hash of the genesis block in the store.
        stored: B256,
        /// Hash of the genesis block asked for.
        given: B256,
    },
    /// The store was written by a newer version.
    #[error(
        "{path} has schema {found}, this version knows {known}; run the version that wrote it, or move the file away and sync again"
    )]
    NewerStore {
        /// The store's file.
        path: PathBuf,
        /// Schema version on disk.
        found: u32,
        /// Schema version of this program.
        known: u32,
    },
    /// The store is not readable as one. It was not touched.
    #[error("{path} is damaged: {what}; restore it from a backup, or move it away and sync again from L1")]
    DamagedStore {
        /// The store's file.
        path: PathBuf,
        /// What does not hold.
        what: String,
    },
    /// Somebody in this process has the store open.
    #[error("{path} is already open in this process; close the other execution engine first")]
    AlreadyOpen {
        /// The store's directory.
        path: PathBuf,
    },
    /// The store has no room left.
    #[error("the store is full: {what}; free disk space and start again")]
    StoreFull {
        /// Which limit was hit.
        what: String,
    },
    /// The EVM failed where it must not: a bug, or a header no rule allows. Nothing was changed.
    #[error("the EVM failed: {0}; report this")]
    Evm(String),
    /// Something that must be in the store is not: the store cannot be trusted.
    #[error("the store lacks {0}; restore it from a backup, or move it away and sync again from L1")]
    Missing(String),
    /// The store failed; the operation did not happen.
    #[error("the store failed; nothing was changed. Check the disk and try again")]
    Store(#[source] heed::Error),
    /// The store's directory cannot be used.
    #[error("cannot use {path}; check that it exists, is writable and has room")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// A raw transaction that is none.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The operating system gives no thread.
    #[error("cannot start the execution thread; check the limit on processes")]
    Thread {
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// The engine's thread ended without an answer: a bug. Nothing durable is half done.
    #[error("the execution thread ended without an answer; restart the node and report this")]
    WorkerGone,
}
