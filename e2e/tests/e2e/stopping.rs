//! Stopped at any moment: what the report says is what L1 has, and the head it tells is the next block's parent.

use std::time::Duration;

use alloy::primitives::B256;
use alloy::providers::Provider as _;
use anyhow::Context as _;
use fermata_e2e::{L1Proxy, Net, NetNode, Watch};
use fermata_execution::Execution as _;
use fermata_primitives::{CheckpointNumber, Slot};
use fermata_sequencer::catalogue::Reason;
use fermata_sequencer::drain::{DrainOutcome, DrainReport, Ending, WorkKind};
use fermata_sequencer::events::SequencerEvent;
use fermata_sequencer::lifecycle::{Drain, Lifecycle};
use fermata_sequencer::phases::Phase;
use fermata_sequencer::verbs::{Author, StartRequest, StopAt, StopRequest, VerbError};

type Result<T = ()> = anyhow::Result<T>;

/// A chain, its one node, and what the node has done since it last stood still.
struct Story {
    net: Net,
    l1: L1Proxy,
    node: NetNode,
    watch: Watch,
    /// The newest checkpoint on L1 when it last stood still.
    landed_before: CheckpointNumber,
}

impl Story {
    async fn begin() -> Result<Self> {
        let net = Net::start().await?;
        let l1 = L1Proxy::start(&net.chain().anvil.url()).await?;
        let node = net.open_node_with("a", &[("l1.rpc_url", l1.url())]).await?;
        let watch = net.watch(&node);
        let landed_before = net.pending().await?;
        Ok(Self { net, l1, node, watch, landed_before })
    }

    async fn enters(&mut self, phase: Phase) -> Result<Slot> {
        let entered = |event: &SequencerEvent| {
            if let SequencerEvent::PhaseEntered { slot, phase: now } = event {
                (*now == phase).then_some(*slot)
            } else {
                None
            }
        };
        self.watch.until(&format!("{phase:?}"), entered).await
    }

    /// Checkpoints that were said to have landed.
    fn published(&self) -> u64 {
        let landed = |event: &&SequencerEvent| matches!(event, SequencerEvent::CheckpointPublished { .. });
        self.watch.seen().iter().filter(landed).count() as u64
    }

    /// Waits until nothing of a slot up to now can land any more, and the node has seen that.
    async fn slots_are_over(&self) -> Result {
        let node = self.node.node();
        let times = node.timetable().times();
        let end = times.end_of(node.timetable().target_slot(node.clock().now()));
        node.l1_head().wait_for(|head| head.timestamp >= end).await?;
        Ok(())
    }

    /// Once its slots are over, L1 has exactly what the report and the events before it say, and nothing was sent or told
    /// after the stop had answered. Gives the head.
    async fn assert_true(&mut self, report: &DrainReport) -> Result<B256> {
        self.watch.catch_up();
        let (published, broadcasts) = (self.published(), self.l1.broadcasts());
        let mut after = self.node.node().events();
        self.slots_are_over().await?;
        assert_eq!(self.l1.broadcasts(), broadcasts, "something was sent after the stop had answered");
        while let Ok(event) = after.try_recv() {
            assert!(matches!(event, SequencerEvent::L1TipMoved { .. }), "told after the stop had answered: {event:?}");
        }
        let (mut head, mut landed) = (report.head.hash, published);
        for work in &report.work {
            match &work.ending {
                Ending::Landed { l1_tx } => assert!(self.succeeded(*l1_tx).await?, "{work:?}"),
                Ending::InFlight { l1_tx, head: if_landed } if self.succeeded(*l1_tx).await? => {
                    landed += 1;
                    head = if_landed.hash;
                }
                Ending::InFlight { .. } | Ending::Cut | Ending::Failed { .. } => {}
                Ending::Attested { .. } | Ending::Withheld | Ending::Aborted | Ending::Panicked => panic!("{report:?}"),
            }
        }
        let pending = self.net.pending().await?;
        assert_eq!(pending.0, self.landed_before.0 + landed, "{report:?}");
        assert_eq!(self.net.archive_at(pending).await?, head, "{report:?}");
        self.landed_before = pending;
        Ok(head)
    }

    async fn succeeded(&self, l1_tx: B256) -> Result<bool> {
        let receipt = self.net.chain().provider.get_transaction_receipt(l1_tx).await?;
        Ok(receipt.is_some_and(|receipt| receipt.status()))
    }

    /// Starts again; the next block that is built stands on `parent`.
    async fn goes_on_from(&mut self, parent: B256) -> Result {
        self.watch = self.net.watch(&self.node);
        self.node.start().await?;
        assert_eq!(self.next_parent().await?, parent);
        Ok(())
    }

