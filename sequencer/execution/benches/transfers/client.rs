//! The client: sends the load over HTTP and watches until every transfer is in a block.

use std::time::Duration;

use alloy::primitives::Bytes;
use alloy::transports::http::reqwest::Client;
use fermata_primitives::{Clock, SystemClock};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::Result;
use crate::load::Load;

/// How often the chain is asked for its next block, when it has none yet.
const POLL: Duration = Duration::from_millis(5);

/// Sends the whole load and returns how long it took until the chain held all of it.
pub(crate) async fn run(url: &str, load: &Load) -> Result<Duration> {
    let begun = SystemClock.monotonic();
    futures::try_join!(send_all(url, load), all_in_blocks(url, load.len()))?;
    Ok(SystemClock.monotonic() - begun)
}

/// Sends the whole load, over all connections at once.
pub(crate) async fn send_all(url: &str, load: &Load) -> Result<()> {
    try_join_all(load.connections.iter().map(|batches| send(url, batches))).await?;
    Ok(())
}

/// One JSON-RPC call.
pub(crate) async fn call(client: &Client, url: &str, method: &str, params: Value) -> Result<Value> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut answer = post(client, url, request.to_string()).await?;
    match answer.get("error") {
        Some(error) => Err(format!("{method}: {error}").into()),
        None => Ok(answer["result"].take()),
    }
}

async fn send(url: &str, batches: &[Vec<Bytes>]) -> Result<()> {
    let client = Client::new();
    for batch in batches {
        let answers = post(&client, url, body(batch)).await?;
        let answers = answers.as_array().ok_or_else(|| format!("no batch of answers: {answers}"))?;
        if let Some(refused) = answers.iter().find(|answer| answer.get("error").is_some()) {
            return Err(format!("a transfer was refused: {refused}").into());
        }
    }
    Ok(())
}

fn body(batch: &[Bytes]) -> String {
    let call = |(id, raw): (usize, &Bytes)| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_sendRawTransaction","params":["{raw}"]}}"#)
    };
    let calls: Vec<_> = batch.iter().enumerate().map(call).collect();
    format!("[{}]", calls.join(","))
}

async fn post(client: &Client, url: &str, body: String) -> Result<Value> {
    let response = client.post(url).header("content-type", "application/json").body(body).send().await?;
    Ok(serde_json::from_slice(&response.bytes().await?)?)
}

/// Returns once the chain's blocks hold this many transactions.
pub(crate) async fn all_in_blocks(url: &str, transfers: usize) -> Result<()> {
    let client = Client::new();
    let (mut counted, mut seen) = (0, 0);
    while seen < transfers {
        let head = quantity(&call(&client, url, "eth_blockNumber", json!([])).await?)?;
        if counted == head {
            SystemClock.sleep(POLL).await;
        }
        while counted < head {
            counted += 1;
            let tag = format!("{counted:#x}");
            seen += quantity(&call(&client, url, "eth_getBlockTransactionCountByNumber", json!([tag])).await?)?;
        }
    }
    Ok(())
}

fn quantity(value: &Value) -> Result<usize> {
    let digits = value.as_str().ok_or_else(|| format!("not a quantity: {value}"))?;
    Ok(usize::from_str_radix(digits.trim_start_matches("0x"), 16)?)
}
