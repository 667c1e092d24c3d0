//! A node whose L1 fails it for a while publishes again.

use std::time::Duration;

use anyhow::Result;
use fermata_e2e::{
    Client, CutAt, Fate, Fault, L1Proxy, L1ProxyOptions, LoggedCall, Net, NetNode, PoolRules, Rule, Stage, Watch,
};
use fermata_primitives::CheckpointNumber;
use serde_json::{Value, json};

/// Calls that meet each fault.
const CALLS: u64 = 5;

async fn behind(net: &Net, l1: &L1Proxy, name: &str) -> Result<(NetNode, Watch)> {
    let node = net.open_node_with(name, &[("l1.rpc_url", l1.url()), ("l1.request_timeout_ms", "300")]).await?;
    let mut watch = net.watch(&node);
    node.start().await?;
    publishes_again(net, &mut watch).await?;
    Ok((node, watch))
}

/// A checkpoint lands that was not there.
async fn publishes_again(net: &Net, watch: &mut Watch) -> Result<()> {
    let CheckpointNumber(before) = net.pending().await?;
    watch.checkpoint(before + 1).await?;
    Ok(())
}

fn is_lie(call: &LoggedCall) -> bool {
    call.fate == Fate::Faulted("rewrite")
}

fn lies(l1: &L1Proxy) -> usize {
    l1.calls().iter().filter(|call| is_lie(call)).count()
}

/// A head far ahead of L1's.
fn lying_head(result: Value) -> Value {
    match result.clone() {
        Value::Object(mut block) => {
            block.insert("number".to_owned(), json!("0xf4240"));
            Value::Object(block)
        }
        Value::String(_) => json!("0xf4240"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => result,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_publishes_again_once_its_l1_has_failed_it_in_every_way_there_is() -> Result<()> {
    let net = Net::start().await?;
    let l1 = L1Proxy::start(&net.chain().anvil.url()).await?;
    let (node, mut watch) = behind(&net, &l1, "a").await?;
    let faults = [
        Fault::Hang(CutAt::Request),
        Fault::Hang(CutAt::Answer(9)),
        Fault::Reset(CutAt::Request),
        Fault::End(CutAt::Answer(9)),
        Fault::Garbage,
        Fault::RateLimit { retry_after: Duration::from_secs(1) },
        Fault::Status(503),
        Fault::error(-32_000, "header not found"),
        Fault::WrongChainId(5),
        Fault::rewrite(|_| json!("nonsense")),
    ];
    let stage = |fault: &Fault| Stage::of([Rule::all(fault.clone())]).for_calls(CALLS);
    l1.play(faults.iter().map(stage));
    l1.wait_for_stage(faults.len() + 1).await?;
    for fault in &faults {
        let met = |call: &LoggedCall| call.fate == Fate::Faulted(fault.name());
        l1.wait_until(fault.name(), CALLS as usize, met).await?;
    }
    publishes_again(&net, &mut watch).await?;

    l1.set([Rule::all(Fault::Refuse)]);
    l1.port_follows().await?;
    let mut heads = net.chain().l1_clock.heads();
    let from = heads.borrow_and_update().number;
    heads.wait_for(|head| head.number >= from + 2).await?;
    l1.clear();
    publishes_again(&net, &mut watch).await?;

    let heads = ["eth_getBlockByNumber", "eth_blockNumber"].map(|method| Rule::on(method, Fault::rewrite(lying_head)));
    let before = lies(&l1);
    l1.set(heads.map(|rule| rule.next(3)));
    l1.wait_until("lies", before + 3, is_lie).await?;
    publishes_again(&net, &mut watch).await?;
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_geths_pool_nor_reths_rejects_what_a_node_publishes() -> Result<()> {
    let net = Net::start().await?;
    for (name, client) in [("a", Client::Geth), ("b", Client::Reth)] {
        let options = L1ProxyOptions { mempool: Some(PoolRules::of(client)), ..L1ProxyOptions::default() };
        let l1 = L1Proxy::start_with(&net.chain().anvil.url(), options).await?;
        let (node, mut watch) = behind(&net, &l1, name).await?;
        for _ in 0..2 {
            publishes_again(&net, &mut watch).await?;
        }
        watch.assert_no_failures();
        assert!(l1.broadcasts().len() >= 2, "{client:?}: {:?}", l1.calls());
        assert_eq!(l1.rejections(), Vec::<String>::new(), "{client:?}");
        node.close().await?;
    }
    Ok(())
}
