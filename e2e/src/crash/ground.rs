//! An L1 with a rollup on it, one node that dies again and again, and those who watch it.

use std::collections::BTreeSet;
use std::future::IntoFuture as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alloy::providers::Provider as _;
use anyhow::{Context as _, Result, bail, ensure};
use fermata_primitives::{Clock as _, L1FollowingClock, Slot};
use fermata_sequencer::pipeline::L1Tip;
use serde_json::{Value, json};

use super::audit::Audit;
use super::process::Order;
use super::users::Users;
use super::{CrashNode, Wire};
use crate::{Net, NetNode, NetOptions, SlotBegins};

/// Slots after the one that is built when it runs within which a node has a checkpoint on L1.
pub(crate) const SLOTS_TO_RECOVER: u64 = 2;

/// How long a node may take to get to where L1 is.
const SYNC_PATIENCE: Duration = Duration::from_secs(180);

/// An L1 with a rollup, a node that dies, and a follower in this process that has watched L1 all the time.
#[derive(Debug)]
pub struct Ground {
    net: Net,
    wire: Wire,
    control: NetNode,
    users: Users,
    /// The data directory the next process is given.
    life: u32,
    processes: u32,
    /// The last slot that a life before this one may have signed for.
    signed_until: Slot,
}

impl Ground {
    /// A rollup with slots of `slot_secs` whose every validator belongs to the one node there will be.
    ///
    /// # Errors
    /// L1 did not come up.
    pub async fn begin(slot_secs: u64) -> Result<Self> {
        let net = Net::start_with(NetOptions { slot_secs, ..NetOptions::default() }).await?;
        let clock = Arc::<L1FollowingClock>::clone(net.clock());
        let wire = Wire::start(&net.chain().anvil.url(), net.chain().deployment.addresses.rollup, clock).await?;
        let control = net.open_node_with("control", &[("node.roles", "follower")]).await?;
        let users = Users::new();
        Ok(Self { net, wire, control, users, life: 0, processes: 0, signed_until: Slot(0) })
    }

    /// The L1 and its rollup.
    #[must_use]
    pub const fn net(&self) -> &Net {
        &self.net
    }

    /// What was sent to L1.
    #[must_use]
    pub const fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The follower that never died.
    #[must_use]
    pub const fn control(&self) -> &NetNode {
        &self.control
    }

    /// Users of the L2 chain.
    pub const fn users(&mut self) -> &mut Users {
        &mut self.users
    }

