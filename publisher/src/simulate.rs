//! What a request would do in a block to come.

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, Bytes, TxKind};
use alloy::rpc::types::simulate::{SimBlock, SimCallResult, SimulatePayload};
use alloy::rpc::types::state::StateOverride;
use alloy::rpc::types::{BlockOverrides, TransactionRequest};
use fermata_primitives::L1Timestamp;

use crate::core::Core;
use crate::front::prepared;
use crate::{Error, L1Request, PreparedBlobs};

/// Most gas a transaction may have (EIP-7825).
pub(crate) const MAX_TX_GAS: u64 = 1 << 24;

/// What a simulated request did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimOutcome {
    /// Gas it used, reverted or not.
    pub gas_used: u64,
    /// What it reverted with; `None` when it did not. Decoded by the caller, who knows the contract.
    pub revert_data: Option<Bytes>,
}

/// Runs `request` from `from` on the latest state, in a block with timestamp `at`.
pub(crate) async fn simulate_at(
    core: &Core,
    request: &L1Request,
    from: Address,
    at: L1Timestamp,
    overrides: StateOverride,
) -> Result<SimOutcome, Error> {
    let blobs = prepared(core, &request.blobs).await?;
    let result = run_at(core, call_of(request, from, blobs.as_ref()), at, overrides).await?;
    let error_data = result.error.and_then(|error| error.data);
    let reverted_with = if result.return_data.is_empty() { error_data.unwrap_or_default() } else { result.return_data };
    Ok(SimOutcome { gas_used: result.gas_used, revert_data: (!result.status).then_some(reverted_with) })
}

/// Runs one call on the latest state, with some of it overridden, in a block with timestamp `at`.
pub(crate) async fn run_at(
    core: &Core,
    call: TransactionRequest,
    at: L1Timestamp,
    overrides: StateOverride,
) -> Result<SimCallResult, Error> {
    let in_block = BlockOverrides { time: Some(at.0), gas_limit: Some(2 * MAX_TX_GAS), ..BlockOverrides::default() };
    let block = SimBlock::default().with_block_overrides(in_block).with_state_overrides(overrides).call(call);
    let blocks = core.l1.simulate(&SimulatePayload::default().extend(block)).await?;
    let result = blocks.into_iter().next().and_then(|block| block.calls.into_iter().next());
    Ok(result.unwrap_or_default())
}

/// The request as a call from `from`.
pub(crate) fn call_of(request: &L1Request, from: Address, blobs: Option<&PreparedBlobs>) -> TransactionRequest {
    let mut call = TransactionRequest {
        from: Some(from),
        to: Some(TxKind::Call(request.to)),
        value: Some(request.value),
        gas: Some(request.gas_limit.unwrap_or(MAX_TX_GAS)),
        blob_versioned_hashes: blobs.map(PreparedBlobs::versioned_hashes),
        ..TransactionRequest::default()
    };
    call.set_input(request.calldata.clone());
    call
}
