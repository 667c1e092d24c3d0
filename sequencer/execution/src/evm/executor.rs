//! One block being executed: transactions one by one, then the header.

use alloy::consensus::proofs::{calculate_receipt_root, ordered_trie_root_encoded};
use alloy::consensus::{Header, Receipt, ReceiptEnvelope, Transaction, TxReceipt};
use alloy::eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy::primitives::{Address, Bloom, Bytes};
use revm::context::result::{EVMError, InvalidTransaction};
use revm::database::State;
use revm::database::states::bundle_state::BundleRetention;
use revm::database_interface::bal::EvmDatabaseError;
use revm::handler::{MainnetContext, MainnetEvm};
use revm::{Context, ExecuteCommitEvm, MainBuilder, MainContext, SystemCallCommitEvm};

use super::BlockEnvironment;
use super::tx_env::tx_env;
use crate::state::{StateChanges, StateView};
use crate::store::ExecutedBlock;
use crate::{Block, ExecutionError, RecoveredTx, Result};

/// A block that was executed, and what it did to the state. Nothing of it is stored yet.
#[derive(Debug)]
pub(crate) struct Executed {
    pub(crate) block: ExecutedBlock,
    pub(crate) changes: StateChanges,
}

/// Why a transaction did not become part of the block. The block is as if it had not been tried.
#[derive(Debug)]
pub(super) enum TxFailure {
    /// It asks for more gas than the block has left.
    NoGasLeft { asked: u64, left: u64 },
    /// It breaks a rule.
    Invalid(InvalidTransaction),
    /// The state could not be read: says nothing about the transaction.
    Fatal(ExecutionError),
}

impl TxFailure {
    /// The rule as text, or the failure that says nothing about the transaction.
    pub(super) fn reason(self) -> Result<String> {
        match self {
            Self::NoGasLeft { asked, left } => Ok(format!("it asks for {asked} gas where the block has {left} left")),
            Self::Invalid(rule) => Ok(rule.to_string()),
            Self::Fatal(error) => Err(error),
        }
    }
}

/// A block being executed.
pub(super) struct BlockExecutor {
    evm: MainnetEvm<MainnetContext<State<StateView>>>,
    environment: BlockEnvironment,
    gas_used: u64,
    transactions: Vec<Bytes>,
    senders: Vec<Address>,
    receipts: Vec<ReceiptEnvelope>,
}

impl BlockExecutor {
    /// Begins the block on the state of its parent.
    pub(super) fn begin(parent_state: StateView, environment: BlockEnvironment) -> Result<Self> {
        let state = State::builder().with_database(parent_state).with_bundle_update().build();
        let context = Context::mainnet().with_db(state).with_block(environment.block_env()).with_cfg(environment.cfg());
        let mut evm = context.build_mainnet();
        // EIP-2935: the parent's hash becomes readable for contracts. Fails silently where genesis lacks the contract.
        evm.system_call_commit(HISTORY_STORAGE_ADDRESS, environment.parent.hash.into()).map_err(|error| {
            broken_rule(error).map_or_else(|failure| failure, |rule| ExecutionError::Evm(rule.to_string()))
        })?;
        Ok(Self { evm, environment, gas_used: 0, transactions: vec![], senders: vec![], receipts: vec![] })
    }

    /// Gas the block has left.
    pub(super) const fn gas_left(&self) -> u64 {
        self.environment.gas_limit - self.gas_used
    }

    /// Executes the next transaction.
    pub(super) fn execute(&mut self, tx: &RecoveredTx) -> std::result::Result<(), TxFailure> {
        let asked = tx.envelope().gas_limit();
        if asked > self.gas_left() {
            return Err(TxFailure::NoGasLeft { asked, left: self.gas_left() });
        }
        let result = self.evm.transact_commit(tx_env(tx)).map_err(|error| match broken_rule(error) {
            Ok(rule) => TxFailure::Invalid(rule),
            Err(failure) => TxFailure::Fatal(failure),
        })?;
        self.gas_used += result.tx_gas_used();
        let receipt = Receipt {
            status: result.is_success().into(),
            cumulative_gas_used: self.gas_used,
            logs: result.into_logs(),
        };
        self.receipts.push(ReceiptEnvelope::from_typed(tx.envelope().tx_type(), receipt));
        self.senders.push(tx.signer());
        self.transactions.push(tx.raw().clone());
        Ok(())
    }

    /// Ends the block: roots, bloom, hash.
    pub(super) fn finish(mut self) -> Result<Executed> {
        let state = &mut self.evm.ctx.journaled_state.database;
        state.merge_transitions(BundleRetention::PlainState);
        let bundle = state.take_bundle();
        let changes = StateChanges::apply(&mut state.database, &bundle)?;
        let header = Header {
            state_root: changes.root,
            transactions_root: ordered_trie_root_encoded(&self.transactions),
            receipts_root: calculate_receipt_root(&self.receipts),
            logs_bloom: self.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom()),
            gas_used: self.gas_used,
            ..self.environment.header()
        };
        let block = Block::new(header, self.transactions);
        Ok(Executed { block: ExecutedBlock { block, senders: self.senders, receipts: self.receipts }, changes })
    }
}

/// Splits revm's errors: a rule that the transaction breaks, or a failure that says nothing about it.
pub(super) fn broken_rule(error: EVMError<EvmDatabaseError<ExecutionError>>) -> Result<InvalidTransaction> {
    match error {
        EVMError::Transaction(rule) => Ok(rule),
        EVMError::Database(error) => Err(state_failure(error)),
        EVMError::Header(cause) => Err(ExecutionError::Evm(cause.to_string())),
        EVMError::Custom(cause) => Err(ExecutionError::Evm(cause)),
        EVMError::CustomAny(cause) => Err(ExecutionError::Evm(cause.to_string())),
    }
}

/// What reading the state through revm's cache can end in.
pub(super) fn state_failure(error: EvmDatabaseError<ExecutionError>) -> ExecutionError {
    match error {
        EvmDatabaseError::Database(error) => error,
        EvmDatabaseError::Bal(cause) => ExecutionError::Evm(cause.to_string()),
    }
}
