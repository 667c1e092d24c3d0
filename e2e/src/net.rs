//! An L1 with the rollup on it, and a place for the nodes' files.

mod transactions;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::B256;
use alloy::providers::DynProvider;
use anyhow::{Context as _, Result, ensure};
use fermata_anvil::{DeployConfig, DevChain};
use fermata_primitives::{CheckpointNumber, Epoch, L1FollowingClock, L1Timestamp, Slot, SlotTimes};
use fermata_rollup::contracts::IRollup;
use fermata_sequencer::config::{NodeConfig, Setting, Sources};
use fermata_sequencer::dev::{self, Seat};
use fermata_sequencer::network::{Hub, NodeId};
use fermata_sequencer::node::Surroundings;
use tempfile::TempDir;

use crate::pace::{Counted, KeepsPace, Patience};
use crate::timeline::{L1Transactions, Mark, Recorder, Timeline};
use crate::wait::{Condition, Wait};
use crate::{ChildNode, Entry, L1, NetBuilder, NetNode, SharedSequencer, Watch};

/// What a test chain is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetOptions {
    /// Seconds of a slot; an L1 block comes every second.
    pub slot_secs: u64,
    /// How many validators stake; the committee is all of them.
    pub validators: u32,
    /// Slots of an epoch.
    pub epoch_slots: u64,
    /// Full epochs after an epoch in which its proof may come, before its checkpoints can be pruned.
    pub proof_submission_epochs: u64,
}

/// What a story takes from its net's being there to its first node's.
const NODE_START: Duration = Duration::from_millis(500);

/// The links of every test lose and delay the same.
const SEED: u64 = 7;

impl Default for NetOptions {
    fn default() -> Self {
        Self { slot_secs: 3, validators: 4, epoch_slots: 32, proof_submission_epochs: 5_000 }
    }
}

/// A test chain. Dropped, its L1 ends and its files vanish.
#[derive(Debug)]
pub struct Net {
    /// The nodes that the net was built with; they go before their L1 does.
    pub(crate) nodes: Vec<NetNode>,
    pub(crate) processes: Vec<ChildNode>,
    recorder: Recorder,
    chain: DevChain,
    /// What L1's blocks come by, and what the nodes in this process live by.
    clock: Arc<L1FollowingClock>,
    /// What waits are measured by: it goes at the pace of the machine, as L1 does, and no warp moves it.
    patience: Arc<L1FollowingClock>,
    _keeps_pace: KeepsPace,
    /// L1's process, whose threads wait for a core as well.
    counts_l1: Mutex<Option<Counted>>,
    /// The links between nodes in this process.
    hub: Hub,
    validators: u32,
    /// Held by the warp under way.
    pub(crate) warping: tokio::sync::Mutex<()>,
    dir: TempDir,
}

impl Net {
    /// What a net is to be like: how many nodes, validators, slots how long.
    pub fn builder() -> NetBuilder {
        NetBuilder::default()
    }

    /// An L1 with a rollup on it and no node yet, with the usual options.
    ///
    /// # Errors
    /// The L1 did not come up; the error names the tool that is missing and the command that installs it.
    pub async fn start() -> Result<Self> {
        Self::start_with(NetOptions::default()).await
    }

    /// As [`Net::start`], with these options.
    ///
    /// # Errors
    /// As [`Net::start`].
    pub async fn start_with(options: NetOptions) -> Result<Self> {
        Self::start_deployed(options, |_| ()).await
    }

    /// As [`Net::start`], with a rollup that is deployed with what `change` makes of it.
    ///
    /// # Errors
    /// As [`Net::start`], or the rollup cannot be deployed like that.
    pub async fn start_deployed(options: NetOptions, change: impl FnOnce(&mut DeployConfig)) -> Result<Self> {
        let mut config = dev::chain_config()?.with_committee_of(options.validators);
        config.deploy.slot_secs = options.slot_secs;
        config.deploy.epoch_slots = options.epoch_slots;
        config.deploy.proof_submission_epochs = options.proof_submission_epochs;
        change(&mut config.deploy);
        let clock = Arc::new(L1FollowingClock::new());
        config.node_start = NODE_START;
        let chain = DevChain::restore(config, Arc::<L1FollowingClock>::clone(&clock)).await?;
        let dir = tempfile::tempdir()?;
        chain.deployment.addresses.save(&dir.path().join("addresses.json"))?;
        let hub = Hub::new(SEED, Arc::<L1FollowingClock>::clone(&clock));
        let warping = tokio::sync::Mutex::default();
        let patience = Arc::new(L1FollowingClock::new());
        let keeps_pace = KeepsPace::begin(vec![Arc::clone(&clock), Arc::clone(&patience)]);
        let counts_l1 = Mutex::new(chain.anvil.pid().map(Counted::process));
        let recorder = Recorder::begin(chain.l1_clock.heads());
        let (nodes, processes, validators) = (Vec::new(), Vec::new(), options.validators);
        Ok(Self {
            nodes,
            processes,
            recorder,
            chain,
            clock,
            patience,
            _keeps_pace: keeps_pace,
            counts_l1,
            hub,
            validators,
            warping,
            dir,
        })
    }

