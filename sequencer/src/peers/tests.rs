//! Blocks that come from other nodes.

use std::path::Path;

use alloy::primitives::Address;
use fermata_execution::mempool::MempoolConfig;
use fermata_execution::{BlockAttributes, Genesis, Options, RevmExecution};
use fermata_primitives::{Clock as _, SystemClock};

use super::*;
use crate::network::Hub;
use crate::tasks::Tasks;

async fn engine(dir: &Path) -> Arc<RevmExecution> {
    let genesis = Genesis::dev(7, 0, &[Address::repeat_byte(1)]);
    let mempool = MempoolConfig::default();
    let options = Options { dir: dir.to_owned(), genesis, clock: Arc::new(SystemClock), mempool };
    Arc::new(RevmExecution::open(options).await.expect("a fresh store opens"))
}

/// Three blocks on the genesis.
async fn built_by(proposer: &RevmExecution) -> Vec<Block> {
    let (mut parent, mut blocks) = (proposer.reader().genesis().hash, Vec::new());
    for _ in 0..3 {
        let attributes = BlockAttributes {
            timestamp: 12,
            beneficiary: Address::repeat_byte(9),
            prev_randao: B256::ZERO,
            gas_limit: 30_000_000,
            max_payload_bytes: 1_000,
            transactions: Some(Vec::new()),
            deadline: None,
        };
        let job = proposer.begin(parent, attributes).await.expect("the parent is stored");
        let block = proposer.seal(job).await.expect("an empty block can be built");
        parent = block.hash();
        blocks.push(block);
    }
    blocks
}

fn peers_of(hub: &Hub, name: &str) -> Peers {
    let network = hub.join(NodeId::new(name)).expect("the name is free");
    let domain = Domain { l1_chain_id: 1, rollup: Address::ZERO };
    Peers::new(network, domain, Arc::new(SystemClock), Duration::from_millis(200))
}

/// Answers every request with the blocks there are of it.
fn serve(tasks: &Tasks, peers: &Peers, blocks: Vec<Block>) {
    let mut requests = peers.network.block_requests();
    tasks.spawn(async move {
        while let Some(request) = requests.recv().await {
            let have = blocks.iter().filter(|block| request.hashes.contains(&block.hash())).cloned().collect();
            request.answer(have);
        }
    });
}

fn in_a_minute() -> UnixTime {
    SystemClock.now() + Duration::from_secs(60)
}

#[tokio::test]
async fn what_one_node_has_not_another_gives_and_all_of_it_is_executed() {
    let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory")];
    let (proposer, validator) = (engine(dirs[0].path()).await, engine(dirs[1].path()).await);
    let blocks = built_by(&proposer).await;
    let hashes: Vec<B256> = blocks.iter().map(Block::hash).collect();
    let (hub, tasks) = (Hub::new(1, Arc::new(SystemClock)), Tasks::default());
    let (ours, silent, half, other) =
        (peers_of(&hub, "a"), peers_of(&hub, "b"), peers_of(&hub, "c"), peers_of(&hub, "d"));
    serve(&tasks, &half, blocks[..1].to_vec());
    serve(&tasks, &other, blocks.clone());
    let got = ours.fetch(validator.as_ref(), &hashes, silent.network.id(), in_a_minute()).await.expect("two have them");
    assert_eq!(got, blocks, "in the order in which they were asked for");
    execute(validator.as_ref(), &got).await.expect("they are valid");
    assert_eq!(validator.block(hashes[2]).await.expect("read"), Some(blocks[2].clone()));
    drop((half, other));
    let stored = ours.fetch(validator.as_ref(), &hashes, silent.network.id(), in_a_minute()).await;
    assert_eq!(stored.expect("nobody needs to be asked").len(), 3);
}

#[tokio::test]
async fn blocks_that_nobody_gives_are_missing_and_a_false_one_is_not_executed() {
    let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory")];
    let (proposer, validator) = (engine(dirs[0].path()).await, engine(dirs[1].path()).await);
    let blocks = built_by(&proposer).await;
    let hub = Hub::new(1, Arc::new(SystemClock));
    let (ours, silent) = (peers_of(&hub, "a"), peers_of(&hub, "b"));
    let missing = ours.fetch(validator.as_ref(), &[blocks[0].hash()], silent.network.id(), in_a_minute()).await;
    assert!(matches!(missing, Err(Refusal::MissingBlocks { missing: 1, .. })), "{missing:?}");

    let mut header = blocks[1].header().clone();
    header.state_root = B256::repeat_byte(3);
    let forged = [blocks[0].clone(), Block::new(header, Vec::new())];
    let refused = execute(validator.as_ref(), &forged).await;
    assert!(matches!(&refused, Err(Refusal::InvalidBlock { reason, .. }) if reason.contains("state")), "{refused:?}");
    let skipped = execute(validator.as_ref(), &blocks[2..]).await;
    assert!(matches!(skipped, Err(Refusal::MissingBlocks { .. })), "{skipped:?}");
}
