//! The port: refused, opened again, and free once the proxy has gone.

use std::io::ErrorKind;

use anyhow::Result;
use fermata_e2e::{CutAt, Fault, L1Proxy, Rule, Stage};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{Wire, address, ask, call, proxied};

const CHAIN_ID: &str = "eth_chainId";

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_closes_the_port_and_its_connections_and_the_port_opens_again() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    let mut wire = Wire::to(&l1).await?;
    wire.ask(&call(CHAIN_ID)).await?;
    wire.answer().await?;
    for _ in 0..3 {
        l1.set([Rule::all(Fault::Refuse)]);
        l1.port_follows().await?;
        let refused = TcpStream::connect(address(&l1)).await.expect_err("the port is closed");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        l1.clear();
        l1.port_follows().await?;
        assert_eq!(ask(&l1, &call(CHAIN_ID)).await?.status, 200);
    }
    wire.answer().await.expect_err("the connection has ended with the port");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn newcomers_are_reset_while_a_connection_that_was_there_goes_on() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    let mut wire = Wire::to(&l1).await?;
    wire.ask(&call(CHAIN_ID)).await?;
    wire.answer().await?;
    l1.play([Stage::of([Rule::all(Fault::ResetNewcomers)]), Stage::quiet()]);
    l1.port_follows().await?;
    // The reset may come before the newcomer knows that he is connected.
    let newcomer = async { Wire::to(&l1).await?.answer().await };
    assert_eq!(newcomer.await.expect_err("it is reset").kind(), ErrorKind::ConnectionReset);
    wire.ask(&call(CHAIN_ID)).await?;
    assert_eq!(wire.answer().await?.status, 200);
    l1.next_stage();
    l1.port_follows().await?;
    assert_eq!(ask(&l1, &call(CHAIN_ID)).await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn once_it_is_closed_every_connection_has_ended_and_the_port_is_free() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    l1.set([Rule::all(Fault::Hang(CutAt::Request))]);
    let mut wire = Wire::to(&l1).await?;
    wire.ask(&call(CHAIN_ID)).await?;
    l1.wait_for(CHAIN_ID, 1).await?;
    let address = address(&l1).to_owned();
    l1.close().await;
    wire.answer().await.expect_err("the connection has ended");
    TcpListener::bind(&address).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_dropped_ends_its_connections() -> Result<()> {
    let (_anvil, l1) = proxied().await?;
    let mut wire = Wire::to(&l1).await?;
    l1.set([Rule::all(Fault::Hang(CutAt::Request))]);
    wire.ask(&call(CHAIN_ID)).await?;
    l1.wait_for(CHAIN_ID, 1).await?;
    drop(l1);
    assert_eq!(wire.answer().await.expect_err("it has ended").kind(), ErrorKind::UnexpectedEof);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_l1_that_is_not_there_ends_the_connection_as_it_would_its_own() -> Result<()> {
    let l1 = L1Proxy::start("http://127.0.0.1:9").await?;
    assert_eq!(ask(&l1, &call(CHAIN_ID)).await.expect_err("nobody answers").kind(), ErrorKind::UnexpectedEof);
    L1Proxy::start("no url").await.map(|_| ()).expect_err("it is none");
    Ok(())
}
