//! Our side: the RPC server, and a driver that seals block after block through the `Execution` trait.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use fermata_execution::mempool::MempoolConfig;
use fermata_execution::rpc::{RpcLimits, serve};
use fermata_execution::{BlockAttributes, Execution, Heads, Options, RevmExecution};
use fermata_primitives::{Clock, SystemClock};

use crate::load::{GAS_LIMIT, Load};
use crate::{Result, client};

/// How long the driver waits when nothing waits for a block.
const IDLE: Duration = Duration::from_millis(2);

/// How long the load took.
pub(crate) async fn run(load: &Load) -> Result<Duration> {
    let dir = tempfile::tempdir()?;
    let options = Options {
        dir: dir.path().to_owned(),
        genesis: load.genesis.clone(),
        clock: Arc::new(SystemClock),
        mempool: MempoolConfig::default(),
    };
    let execution = RevmExecution::open(options).await?;
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = serve(loopback, execution.reader().clone(), RpcLimits::default()).await?;
    let url = format!("http://{}", server.local_addr());
    let took = tokio::select! {
        took = client::run(&url, load) => took?,
        failed = drive(&execution) => failed?,
    };
    server.stop().await;
    execution.close().await?;
    Ok(took)
}

/// Seals blocks back to back, for ever.
async fn drive(execution: &RevmExecution) -> Result<Duration> {
    loop {
        if execution.mempool().is_empty() {
            SystemClock.sleep(IDLE).await;
            continue;
        }
        let heads = execution.heads().await?;
        let parent = execution.block(heads.unsafe_head.hash).await?.ok_or("the head is stored")?;
        let attributes = BlockAttributes {
            timestamp: parent.header().timestamp + 1,
            beneficiary: Address::ZERO,
            prev_randao: B256::ZERO,
            gas_limit: GAS_LIMIT,
            max_payload_bytes: usize::MAX,
            transactions: None,
            deadline: None,
        };
        let job = execution.begin(parent.hash(), attributes).await?;
        let block = execution.seal(job).await?;
        execution.set_heads(Heads { unsafe_head: block.id(), ..heads }).await?;
    }
}
