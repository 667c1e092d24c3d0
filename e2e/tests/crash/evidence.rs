//! Two proposals for one duty, heard by a process that dies before it hears anything else.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use alloy::consensus::Header;
use alloy::signers::SignerSync as _;
use anyhow::{Context as _, Result, ensure};
use fermata_e2e::{Net, Seat};
use fermata_execution::Block;
use fermata_primitives::{CRASH_POINT_ENV, arm, orders_from_environment};
use fermata_rollup::L1Signature;
use fermata_sequencer::network::{Network as _, NodeId, ProposedBlock, Recipient, Signable as _, Signed};
use fermata_sequencer::node_store::NodeStore;

const DATA_DIR: &str = "FERMATA_TEST_DATA_DIR";

/// How long a turn of one of the others may be in coming.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the process does that the test of this module starts.
async fn die_while_hearing(data_dir: &str) -> Result<()> {
    let orders: Vec<_> = orders_from_environment().into_iter().collect();
    arm(&orders)?;
    hear_two_proposals(data_dir).await
}

/// A node hears two blocks for one place of a slot, both signed by the slot's proposer.
async fn hear_two_proposals(data_dir: &str) -> Result<()> {
    let net = Net::start().await?;
    let node = net.open_member("a", Seat { place: 0, of: 2 }, &[("data_dir", data_dir)]).await?;
    let evil = net.hub().join(NodeId::new("evil"))?;
    node.start().await?;
    let theirs = &net.chain().accounts.validators[2..];
    let workshop = node.node().workshop();
    let mut head = node.node().l1_head();
    let turn = async {
        loop {
            head.changed().await?;
            let slot = node.node().timetable().target_slot(node.node().clock().now());
            let proposer = workshop.committees.of_slot(slot).await?.proposer(slot);
            if let Some(key) = theirs.iter().find(|key| proposer == Some(key.address())) {
                return anyhow::Ok((slot, key));
            }
        }
    };
    let (slot, key) = tokio::time::timeout(PATIENCE, turn).await.context("it is never a turn of the others")??;
    for number in [1, 2] {
        let block = Block::new(Header { number, ..Header::default() }, Vec::new());
        let proposed = ProposedBlock { slot, index: 0, block };
        let signature = key.sign_message_sync(proposed.digest(&workshop.peers.domain).as_slice())?;
        let deadline = node.node().clock().now() + Duration::from_secs(10);
        evil.send(Recipient::Everyone, Signed::new(proposed, L1Signature::from(signature)).into(), deadline).await?;
    }
    tokio::time::timeout(Duration::from_secs(30), std::future::pending::<()>()).await.context("it did not die")
}

async fn evidence_in(data_dir: &Path) -> Result<usize> {
    let store = NodeStore::open(&data_dir.join("node"))?;
    let found = store.equivocations().await?.len();
    store.close().await;
    Ok(found)
}

#[tokio::test]
async fn two_proposals_are_on_record_before_anything_else_is_heard() -> Result<()> {
    // This test is also the body of the process that it starts.
    if let Ok(data_dir) = std::env::var(DATA_DIR) {
        return die_while_hearing(&data_dir).await;
    }
    let dir = tempfile::tempdir()?;
    let data_dir = dir.path().join("a");
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    let itself = "evidence::two_proposals_are_on_record_before_anything_else_is_heard";
    command.args(["--exact", itself, "--nocapture"]);
    command.env(DATA_DIR, &data_dir).env(CRASH_POINT_ENV, "sequencer.after_evidence").kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), command.output()).await??;
    ensure!(output.status.signal() == Some(6), "{output:?}");
    let said = String::from_utf8(output.stderr)?;
    ensure!(said.contains("crash point sequencer.after_evidence reached (hit 1): abort"), "{said}");
    ensure!(evidence_in(&data_dir).await? == 1, "what was seen is not on record");
    Ok(())
}