    /// Where the node that dies keeps its files.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.net.data_dir(&self.name())
    }

    fn name(&self) -> String {
        format!("life-{}", self.life)
    }

    /// The next process begins with nothing. There must be no process now.
    pub fn begin_afresh(&mut self) {
        self.life += 1;
        // A build frame opens before the slot in front of it begins: this may be the slot after the next.
        self.signed_until = self.target_slot();
    }

    /// Waits until a node that knows nothing of the lives before it can sign nothing that one of them has signed.
    ///
    /// # Errors
    /// L1 does not get there.
    pub async fn no_duty_is_shared(&self) -> Result<()> {
        // From the beginning of that slot on, its successor is what is built.
        self.net.wait(SlotBegins(self.signed_until)).await?;
        Ok(())
    }

    /// The slot that is now.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.net.times().slot_at_time(self.net.clock().now())
    }

    /// The slot whose build frame is open.
    #[must_use]
    pub fn target_slot(&self) -> Slot {
        self.control.node().timetable().target_slot(self.net.clock().now())
    }

    /// What the follower has seen on L1 last.
    #[must_use]
    pub fn tip(&self) -> L1Tip {
        self.control.node().workshop().chain.tip().borrow().unwrap_or_default()
    }

    fn launch(&mut self, changes: &[(&str, &str)], points: Option<&str>) -> Result<CrashNode> {
        self.processes += 1;
        let order = match points {
            Some(points) => Order::Now { points: points.to_owned() },
            None => Order::Later { orders: self.net.data_dir(&format!("orders-{}", self.processes)) },
        };
        let through_the_wire = [("l1.rpc_url", self.wire.url())];
        let changes = [&through_the_wire, changes].concat();
        CrashNode::begin(self.data_dir(), &self.net.settings(&self.name(), &changes), order)
    }

    /// Starts the node, doomed: `points` are armed from its first moment on.
    ///
    /// # Errors
    /// There is no binary.
    pub fn doom(&mut self, points: &str) -> Result<CrashNode> {
        self.doom_with(points, &[])
    }

    /// The same, with some keys set otherwise.
    ///
    /// # Errors
    /// There is no binary.
    pub fn doom_with(&mut self, points: &str, changes: &[(&str, &str)]) -> Result<CrashNode> {
        self.launch(changes, Some(points))
    }

    /// Starts the node and waits until it serves. It can be armed later.
    ///
    /// # Errors
    /// It ended, or took more than three minutes.
    pub async fn rise(&mut self) -> Result<CrashNode> {
        self.rise_with(&[]).await
    }

    /// The same, with some keys set otherwise.
    ///
    /// # Errors
    /// As [`Ground::rise`].
    pub async fn rise_with(&mut self, changes: &[(&str, &str)]) -> Result<CrashNode> {
        let node = self.launch(changes, None)?;
        node.says("serving the admin RPC").await?;
        Ok(node)
    }

    /// Waits until the process runs, and a checkpoint of a slot has landed that it can have built as a whole, which must be
    /// within two such slots: the slot whose build frame is open when it runs may be one that it has signed for before.
    ///
    /// # Errors
    /// None did; the error has the last words of the process.
    pub async fn progressed(&self, node: &CrashNode) -> Result<Slot> {
        node.says(r#""to":"running""#).await?;
        self.lands_after(node, self.target_slot()).await
    }

    /// Waits until a checkpoint of a slot after `slot` has landed, which must be of one of the next two. Gives the slot.
    ///
    /// # Errors
    /// None did; the error has the last words of the process.
    pub async fn lands_after(&self, node: &CrashNode, slot: Slot) -> Result<Slot> {
        let last = Slot(slot.0 + SLOTS_TO_RECOVER);
        let mut tip = self.control.node().workshop().chain.tip();
        let landed = async {
            loop {
                let archive = tip.borrow_and_update().unwrap_or_default().archive;
                let proposes = self.wire.broadcasts()?.into_iter().flat_map(|sent| sent.proposes);
                let of = proposes.into_iter().find(|propose| propose.archive == archive);
                if let Some(propose) = of.filter(|propose| propose.header.slot > slot) {
                    return anyhow::Ok(propose.header.slot);
                }
                tip.changed().await.context("the follower goes on")?;
            }
        };
        // What landed in the last slot is followed a moment later.
        let late = self.net.wait(SlotBegins(last.next().next())).into_future();
        let told = || format!("nothing landed of the slots after {slot}, up to slot {last}; {}", node.told());
        tokio::select! {
            landed = landed => {
                let landed = landed?;
                ensure!(landed <= last, "{} (slot {landed} has one)", told());
                Ok(landed)
            }
            _ = late => bail!(told()),
        }
    }

    /// Waits until the node has the same safe head as the follower, state root and all.
    ///
    /// # Errors
    /// It has not after some slots, or has another block in the place of one of the follower's.
    pub async fn agrees(&self, node: &CrashNode) -> Result<()> {
        let safe = self.control.node().execution().reader().heads()?.safe;
        let wanted = self.control.node().execution().reader().header(safe.hash)?.context("the follower has it")?;
        let l2 = self.users.provider(&node.l2_url().await?)?;
        let mut heads = self.net.chain().l1_clock.heads();
        let asked = async {
            loop {
                let number = format!("{:#x}", safe.number);
                let block: Option<Value> = l2.raw_request("eth_getBlockByNumber".into(), (number, false)).await?;
                let safe_now: Value = l2.raw_request("eth_getBlockByNumber".into(), ("safe", false)).await?;
                let reached = quantity(&safe_now["number"]) >= Some(safe.number);
                if let Some(block) = block.filter(|_| reached) {
                    ensure!(block["hash"] == json!(safe.hash), "block {} is {block}, and {safe} on L1", safe.number);
                    ensure!(block["stateRoot"] == json!(wanted.state_root), "the state after {safe} is another");
                    return Ok(());
                }
                heads.changed().await.context("L1 goes on")?;
            }
        };
        tokio::time::timeout(SYNC_PATIENCE, asked).await.with_context(|| format!("it did not get to {safe}"))?
    }

    /// Looks for a receipt of every transaction that users have sent. What a node has not kept is sent to it again, so to be
    /// asked once a checkpoint has landed that was built after that.
    ///
    /// # Errors
    /// A transaction is lost.
    pub async fn users_have_receipts(&self, node: &CrashNode) -> Result<()> {
        let l2 = self.users.provider(&node.l2_url().await?)?;
        for hash in self.users.hashes() {
            let receipt = l2.get_transaction_receipt(hash).await?;
            ensure!(receipt.is_some(), "user transaction {hash} is lost; {}", node.told());
        }
        Ok(())
    }

    /// What must hold of all that was sent and landed so far.
    ///
    /// # Errors
    /// What does not hold.
    pub async fn audit(&self) -> Result<Audit> {
        Audit::of(&self.net, &self.wire).await
    }

    /// Looks into the signing store of the node, which must not run, and says how many duties of what was sent are on record.
    ///
    /// # Errors
    /// Something was sent that is not what is on record.
    pub async fn audit_duties(&self) -> Result<usize> {
        super::audit::duties(&self.net, &self.wire, &self.data_dir().join("signer"), self.life_began()).await
    }

    /// The first slot that no life before this one has signed for.
    fn life_began(&self) -> Slot {
        if self.life == 0 { Slot(0) } else { self.signed_until.next() }
    }

    /// What an operator asked for last, as the node tells it.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn desired(&self, node: &CrashNode) -> Result<Option<String>> {
        let status: Value = node.admin().call("admin_status", json!({})).await?;
        Ok(status["desired"]["state"].as_str().map(str::to_owned))
    }

    /// A node that begins with nothing now has the same chain from L1 alone: each block, and the state after the last. No
    /// transaction is in it twice. The process that runs is to be killed before.
    ///
    /// # Errors
    /// What differs.
    pub async fn finish(self) -> Result<Audit> {
        let fresh = self.net.open_node_with("fresh", &[("node.roles", "follower")]).await?;
        let tip = self.tip();
        let mut followed = fresh.node().workshop().chain.tip();
        let reached = followed.wait_for(|now| now.is_some_and(|now| now.number >= tip.number));
        tokio::time::timeout(SYNC_PATIENCE, reached).await.context("it syncs from L1 alone")??;
        let (ours, theirs) = (self.control.node().execution().reader(), fresh.node().execution().reader());
        let last = ours.header(tip.archive)?.context("the follower has what is on L1")?;
        for number in 0..=last.number {
            ensure!(ours.hash_at(number)? == theirs.hash_at(number)?, "block {number} from L1 alone is another");
        }
        let rebuilt = theirs.header(tip.archive)?.context("the fresh node has what is on L1")?;
        ensure!(rebuilt.state_root == last.state_root, "the state from L1 alone is another");
        let mut mined = Vec::new();
        for number in 0..=last.number {
            let block = ours.block(ours.hash_at(number)?.context("on the chain")?)?.context("it is stored")?;
            mined.extend(block.transactions().iter().map(alloy::primitives::keccak256));
        }
        let once: BTreeSet<_> = mined.iter().collect();
        ensure!(once.len() == mined.len(), "a transaction is in the chain twice");
        let audit = self.audit().await?;
        fresh.close().await?;
        self.control.close().await?;
        Ok(audit)
    }
}

fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}
