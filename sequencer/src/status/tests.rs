//! The verdicts, and the names in JSON.

use super::*;

fn status(lifecycle: Lifecycle, failure: Option<&str>) -> NodeStatus {
    let engine = EngineStatus {
        lifecycle,
        runs: 2,
        failure: failure.map(str::to_owned),
        ..EngineStatus::at_rest(UnixTime::from_millis(5))
    };
    NodeStatus::of_engine(&engine, UnixTime::from_millis(9))
}

#[test]
fn a_stopped_node_is_well_and_not_ready() {
    let stopped = status(Lifecycle::Stopped, None);
    assert_eq!((stopped.health.status, stopped.is_ready()), (HealthStatus::Ok, false));
    assert_eq!(stopped.unready, ["the node is stopped"]);
    assert!(status(Lifecycle::Running, None).is_ready());
    assert_eq!(status(Lifecycle::Running, Some("a tick panicked")).unready, ["a tick panicked"]);
}

#[test]
fn a_node_that_is_no_sequencer_is_ready_without_a_start_until_it_is_closed() {
    let follower = |lifecycle| NodeStatus { roles: Roles::FOLLOWER, ..status(lifecycle, None) }.judged([]);
    assert!(follower(Lifecycle::Idle).is_ready());
    assert_eq!(follower(Lifecycle::Closed).unready, ["the node is closed"]);
}

#[test]
fn a_node_that_is_not_ready_tells_whose_wish_that_is_and_all_that_is_amiss() {
    let wish = DesiredState {
        state: Desired::Stopped,
        by: "alice".to_owned(),
        reason: Some("db maintenance".to_owned()),
        since_ms: 0,
    };
    let stopped = NodeStatus { desired: Some(wish), ..status(Lifecycle::Stopped, None) };
    let told = stopped.judged(["no publisher has ETH".to_owned()]).unready;
    assert_eq!(told, ["the node is stopped, as alice asked: db maintenance", "no publisher has ETH"]);
}

#[test]
fn the_json_names_are_those_of_the_docs_and_it_reads_back() {
    let json = serde_json::to_value(status(Lifecycle::Running, None)).expect("serialises");
    assert_eq!(json["actual"]["lifecycle"], "running");
    assert_eq!(json["actual"]["sinceMs"], 5);
    assert!(json["head"]["unsafe"]["hash"].is_string());
    let back: NodeStatus = serde_json::from_value(json).expect("reads back");
    assert_eq!(back, status(Lifecycle::Running, None));
}
