use std::time::Duration;

use alloy::consensus::Header;
use alloy::primitives::B256;
use fermata_execution::Block;
use fermata_primitives::{ManualClock, Slot};
use fermata_rollup::{CheckpointHeader, L1Signature};

use super::*;
use crate::network::{Attestation, Inbox, Incoming, MAX_HASHES, Message, Network, Recipient, Signed, Traffic};

const START: UnixTime = UnixTime::from_millis(1_000_000);
const FAR: UnixTime = UnixTime(Duration::from_secs(1_000_000));
/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A network of three nodes on a clock that is moved by hand.
struct Setup {
    clock: Arc<ManualClock>,
    hub: Hub,
    nodes: [Arc<InProcessNetwork>; 3],
}

fn setup(seed: u64, settings: LinkSettings) -> Setup {
    let clock = Arc::new(ManualClock::new(START));
    let hub = Hub::new(seed, Arc::<ManualClock>::clone(&clock) as SharedClock);
    hub.set_every_link(settings);
    let nodes = ["a", "b", "c"].map(|name| hub.join(NodeId::new(name)).expect("its name is free"));
    Setup { clock, hub, nodes }
}

fn latency(millis: u64) -> LinkSettings {
    LinkSettings { latency: Duration::from_millis(millis), ..LinkSettings::default() }
}

fn attestation(slot: u64) -> Message {
    let header = CheckpointHeader { slot: Slot(slot), ..CheckpointHeader::default() };
    Signed::new(Attestation { archive: B256::ZERO, header }, L1Signature::EMPTY).into()
}

fn block(number: u64) -> Block {
    Block::new(Header { number, ..Header::default() }, Vec::new())
}

async fn within<T>(happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happens).await.expect("it happens in time")
}

async fn broadcast(from: &InProcessNetwork, slots: std::ops::Range<u64>) {
    for slot in slots {
        from.send(Recipient::Everyone, attestation(slot), FAR).await.expect("nothing hinders it");
    }
}

/// Slots of the next `count` attestations.
async fn slots(inbox: &mut Inbox<Signed<Attestation>>, count: usize) -> Vec<u64> {
    let mut slots = Vec::new();
    while slots.len() < count {
        match within(inbox.recv()).await.expect("the network goes on") {
            Incoming::Message(received) => slots.push(received.message.content().header.slot.0),
            Incoming::Missed(missed) => panic!("{missed} were missed"),
        }
    }
    slots
}

/// The traffic of `node`, once it is as asked.
async fn traffic(node: &InProcessNetwork, is_as_asked: impl Fn(&Traffic) -> bool) -> Traffic {
    let poll = async {
        loop {
            let traffic = node.traffic();
            if is_as_asked(&traffic) {
                return traffic;
            }
            tokio::task::yield_now().await;
        }
    };
    within(poll).await
}

#[tokio::test]
async fn a_broadcast_reaches_every_other_node_and_a_message_to_one_reaches_it_alone() {
    let Setup { hub, nodes: [a, b, c], .. } = setup(1, LinkSettings::default());
    let (mut at_a, mut at_b, mut at_c) = (a.attestations(), b.attestations(), c.attestations());
    assert_eq!(a.peers(), [NodeId::new("b"), NodeId::new("c")]);
    let dispatch = a.send(Recipient::Everyone, attestation(1), FAR).await.expect("nothing hinders it");
    assert_eq!(dispatch.on_the_way, 2);
    b.send(Recipient::Node(NodeId::new("c")), attestation(2), FAR).await.expect("nothing hinders it");
    assert_eq!(slots(&mut at_c, 2).await, [1, 2]);
    broadcast(&c, 3..4).await;
    assert_eq!(slots(&mut at_b, 2).await, [1, 3], "what was for c alone did not reach b");
    assert_eq!(slots(&mut at_a, 1).await, [3], "nobody hears its own");
    hub.close().await;
}

