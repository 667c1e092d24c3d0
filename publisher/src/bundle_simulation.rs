//! What a bundle would do at the edges of its window.

use alloy::primitives::{Address, Bytes};
use alloy::providers::bindings::IMulticall3;
use alloy::rpc::types::simulate::SimCallResult;
use alloy::rpc::types::state::StateOverride;
use alloy::sol_types::SolCall;
use fermata_primitives::L1Timestamp;
use futures::future::try_join_all;

use crate::core::Core;
use crate::front::prepared;
use crate::l1::is_unsupported;
use crate::simulate::{MAX_TX_GAS, call_of, run_at};
use crate::window::Window;
use crate::{Error, L1HeadInfo, L1Request};

/// What a simulation showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Simulated {
    /// Every entry would do what it is meant to.
    Clean {
        /// The gas to give the transaction, without what the simulation cannot show.
        gas: u64,
    },
    /// An entry would revert.
    Reverts {
        /// The first such entry.
        index: usize,
        /// What it would revert with.
        data: Bytes,
    },
    /// The node does not simulate.
    Unsupported,
}

/// Who simulates, and on what.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The sender.
    pub(crate) from: Address,
    /// State that is taken for granted.
    pub(crate) assumed: StateOverride,
}

/// Runs the bundle in the first and in the last block it can land in.
///
/// # Errors
/// What L1 answers, where that says nothing about the bundle; [`Error::NoMulticall`].
pub(crate) async fn simulate(
    core: &Core,
    bundle: &L1Request,
    setting: &Setting,
    head: &L1HeadInfo,
) -> Result<Simulated, Error> {
    let blobs = prepared(core, &bundle.blobs).await?;
    let call = call_of(bundle, setting.from, blobs.as_ref());
    let edges = edges(core, bundle.window(), head).into_iter();
    let runs = edges.map(|at| run_at(core, call.clone(), at, setting.assumed.clone()));
    let results = match try_join_all(runs).await {
        Err(error) if is_unsupported(&error) => return Ok(Simulated::Unsupported),
        results => results?,
    };
    let mut gas = 0;
    for result in results {
        if let Some((index, data)) = first_revert(bundle, &result)? {
            return Ok(Simulated::Reverts { index, data });
        }
        gas = gas.max(result.max_used_gas.unwrap_or(result.gas_used));
    }
    Ok(Simulated::Clean { gas: with_margin(gas) })
}

/// The first and the last block the bundle can land in: what holds at one need not hold at the other.
fn edges(core: &Core, window: Window, head: &L1HeadInfo) -> Vec<L1Timestamp> {
    let first = core.next_block_at(head).max(window.not_before);
    let last = window.deadline.minus_secs(core.config.ethereum_slot.as_secs());
    if last > first { vec![first, last] } else { vec![first] }
}

/// The first entry that reverts, and what with. A bundle that reverts as a whole has run out of gas: its last entry, the
/// least important, has to go.
fn first_revert(bundle: &L1Request, result: &SimCallResult) -> Result<Option<(usize, Bytes)>, Error> {
    let last = bundle.success.entries().len().saturating_sub(1);
    if !result.status {
        return Ok(Some((last, result.return_data.clone())));
    }
    let answers = IMulticall3::aggregate3Call::abi_decode_returns(&result.return_data)
        .map_err(|_| Error::NoMulticall { address: bundle.to })?;
    let reverted = answers.into_iter().enumerate().find(|(_, answer)| !answer.success);
    Ok(reverted.map(|(index, answer)| (index, answer.returnData)))
}

/// A sixty-fourth stays with each caller, and state may shift a little until the bundle lands.
pub(crate) fn with_margin(gas: u64) -> u64 {
    (gas * 64).div_ceil(63) * 12 / 10
}

/// The gas limit: no transaction may have more than the cap.
pub(crate) fn capped(gas: u64) -> u64 {
    gas.min(MAX_TX_GAS)
}
