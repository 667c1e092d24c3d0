//! Each answer, as it is printed.

use alloy::primitives::U256;
use fermata_primitives::{CheckpointNumber, Slot, UnixTime};
use fermata_validator_signer::KeyState;

use super::*;
use crate::engine::EngineStatus;
use crate::lifecycle::{Drain, Lifecycle};
use crate::phases::Phase;
use crate::requests_tracker::RequestKind;
use crate::status::{
    Desired, DesiredState, DrainStatus, Health, InFlightTx, KeyStatus, L1Status, NodeStatus, PublisherStatus,
    RequestStatus, SlotPhaseStatus, SlotStatus, Warning,
};
use crate::verbs::StopAt;

fn busy() -> NodeStatus {
    let at = |number, byte| Head { number, hash: B256::repeat_byte(byte) };
    let engine = EngineStatus {
        lifecycle: Lifecycle::Running,
        runs: 2,
        ..EngineStatus::at_rest(UnixTime::from_millis(100_000))
    };
    let mut status = NodeStatus::of_engine(&engine, UnixTime::from_millis(825_000));
    status.version = "1.2.3".to_owned();
    status.desired = Some(DesiredState {
        state: Desired::Stopped,
        by: "alice via cli".to_owned(),
        reason: Some("db maintenance".to_owned()),
        since_ms: 820_500,
    });
    status.head.unsafe_head = at(1_042, 0xab);
    status.head.safe = at(1_030, 0xcd);
    status.last_checkpoint = Some(LandedCheckpoint {
        number: CheckpointNumber(87),
        slot: Slot(91),
        l1_tx: B256::repeat_byte(0x5c),
        l1_block: 1_203,
    });
    status.l1 = Some(L1Status {
        number: 1_205,
        timestamp: 822,
        lag_ms: 3_000,
        checkpoint: Some(CheckpointNumber(87)),
        proven: None,
        base_fee_wei: U256::from(9),
        blob_base_fee_wei: None,
    });
    status.slot = Some(SlotStatus { current: Slot(92), target: Slot(93), proposer: None, ours: true });
    status.signer.keys = vec![KeyStatus::new(Address::ZERO, KeyState::default()); 3];
    let retired = KeyState { retired: true, halt: None };
    status.signer.keys.push(KeyStatus::new(Address::repeat_byte(0x22), retired));
    status.signer.listens_until = Some(Slot(95));
    status.requests = vec![RequestStatus { kind: RequestKind::Checkpoint, slot: Slot(92), age_ms: 2_140 }];
    status.publishers = vec![PublisherStatus {
        balance_wei: Some(U256::from(9_984_567_890_123_456_789_u128)),
        nonce: Some(7),
        in_flight: vec![InFlightTx { age_ms: 900, ..InFlightTx::empty("propose slot 92", 6) }],
        ..PublisherStatus::empty(Address::repeat_byte(0x11))
    }];
    status.sending.warnings = vec![Warning::new("no L1 node takes transactions", "check l1.rpc_url")];
    status.health = Health::from_reasons(vec!["L1 is 40 s behind".to_owned(), "1 publisher has no funds".to_owned()]);
    status.stop_at = Some(StopAt::Block(1_050));
    status.drain = Some(DrainStatus { mode: Drain::Graceful, since_ms: 824_000, deadline_ms: Some(829_000) });
    status.phases = vec![SlotPhaseStatus { slot: Slot(92), phase: Phase::Publishing }];
    status.judged(["the signer does not sign".to_owned()])
}

#[test]
fn a_busy_node_fits_a_small_table() {
    let expected = [
        "     state  running for 12 m 5 s (2 runs, fermata 1.2.3)",
        "     roles  sequencer, validator",
        r#"   desired  stopped, which it is not, says alice via cli 4.5 s ago: "db maintenance""#,
        "      head  #1042 0xabababab…abab",
        "            #1030 0xcdcdcdcd…cdcd safe, #0 0x00000000…0000 finalized",
        "checkpoint  87 of slot 91 in L1 block 1203, 0x5c5c5c5c…5c5c",
        "        l1  block 1205, 3.0 s behind",
        "      slot  92, building for 93, which is ours",
        " publisher  0x111111…1111  9.984 ETH, propose slot 92 for 900 ms",
        "    signer  4 keys",
        "            only listens until slot 95",
        "            0x222222…2222 is retired",
        "   planned  to stop after block 1050",
        "  draining  letting what is in flight end for 1.0 s, interrupts in 4.0 s",
        "   working  publishing the checkpoint for slot 92",
        "   sending  checkpoint of slot 92, for 2.1 s",
        "   warning  no L1 node takes transactions; check l1.rpc_url",
        "    health  L1 is 40 s behind",
        "            1 publisher has no funds",
        " not ready  the signer does not sign",
    ];
    assert_eq!(status(&busy()).lines().collect::<Vec<_>>(), expected);
    assert_eq!(progress(&busy()), "running: 1 request, slot 92, publishing the checkpoint, head #1042");
}

