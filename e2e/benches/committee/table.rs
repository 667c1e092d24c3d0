//! How it is told.

use fermata_e2e::Times;

use crate::network::{Measured, Network};

/// Prints the head of the table.
pub(crate) fn head() {
    let spans = ["proposal to quorum", "last seal to quorum", "last seal to L1 broadcast"];
    let [asking, to_quorum, to_broadcast] = spans.map(|span| format!("{span}, ms: ratio"));
    println!(
        "{:<14} {:>11} {asking:>34} {to_quorum:>34} {to_broadcast:>36} {:>13} {:>8}",
        "", "checkpoints", "messages/slot", "KiB/slot"
    );
}

/// Prints what was measured, and the medians as parts of the baseline's.
pub(crate) fn row(network: Network, measured: &Measured, baseline: &Measured) {
    let slots = measured.slots as f64;
    println!(
        "{:<14} {:>11} {:>34} {:>34} {:>36} {:>13.1} {:>8.1}",
        format!("{} x {}", network.nodes, network.validators / network.nodes),
        format!("{}/{}", measured.landed, measured.slots),
        span(&measured.asking, &baseline.asking),
        span(&measured.to_quorum, &baseline.to_quorum),
        span(&measured.to_broadcast, &baseline.to_broadcast),
        measured.sent.messages as f64 / slots,
        measured.sent.bytes as f64 / 1_024.0 / slots,
    );
}

fn span(times: &Times, baseline: &Times) -> String {
    let [median, most, longest] = [500, 990, 1_000].map(|per_mille| times.millis_at(per_mille));
    format!("p50 {median:.0} p99 {most:.0} max {longest:.0}: {:.2}", median / baseline.millis_at(500))
}