#[tokio::test]
async fn a_clock_that_jumps_forwards_delivers_what_is_due() {
    let Setup { clock, hub: _hub, nodes: [a, b, _c] } = setup(1, latency(60_000));
    let mut inbox = b.attestations();
    broadcast(&a, 0..3).await;
    clock.set(START + Duration::from_secs(3_600));
    assert_eq!(slots(&mut inbox, 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_quick_link_does_not_wait_for_a_slow_one() {
    let Setup { clock, hub, nodes: [a, b, c] } = setup(1, latency(60_000));
    hub.set_link(a.id(), c.id(), LinkSettings::default());
    let (mut at_b, mut at_c) = (b.attestations(), c.attestations());
    broadcast(&a, 0..1).await;
    assert_eq!(slots(&mut at_c, 1).await, [0]);
    broadcast(&a, 1..2).await;
    assert_eq!(slots(&mut at_c, 1).await, [1], "while the first is on its way to b");
    assert_eq!(b.traffic().received.messages, 0);
    clock.advance(Duration::from_secs(60));
    assert_eq!(slots(&mut at_b, 2).await, [0, 1]);
}

#[tokio::test]
async fn the_same_seed_and_sends_give_the_same_trace() {
    let trace = async |seed| {
        let chaotic = LinkSettings { jitter: Duration::from_secs(5), loss: Share::percent(30), ..latency(100) };
        let Setup { clock, hub, nodes: [a, b, _c] } = setup(seed, chaotic);
        let mut inbox = b.attestations();
        broadcast(&a, 0..50).await;
        let lost = a.traffic().dropped(Dropped::Lost);
        clock.advance(Duration::from_secs(10));
        hub.set_link(a.id(), b.id(), LinkSettings::default());
        broadcast(&a, 99..100).await;
        let mut trace = Vec::new();
        while trace.last() != Some(&99) {
            trace.extend(slots(&mut inbox, 1).await);
        }
        assert!(trace.len() < 51 && lost > 0);
        trace
    };
    let first = trace(5).await;
    assert_eq!(trace(5).await, first);
    assert_ne!(trace(6).await, first);
}

#[tokio::test]
async fn a_partition_parts_the_nodes_and_heals() {
    let Setup { hub, nodes: [a, b, c], .. } = setup(1, LinkSettings::default());
    let (mut at_b, mut at_c) = (b.attestations(), c.attestations());
    hub.partition(&[&[NodeId::new("a"), NodeId::new("b")]]);
    broadcast(&a, 0..1).await;
    assert_eq!(slots(&mut at_b, 1).await, [0]);
    assert_eq!(a.traffic().dropped(Dropped::CutOff), 1);
    hub.heal();
    broadcast(&a, 1..2).await;
    assert_eq!(slots(&mut at_c, 1).await, [1], "what was sent meanwhile is gone");
}

#[tokio::test]
async fn a_dropped_subscription_is_never_called_again_and_a_new_one_hears_what_is_new() {
    let Setup { hub: _hub, nodes: [a, b, _c], .. } = setup(1, LinkSettings::default());
    drop(b.attestations());
    broadcast(&a, 0..2).await;
    traffic(&b, |traffic| traffic.dropped(Dropped::Unheard) == 2).await;
    let mut inbox = b.attestations();
    broadcast(&a, 2..3).await;
    assert_eq!(slots(&mut inbox, 1).await, [2]);
}

#[tokio::test]
async fn a_slow_receiver_is_told_how_many_it_lost_and_gets_the_newest() {
    let Setup { hub: _hub, nodes: [a, b, _c], .. } = setup(1, LinkSettings::default());
    let mut inbox = b.attestations();
    broadcast(&a, 0..1_000).await;
    traffic(&b, |traffic| traffic.received.messages == 1_000).await;
    broadcast(&a, 1_000..1_124).await;
    traffic(&b, |traffic| traffic.received.messages == 1_124).await;
    assert_eq!(within(inbox.recv()).await, Some(Incoming::Missed(100)));
    assert_eq!(slots(&mut inbox, 1_024).await, (100..1_124).collect::<Vec<_>>());
    assert_eq!(b.traffic().dropped(Dropped::Overflow), 100);
}

#[tokio::test]
async fn a_link_with_too_much_on_the_way_says_so() {
    let Setup { hub: _hub, nodes: [a, _b, c], .. } = setup(1, latency(1));
    drop(c);
    broadcast(&a, 0..1_024).await;
    let dispatch = a.send(Recipient::Everyone, attestation(0), FAR).await.expect("it is told");
    assert_eq!((dispatch.on_the_way, dispatch.full), (0, vec![NodeId::new("b")]));
    assert_eq!(a.traffic().dropped(Dropped::LinkFull), 1);
}

#[tokio::test]
async fn a_request_is_answered_with_the_blocks_there_are() {
    let Setup { clock, hub: _hub, nodes: [a, b, _c] } = setup(1, latency(500));
    let mut requests = b.block_requests();
    let hashes = vec![block(1).hash(), block(2).hash()];
    let serve = async {
        let request = requests.recv().await.expect("a request arrives");
        assert_eq!((&request.from, &request.hashes), (a.id(), &hashes));
        clock.advance(Duration::from_millis(500));
        assert_eq!(request.answer(vec![block(2)]), 1);
        clock.advance(Duration::from_millis(500));
    };
    let asked = a.request_blocks(b.id().clone(), hashes.clone(), FAR);
    let ask = async {
        let asked = std::pin::pin!(asked);
        let under_way = async { clock.advance(Duration::from_millis(500)) };
        tokio::join!(asked, under_way).0
    };
    let (answered, ()) = within(async { tokio::join!(ask, serve) }).await;
    assert_eq!(answered.expect("it is answered"), [block(2)]);
}

#[tokio::test]
async fn a_request_that_nobody_answers_ends_at_its_deadline() {
    let Setup { clock, hub: _hub, nodes: [a, b, _c] } = setup(1, LinkSettings::default());
    let deadline = START + Duration::from_secs(3);
    let mut requests = b.block_requests();
    let ask = a.request_blocks(b.id().clone(), vec![B256::ZERO], deadline);
    let ignore = async {
        drop(requests.recv().await);
        clock.advance(Duration::from_secs(4));
    };
    let (asked, ()) = within(async { tokio::join!(ask, ignore) }).await;
    assert!(matches!(asked, Err(NetworkError::NoAnswer(from)) if from == *b.id()));
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for_is_refused_and_one_that_comes_late_is_dropped() {
    let Setup { hub: _hub, nodes: [a, b, _c], .. } = setup(1, LinkSettings::default());
    let mut requests = b.block_requests();
    let ask = a.request_blocks(b.id().clone(), vec![block(1).hash()], FAR);
    let serve = async { requests.recv().await.expect("a request arrives").answer(vec![block(7)]) };
    let (asked, _) = within(async { tokio::join!(ask, serve) }).await;
    assert!(matches!(asked, Err(NetworkError::BadAnswer { .. })), "{asked:?}");
    assert_eq!(a.traffic().dropped(Dropped::NotAskedFor), 1);

    let ask = a.request_blocks(b.id().clone(), vec![block(1).hash()], FAR);
    let request = within(async {
        tokio::select! {
            asked = ask => panic!("nobody has answered: {asked:?}"),
            request = requests.recv() => request.expect("a request arrives"),
        }
    });
    request.await.answer(vec![block(1)]);
    traffic(&a, |traffic| traffic.dropped(Dropped::Late) == 1).await;
}

#[tokio::test]
async fn the_newest_server_of_requests_takes_the_place_of_the_one_before() {
    let Setup { hub: _hub, nodes: [a, b, _c], .. } = setup(1, LinkSettings::default());
    let mut older = b.block_requests();
    let mut newer = b.block_requests();
    assert!(within(older.recv()).await.is_none());
    let ask = a.request_blocks(b.id().clone(), vec![block(1).hash()], FAR);
    let serve = async { newer.recv().await.expect("a request arrives").answer(vec![block(1)]) };
    let (asked, _) = within(async { tokio::join!(ask, serve) }).await;
    assert_eq!(asked.expect("it is answered"), [block(1)]);
}

#[tokio::test]
async fn garbage_is_dropped_and_counted_and_what_follows_is_heard() {
    let Setup { hub: _hub, nodes: [a, b, _c], .. } = setup(1, LinkSettings::default());
    let mut inbox = b.attestations();
    for garbage in [&[][..], &[1, 3, 0xff], &[1, 99, 0], &[2], &[1, 4, 0xc0]] {
        a.send_bytes(Bytes::copy_from_slice(garbage), FAR).expect("nothing hinders it");
    }
    a.send_bytes(Bytes::from([vec![1, 3], vec![0; 5_000]].concat()), FAR).expect("nothing hinders it");
    broadcast(&a, 1..2).await;
    assert_eq!(slots(&mut inbox, 1).await, [1]);
    let dropped = b.traffic().dropped;
    let want =
        [(Dropped::UnknownVersion, 1), (Dropped::UnknownKind, 2), (Dropped::TooLarge, 1), (Dropped::Malformed, 2)];
    assert_eq!(dropped, BTreeMap::from(want));
}

#[tokio::test]
async fn what_is_sent_too_late_too_large_or_to_nobody_is_refused() {
    let Setup { hub: _hub, nodes: [a, b, _c], .. } = setup(1, LinkSettings::default());
    let late = a.send(Recipient::Everyone, attestation(1), START - Duration::from_secs(2)).await;
    assert!(matches!(late, Err(NetworkError::Late { by }) if by == Duration::from_secs(2)));
    for nobody in ["a", "z"] {
        let sent = a.send(Recipient::Node(NodeId::new(nobody)), attestation(1), FAR).await;
        assert!(matches!(sent, Err(NetworkError::NotConnected(id)) if id.as_str() == nobody));
    }
    let asked = a.request_blocks(b.id().clone(), vec![B256::ZERO; MAX_HASHES + 1], FAR).await;
    assert!(matches!(asked, Err(NetworkError::Unsendable(_))), "{asked:?}");
    assert_eq!(a.traffic(), Traffic::default());
}

#[tokio::test]
async fn a_node_that_has_left_hears_nothing_and_its_name_is_free() {
    let Setup { clock, hub, nodes: [a, b, _c] } = setup(1, latency(1_000));
    let (id, mut inbox) = (b.id().clone(), b.attestations());
    assert!(matches!(hub.join(id.clone()), Err(NetworkError::NameTaken(taken)) if taken == id));
    a.send(Recipient::Node(id.clone()), attestation(1), FAR).await.expect("nothing hinders it");
    drop(b);
    assert_eq!(within(inbox.recv()).await, None);
    assert_eq!(a.peers(), [NodeId::new("c")]);
    clock.advance(Duration::from_secs(1));
    traffic(&a, |traffic| traffic.dropped(Dropped::Gone) == 1).await;
    let mut inbox = hub.join(id.clone()).expect("its name is free").attestations();
    assert_eq!(within(inbox.recv()).await, None, "it left at once");
}
