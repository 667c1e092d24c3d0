use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::Header;
use alloy::primitives::B256;
use fermata_execution::Block;
use fermata_primitives::{CheckpointNumber, Slot, SystemClock, UnixTime};
use fermata_rollup::CheckpointHeader;
use tokio_util::task::TaskTracker;

use super::*;
use crate::events::SequencerEvent;
use crate::network::{Hub, Message, NodeId, Recipient};
use crate::own_keys::tests::{Bench, DOMAIN};

const FAR: UnixTime = UnixTime::from_millis(u64::MAX / 2);

fn block(slot: u64) -> ProposedBlock {
    ProposedBlock { slot: Slot(slot), index: 0, block: Block::new(Header::default(), Vec::new()) }
}

fn header(slot: u64) -> CheckpointHeader {
    CheckpointHeader { slot: Slot(slot), ..CheckpointHeader::default() }
}

fn checkpoint(slot: u64) -> ProposedCheckpoint {
    let last_block = Block::new(Header::default(), Vec::new());
    ProposedCheckpoint { number: CheckpointNumber(1), header: header(slot), earlier: Vec::new(), last_block }
}

fn attestation(slot: u64) -> Attestation {
    Attestation { archive: B256::repeat_byte(1), header: header(slot) }
}

/// A node whose lookout hears another one.
struct Heard {
    bench: Bench,
    /// What carries their messages, and this node's end of it.
    _way: (Hub, Arc<dyn Network>),
    other: Arc<dyn Network>,
    ended: CancellationToken,
    tasks: TaskTracker,
}

impl Heard {
    fn new() -> Self {
        let (bench, hub) = (Bench::new(), Hub::new(1, Arc::new(SystemClock)));
        let [here, other] = ["here", "other"].map(|name| hub.join(NodeId::new(name)).expect("its name is free"));
        let (ended, tasks) = (CancellationToken::new(), TaskTracker::new());
        let lookout = Lookout::new(here.as_ref(), bench.own_keys.clone(), DOMAIN, Arc::new(SystemClock));
        tasks.spawn(lookout.run(ended.clone()));
        Self { bench, _way: (hub, here), other, ended, tasks }
    }

    /// The other node says this, signed with a key of ours, and it comes out.
    async fn halts_on<T: Signable>(content: T)
    where
        Signed<T>: Into<Message>,
    {
        let mut heard = Self::new();
        let (duty, signed) = (content.duty(heard.bench.key.address()), heard.bench.signed(content));
        heard.other.send(Recipient::Everyone, signed.into(), FAR).await.expect("nothing hinders it");
        let event = tokio::time::timeout(Duration::from_secs(30), heard.bench.heard.recv()).await;
        let event = event.expect("it is told in time").expect("nothing was missed");
        assert!(matches!(event, SequencerEvent::KeyHalted { slot, .. } if slot == duty.slot), "{event:?}");
        let halt = heard.bench.signer.protection().key_states()[&duty.validator].halt;
        assert_eq!(halt.map(|halt| halt.duty), Some(duty));
        heard.ended.cancel();
        heard.tasks.close();
        heard.tasks.wait().await;
        heard.bench.signer.close().await;
    }
}

#[tokio::test]
async fn whatever_another_node_says_in_the_name_of_our_key_is_heard_also_where_nothing_runs() {
    Heard::halts_on(block(7)).await;
    Heard::halts_on(checkpoint(8)).await;
    Heard::halts_on(attestation(9)).await;
}

#[tokio::test]
async fn what_this_node_said_itself_and_what_others_say_in_their_names_halts_nothing() {
    let mut heard = Heard::new();
    heard.bench.signer.start().expect("it starts");
    let ours = heard.bench.key.address();
    let ours = Signed::sign(attestation(7), ours, FAR, &heard.bench.signer, &DOMAIN).await.expect("it is new");
    let theirs = heard.bench.signed_by(&heard.bench.stranger, attestation(7));
    let elsewhere = heard.bench.signed(attestation(9));
    for message in [Message::from(ours), theirs.into(), elsewhere.into()] {
        heard.other.send(Recipient::Everyone, message, FAR).await.expect("nothing hinders it");
    }
    let event = tokio::time::timeout(Duration::from_secs(30), heard.bench.heard.recv()).await;
    let event = event.expect("it is told in time").expect("nothing was missed");
    assert!(matches!(event, SequencerEvent::KeyHalted { slot: Slot(9), .. }), "the last one alone: {event:?}");
    heard.bench.signer.close().await;
}
