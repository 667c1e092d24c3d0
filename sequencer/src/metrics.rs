//! The metrics of this process.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::lifecycle::Lifecycle;
use crate::status::{HealthStatus, NodeStatus, PublisherStatus};

/// Makes the recorder of this process at the first call, and gives a handle that renders it. Several nodes of one process
/// share it.
#[must_use]
pub fn recorder_of_this_process() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let make = || {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // An error means that whoever embeds us has a recorder already; ours then renders nothing.
        let _ = metrics::set_global_recorder(recorder);
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
    }
    if let Some(prover) = &status.prover {
        metrics::gauge!("fermata_prover_epoch_due").set(f64::from(u8::from(prover.epoch.is_some())));
        metrics::gauge!("fermata_prover_checkpoint").set(of(prover.last.map_or(0, |last| last.to.0)));
        let secs = prover.epoch.map_or(0, |due| due.deadline.saturating_sub(status.now_ms / 1_000));
        metrics::gauge!("fermata_prover_seconds_left").set(of(secs));
        prover.accounts.iter().for_each(record_publisher);
    }
    metrics::gauge!("fermata_requests_live").set(of(status.requests.len() as u64));
    metrics::gauge!("fermata_runs").set(of(status.runs));
    metrics::counter!("fermata_ticks_total").absolute(status.ticks);
    status.publishers.iter().for_each(record_publisher);
}

fn record_publisher(account: &PublisherStatus) {
    let address = account.address.to_string();
    metrics::gauge!("fermata_publisher_in_flight", "account" => address.clone()).set(account.in_flight.len() as f64);
    if let Some(balance) = account.balance_wei {
        metrics::gauge!("fermata_publisher_balance_ether", "account" => address).set(f64::from(balance) / 1e18);
    }
}
