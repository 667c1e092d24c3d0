//! `eth_call`: a transaction that is run and forgotten.

use alloy::consensus::Header;
use alloy::primitives::{Bytes, TxKind, U256};
use alloy::rpc::types::TransactionRequest;
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, InvalidTransaction};
use revm::context_interface::either::Either;
use revm::database::State;
use revm::{Context, Database, ExecuteEvm, MainBuilder, MainContext};

use super::BlockEnvironment;
use super::executor::{broken_rule, state_failure};
use crate::state::StateView;
use crate::{BlockId, ExecutionError, Result};

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallOutcome {
    /// It returned.
    Success {
        /// What it returned.
        output: Bytes,
        /// Gas it used, refunds taken off.
        gas_used: u64,
    },
    /// It reverted.
    Reverted {
        /// The revert data, mostly an ABI-encoded error.
        output: Bytes,
        /// Gas it used.
        gas_used: u64,
    },
    /// It ran out of gas, or into an instruction that cannot be.
    Halted {
        /// What stopped it.
        reason: String,
        /// Gas it used: all it had.
        gas_used: u64,
    },
}

/// A call against the state after a block, with that block's environment. It may be run several times.
pub(super) struct CallSite {
    state: State<StateView>,
    environment: BlockEnvironment,
    tx: TxEnv,
}

/// Runs a request on the state after the block `at`.
pub(crate) fn call(
    view: StateView,
    header: &Header,
    chain_id: u64,
    request: &TransactionRequest,
) -> Result<CallOutcome> {
    let mut site = CallSite::new(view, header, chain_id, request)?;
    let gas = site.most_gas();
    Ok(outcome(site.run(gas)?))
}

impl CallSite {
    pub(super) fn new(view: StateView, header: &Header, chain_id: u64, request: &TransactionRequest) -> Result<Self> {
        let mut environment = BlockEnvironment {
            chain_id,
            parent: BlockId { number: header.number.saturating_sub(1), hash: header.parent_hash },
            timestamp: header.timestamp,
            beneficiary: header.beneficiary,
            prev_randao: header.mix_hash,
            gas_limit: header.gas_limit,
            base_fee: header.base_fee_per_gas.unwrap_or_default(),
        };
        let mut state = State::builder().with_database(view).build();
        let tx = call_tx(&mut state, &environment, request)?;
        if tx.gas_price == 0 {
            // Who offers no fee asks what would happen, not what it would cost.
            environment.base_fee = 0;
        }
        Ok(Self { state, environment, tx })
    }

    /// The gas a run may use at most.
    pub(super) const fn most_gas(&self) -> u64 {
        self.tx.gas_limit
    }

    /// Runs the call with this gas limit; the state stays as it was.
    pub(super) fn run(&mut self, gas_limit: u64) -> Result<ExecutionResult> {
        let mut cfg = self.environment.cfg();
        cfg.disable_eip3607 = true;
        let context =
            Context::mainnet().with_db(&mut self.state).with_block(self.environment.block_env()).with_cfg(cfg);
        let tx = TxEnv { gas_limit, ..self.tx.clone() };
        let ran = context.build_mainnet().transact(tx);
        match ran {
            Ok(ran) => Ok(ran.result),
            Err(error) => Err(broken_rule(error).map_or_else(|failure| failure, |rule| bad_call(&rule))),
        }
    }
}

/// Worded as Ethereum's clients do where wallets look for the words.
fn bad_call(rule: &InvalidTransaction) -> ExecutionError {
    if let InvalidTransaction::LackOfFundForMaxFee { fee, balance } = rule {
        let what = "insufficient funds for gas * price + value";
        return ExecutionError::BadCall(format!("{what}: the sender has {balance}, it could cost {fee}"));
    }
    ExecutionError::BadCall(rule.to_string())
}

/// How a run ended, as a caller sees it.
pub(super) fn outcome(result: ExecutionResult) -> CallOutcome {
    let gas_used = result.tx_gas_used();
    match result {
        ExecutionResult::Success { output, .. } => CallOutcome::Success { output: output.into_data(), gas_used },
        ExecutionResult::Revert { output, .. } => CallOutcome::Reverted { output, gas_used },
        ExecutionResult::Halt { reason, .. } => CallOutcome::Halted { reason: format!("{reason:?}"), gas_used },
    }
}

fn call_tx(
    state: &mut State<StateView>,
    environment: &BlockEnvironment,
    request: &TransactionRequest,
) -> Result<TxEnv> {
    if request.blob_versioned_hashes.is_some() || request.sidecar.is_some() {
        return Err(ExecutionError::BadCall("there are no blobs on this chain; leave the blob fields out".into()));
    }
    if request.gas_price.is_some() && request.max_fee_per_gas.is_some() {
        return Err(ExecutionError::BadCall("both gasPrice and maxFeePerGas are given; give one of them".into()));
    }
    let caller = request.from.unwrap_or_default();
    let nonce = match request.nonce {
        Some(nonce) => nonce,
        None => state.basic(caller).map_err(state_failure)?.map_or(0, |account| account.nonce),
    };
    let authorizations = request.authorization_list.clone().unwrap_or_default();
    Ok(TxEnv {
        tx_type: tx_type(request),
        caller,
        gas_limit: request.gas.unwrap_or(environment.gas_limit).min(environment.gas_limit),
        gas_price: request.gas_price.or(request.max_fee_per_gas).unwrap_or_default(),
        kind: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or(U256::ZERO),
        data: request.input.input().cloned().unwrap_or_default(),
        nonce,
        chain_id: request.chain_id.or(Some(environment.chain_id)),
        access_list: request.access_list.clone().unwrap_or_default(),
        gas_priority_fee: request.max_fee_per_gas.map(|_| request.max_priority_fee_per_gas.unwrap_or_default()),
        authorization_list: authorizations.into_iter().map(Either::Left).collect(),
        ..TxEnv::default()
    })
}

/// The least type that has the fields of the request.
const fn tx_type(request: &TransactionRequest) -> u8 {
    if request.authorization_list.is_some() {
        4
    } else if request.max_fee_per_gas.is_some() {
        2
    } else if request.access_list.is_some() {
        1
    } else {
        0
    }
}
