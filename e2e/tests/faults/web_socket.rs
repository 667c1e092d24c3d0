//! Each fault as a WebSocket client meets it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fermata_anvil::Anvil;
use fermata_e2e::{CutAt, Fate, Fault, HANDSHAKE, L1Proxy, Rule};
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::common::{call, proxied, told};

const CHAIN_ID: &str = "eth_chainId";
const NOTIFICATION: &str = "eth_subscription";

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn to(l1: &L1Proxy) -> Result<Self> {
        Ok(Self(connect_async(l1.ws_url()).await?.0))
    }

    async fn ask(&mut self, call: &Value) -> Result<()> {
        Ok(self.0.send(Message::text(call.to_string())).await?)
    }

    async fn text(&mut self) -> Result<String> {
        let message = self.0.next().await.context("the stream has ended")??;
        let Message::Text(text) = &message else { bail!("{message:?}") };
        Ok(text.to_string())
    }

    async fn json(&mut self) -> Result<Value> {
        Ok(serde_json::from_str(&self.text().await?)?)
    }

    async fn answer(&mut self, method: &str) -> Result<Value> {
        self.ask(&call(method)).await?;
        self.json().await
    }

    async fn subscribe_to_heads(&mut self) -> Result<()> {
        self.ask(&json!({ "jsonrpc": "2.0", "id": 9, "method": "eth_subscribe", "params": ["newHeads"] })).await?;
        let answer = self.json().await?;
        anyhow::ensure!(answer["id"] == 9 && answer["result"].is_string(), "{answer}");
        Ok(())
    }

    fn is_silent(&mut self) -> bool {
        self.0.next().now_or_never().is_none()
    }
}