    /// The parent of the next block.
    async fn next_parent(&mut self) -> Result<B256> {
        let block = |event: &SequencerEvent| {
            if let SequencerEvent::BlockProposed { hash, .. } = event { Some(*hash) } else { None }
        };
        let first = self.watch.until("block", block).await?;
        let first = self.node.node().execution().block(first).await?.context("it is stored")?;
        Ok(first.header().parent_hash)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_each_phase_of_a_slot_lands_the_checkpoint_or_not_exactly_as_its_report_says() -> Result {
    let mut story = Story::begin().await?;
    story.node.start().await?;
    for phase in [Phase::Building, Phase::Proposing, Phase::Collecting, Phase::Publishing] {
        let slot = story.enters(phase).await?;
        let report = story.node.stop(Drain::Graceful).await?.context("it ran")?;
        assert_eq!((report.outcome, &report.failures), (DrainOutcome::Drained, &Vec::new()), "{phase:?}");
        let landed = report.work.iter().find(|work| work.slot == slot && work.kind == WorkKind::Checkpoint);
        assert!(matches!(landed.map(|work| &work.ending), Some(Ending::Landed { .. })), "{phase:?}: {report:?}");
        story.watch.catch_up();
        story.watch.assert_no_failures();
        let head = story.assert_true(&report).await?;
        assert_eq!(head, report.head.hash);
        story.goes_on_from(head).await?;

        story.enters(phase).await?;
        let report = story.node.stop(Drain::Interrupt).await?.context("it ran")?;
        assert_eq!((report.outcome, &report.failures), (DrainOutcome::Interrupted, &Vec::new()), "{phase:?}");
        let head = story.assert_true(&report).await?;
        story.goes_on_from(head).await?;
    }
    story.node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_right_after_a_start_is_as_true_as_any() -> Result {
    let mut story = Story::begin().await?;
    for drain in [Drain::Graceful, Drain::Interrupt] {
        story.node.start().await?;
        let report = story.node.stop(drain).await?.context("it ran")?;
        let head = story.assert_true(&report).await?;
        story.watch = story.net.watch(&story.node);
        if drain == Drain::Graceful {
            assert_eq!(head, report.head.hash);
        }
    }
    story.node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_it_is_interrupted_and_restarted_at_once_the_head_it_told_is_the_next_blocks_parent() -> Result {
    let mut story = Story::begin().await?;
    story.node.start().await?;
    for round in 1..=12 {
        // Moments all over a slot and the next.
        let mut events = 0;
        let nth = |_: &SequencerEvent| {
            events += 1;
            (events >= round).then_some(())
        };
        story.watch.until("event", nth).await?;
        let report = story.node.stop(Drain::Interrupt).await?.context("it ran")?;
        story.watch = story.net.watch(&story.node);
        story.node.start().await?;
        let parent = story.next_parent().await?;
        let in_flight = report.work.iter().find_map(|work| {
            if let Ending::InFlight { l1_tx, head } = &work.ending { Some((*l1_tx, head.hash)) } else { None }
        });
        match in_flight {
            Some((l1_tx, head)) if parent == head => assert!(story.succeeded(l1_tx).await?, "{report:?}"),
            Some(_) | None => assert_eq!(parent, report.head.hash, "round {round}: {report:?}"),
        }
    }
    story.node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_stop_ends_with_its_slot_or_its_block() -> Result {
    let mut story = Story::begin().await?;
    let node = story.node.node().clone();
    story.node.start().await?;
    story.watch.checkpoint(1).await?;
    let report = story.node.stop(Drain::Graceful).await?.context("it ran")?;
    let head = story.assert_true(&report).await?;
    story.goes_on_from(head).await?;
    let last = Slot(story.enters(Phase::Building).await?.0 + 1);
    let answer = node.engine().stop(StopRequest::of(Drain::Graceful).at(StopAt::Slot(last))).await?;
    let report = answer.drain.context("it ran")?;
    story.watch.catch_up();
    story.watch.assert_no_failures();
    assert_eq!(report.last_checkpoint.as_ref().with_context(|| format!("{report:?}"))?.slot, last);
    let head = story.assert_true(&report).await?;
    story.goes_on_from(head).await?;

    let block = report.head.number + 8;
    let answer = node.engine().stop(StopRequest::of(Drain::Graceful).at(StopAt::Block(block))).await?;
    let report = answer.drain.context("it ran")?;
    assert_eq!(report.head.number, block, "{report:?}");
    let head = story.assert_true(&report).await?;
    assert_eq!(head, report.head.hash, "the checkpoint that ends with it has landed");
    story.node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_at_a_head_starts_there_and_nowhere_else() -> Result {
    let mut story = Story::begin().await?;
    let engine = story.node.node().engine().clone();
    let at = |head| StartRequest::by(Author::new("alice")).at(head);
    let genesis = story.net.archive_at(CheckpointNumber(0)).await?;
    engine.start(at(genesis)).await?;
    story.watch.checkpoint(1).await?;
    let report = story.node.stop(Drain::Graceful).await?.context("it ran")?;

    let refused = |error: VerbError| if let VerbError::Start(parts) = error { Some(parts) } else { None };
    let mismatch = refused(engine.start(at(genesis)).await.expect_err("not the head")).context("a part refused")?;
    assert_eq!(mismatch.reason, Reason::HeadMismatch);
    let heads = mismatch.heads.context("it tells both heads")?;
    assert_eq!((heads.have, heads.want), (report.head, genesis));
    let nowhere = at(B256::repeat_byte(9)).waiting(Duration::from_millis(300));
    let unknown = refused(engine.start(nowhere).await.expect_err("no such block")).context("a part refused")?;
    assert_eq!(unknown.reason, Reason::NotSynced);
    assert_eq!(engine.status().borrow().lifecycle, Lifecycle::Stopped, "nothing was started");

    story.watch = story.net.watch(&story.node);
    assert_eq!(engine.start(at(report.head.hash)).await?.head, report.head);
    assert_eq!(story.next_parent().await?, report.head.hash);
    story.node.close().await
}
