//! From a request to what it will be sent with: the moment, the account, the bid, the gas.

use std::sync::Arc;
use std::time::Duration;

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, TxKind};
use alloy::rpc::types::TransactionRequest;
use fermata_primitives::{L1Timestamp, UnixTime};
use tokio::sync::watch;

use crate::accounts::{AccountLease, AccountPool};
use crate::core::Core;
use crate::fees::horizon;
use crate::tx::TRANSFER_GAS;
use crate::{Error, FeeMarket, Fees, L1HeadInfo, L1Request, PreparedBlobs, RejectReason, first_fees};

/// The heads one task has seen and not seen.
pub(crate) type Heads = watch::Receiver<L1HeadInfo>;

/// The L1 blocks a transaction may land in, by their timestamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    pub(crate) not_before: L1Timestamp,
    pub(crate) deadline: L1Timestamp,
}

/// What a request will be sent with. Nothing is recorded yet: dropping it gives the account back.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) lease: AccountLease,
    pub(crate) fees: Fees,
    pub(crate) gas_limit: u64,
}

/// Why there is no plan now.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// It may go away: look again at the next head.
    Wait(RejectReason),
    /// It stays.
    Reject(RejectReason),
    /// It is not the request's fault.
    Fail(Error),
}

impl From<Error> for Obstacle {
    /// What L1 does not answer now it may answer later; the rest is for the caller at once.
    fn from(error: Error) -> Self {
        match error.is_of_l1() {
            true => Self::Wait(RejectReason::L1Unusable { message: with_cause(&error) }),
            false => Self::Fail(error),
        }
    }
}

pub(crate) fn with_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// An L1 slot whose block is not there this long after it began is taken to have none: other nodes would not follow it.
const MISSED_AFTER: Duration = Duration::from_secs(8);

/// Waits until the next L1 block can lie in the window; `None` once it must lie behind.
///
/// # Cancel safety
/// Dropping it ends the wait.
pub(crate) async fn wait_for_window(core: &Core, heads: &mut Heads, window: Window) -> Option<L1HeadInfo> {
    loop {
        let head = *heads.borrow_and_update();
        let next = core.next_block_at(&head);
        if next >= window.deadline {
            return None;
        }
        if next >= window.not_before {
            return Some(head);
        }
        tokio::select! {
            () = next_head(heads) => {}
            () = until_missed(core, next, window) => return Some(head),
        }
    }
}

/// Resolves once the L1 slot that begins at `next` must have gone without a block, where the window opens right behind it.
/// One slot is missed now and then; a head that is further behind is a node that is, and says nothing about the next block.
/// Where slots are shorter than the wait, the next block tells sooner.
async fn until_missed(core: &Core, next: L1Timestamp, window: Window) {
    let slot = core.config.ethereum_slot;
    if slot > MISSED_AFTER && next.plus_secs(slot.as_secs()) >= window.not_before {
        core.clock.sleep_until(UnixTime::from(next) + MISSED_AFTER).await;
        if core.clock.now() < UnixTime::from(window.deadline) {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Resolves at the next head; never, once the head has no watcher any more.
pub(crate) async fn next_head(heads: &mut Heads) {
    if heads.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Resolves at the next head, or after `span`: L1 may be reachable again before it has a new block.
pub(crate) async fn pause(core: &Core, heads: &mut Heads, span: Duration) {
    tokio::select! {
        () = next_head(heads) => {}
        () = core.clock.sleep(span) => {}
    }
}

/// What L1 asks for now.
pub(crate) async fn fee_market(core: &Core, head: &L1HeadInfo, blob_count: usize) -> Result<FeeMarket, Error> {
    let suggested_tip = match core.l1.suggested_tip().await {
        Ok(tip) => tip,
        // The method is not standard: without it the configured floor decides.
        Err(Error::L1Refused { .. }) => 0,
        Err(other) => return Err(other),
    };
    let blob_base_fee = match (blob_count, head.blob_base_fee) {
        (0, _) => None,
        (_, Some(known)) => Some(known),
        (_, None) => Some(core.l1.blob_base_fee().await?),
    };
    Ok(FeeMarket { base_fee: head.base_fee, blob_base_fee, suggested_tip })
}

/// Plans one send for the block after `head`: bid, account, gas.
///
/// # Cancel safety
/// Dropping it gives back what it leased, and no further call goes out.
pub(crate) async fn plan(
    core: &Core,
    pool: &Arc<AccountPool>,
    (request, blobs): (&L1Request, Option<&PreparedBlobs>),
    head: &L1HeadInfo,
) -> Result<Plan, Obstacle> {
    let blob_count = blobs.map_or(0, PreparedBlobs::len);
    let market = fee_market(core, head, blob_count).await?;
    let secs_left = request.deadline.0.saturating_sub(head.timestamp.0);
    let blocks = horizon(secs_left, core.config.ethereum_slot.as_secs());
    let fees = first_fees(&market, blocks, &core.fees()).map_err(|error| Obstacle::Wait(error.into()))?;
    let least_cost = fees.max_cost(request.gas_limit.unwrap_or(TRANSFER_GAS), blob_count) + request.value;
    let lease = pool.lease(core, least_cost).await?;
    let publisher = lease.publisher();
    let gas_limit = match request.gas_limit {
        Some(given) => given,
        None => estimate(core, call_of(request, publisher.address(), (fees, blobs))).await?,
    };
    if publisher.nonce_in_doubt() {
        publisher.raise_nonce(core.l1.pending_nonce(publisher.address()).await?);
    }
    Ok(Plan { lease, fees, gas_limit })
}

/// A gas limit a fifth above the estimate: between now and the block state moves.
async fn estimate(core: &Core, call: TransactionRequest) -> Result<u64, Obstacle> {
    match core.l1.estimate_gas(call).await? {
        Ok(gas) => Ok(gas.saturating_add(gas / 5)),
        Err(data) => Err(Obstacle::Reject(RejectReason::EstimateReverted { data })),
    }
}

/// The request as a call from `account`, for estimates.
fn call_of(request: &L1Request, account: Address, (fees, blobs): (Fees, Option<&PreparedBlobs>)) -> TransactionRequest {
    let mut call = TransactionRequest {
        from: Some(account),
        to: Some(TxKind::Call(request.to)),
        value: Some(request.value),
        max_fee_per_gas: Some(fees.max_fee_per_gas),
        max_priority_fee_per_gas: Some(fees.tip),
        max_fee_per_blob_gas: fees.max_fee_per_blob_gas,
        blob_versioned_hashes: blobs.map(PreparedBlobs::versioned_hashes),
        ..TransactionRequest::default()
    };
    call.set_input(request.calldata.clone());
    call
}