async fn mine(anvil: &Anvil) -> Result<()> {
    let _: Value = told(anvil, "evm_mine", json!([])).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_and_heads_are_told_on_the_port_of_http() -> Result<()> {
    let (anvil, l1) = proxied().await?;
    let mut client = Client::to(&l1).await?;
    assert_eq!(client.answer(CHAIN_ID).await?["result"], "0x7a69");
    client.subscribe_to_heads().await?;
    for number in ["0x1", "0x2"] {
        mine(&anvil).await?;
        assert_eq!(client.json().await?["params"]["result"]["number"], number);
    }
    assert_eq!((l1.seen(HANDSHAKE), l1.seen(CHAIN_ID), l1.seen(NOTIFICATION)), (1, 1, 2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_vanish_or_lie_while_calls_are_answered() -> Result<()> {
    let (anvil, l1) = proxied().await?;
    let mut client = Client::to(&l1).await?;
    client.subscribe_to_heads().await?;
    l1.set([Rule::on(NOTIFICATION, Fault::Hang(CutAt::Request))]);
    mine(&anvil).await?;
    l1.wait_for(NOTIFICATION, 1).await?;
    assert_eq!(client.answer("eth_blockNumber").await?["result"], "0x1");
    assert!(client.is_silent(), "the head has vanished");

    l1.set([Rule::on(NOTIFICATION, Fault::rewrite(|_| json!({ "number": "0xf4240" })))]);
    mine(&anvil).await?;
    assert_eq!(client.json().await?["params"]["result"]["number"], "0xf4240");
    l1.clear();
    mine(&anvil).await?;
    assert_eq!(client.json().await?["params"]["result"]["number"], "0x3");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_other_ones_as_over_http() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    let mut client = Client::to(&l1).await?;
    l1.set([Rule::on(CHAIN_ID, Fault::WrongChainId(5))]);
    assert_eq!(client.answer(CHAIN_ID).await?["result"], "0x5");
    l1.set([Rule::all(Fault::error(-32_000, "no"))]);
    assert_eq!(client.answer(CHAIN_ID).await?["error"]["message"], "no");
    l1.set([Rule::all(Fault::RateLimit { retry_after: Duration::from_secs(1) })]);
    assert_eq!(client.answer(CHAIN_ID).await?["error"]["code"], -32_005);
    l1.set([Rule::all(Fault::Latency(Duration::from_millis(20)))]);
    assert_eq!(client.answer(CHAIN_ID).await?["result"], "0x7a69");
    l1.set([Rule::all(Fault::Drip { bytes: 9, every: Duration::from_millis(1) })]);
    assert_eq!(client.answer(CHAIN_ID).await?["result"], "0x7a69");
    l1.set([Rule::all(Fault::Huge(500_000))]);
    assert_eq!(client.answer(CHAIN_ID).await?["result"].as_str().map(str::len), Some(500_000));
    l1.set([Rule::all(Fault::Garbage)]);
    client.ask(&call(CHAIN_ID)).await?;
    assert!(client.text().await?.starts_with("<html>"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_hangs_is_reset_or_ends_and_the_handshake_can_be_refused() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    let mut client = Client::to(&l1).await?;
    l1.set([Rule::on(CHAIN_ID, Fault::Hang(CutAt::Request))]);
    client.ask(&call(CHAIN_ID)).await?;
    l1.wait_for(CHAIN_ID, 1).await?;
    assert_eq!(client.answer("eth_blockNumber").await?["result"], "0x0", "one answer is missing, and no other");

    for (fault, word) in [
        (Fault::Reset(CutAt::Request), "reset by peer"),
        (Fault::End(CutAt::Request), "without closing handshake"),
        (Fault::End(CutAt::Answer(5)), "without closing handshake"),
        (Fault::Status(500), "without closing handshake"),
    ] {
        let mut client = Client::to(&l1).await?;
        l1.set([Rule::on(CHAIN_ID, fault.clone())]);
        let error = client.answer(CHAIN_ID).await.expect_err("it is cut");
        let told = format!("{error:#}").to_lowercase();
        assert!(told.contains(word), "{fault:?}: {told}");
    }
    l1.set([Rule::on(HANDSHAKE, Fault::Status(503))]);
    let refused = Client::to(&l1).await.err().context("it is refused")?;
    assert!(format!("{refused:#}").contains("503"), "{refused:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_is_asked_for_the_subscription_of_a_batch_whose_other_call_meets_an_error() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    let mut client = Client::to(&l1).await?;
    l1.set([Rule::on(CHAIN_ID, Fault::error(-32_000, "no"))]);
    let subscribe = json!({ "jsonrpc": "2.0", "id": 9, "method": "eth_subscribe", "params": ["newHeads"] });
    client.ask(&json!([call(CHAIN_ID), subscribe])).await?;
    let mut answers = Vec::new();
    for _ in 0..2 {
        let Value::Array(some) = client.json().await? else { bail!("a batch is answered by an array") };
        answers.extend(some);
    }
    let [error, subscription] = answers.as_slice() else { bail!("{answers:?}") };
    assert_eq!(error["error"]["message"], "no", "{answers:?}");
    assert!(subscription["id"] == 9 && subscription["result"].is_string(), "{answers:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_logged_as_faulted_only_by_what_can_happen_to_it() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    let mut client = Client::to(&l1).await?;
    l1.set([Rule::all(Fault::rewrite(|_| json!("a lie")))]);
    client.subscribe_to_heads().await?;
    l1.set([Rule::all(Fault::Latency(Duration::from_millis(1)))]);
    client.subscribe_to_heads().await?;
    let fates: Vec<_> = l1.calls().into_iter().skip(1).map(|call| call.fate).collect();
    assert_eq!(fates, [Fate::Answered, Fate::Faulted("latency")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_ends_with_l1s_own() -> Result<()> {
    let (anvil, l1) = proxied().await?;
    let mut client = Client::to(&l1).await?;
    client.subscribe_to_heads().await?;
    drop(anvil);
    client.json().await.expect_err("L1 is gone");
    Ok(())
}
