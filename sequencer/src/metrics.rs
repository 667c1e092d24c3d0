//! The metrics of this process.

mod publishers;

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::lifecycle::Lifecycle;
use crate::status::{HealthStatus, NodeStatus};

/// Where the buckets of spans end, in seconds: from a commit to a disk to a wait for many L1 blocks.
const SPANS: [f64; 14] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 12.0, 24.0, 48.0, 96.0, 300.0, 900.0];

/// Makes the recorder of this process at the first call, and gives a handle that renders it. Several nodes of one process
/// share it.
#[must_use]
pub fn recorder_of_this_process() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let make = || {
        let builder = PrometheusBuilder::new().set_buckets(&SPANS).expect("there are buckets");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // An error means that whoever embeds us has a recorder already; ours then renders nothing.
        let _ = metrics::set_global_recorder(recorder);
        publishers::describe();
        handle
    };
    HANDLE.get_or_init(make).clone()
}

/// Shows the lifecycle: one series a state, of which exactly one is 1.
pub fn record_lifecycle(state: Lifecycle) {
    for word in Lifecycle::WORDS {
        metrics::gauge!("fermata_lifecycle", "state" => word).set(f64::from(u8::from(word == state.word())));
    }
}

/// Shows the status as gauges, so that a scrape sees what `fermata status` shows.
pub fn record(status: &NodeStatus) {
    let of = |value: u64| value as f64;
    record_lifecycle(status.actual.lifecycle);
    metrics::gauge!("fermata_ready").set(f64::from(u8::from(status.is_ready())));
    metrics::gauge!("fermata_healthy").set(f64::from(u8::from(status.health.status == HealthStatus::Ok)));
    let heads = [("unsafe", status.head.unsafe_head), ("safe", status.head.safe), ("finalized", status.head.finalized)];
    for (kind, head) in heads {
        metrics::gauge!("fermata_head_block", "kind" => kind).set(of(head.number));
    }
    if let Some(landed) = &status.last_checkpoint {
        metrics::gauge!("fermata_checkpoint_ours").set(of(landed.number.0));
    }
    if let Some(l1) = &status.l1 {
        metrics::gauge!("fermata_l1_block").set(of(l1.number));
        metrics::gauge!("fermata_l1_lag_seconds").set(of(l1.lag_ms) / 1_000.0);
        metrics::gauge!("fermata_checkpoint_on_l1").set(of(l1.checkpoint.unwrap_or_default().0));
        metrics::gauge!("fermata_checkpoint_proven").set(of(l1.proven.unwrap_or_default().0));
        metrics::gauge!("fermata_l1_base_fee_wei").set(f64::from(l1.base_fee_wei));
        if let Some(fee) = l1.blob_base_fee_wei {
            metrics::gauge!("fermata_l1_blob_base_fee_wei").set(f64::from(fee));
        }
    }
    if let Some(prover) = &status.prover {
        metrics::gauge!("fermata_prover_epoch_due").set(f64::from(u8::from(prover.epoch.is_some())));
        metrics::gauge!("fermata_prover_checkpoint").set(of(prover.last.map_or(0, |last| last.to.0)));
        let secs = prover.epoch.map_or(0, |due| due.deadline.saturating_sub(status.now_ms / 1_000));
        metrics::gauge!("fermata_prover_seconds_left").set(of(secs));
        publishers::record_accounts("prover", &prover.accounts);
    }
    metrics::gauge!("fermata_requests_live").set(of(status.requests.len() as u64));
    metrics::gauge!("fermata_runs").set(of(status.runs));
    metrics::counter!("fermata_ticks_total").absolute(status.ticks);
    publishers::record_accounts("publisher", &status.publishers);
    publishers::record_sending(&status.sending);
}
