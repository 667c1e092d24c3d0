//! Each fault as an HTTP client meets it.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::Result;
use fermata_e2e::{CutAt, Fate, Fault, Rule};
use fermata_primitives::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::common::{Wire, ask, call, proxied};

const CHAIN_ID: &str = "eth_chainId";

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_stays_so_while_other_calls_of_other_connections_are_answered() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    l1.set([Rule::on(CHAIN_ID, Fault::Hang(CutAt::Request))]);
    let mut wire = Wire::to(&l1).await?;
    wire.ask(&call(CHAIN_ID)).await?;
    l1.wait_for(CHAIN_ID, 1).await?;
    assert_eq!(ask(&l1, &call("eth_blockNumber")).await?.json()?["result"], "0x0");
    l1.clear();
    assert_eq!(ask(&l1, &call(CHAIN_ID)).await?.json()?["result"], "0x7a69");
    assert!(wire.is_silent());
    assert_eq!(l1.calls()[0].fate, Fate::Faulted("hang"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stops_breaks_or_ends_after_exactly_so_many_bytes_of_it() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    l1.set([Rule::all(Fault::Hang(CutAt::Answer(7)))]);
    let mut wire = Wire::to(&l1).await?;
    wire.ask(&call(CHAIN_ID)).await?;
    let (announced, heard) = wire.beginning(7).await?;
    assert!(announced > 7 && heard.starts_with(b"{"), "{announced}");
    l1.clear();
    ask(&l1, &call(CHAIN_ID)).await?;
    assert!(wire.is_silent(), "no more comes");

    for (fault, kind) in [
        (Fault::Reset(CutAt::Answer(0)), ErrorKind::ConnectionReset),
        (Fault::End(CutAt::Answer(5)), ErrorKind::UnexpectedEof),
        (Fault::Reset(CutAt::Request), ErrorKind::ConnectionReset),
        (Fault::End(CutAt::Request), ErrorKind::UnexpectedEof),
    ] {
        l1.set([Rule::all(fault.clone())]);
        let error = ask(&l1, &call(CHAIN_ID)).await.expect_err("it is cut");
        assert_eq!(error.kind(), kind, "{fault:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_in_the_answer_was_carried_out_and_what_is_cut_in_the_request_was_not() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    l1.set([
        Rule::on("evm_mine", Fault::End(CutAt::Answer(0))).next(1),
        Rule::on("evm_mine", Fault::End(CutAt::Request)),
    ]);
    for _ in 0..2 {
        ask(&l1, &call("evm_mine")).await.expect_err("it is cut");
    }
    assert_eq!(ask(&l1, &call("eth_blockNumber")).await?.json()?["result"], "0x1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_jitter_and_drip_take_their_time_and_nothing_else() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    let plain = ask(&l1, &call(CHAIN_ID)).await?.body;
    let span = Duration::from_millis(40);
    let slow = Fault::Drip { bytes: plain.len().div_ceil(3), every: span / 2 };
    for (fault, least) in [(Fault::Latency(span), span), (Fault::Jitter(span, 2 * span), span), (slow, span)] {
        l1.set([Rule::all(fault.clone())]);
        let began = SystemClock.monotonic();
        let answer = ask(&l1, &call(CHAIN_ID)).await?;
        assert_eq!((answer.status, &answer.body), (200, &plain), "{fault:?}");
        assert!(SystemClock.monotonic() - began >= least, "{fault:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_other_ones_in_status_words_or_numbers() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    l1.set([Rule::on(CHAIN_ID, Fault::WrongChainId(5)), Rule::on("net_version", Fault::WrongChainId(5))]);
    assert_eq!(ask(&l1, &call(CHAIN_ID)).await?.json()?["result"], "0x5");
    assert_eq!(ask(&l1, &call("net_version")).await?.json()?["result"], "5");

    l1.set([Rule::all(Fault::rewrite(|result| json!({ "was": result })))]);
    assert_eq!(ask(&l1, &call("eth_blockNumber")).await?.json()?["result"]["was"], "0x0");

    l1.set([Rule::all(Fault::error(-32_000, "header not found"))]);
    assert_eq!(
        ask(&l1, &call(CHAIN_ID)).await?.json()?["error"],
        json!({ "code": -32_000, "message": "header not found" })
    );

    l1.set([Rule::all(Fault::RateLimit { retry_after: Duration::from_secs(3) })]);
    let limited = ask(&l1, &call(CHAIN_ID)).await?;
    assert!(limited.status == 429 && limited.head.contains("retry-after: 3\r\n"), "{limited:?}");
    assert_eq!(limited.json()?["error"]["code"], -32_005);

    for (fault, status) in [(Fault::Garbage, 200), (Fault::Status(503), 503)] {
        l1.set([Rule::all(fault)]);
        let page = ask(&l1, &call(CHAIN_ID)).await?;
        assert!(page.status == status && page.json().is_err(), "{page:?}");
    }

    l1.set([Rule::all(Fault::Huge(3_000_000))]);
    let huge = ask(&l1, &call(CHAIN_ID)).await?.json()?;
    assert_eq!(huge["result"].as_str().map(str::len), Some(3_000_000));
    Ok(())
}

fn numbered(id: usize, method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": [] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_in_order_and_each_of_its_calls_meets_what_it_meets_alone() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    l1.set([Rule::on("eth_gasPrice", Fault::error(7, "no")), Rule::on(CHAIN_ID, Fault::WrongChainId(5))]);
    let methods = ["eth_blockNumber", "eth_gasPrice", CHAIN_ID];
    let batch: Vec<_> = methods.iter().enumerate().map(|(id, method)| numbered(id, method)).collect();
    let answers = ask(&l1, &Value::Array(batch)).await?.json()?;
    let ids: Vec<_> = (0..3).map(|at| answers[at]["id"].as_u64()).collect();
    assert_eq!(ids, [Some(0), Some(1), Some(2)]);
    assert_eq!((&answers[0]["result"], &answers[1]["error"]["code"]), (&json!("0x0"), &json!(7)));
    assert_eq!(answers[2]["result"], "0x5");
    assert_eq!((l1.requests(), l1.seen("eth_gasPrice")), (3, 1));
    Ok(())
}
