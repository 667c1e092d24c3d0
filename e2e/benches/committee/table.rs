//! How it is told.

use fermata_e2e::Times;

use crate::network::{Measured, Network};

/// Prints the head of the table.
pub(crate) fn head() {
    println!(
        "{:<26} {:>11}  {:>27} {:>6}  {:>27} {:>6}  {:>13} {:>8}",
        "nodes, validators in all",
        "checkpoints",
        "seal to quorum p50/p99/max",
        "ratio",
        "seal to L1 send p50/p99/max",
        "ratio",
        "messages/slot",
        "KiB/slot"
    );
}

/// Prints what was measured, and the medians as parts of the baseline's.
pub(crate) fn row(network: Network, measured: &Measured, baseline: &Measured) {
    let name = format!("{:>2} of {:>3}", network.nodes, network.validators);
    let name = if network.nodes == 1 { format!("{name} (baseline)") } else { name };
    let slots = measured.slots as f64;
    println!(
        "{name:<26} {:>11}  {:>27} {:>6.2}  {:>27} {:>6.2}  {:>13.1} {:>8.1}",
        format!("{}/{}", measured.landed, measured.slots),
        millis(&measured.to_quorum),
        measured.to_quorum.millis_at(500) / baseline.to_quorum.millis_at(500),
        millis(&measured.to_broadcast),
        measured.to_broadcast.millis_at(500) / baseline.to_broadcast.millis_at(500),
        measured.sent.messages as f64 / slots,
        measured.sent.bytes as f64 / 1_024.0 / slots,
    );
}

fn millis(times: &Times) -> String {
    let [median, most, longest] = [500, 990, 1_000].map(|per_mille| times.millis_at(per_mille));
    format!("{median:.0} / {most:.0} / {longest:.0} ms")
}
