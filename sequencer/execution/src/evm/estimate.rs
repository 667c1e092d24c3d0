//! `eth_estimateGas`: the least gas limit with which a call succeeds.

use alloy::consensus::Header;
use alloy::rpc::types::TransactionRequest;

use super::CallOutcome;
use super::call::{CallSite, outcome};
use crate::Result;
use crate::state::StateView;

/// What an estimate has shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GasEstimate {
    /// With this gas limit the call succeeds.
    Enough(u64),
    /// With no gas limit it does; so it ends.
    Fails(CallOutcome),
}

/// An estimate may be above the least gas limit by one part in this many.
const TOLERANCE: u64 = 64;

/// Finds a gas limit with which the request succeeds on the state after the block `at`. It is the least one, up to one
/// part in 64: gas limits at which a call fails and above which it succeeds are found by bisection.
pub(crate) fn estimate_gas(
    view: StateView,
    header: &Header,
    chain_id: u64,
    request: &TransactionRequest,
) -> Result<GasEstimate> {
    let mut site = CallSite::new(view, header, chain_id, request)?;
    let most = site.most_gas();
    let result = site.run(most)?;
    if !result.is_success() {
        return Ok(GasEstimate::Fails(outcome(result)));
    }
    // Below what it used before refunds it cannot succeed. A call keeps one part in 64 of its gas from the calls it
    // makes, so that much more is often enough, and tried first.
    let spent = result.gas().total_gas_spent().max(result.tx_gas_used());
    let mut fails = spent.saturating_sub(1);
    let mut succeeds = most;
    let mut probe = spent;
    while succeeds - fails > 1 && (succeeds == most || succeeds - fails > succeeds / TOLERANCE) {
        if site.run(probe)?.is_success() {
            succeeds = probe
        } else {
            fails = probe
        }
        probe = next_probe(spent, fails, succeeds);
    }
    Ok(GasEstimate::Enough(succeeds))
}

/// First what was spent and the kept part, then the middle, leaning to the lower side: most calls need little more.
fn next_probe(spent: u64, fails: u64, succeeds: u64) -> u64 {
    let with_kept = spent + spent / 63 + 1;
    let middle = fails + (succeeds - fails) / 2;
    if fails < with_kept && with_kept < succeeds {
        with_kept
    } else {
        middle.min(fails.saturating_mul(2)).max(fails + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_probe_always_lies_between_what_fails_and_what_succeeds(
            spent in 21_000u64..30_000_000, more in 0u64..30_000_000, room in 2u64..30_000_000,
        ) {
            let (fails, succeeds) = (spent - 1 + more, spent - 1 + more + room);
            let probe = next_probe(spent, fails, succeeds);
            prop_assert!(fails < probe && probe < succeeds, "{fails} < {probe} < {succeeds}");
        }
    }
}
