//! A bare L1, and clients that see every byte.

use std::io;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use fermata_anvil::{Anvil, AnvilConfig, AnvilMining};
use fermata_e2e::L1Proxy;
use fermata_primitives::SystemClock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Blocks come when they are asked for.
pub(crate) async fn bare_l1() -> Result<Anvil> {
    let config = AnvilConfig { mining: AnvilMining::OnDemand, ..AnvilConfig::default() };
    Ok(Anvil::start(&config, Arc::new(SystemClock)).await?)
}

/// A bare L1 behind a proxy.
pub(crate) async fn proxied() -> Result<(Anvil, L1Proxy)> {
    let anvil = bare_l1().await?;
    let l1 = L1Proxy::start(&anvil.url()).await?;
    Ok((anvil, l1))
}

pub(crate) fn call(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [] })
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| String::from_utf8_lossy(&self.body).into_owned())
    }
}

/// One connection, on which every byte is seen.
pub(crate) struct Wire {
    stream: TcpStream,
    /// What has come and was not taken yet.
    heard: Vec<u8>,
}

impl Wire {
    pub(crate) async fn to(l1: &L1Proxy) -> io::Result<Self> {
        let stream = TcpStream::connect(address(l1)).await?;
        Ok(Self { stream, heard: Vec::new() })
    }

    pub(crate) async fn ask(&mut self, call: &Value) -> io::Result<()> {
        let body = call.to_string();
        let head = format!("POST / HTTP/1.1\r\nhost: l1\r\ncontent-length: {}\r\n\r\n", body.len());
        self.stream.write_all((head + &body).as_bytes()).await
    }

    /// The head of the answer, and how many bytes of body it announces.
    async fn head(&mut self) -> io::Result<(String, usize)> {
        let end = loop {
            if let Some(at) = self.heard.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.hear().await?;
        };
        let head = String::from_utf8_lossy(&self.heard.drain(..end).collect::<Vec<_>>()).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|length| length.parse().ok()).unwrap_or_default();
        Ok((head, length))
    }

    /// The whole answer. An error is of kind `UnexpectedEof` where the connection ended, `ConnectionReset` where it was reset.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        let (head, length) = self.head().await?;
        let body = self.body(length).await?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Ok(Answer { status, head, body })
    }

    /// So many bytes of an answer's body, the head before them.
    pub(crate) async fn beginning(&mut self, bytes: usize) -> io::Result<(usize, Vec<u8>)> {
        let (_, length) = self.head().await?;
        Ok((length, self.body(bytes).await?))
    }

    async fn body(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.heard.len() < bytes {
            self.hear().await?;
        }
        Ok(self.heard.drain(..bytes).collect())
    }

    async fn hear(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.heard).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Whether the connection is there and nothing has come on it.
    pub(crate) fn is_silent(&self) -> bool {
        let nothing = self.stream.try_read(&mut [0; 1]);
        self.heard.is_empty() && nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

pub(crate) fn address(l1: &L1Proxy) -> &str {
    l1.url().trim_start_matches("http://")
}

/// Asks on a connection of its own.
pub(crate) async fn ask(l1: &L1Proxy, call: &Value) -> io::Result<Answer> {
    let mut wire = Wire::to(l1).await?;
    wire.ask(call).await?;
    wire.answer().await
}

/// Asks L1 itself.
pub(crate) async fn told<T: serde::de::DeserializeOwned>(
    anvil: &Anvil,
    method: &'static str,
    params: Value,
) -> Result<T> {
    use alloy::providers::Provider as _;
    Ok(serde_json::from_value(anvil.provider()?.raw_request(method.into(), params).await?)?)
}
