//! Which calls meet a fault, in which order, and what can be replayed.

use anyhow::Result;
use fermata_anvil::Anvil;
use fermata_e2e::{Fate, Fault, L1Proxy, L1ProxyOptions, Rule, Stage};
use serde_json::json;

use crate::common::{ask, bare_l1, call, proxied};

const CHAIN_ID: &str = "eth_chainId";

fn no() -> Fault {
    Fault::error(1, "no")
}

/// Whether each of so many calls met a fault.
async fn faults(l1: &L1Proxy, calls: usize) -> Result<Vec<bool>> {
    let from = l1.calls().len();
    for _ in 0..calls {
        ask(l1, &call(CHAIN_ID)).await?;
    }
    Ok(l1.calls()[from..].iter().map(|call| matches!(call.fate, Fate::Faulted(_))).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_lets_some_pass_meets_some_and_then_lets_all_pass() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    l1.set([Rule::on("eth_blockNumber", no()), Rule::on(CHAIN_ID, no()).after(2).next(2)]);
    assert_eq!(faults(&l1, 6).await?, [false, false, true, true, false, false]);
    assert_eq!(l1.seen(CHAIN_ID), 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_may_look_at_the_parameters_and_the_first_that_fires_decides() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    let of_genesis = |call: &fermata_e2e::Call| call.params[0] == "0x0";
    l1.set([
        Rule::matching(of_genesis, Fault::error(1, "genesis")),
        Rule::on("eth_getBlockByNumber", Fault::error(2, "other")),
    ]);
    let block = |number: &str| json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [number, false] });
    assert_eq!(ask(&l1, &block("0x0")).await?.json()?["error"]["code"], 1);
    assert_eq!(ask(&l1, &block("latest")).await?.json()?["error"]["code"], 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_goes_from_stage_to_stage_by_calls_or_when_told_and_then_all_passes() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    let stage = || Stage::of([Rule::all(no())]);
    l1.play([stage().for_calls(2), Stage::quiet().for_calls(1), stage()]);
    assert_eq!(faults(&l1, 6).await?, [true, true, false, true, true, true]);
    l1.wait_for_stage(3).await?;
    l1.next_stage();
    l1.wait_for_stage(4).await?;
    assert_eq!(faults(&l1, 2).await?, [false, false]);
    Ok(())
}

async fn drawn(anvil: &Anvil, seed: u64) -> Result<Vec<bool>> {
    let l1 = L1Proxy::start_with(&anvil.url(), L1ProxyOptions { seed, ..L1ProxyOptions::default() }).await?;
    l1.set([Rule::on(CHAIN_ID, no()).with_chance(0.5)]);
    faults(&l1, 40).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_and_calls_are_the_same_faults_and_another_seed_is_others() -> Result<()> {
    let anvil = bare_l1().await?;
    let first = drawn(&anvil, 7).await?;
    assert_eq!(first, drawn(&anvil, 7).await?);
    assert_ne!(first, drawn(&anvil, 8).await?);
    let met = first.iter().filter(|met| **met).count();
    assert!((8..=32).contains(&met), "half of forty: {met}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_calls_ends_with_them() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    let calls = async {
        for _ in 0..3 {
            ask(&l1, &call(CHAIN_ID)).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(l1.wait_for(CHAIN_ID, 3), calls)?;
    assert_eq!((l1.seen(CHAIN_ID), l1.broadcasts().len()), (3, 0));
    assert!(l1.calls().is_sorted_by_key(|call| call.at));
    Ok(())
}
