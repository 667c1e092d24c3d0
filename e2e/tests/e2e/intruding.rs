//! What somebody finds who has no token: every port the process listens on, tried with every method there is.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use alloy::transports::http::reqwest::{Client, Response};
use anyhow::{Context as _, ensure};
use fermata_e2e::{ChildNode, Net};
use serde_json::{Value, json};

type Result<T = ()> = anyhow::Result<T>;

/// The admin RPC's methods.
const METHODS: [&str; 15] = [
    "admin_start",
    "admin_stop",
    "admin_close",
    "admin_config",
    "admin_reloadKeys",
    "admin_status",
    "admin_waitFor",
    "admin_explain",
    "admin_publisher",
    "admin_journal",
    "admin_subscribe",
    "admin_unsubscribe",
    "admin_startSequencer",
    "admin_stopSequencer",
    "admin_sequencerActive",
];

/// Every TCP address that the process listens on, as the kernel tells.
fn listeners(pid: u32) -> Result<BTreeSet<SocketAddr>> {
    let sockets = sockets_of(pid)?;
    let mut found = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}"))?;
        for line in text.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            // The fourth field is the state, of which 0A is listening; the tenth is the socket.
            if fields.get(3) == Some(&"0A") && fields.get(9).is_some_and(|inode| sockets.contains(*inode)) {
                found.insert(address(fields[1]).with_context(|| line.to_owned())?);
            }
        }
    }
    Ok(found)
}

/// The inodes of the sockets that the process has open.
fn sockets_of(pid: u32) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd"))? {
        // A file that was closed meanwhile is no socket that is listened on.
        let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
        if let Some(inode) = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')) {
            found.insert(inode.to_owned());
        }
    }
    Ok(found)
}

/// An address as the kernel writes it: words in the machine's order, in hexadecimal.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = if ip.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(word(0)?))
    } else {
        let bytes = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

async fn call(client: &Client, at: SocketAddr, method: &str, headers: &[(&str, &str)]) -> Result<Response> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [] }).to_string();
    let request = client.post(format!("http://{at}/")).header("content-type", "application/json").body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Ok(request.send().await?)
}

/// Nothing of what is tried has been carried out.
async fn assert_untouched(node: &ChildNode) -> Result {
    let status = node.verb(&["status", "--json"]).await?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    ensure!(status["actual"]["lifecycle"] == "running" && status["runs"] == 1, "{status}");
    let journal = node.verb(&["journal", "--json"]).await?;
    ensure!(serde_json::from_slice::<Value>(&journal.stdout)? == json!([]), "{journal:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_port_of_a_node_carries_out_a_verb_without_a_token_or_for_a_foreign_page() -> Result {
    let net = Net::start().await?;
    // Ports that the system chooses; else as the defaults are.
    let node = net.spawn_node("a").await?;
    let running = node.verb(&["wait", "--state", "running"]).await?;
    ensure!(running.status.success(), "{running:?}");
    let token = std::fs::read_to_string(net.data_dir("a").join("admin.token"))?;
    let listeners = listeners(node.pid().context("it runs")?)?;
    assert_eq!(listeners.len(), 2, "the L2 RPC and the admin RPC: {listeners:?}");
    let client = Client::builder().no_proxy().tls_certs_only([]).build()?;
    let bearer = format!("Bearer {}", token.trim());
    let foreign = [("authorization", bearer.as_str()), ("origin", "https://evil.example.org")];
    let wrong = [("authorization", "Bearer wrong")];
    let mut refused = 0;
    for at in listeners {
        assert!(at.ip().is_loopback(), "{at}");
        for method in METHODS {
            for headers in [&[][..], &wrong, &foreign] {
                let answer = call(&client, at, method, headers).await?;
                let status = answer.status().as_u16();
                let told: Value = serde_json::from_str(&answer.text().await?)?;
                assert!(told.get("result").is_none(), "{at} {method}: {told}");
                // The L2 RPC has no such method for anyone; the admin RPC refuses before it looks for one.
                let is_unknown = status == 200 && told["error"]["code"] == -32601;
                assert!(is_unknown || matches!(status, 401 | 403), "{at} {method}: {status} {told}");
                refused += u32::from(!is_unknown);
            }
        }
    }
    assert_eq!(refused as usize, 3 * METHODS.len(), "one of the two is the admin RPC");
    assert_untouched(&node).await
}
