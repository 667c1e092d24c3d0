//! Building a block: the mempool's best, or exactly a given list.

use std::num::NonZero;

use alloy::primitives::{Bytes, keccak256};
use fermata_primitives::{SharedClock, UnixTime};
use revm::context::result::InvalidTransaction;

use super::executor::{BlockExecutor, TxFailure};
use super::{BlockEnvironment, Executed};
use crate::mempool::{Mempool, PooledTx};
use crate::state::StateView;
use crate::{ExecutionError, RecoveredTx, Result, TransactionError};

/// A transaction that pays the least there is: with less gas left, the block is full.
const LEAST_TX_GAS: u64 = 21_000;
/// A shorter list is decoded sooner than threads are started.
const LEAST_PARALLEL: usize = 8;

/// What bounds a block that is built from the mempool, beside its gas.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Most raw transaction bytes.
    pub(crate) max_payload_bytes: usize,
    /// No further transaction from this moment on.
    pub(crate) deadline: Option<UnixTime>,
    /// Tells when the deadline has come.
    pub(crate) clock: SharedClock,
    /// True where the block's parent is the head the mempool knows. Only then does a transaction that cannot be executed
    /// leave the pool: on another parent it says nothing.
    pub(crate) on_head: bool,
}

impl Limits {
    fn reached(&self) -> bool {
        self.deadline.is_some_and(|deadline| self.clock.now() >= deadline)
    }
}

/// What becomes of a transaction that the block did not take.
enum Refused {
    /// The chain has its nonce already: the sender's next one may fit.
    Passed,
    /// It may fit a later block; its successors cannot go before it.
    Later,
    /// It can never be executed.
    Dropped(String),
}

/// Fills a block with the mempool's best transactions.
pub(crate) fn build_from_mempool(
    parent_state: StateView,
    environment: BlockEnvironment,
    mempool: &Mempool,
    limits: &Limits,
) -> Result<Executed> {
    let mut executor = BlockExecutor::begin(parent_state, environment)?;
    let mut best = mempool.best(environment.base_fee);
    let mut room = limits.max_payload_bytes;
    while executor.gas_left() >= LEAST_TX_GAS && !limits.reached() {
        let Some(tx) = best.next() else { break };
        if tx.raw().len() > room {
            best.decline();
            continue;
        }
        match executor.execute(&tx) {
            Ok(()) => room -= tx.raw().len(),
            Err(failure) => match refusal(failure, &tx, limits)? {
                Refused::Passed => {}
                Refused::Later => best.decline(),
                Refused::Dropped(reason) => mempool.remove_invalid(tx.hash(), &reason),
            },
        }
    }
    executor.finish()
}

fn refusal(failure: TxFailure, tx: &PooledTx, limits: &Limits) -> Result<Refused> {
    if let TxFailure::Invalid(InvalidTransaction::NonceTooLow { .. }) = failure {
        return Ok(Refused::Passed);
    }
    let later =
        matches!(failure, TxFailure::NoGasLeft { .. } | TxFailure::Invalid(InvalidTransaction::NonceTooHigh { .. }));
    let reason = failure.reason()?;
    if later || !limits.on_head {
        tracing::debug!(hash = %tx.hash(), %reason, "left a transaction for a later block");
        return Ok(Refused::Later);
    }
    Ok(Refused::Dropped(reason))
}

/// Executes exactly these raw transactions, in this order.
pub(crate) fn build_from_list(
    parent_state: StateView,
    environment: BlockEnvironment,
    transactions: &[Bytes],
) -> Result<Executed> {
    let mut executor = BlockExecutor::begin(parent_state, environment)?;
    for (index, (raw, decoded)) in transactions.iter().zip(decode_all(transactions)).enumerate() {
        let refused = |reason| ExecutionError::InvalidTransaction { index, hash: keccak256(raw), reason };
        let tx = decoded.map_err(|cause| refused(cause.to_string()))?;
        match executor.execute(&tx) {
            Ok(()) => {}
            Err(failure) => return Err(refused(failure.reason()?)),
        }
    }
    executor.finish()
}

/// Decodes a list on all cores: recovering senders costs more than executing their transfers.
fn decode_all(transactions: &[Bytes]) -> Vec<std::result::Result<RecoveredTx, TransactionError>> {
    let decode = |part: &[Bytes]| part.iter().cloned().map(RecoveredTx::decode).collect::<Vec<_>>();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    if transactions.len() < LEAST_PARALLEL || cores == 1 {
        return decode(transactions);
    }
    std::thread::scope(|scope| {
        let parts = transactions.chunks(transactions.len().div_ceil(cores));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || decode(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("decoding does not panic")).collect()
    })
}
