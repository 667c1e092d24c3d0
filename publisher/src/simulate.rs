//! What a request would do in a block to come.

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, Bytes, TxKind};
use alloy::rpc::types::simulate::{SimBlock, SimCallResult, SimulatePayload};
use alloy::rpc::types::state::StateOverride;
use alloy::rpc::types::{BlockOverrides, TransactionRequest};
use fermata_primitives::L1Timestamp;

use crate::core::Core;
use crate::front::prepared;
use crate::{Error, InvalidRequest, L1Request, MAX_BLOBS, PreparedBlobs};

/// Most gas a transaction may have (EIP-7825).
pub(crate) const MAX_TX_GAS: u64 = 1 << 24;

/// Who sends a simulated request, into which block, and on what state.
#[derive(Clone, Debug, PartialEq)]
pub struct SimSetting {
    /// The sender.
    pub from: Address,
    /// Timestamp of the block.
    pub at: L1Timestamp,
    /// State that is taken for granted.
    pub assumed: StateOverride,
    /// What the block has room for.
    pub limits: SimLimits,
}

impl SimSetting {
    /// On the latest state as it is, without limits but those of the protocol.
    #[must_use]
    pub fn new(from: Address, at: L1Timestamp) -> Self {
        Self { from, at, assumed: StateOverride::default(), limits: SimLimits::default() }
    }
}

/// What a simulated block has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimLimits {
    /// Its gas. A request without a gas limit of its own gets all of it, as far as one transaction may; one with a higher
    /// limit is none.
    pub gas: u64,
    /// Its blobs. A request with more is none.
    pub blobs: usize,
}

impl Default for SimLimits {
    /// More gas than one transaction may have, and as many blobs as one may carry.
    fn default() -> Self {
        Self { gas: 2 * MAX_TX_GAS, blobs: MAX_BLOBS }
    }
}

/// What a simulated request did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimOutcome {
    /// Gas it used, reverted or not.
    pub gas_used: u64,
    /// What it reverted with; `None` when it did not. Decoded by the caller, who knows the contract.
    pub revert_data: Option<Bytes>,
}

/// Runs `request` as `setting` says.
pub(crate) async fn simulate_at(core: &Core, request: &L1Request, setting: SimSetting) -> Result<SimOutcome, Error> {
    let SimSetting { from, at, assumed, limits } = setting;
    if request.blobs.len() > limits.blobs {
        return Err(InvalidRequest::NoRoomForBlobs { blobs: request.blobs.len(), room: limits.blobs }.into());
    }
    // Not every node holds a simulated call to the gas of its block.
    if let Some(gas) = request.gas_limit.filter(|gas| *gas > limits.gas) {
        return Err(InvalidRequest::NoRoomForGas { gas, room: limits.gas }.into());
    }
    let blobs = prepared(core, &request.blobs).await?;
    let mut call = call_of(request, from, blobs.as_ref());
    if request.gas_limit.is_none() {
        call.gas = Some(MAX_TX_GAS.min(limits.gas));
    }
    let in_block = BlockOverrides { time: Some(at.0), gas_limit: Some(limits.gas), ..BlockOverrides::default() };
    let result = run_in(core, call, in_block, assumed).await?;
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
    let gas_limit = Some(SimLimits::default().gas);
    run_in(core, call, BlockOverrides { time: Some(at.0), gas_limit, ..BlockOverrides::default() }, overrides).await
}

async fn run_in(
    core: &Core,
    call: TransactionRequest,
    in_block: BlockOverrides,
    overrides: StateOverride,
) -> Result<SimCallResult, Error> {
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
