//! What a node sends to L1, as it passes by.

use std::sync::{Arc, Mutex, PoisonError};

use alloy::consensus::transaction::SignerRecoverable as _;
use alloy::consensus::{EthereumTxEnvelope, Transaction as _, TxEip4844};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::primitives::{Address, B256, Bytes, keccak256};
use alloy::sol_types::SolValue as _;
use anyhow::{Context as _, Result};
use fermata_primitives::{SharedClock, UnixTime};
use fermata_rollup::{Propose, decode_proposes};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::mempool::without_sidecar;

/// A transaction that was sent.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// When, by the clock that L1's blocks come by.
    pub at: UnixTime,
    /// Its hash.
    pub hash: B256,
    /// Who signed it.
    pub account: Address,
    /// Its nonce.
    pub nonce: u64,
    /// A transfer of nothing to its own account: what takes a nonce back.
    pub is_cancel: bool,
    /// What it does, whatever it bids: a digest.
    pub call: B256,
    /// The checkpoints it proposes.
    pub proposes: Vec<Propose>,
}

/// A proxy in front of an L1 endpoint that passes everything on and reads every transaction that is broadcast.
#[derive(Debug)]
pub struct Wire {
    url: String,
    seen: Arc<Seen>,
    _ended: DropGuard,
}

#[derive(Debug)]
struct Seen {
    rollup: Address,
    clock: SharedClock,
    broadcasts: Mutex<Vec<Broadcast>>,
    /// What could not be read: then nothing can be said about what was sent.
    unread: Mutex<Vec<String>>,
}

impl Wire {
    /// A proxy in front of `url`, whose blocks come by `clock`.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(url: &str, rollup: Address, clock: SharedClock) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let here = format!("http://{}", listener.local_addr()?);
        let there = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let seen = Arc::new(Seen { rollup, clock, broadcasts: Mutex::default(), unread: Mutex::default() });
        let ended = CancellationToken::new();
        let accepting = accept(listener, there, Arc::clone(&seen), ended.clone());
        TaskTracker::new().spawn(ended.clone().run_until_cancelled_owned(accepting));
        Ok(Self { url: here, seen, _ended: ended.drop_guard() })
    }

    /// What a node is given as its L1.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every transaction that was sent, in order.
    ///
    /// # Errors
    /// One could not be read.
    pub fn broadcasts(&self) -> Result<Vec<Broadcast>> {
        let unread = self.seen.unread.lock().unwrap_or_else(PoisonError::into_inner);
        anyhow::ensure!(unread.is_empty(), "what was sent to L1 cannot be read: {unread:?}");
        Ok(self.seen.broadcasts.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

async fn accept(listener: TcpListener, there: String, seen: Arc<Seen>, ended: CancellationToken) {
    let connections = TaskTracker::new();
    while let Ok((client, _)) = listener.accept().await {
        let connecting = connect(client, there.clone(), Arc::clone(&seen));
        // A connection that breaks is its two ends' affair.
        connections.spawn(ended.clone().run_until_cancelled_owned(async move { drop(connecting.await) }));
    }
}

async fn connect(mut client: TcpStream, there: String, seen: Arc<Seen>) -> Result<()> {
    let mut server = TcpStream::connect(&there).await?;
    let ((client_in, mut client_out), (mut server_in, server_out)) = (client.split(), server.split());
    tokio::try_join!(carry(client_in, server_out, &seen), async {
        tokio::io::copy(&mut server_in, &mut client_out).await?;
        anyhow::bail!("L1 hung up")
    })
    .map(|((), ())| ())
}

/// Passes requests on, each once it is whole and read: what is on record as sent is never less than what L1 has.
async fn carry(mut from: tcp::ReadHalf<'_>, mut to: tcp::WriteHalf<'_>, seen: &Seen) -> Result<()> {
    let (mut held, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let read = from.read(&mut piece).await?;
        anyhow::ensure!(read > 0, "the node hung up");
        held.extend_from_slice(&piece[..read]);
        while let Some((body, length)) = request_in(&held)? {
            seen.look(&held[body..length]);
            to.write_all(&held[..length]).await?;
            held.drain(..length);
        }
    }
}

/// Where the first request's body begins and ends; `None` while it is not whole.
fn request_in(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head])?;
    let length = text.lines().filter_map(|line| line.split_once(':'));
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map(|(_, value)| value.trim()).next().context("a request names its length")?.parse()?;
    let (begins, ends) = (head + 4, head + 4 + length);
    Ok((bytes.len() >= ends).then_some((begins, ends)))
}

impl Seen {
    fn look(&self, body: &[u8]) {
        if !body.windows(22).any(|window| window == b"eth_sendRawTransaction") {
            return;
        }
        match self.read(body) {
            Ok(broadcasts) => self.broadcasts.lock().unwrap_or_else(PoisonError::into_inner).extend(broadcasts),
            Err(error) => self.unread.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{error:#}")),
        }
    }

    fn read(&self, body: &[u8]) -> Result<Vec<Broadcast>> {
        let request: Value = serde_json::from_slice(body)?;
        let calls = if let Value::Array(calls) = request { calls } else { vec![request] };
        let sends = calls.iter().filter(|call| call["method"] == "eth_sendRawTransaction");
        sends.map(|call| self.broadcast(call["params"][0].as_str().context("a transaction is hexadecimal")?)).collect()
    }

    fn broadcast(&self, raw: &str) -> Result<Broadcast> {
        let raw: Bytes = raw.parse()?;
        let (hashed, _) = without_sidecar(&raw).context("no transaction that can be broadcast")?;
        let tx = EthereumTxEnvelope::<TxEip4844>::decode_2718_exact(&hashed)?;
        let account = tx.recover_signer()?;
        Ok(Broadcast {
            at: self.clock.now(),
            hash: *tx.tx_hash(),
            account,
            nonce: tx.nonce(),
            call: call_of(&tx),
            is_cancel: tx.to() == Some(account) && tx.input().is_empty() && tx.value().is_zero(),
            proposes: decode_proposes(tx.input(), self.rollup)?,
        })
    }
}

/// Two transactions of one account and nonce with the same call are one effect: L1 includes one of them.
fn call_of(tx: &EthereumTxEnvelope<TxEip4844>) -> B256 {
    let to = tx.to().unwrap_or_default();
    let blobs = tx.blob_versioned_hashes().unwrap_or_default();
    keccak256((to, tx.value(), tx.input().clone(), blobs.to_vec()).abi_encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_when_its_body_is() {
        let request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST";
        assert_eq!(request_in(request).expect("well-formed"), Some((38, 41)));
        for cut in [0, 10, 38, 40] {
            assert_eq!(request_in(&request[..cut]).expect("well-formed"), None, "{cut}");
        }
        assert!(request_in(b"POST / HTTP/1.1\r\n\r\n").is_err(), "without its length nothing can be read");
    }
}