fn report(work: Vec<DrainedWork>) -> StopAnswer {
    let drain = DrainReport {
        outcome: DrainOutcome::Deadline,
        head: busy().head.unsafe_head,
        last_checkpoint: busy().last_checkpoint,
        work,
        failures: Vec::new(),
        took_ms: 30_012,
    };
    StopAnswer { changed: true, state: Lifecycle::Stopped, drain: Some(drain) }
}

#[test]
fn a_drain_without_work_is_told_in_two_lines() {
    let expected = "\
stopped in 30.0 s: the deadline passed, and what was left was interrupted
head #1042 0xabababab…abab, last checkpoint 87 of slot 91 in L1 block 1203, 0x5c5c5c5c…5c5c";
    assert_eq!(stopped(&report(Vec::new())), expected);
}

#[test]
fn a_drain_tells_the_end_of_each_piece_of_work() {
    let l1_tx = B256::repeat_byte(0x5c);
    let at = Head { number: 1_048, hash: B256::repeat_byte(0xef) };
    let endings = [
        (WorkKind::Checkpoint, Ending::Landed { l1_tx }, "  the checkpoint of slot 92: landed on L1, 0x5c5c5c5c…5c5c"),
        (
            WorkKind::Checkpoint,
            Ending::Failed { reason: "too late".to_owned() },
            "  the checkpoint of slot 92: did not land: too late",
        ),
        (WorkKind::Build, Ending::Cut, "  the blocks of slot 92: cut before anything was sent"),
        (
            WorkKind::Checkpoint,
            Ending::InFlight { l1_tx, head: at },
            "  the checkpoint of slot 92: cut while 0x5c5c5c5c…5c5c is in flight; if it lands, the head will be #1048 0xefefefef…efef",
        ),
        (
            WorkKind::Checkpoint,
            Ending::Aborted,
            "  the checkpoint of slot 92: heeded no interrupt and was aborted; the next start reads on L1 what became of it",
        ),
        (
            WorkKind::Attestation,
            Ending::Attested { members: 2 },
            "  another's checkpoint of slot 92: attested with 2 of its members",
        ),
        (
            WorkKind::Attestation,
            Ending::Failed { reason: "wrong header".to_owned() },
            "  another's checkpoint of slot 92: not attested: wrong header",
        ),
        (WorkKind::Checkpoint, Ending::Withheld, "  the checkpoint of slot 92: withheld from L1, as publishing is off"),
        (WorkKind::Fallback, Ending::Panicked, "  the votes of slot 92: panicked; please report it, with the log"),
    ];
    for (kind, ending, expected) in endings {
        let told = stopped(&report(vec![DrainedWork { kind, slot: Slot(92), ending }]));
        assert_eq!(told.lines().nth(1), Some(expected));
    }
    let mut failed = report(Vec::new());
    failed.drain.as_mut().expect("a drain").failures = vec!["the publisher hung".to_owned()];
    assert!(stopped(&failed).contains("\n  failed: the publisher hung\n"));
}

#[test]
fn a_node_among_others_tells_who_they_are_and_what_of_theirs_it_refused() {
    let mut status = busy();
    status.network.peers = vec!["b".to_owned(), "c".to_owned()];
    status.network.refused.insert("wrong-header".to_owned(), 2);
    let told = super::status(&status);
    assert!(told.contains("2 other nodes: b, c, 2 refused as wrong-header"), "{told}");
    assert!(!super::status(&busy()).contains("other nodes"), "one that is alone says nothing of it");
}
