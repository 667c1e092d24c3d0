//! Nodes that hear one another, as the stories of committees have them.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy::primitives::{B256, U256};
use anyhow::{Result, ensure};
use fermata_e2e::{Net, NetNode, NetOptions, Watch, number_in_env};
use fermata_primitives::Slot;
use fermata_sequencer::events::SequencerEvent;
use futures::future::select_ok;
use futures::{FutureExt as _, TryFutureExt as _};

pub(crate) const FOUR: [&str; 4] = ["a", "b", "c", "d"];

/// How many slots a long story goes on: as many as `STORY_SLOTS` asks for, or so many.
pub(crate) fn story_slots(usually: u64) -> Result<u64> {
    number_in_env("STORY_SLOTS", usually)
}

/// Nodes that hear one another, and what each has done since it was started.
pub(crate) struct Nodes {
    pub(crate) net: Net,
    pub(crate) nodes: Vec<NetNode>,
    pub(crate) watches: Vec<Watch>,
}

impl Nodes {
    pub(crate) async fn start(options: NetOptions, names: &[&str], changes: &[(&str, &str)]) -> Result<Self> {
        let net = Net::start_with(options).await?;
        let nodes = net.open_nodes(names, changes).await?;
        Self::begin(net, nodes).await
    }

    /// Starts nodes that are open.
    pub(crate) async fn begin(net: Net, nodes: Vec<NetNode>) -> Result<Self> {
        let watches = nodes.iter().map(|node| net.watch(node)).collect();
        for node in &nodes {
            node.start().await?;
        }
        Ok(Self { net, nodes, watches })
    }

    /// The first slot whose whole build frame lies ahead.
    pub(crate) fn next_whole_slot(&self) -> Slot {
        let node = self.nodes[0].node();
        node.timetable().target_slot(node.clock().now()).next()
    }

    /// Waits until every one of these nodes sees `more` checkpoints above what the contract has.
    pub(crate) async fn go_on_by(&mut self, more: u64, which: &[usize]) -> Result<u64> {
        let number = self.net.pending().await?.0 + more;
        for at in which {
            let what = format!("checkpoint {number} at {}", self.nodes[*at].name());
            let reached = |event: &SequencerEvent| {
                matches!(event, SequencerEvent::L1TipMoved { checkpoint, .. } if checkpoint.0 >= number).then_some(())
            };
            if self.tip(*at) < number {
                self.watches[*at].until(&what, reached).await?;
            }
        }
        self.watches.iter_mut().for_each(Watch::catch_up);
        Ok(number)
    }

    /// The first of the nodes at which there was, or will be, an event that `wanted` takes.
    pub(crate) async fn first_with<T: Send>(
        &mut self,
        what: &str,
        wanted: impl Fn(&SequencerEvent) -> Option<T> + Sync,
    ) -> Result<(usize, T)> {
        for (at, watch) in self.watches.iter().enumerate() {
            if let Some(found) = watch.seen().iter().find_map(&wanted) {
                return Ok((at, found));
            }
        }
        self.next_with(what, wanted).await
    }

    /// The node at which such an event comes first, after what was seen.
    pub(crate) async fn next_with<T: Send>(
        &mut self,
        what: &str,
        wanted: impl Fn(&SequencerEvent) -> Option<T> + Sync,
    ) -> Result<(usize, T)> {
        let wanted = &wanted;
        let waiting = self.watches.iter_mut().enumerate().map(|(at, watch)| {
            let found = watch.until(what, wanted);
            found.map_ok(move |found| (at, found)).boxed()
        });
        Ok(select_ok(waiting).await?.0)
    }

    fn tip(&self, at: usize) -> u64 {
        self.nodes[at].node().workshop().chain.tip().borrow().map_or(0, |tip| tip.number.0)
    }

    /// Which node published which slot, from `first` on.
    pub(crate) fn published(&self, first: Slot) -> BTreeMap<Slot, usize> {
        let mut by = BTreeMap::new();
        for (at, watch) in self.watches.iter().enumerate() {
            for event in watch.seen() {
                if let SequencerEvent::CheckpointPublished { slot, .. } = event {
                    by.insert(*slot, at);
                }
            }
        }
        by.retain(|slot, _| *slot >= first);
        by
    }

    /// Every slot from `first` on has a checkpoint, of the node whose turn it was, and nothing failed.
    pub(crate) async fn assert_every_slot(&self, first: Slot) -> Result<()> {
        let by = self.published(first);
        let last = by.keys().last().copied().unwrap_or_default();
        ensure!(
            last.0 + 1 - first.0 == by.len() as u64,
            "a slot from {first} on was left out: {by:?}\n{}",
            self.told(first)
        );
        for (slot, at) in &by {
            let time = U256::from(self.net.times().start_of(*slot).0);
            let proposer = self.net.rollup().getProposerAt(time).call().await?;
            let keys = self.nodes[*at].node().workshop().signer.addresses();
            ensure!(keys.contains(&proposer), "slot {slot} was not the turn of {}", self.nodes[*at].name());
        }
        ensure!(self.watches.iter().all(|watch| watch.failures_from(first).is_empty()), "{}", self.told(first));
        Ok(())
    }

    /// What went wrong from `first` on, by node.
    fn told(&self, first: Slot) -> String {
        let mut lines = Vec::new();
        for (node, watch) in self.nodes.iter().zip(&self.watches) {
            for event in watch.seen() {
                let is_bad = event.is_failure()
                    || matches!(event, SequencerEvent::ProposalRefused { .. } | SequencerEvent::ProposalDropped { .. });
                if is_bad && event.slot().is_none_or(|slot| slot >= first) {
                    lines.push(format!("{}: {event:?}", node.name()));
                }
            }
        }
        lines.join("\n")
    }

    /// Nobody has seen a key sign two proposals for one duty.
    pub(crate) fn assert_nobody_signed_twice(&self) {
        for node in &self.nodes {
            assert_eq!(node.node().workshop().peers.evidence.all(), [], "{}", node.name());
        }
    }

    /// All nodes that run have the same chain, as the contract has it.
    pub(crate) async fn assert_one_chain(&self) -> Result<()> {
        let pending = self.net.pending().await?;
        let archive = self.net.archive_at(pending).await?;
        for node in &self.nodes {
            let mut tip = node.node().workshop().chain.tip();
            let there = tip.wait_for(|tip| tip.is_some_and(|tip| tip.number >= pending));
            tokio::time::timeout(Duration::from_secs(60), there).await??;
            let stored = node.node().workshop().execution.block(archive).await?;
            ensure!(stored.is_some(), "{} lacks checkpoint {pending}", node.name());
        }
        Ok(())
    }
}

/// Waits until the node has published a checkpoint.
pub(crate) async fn publishes(watch: &mut Watch) -> Result<()> {
    watch.until("own checkpoint", |e| matches!(e, SequencerEvent::CheckpointPublished { .. }).then_some(())).await
}

/// The hash of the node's L2 head.
pub(crate) async fn head(node: &NetNode) -> Result<B256> {
    Ok(node.node().workshop().chain.heads().await?.unsafe_head.hash)
}
