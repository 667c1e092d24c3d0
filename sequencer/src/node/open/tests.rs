//! What a publisher is given of the configuration.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::config::{Setting, Sources};

const MNEMONIC: &str = "test test test test test test test test test test test junk";

fn config(settings: &[(&str, &str)]) -> NodeConfig {
    let least = [
        ("l1.rpc_url", "http://127.0.0.1:9"),
        ("l1.addresses_file", "addresses.json"),
        ("l1.blobs", "anvil"),
        ("validator.mnemonic", MNEMONIC),
        ("publisher.mnemonic", MNEMONIC),
        ("execution.chain_id", "1337"),
    ];
    let presets = least.iter().chain(settings).map(|(key, value)| Setting::new(*key, *value, "a test")).collect();
    NodeConfig::load(&Sources { presets, ..Sources::default() }).expect("valid")
}

fn l1(settings: &[(&str, &str)]) -> L1 {
    let config = config(settings);
    let head = fermata_publisher::L1HeadInfo {
        number: 0,
        hash: Default::default(),
        timestamp: fermata_primitives::L1Timestamp(0),
        base_fee: 0,
        blob_base_fee: None,
        excess_blob_gas: None,
    };
    l1_of(&config, l1_client(&config).provider().clone(), watch::channel(head).1)
}

#[tokio::test]
async fn a_publisher_sends_to_the_endpoints_that_are_named_for_it_and_tells_of_them_without_their_keys() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let here = format!("http://{}", listener.local_addr().expect("it is bound"));
    let l1 = l1(&[("l1.send_urls", &format!("{here}/key-4711, https://b.example.org"))]);
    let names: Vec<_> = l1.send_to.iter().map(|backend| backend.name.clone()).collect();
    assert_eq!(names, [format!("{here}/…"), "https://b.example.org".to_owned()]);
    let asked = async {
        let (mut stream, _) = listener.accept().await.expect("somebody comes");
        let mut line = vec![0; "POST /key-4711".len()];
        stream.read_exact(&mut line).await.expect("a request");
        String::from_utf8_lossy(&line).into_owned()
    };
    let line = tokio::select! {
        line = asked => line,
        answer = async { l1.send_to[0].provider.get_chain_id().await } => panic!("nobody answers, and yet: {answer:?}"),
    };
    assert_eq!(line, "POST /key-4711");
}

#[tokio::test]
async fn a_publisher_without_endpoints_of_its_own_sends_to_where_the_node_reads() {
    assert!(l1(&[]).send_to.is_empty());
}
