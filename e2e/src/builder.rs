//! What a net is to be like.

use std::time::Duration;

use anyhow::Result;
use fermata_anvil::DeployConfig;
use fermata_sequencer::dev::Seat;
use fermata_sequencer::network::LinkSettings;

use crate::{Net, NetOptions};

/// Where the nodes of a net live.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Home {
    /// In the process of the test.
    #[default]
    Here,
    /// Each in a process of its own.
    OwnProcess,
}

/// A net that cannot be. Nothing was started.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnfitNet {
    /// Processes have no network between them yet.
    #[error(
        "{0} sequencers in processes of their own could not hear one another; ask for one process, or for nodes of this process"
    )]
    DeafProcesses(u32),
    /// Slots are whole seconds, as L1's timestamps are.
    #[error("a slot of {0:?} is no whole number of seconds; L1 tells time in seconds")]
    BrokenSlot(Duration),
    /// Some nodes would have nothing to sign with.
    #[error(
        "{nodes} nodes cannot share {validators} validators; ask for at least a validator a node, or for followers"
    )]
    TooFewValidators {
        /// How many nodes were asked for.
        nodes: u32,
        /// How many validators.
        validators: u32,
    },
}

/// What a net is to be like. It begins as one node of this process with four validators, slots of three seconds and an L1
/// block each second.
#[derive(Debug, Default)]
#[must_use = "nothing is started before `build`"]
pub struct NetBuilder {
    options: NetOptions,
    nodes: Option<u32>,
    followers: u32,
    home: Home,
    slot: Option<Duration>,
    latency: Duration,
    settings: Vec<(String, String)>,
    stays_idle: bool,
    deploy: Deploy,
}

type Change = Box<dyn FnOnce(&mut DeployConfig) + Send>;

/// What is done to the deployment's configuration.
#[derive(Default)]
struct Deploy(Option<Change>);

impl std::fmt::Debug for Deploy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Deploy").field(&self.0.is_some()).finish()
    }
}

impl NetBuilder {
    /// So many nodes that build and attest: `a`, `b`, `c` and so on. The validators are shared out evenly.
    pub const fn nodes(mut self, nodes: u32) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// So many more nodes, in this process, that only follow L1.
    pub const fn followers(mut self, followers: u32) -> Self {
        self.followers = followers;
        self
    }

    /// The node that builds is a process of its own, driven over its admin RPC: for signals and crashes.
    pub const fn in_own_process(mut self) -> Self {
        self.home = Home::OwnProcess;
        self
    }

    /// So many validators; the committee is all of them.
    pub const fn validators(mut self, validators: u32) -> Self {
        self.options.validators = validators;
        self
    }

    /// How long a slot lasts, in whole seconds.
    pub const fn slot(mut self, slot: Duration) -> Self {
        self.slot = Some(slot);
        self
    }

    /// Slots of an epoch, and full epochs after it in which its proof may come before its checkpoints can be pruned.
    pub const fn epochs(mut self, slots: u64, proof_submission_epochs: u64) -> Self {
        self.options.epoch_slots = slots;
        self.options.proof_submission_epochs = proof_submission_epochs;
        self
    }

    /// How long a message takes from one node to another.
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// A key of every node's configuration is set otherwise.
    pub fn setting(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The rollup is deployed with what `change` makes of its configuration.
    pub fn deploy(mut self, change: impl FnOnce(&mut DeployConfig) + Send + 'static) -> Self {
        self.deploy = Deploy(Some(Box::new(change)));
        self
    }

    /// The sequencers are not started.
    pub const fn idle(mut self) -> Self {
        self.stays_idle = true;
        self
    }

    /// Starts L1, and opens and starts the nodes.
    ///
    /// # Errors
    /// [`UnfitNet`], and those of [`Net::start`]; a node that does not open or start is named. Nothing is left running.
    ///
    /// # Cancel safety
    /// Dropped, it ends what it has started.
    pub async fn build(mut self) -> Result<Net> {
        self.check()?;
        if let Some(slot) = self.slot {
            self.options.slot_secs = slot.as_secs();
        }
        let change = self.deploy.0.take().unwrap_or_else(|| Box::new(|_| ()));
        let mut net = Net::start_deployed(self.options, change).await?;
        net.hub().set_every_link(LinkSettings { latency: self.latency, ..LinkSettings::default() });
        match self.home {
            Home::Here => self.open_here(&mut net).await?,
            Home::OwnProcess => self.spawn(&mut net).await?,
        }
        for at in 0..self.followers {
            let changes = [self.changes(), vec![("node.roles", "follower")]].concat();
            let follower = net.open_node_with(&format!("follower-{at}"), &changes).await?;
            net.nodes.push(follower);
        }
        Ok(net)
    }

    fn check(&self) -> Result<(), UnfitNet> {
        if let Some(slot) = self.slot.filter(|slot| slot.subsec_nanos() != 0) {
            return Err(UnfitNet::BrokenSlot(slot));
        }
        let (nodes, validators) = (self.builders(), self.options.validators);
        if self.home == Home::OwnProcess && nodes > 1 {
            return Err(UnfitNet::DeafProcesses(nodes));
        }
        if nodes > validators {
            return Err(UnfitNet::TooFewValidators { nodes, validators });
        }
        Ok(())
    }

    /// How many nodes build.
    fn builders(&self) -> u32 {
        self.nodes.unwrap_or(1)
    }

    fn changes(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    async fn open_here(&self, net: &mut Net) -> Result<()> {
        let of = self.builders();
        for place in 0..of {
            let (name, changes) = (name_of(place), self.changes());
            let node = match of {
                1 => net.open_node_with(&name, &changes).await?,
                _ => net.open_member(&name, Seat { place, of }, &changes).await?,
            };
            net.nodes.push(node);
        }
        let starting = net.nodes.iter().filter(|_| !self.stays_idle).map(crate::NetNode::start);
        futures::future::try_join_all(starting).await?;
        Ok(())
    }

    async fn spawn(&self, net: &mut Net) -> Result<()> {
        let idle = [("sequencer.start", "never")];
        let changes = [self.changes(), if self.stays_idle { idle.to_vec() } else { Vec::new() }].concat();
        for place in 0..self.builders() {
            let node = net.spawn_node_with(&name_of(place), &changes).await?;
            net.processes.push(node);
        }
        Ok(())
    }
}

/// `a` to `z`, and numbers after them.
fn name_of(place: u32) -> String {
    let letter = u8::try_from(place).ok().and_then(|place| b'a'.checked_add(place)).filter(u8::is_ascii_lowercase);
    letter.map_or_else(|| format!("node-{place}"), |letter| char::from(letter).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_net_that_cannot_be_is_refused_before_anything_starts() {
        let refused = [
            (Net::builder().nodes(2).in_own_process(), UnfitNet::DeafProcesses(2)),
            (Net::builder().slot(Duration::from_millis(1_500)), UnfitNet::BrokenSlot(Duration::from_millis(1_500))),
            (Net::builder().nodes(5), UnfitNet::TooFewValidators { nodes: 5, validators: 4 }),
        ];
        for (builder, expected) in refused {
            let error = builder.build().await.expect_err("it cannot be");
            assert_eq!(error.downcast_ref::<UnfitNet>(), Some(&expected));
        }
    }

    #[test]
    fn nodes_are_named_by_letters_while_there_are_any() {
        assert_eq!([0, 1, 25, 26, 300].map(name_of), ["a", "b", "z", "node-26", "node-300"]);
    }
}
