//! The L1 behind the proxy.

use alloy::transports::http::reqwest::{self, Client, Url, header::CONTENT_TYPE};
use anyhow::{Context as _, Result};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A WebSocket to L1.
pub(super) type L1Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An endpoint of L1: HTTP, and WebSocket at the same address.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    client: Client,
    url: Url,
}

impl Upstream {
    pub(super) fn new(url: &str) -> Result<Self> {
        let url = url.parse().with_context(|| format!("{url} is no URL"))?;
        // A proxy meant for the outside has no say in how an own L1 is asked.
        let client = Client::builder().no_proxy().build()?;
        Ok(Self { client, url })
    }

    /// L1's answer: HTTP status and body.
    pub(super) async fn post(&self, body: Bytes) -> reqwest::Result<(u16, Bytes)> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        let response = request.body(body).send().await?;
        let status = response.status().as_u16();
        Ok((status, response.bytes().await?))
    }

    /// The results of some calls, asked for in one batch; null where a result is missing.
    pub(super) async fn results(&self, calls: &[(&str, Value)]) -> Result<Vec<Value>> {
        let numbered = calls.iter().enumerate();
        let batch: Vec<_> = numbered
            .map(|(id, (method, params))| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .collect();
        let (_, body) = self.post(Bytes::from(Value::Array(batch).to_string())).await?;
        let answers: Vec<Value> = serde_json::from_slice(&body)?;
        let result_of = |id| answers.iter().find(|answer| answer["id"] == id).map(|answer| answer["result"].clone());
        Ok((0..calls.len()).map(|id| result_of(id).unwrap_or_default()).collect())
    }

    pub(super) async fn web_socket(&self) -> Result<L1Socket> {
        let url = self.url.as_str().replacen("http", "ws", 1);
        Ok(tokio_tungstenite::connect_async(url).await?.0)
    }
}
