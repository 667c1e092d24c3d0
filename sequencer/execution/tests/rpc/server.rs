//! The listener's life.

use std::net::SocketAddr;

use alloy::providers::Provider;
use fermata_execution::rpc::{RpcError, RpcLimits, serve};
use jsonrpsee::core::client::{Subscription, SubscriptionClientT};
use jsonrpsee::rpc_params;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{DEADLINE, Node};

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_with_its_remedy() {
    let node = Node::start().await;
    let taken = node.server.local_addr();
    let refused = serve(taken, node.execution.reader().clone(), RpcLimits::default()).await.unwrap_err();
    assert!(matches!(refused, RpcError::PortInUse { addr } if addr == taken));
    assert!(refused.to_string().contains(&taken.to_string()) && refused.to_string().contains("another port"));
    assert_eq!(node.provider().get_block_number().await.unwrap(), 0, "the first server goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_another_machine_cannot_be_listened_on() {
    let node = Node::start().await;
    let foreign: SocketAddr = "192.0.2.1:0".parse().unwrap();
    let refused = serve(foreign, node.execution.reader().clone(), RpcLimits::default()).await.unwrap_err();
    assert!(matches!(refused, RpcError::Listen { addr, .. } if addr == foreign));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_connections_and_subscriptions_and_frees_the_port() {
    let node = Node::start().await;
    let websocket = node.plain_websocket().await;
    let mut http = TcpStream::connect(node.server.local_addr()).await.unwrap();
    ask_for_the_head(&mut http).await;
    let mut heads: Subscription<Value> =
        websocket.subscribe("eth_subscribe", rpc_params!["newHeads"], "eth_unsubscribe").await.unwrap();
    timeout(DEADLINE, node.server.stop()).await.expect("the stop ends");
    timeout(DEADLINE, node.server.stop()).await.expect("and a second one too");
    let rest = timeout(DEADLINE, http.read(&mut [0; 64])).await.expect("the connection ends");
    assert!(matches!(rest, Ok(0) | Err(_)), "{rest:?}");
    assert!(timeout(DEADLINE, node.provider().get_block_number()).await.expect("nobody listens").is_err());
    assert!(timeout(DEADLINE, heads.next()).await.expect("the subscription ends").is_none());
    TcpListener::bind(node.server.local_addr()).await.expect("the port is free");
    node.execution.close().await.expect("nothing holds the chain open");
}

/// Asks over a connection that stays open, and reads the answer. A library's client may ask over a connection that has
/// just ended, and then wait for ever.
async fn ask_for_the_head(http: &mut TcpStream) {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length";
    http.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with('}') {
        let mut piece = [0; 512];
        let read = timeout(DEADLINE, http.read(&mut piece)).await.expect("it answers").unwrap();
        assert!(read > 0, "it ended after {answer}");
        answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""result":"0x0""#), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_chain_is_an_error_and_no_hang() {
    let node = Node::start().await;
    node.execution.close().await.unwrap();
    let refused = node.provider().get_block_number().await.unwrap_err();
    assert!(refused.to_string().contains("the node is stopping"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_finishes_its_request_does_not_hold_a_stop_up() {
    let node = Node::start().await;
    let mut client = TcpStream::connect(node.server.local_addr()).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n[";
    client.write_all(head.as_bytes()).await.unwrap();
    node.provider().get_block_number().await.expect("the server has accepted by now");
    timeout(DEADLINE, node.server.stop()).await.expect("the stop ends");
    drop(client);
}