    /// The L1.
    #[must_use]
    pub const fn chain(&self) -> &DevChain {
        &self.chain
    }

    /// What may be done to the L1.
    ///
    /// # Panics
    /// Never: a net's anvil is lent to it.
    #[must_use]
    pub fn l1(&self) -> L1<'_> {
        let anvil = self.chain.anvil.leased().expect("the chain was restored on an anvil that was lent");
        L1 { net: self, anvil }
    }

    /// What L1's blocks come by.
    #[must_use]
    pub const fn clock(&self) -> &Arc<L1FollowingClock> {
        &self.clock
    }

    /// The rollup's time model.
    #[must_use]
    pub const fn times(&self) -> &SlotTimes {
        &self.chain.deployment.times
    }

    /// The rollup contract.
    #[must_use]
    pub fn rollup(&self) -> IRollup::IRollupInstance<DynProvider> {
        IRollup::new(self.chain.deployment.addresses.rollup, self.chain.provider.clone())
    }

    /// What the contract has as the last block of a checkpoint.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn archive_at(&self, number: CheckpointNumber) -> Result<B256> {
        Ok(self.rollup().archiveAt(alloy::primitives::U256::from(number.0)).call().await?)
    }

    /// The slot that L1's head is in.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.times().slot_at(self.chain.l1_clock.head().timestamp)
    }

    /// The epoch that L1's head is in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.times().epoch_of(self.slot())
    }

    /// Has the contract drop the checkpoints that were not proven in time, as anyone may: the nodes do it themselves in a
    /// slot of theirs.
    ///
    /// # Errors
    /// L1 did not answer, or there is nothing to drop: warp past the epochs in which proofs may come first.
    pub async fn prune(&self) -> Result<()> {
        let anyone = dev::prefunded_accounts()[9].address();
        let receipt = self.rollup().prune().from(anyone).send().await.context("the contract does not prune")?;
        let receipt = receipt.get_receipt().await?;
        ensure!(receipt.status(), "the contract did not prune: {receipt:?}");
        Ok(())
    }

    /// The newest checkpoint in the contract.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn pending(&self) -> Result<CheckpointNumber> {
        Ok(CheckpointNumber(self.rollup().getPendingCheckpointNumber().call().await?.saturating_to()))
    }

    /// Where the node of that name keeps its files.
    #[must_use]
    pub fn data_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a node of that name is told, with `changes` on top.
    #[must_use]
    pub fn settings(&self, name: &str, changes: &[(&str, &str)]) -> Vec<Setting> {
        let mut settings = dev::settings(&self.chain, &self.dir.path().join("addresses.json"));
        let data_dir = self.data_dir(name).display().to_string();
        let own = [
            ("data_dir", data_dir.as_str()),
            ("clock", "l1"),
            ("rpc.listen", "127.0.0.1:0"),
            ("admin.listen", "127.0.0.1:0"),
        ];
        for (key, value) in own.iter().chain(changes) {
            settings.retain(|setting| setting.key != *key);
            settings.push(Setting::new(*key, *value, "the test"));
        }
        settings
    }

    /// The configuration of a node of that name.
    ///
    /// # Errors
    /// A change is none.
    pub fn config(&self, name: &str, changes: &[(&str, &str)]) -> Result<NodeConfig> {
        let sources = Sources { flags: self.settings(name, changes), ..Sources::default() };
        Ok(NodeConfig::load(&sources)?)
    }

    /// Opens a node in this process.
    ///
    /// # Errors
    /// The node did not open.
    pub async fn open_node(&self, name: &str) -> Result<NetNode> {
        self.open_node_with(name, &[]).await
    }

    /// Opens a node in this process, with some keys set otherwise. It has all validators and is alone.
    ///
    /// # Errors
    /// The node did not open.
    pub async fn open_node_with(&self, name: &str, changes: &[(&str, &str)]) -> Result<NetNode> {
        self.open(name, changes, Surroundings::default()).await
    }

    /// Opens as many nodes as there are names, which hear one another; each has its share of the validators.
    ///
    /// # Errors
    /// A node did not open.
    pub async fn open_nodes(&self, names: &[&str], changes: &[(&str, &str)]) -> Result<Vec<NetNode>> {
        let of = u32::try_from(names.len())?;
        let mut nodes = Vec::new();
        for (place, name) in (0..).zip(names) {
            nodes.push(self.open_member(name, Seat { place, of }, changes).await?);
        }
        Ok(nodes)
    }

    /// Opens the node of one seat, among those that are there.
    ///
    /// # Errors
    /// The node did not open, or there is one of its name.
    pub async fn open_member(&self, name: &str, seat: Seat, changes: &[(&str, &str)]) -> Result<NetNode> {
        let network = self.hub.join(NodeId::new(name))?;
        let share = seat.settings(self.validators);
        let mut all: Vec<_> = share.iter().map(|setting| (setting.key.as_str(), setting.value.as_str())).collect();
        all.extend(changes);
        self.open(name, &all, Surroundings { network: Some(network), ..Surroundings::default() }).await
    }

    async fn open(&self, name: &str, changes: &[(&str, &str)], surroundings: Surroundings) -> Result<NetNode> {
        let config = self.config(name, changes)?;
        let surroundings = Surroundings { clock: Some(Arc::clone(&self.clock)), ..surroundings };
        let opened = NetNode::open(name, config, surroundings, &self.recorder).await;
        opened.with_context(|| format!("node {name}"))
    }

    /// The links between the nodes, to slow them down, to lose messages, and to cut them.
    #[must_use]
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Starts a node as a process of its own.
    ///
    /// # Errors
    /// There is no binary, or it did not come up.
    pub async fn spawn_node(&self, name: &str) -> Result<ChildNode> {
        self.spawn_node_with(name, &[]).await
    }

    /// Starts a node as a process of its own, with some keys set otherwise.
    ///
    /// # Errors
    /// As [`Net::spawn_node`].
    pub async fn spawn_node_with(&self, name: &str, changes: &[(&str, &str)]) -> Result<ChildNode> {
        ChildNode::spawn(name, self.data_dir(name), &self.settings(name, changes), &self.recorder).await
    }

    /// Watches a node from now on.
    #[must_use]
    pub fn watch(&self, node: &NetNode) -> Watch {
        Watch::new(node, self.patience())
    }

    /// The nodes of this process that the net was built with.
    #[must_use]
    pub fn nodes(&self) -> &[NetNode] {
        &self.nodes
    }

    /// The nodes that it was built with as processes of their own.
    #[must_use]
    pub fn processes(&mut self) -> &mut [ChildNode] {
        &mut self.processes
    }

    /// The sequencers of all nodes that the net was built with, for a warp.
    #[must_use]
    pub fn sequencers(&self) -> Vec<SharedSequencer> {
        let here = self.nodes.iter().filter(|node| node.node().config().roles.has_a_start()).map(NetNode::sequencer);
        here.chain(self.processes.iter().map(ChildNode::sequencer)).collect()
    }

    /// Waits for `condition`, for forty slots unless told otherwise.
    ///
    /// ```no_run
    /// # async fn story(net: fermata_e2e::Net) -> anyhow::Result<()> {
    /// use fermata_e2e::{Checkpoint, Pruned};
    ///
    /// net.wait(Checkpoint(2)).await?;
    /// let before = net.mark();
    /// net.wait(Pruned).since(before).within_slots(10).await?;
    /// # Ok(()) }
    /// ```
    pub fn wait<C: Condition>(&self, condition: C) -> Wait<'_, C> {
        Wait::new(self, condition)
    }

    /// The moment after all that has happened so far.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.timeline().read().end()
    }

    /// What happened since `mark`, in order.
    #[must_use]
    pub fn since(&self, mark: Mark) -> Vec<Entry> {
        self.timeline().read().since(mark).to_vec()
    }

    /// The failures since `mark`: events that a healthy net never sees.
    #[must_use]
    pub fn failures_since(&self, mark: Mark) -> Vec<Entry> {
        self.since(mark).into_iter().filter(Entry::is_failure).collect()
    }

    /// Fails the test where anything went wrong since `mark`.
    ///
    /// # Panics
    /// With the failures and the file of the whole timeline, where there was one.
    pub async fn assert_no_failures_since(&self, mark: Mark) {
        let failures = self.failures_since(mark);
        if !failures.is_empty() {
            let path = self.write_timeline().await;
            panic!("{failures:#?}\nall that happened is in {}", path.display());
        }
    }

    /// Writes all that happened to a file, with the transactions in L1's blocks where L1 tells them, and says which file.
    pub async fn write_timeline(&self) -> PathBuf {
        let transactions = self.l1_transactions().await;
        self.timeline().read().write(&transactions)
    }

    /// How long a test has patience.
    pub(crate) fn patience(&self) -> Patience {
        Patience { clock: Arc::clone(&self.patience), slot: self.times().slot() }
    }

    /// L1 is another process now.
    pub(crate) fn count_l1_anew(&self) {
        let counted = self.chain.anvil.pid().map(Counted::process);
        *self.counts_l1.lock().unwrap_or_else(PoisonError::into_inner) = counted;
    }

    pub(crate) const fn timeline(&self) -> &Timeline {
        self.recorder.timeline()
    }

    /// It is `at` now, for L1's blocks and for every node in this process.
    pub(crate) fn move_clocks(&self, at: L1Timestamp) {
        self.clock.follow(at);
    }
}

impl Drop for Net {
    /// A test that panics finds out what happened.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = self.timeline().read().write(&L1Transactions::default());
            eprintln!("all that happened in the net is in {}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use fermata_anvil::RestartL1;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_pace_goes_by_the_l1_that_runs_also_after_it_was_restarted() {
        let net = Net::start().await.expect("L1 comes up");
        let counted = || net.counts_l1.lock().expect("nobody panicked").as_ref().map(Counted::pid);
        let before = counted();
        assert_eq!(before, net.chain().anvil.pid());
        net.l1().restart(RestartL1::KeepingState).await.expect("it comes back");
        assert_eq!(counted(), net.chain().anvil.pid());
        assert_ne!(counted(), before, "it is another process");
    }
}
