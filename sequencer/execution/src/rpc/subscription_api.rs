//! `eth_subscribe` over WebSocket: new heads, logs, waiting transactions.

use std::sync::atomic::{AtomicU64, Ordering};

use alloy::primitives::B256;
use alloy::rpc::types::Filter;
use alloy::rpc::types::pubsub::{Params, SubscriptionKind};
use jsonrpsee::core::server::SubscriptionMessage;
use jsonrpsee::core::traits::IdProvider;
use jsonrpsee::core::{RpcResult, SubscriptionError, SubscriptionResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::SubscriptionId;
use jsonrpsee::{PendingSubscriptionSink, SubscriptionSink};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::context::Context;
use super::convert::{Show, rpc_header, waiting};
use super::eth_error::EthError;
use super::log_api::matching;
use crate::{ChainReader, HeadsMoved};

#[rpc(server)]
pub(super) trait SubscriptionApi {
    /// Tells what happens from now on, until `eth_unsubscribe`.
    #[subscription(name = "eth_subscribe" => "eth_subscription", unsubscribe = "eth_unsubscribe", item = Value)]
    async fn subscribe(&self, kind: SubscriptionKind, params: Option<Params>) -> SubscriptionResult;
}

/// What a subscription tells.
enum Feed {
    NewHeads,
    Logs(Box<Filter>),
    Waiting(Show),
}

impl Feed {
    fn of(kind: SubscriptionKind, params: Option<Params>) -> Result<Self, EthError> {
        let unsupported =
            |what: &str| EthError::BadParams(format!("{what}; subscribe to newHeads, logs or newPendingTransactions"));
        match (kind, params.unwrap_or_default()) {
            (SubscriptionKind::NewHeads, _) => Ok(Self::NewHeads),
            (SubscriptionKind::Logs, Params::Logs(filter)) => Ok(Self::Logs(filter)),
            (SubscriptionKind::Logs, Params::None) => Ok(Self::Logs(Box::default())),
            (SubscriptionKind::NewPendingTransactions, Params::None) => Ok(Self::Waiting(Show::Hashes)),
            (SubscriptionKind::NewPendingTransactions, Params::Bool(full)) => Ok(Self::Waiting(full.into())),
            (SubscriptionKind::Syncing | SubscriptionKind::TransactionReceipts, _) => {
                Err(unsupported(&format!("{kind} cannot be subscribed to")))
            }
            (SubscriptionKind::Logs | SubscriptionKind::NewPendingTransactions, _) => {
                Err(unsupported(&format!("the parameter does not belong to {kind}")))
            }
        }
    }
}

#[async_trait]
impl SubscriptionApiServer for Context {
    async fn subscribe(
        &self,
        pending: PendingSubscriptionSink,
        kind: SubscriptionKind,
        params: Option<Params>,
    ) -> SubscriptionResult {
        let feed = match Feed::of(kind, params) {
            Ok(feed) => feed,
            Err(refusal) => {
                pending.reject(refusal).await;
                return Ok(());
            }
        };
        // Listening begins before the caller is told so: it misses nothing that happens after the answer.
        let (moves, accepted) = (self.reader.subscribe(), self.accepted.subscribe());
        let sink = pending.accept().await?;
        tokio::select! {
            () = self.stop.cancelled() => Ok(()),
            () = sink.closed() => Ok(()),
            ended = self.tell(&sink, feed, moves, accepted) => ended,
        }
    }
}

impl Context {
    /// Tells until the sink closes, or until this subscriber has fallen too far behind.
    async fn tell(
        &self,
        sink: &SubscriptionSink,
        feed: Feed,
        mut moves: broadcast::Receiver<HeadsMoved>,
        mut accepted: broadcast::Receiver<B256>,
    ) -> SubscriptionResult {
        loop {
            let items = match &feed {
                Feed::NewHeads => {
                    let moved = received(moves.recv().await)?;
                    self.read(move |reader| new_heads(reader, &moved)).await
                }
                Feed::Logs(filter) => {
                    let (moved, filter) = (received(moves.recv().await)?, filter.clone());
                    self.read(move |reader| new_logs(reader, &moved, &filter)).await
                }
                Feed::Waiting(show) => {
                    let (hash, show) = (received(accepted.recv().await)?, *show);
                    self.read(move |reader| new_waiting(reader, hash, show)).await
                }
            };
            send_all(sink, items).await?;
        }
    }
}

fn received<T>(received: Result<T, RecvError>) -> Result<T, SubscriptionError> {
    received.map_err(|error| match error {
        RecvError::Lagged(missed) => format!("{missed} events behind; read faster and subscribe again").into(),
        RecvError::Closed => "the node is stopping; subscribe again when it is back".into(),
    })
}

async fn send_all(sink: &SubscriptionSink, items: RpcResult<Vec<Value>>) -> SubscriptionResult {
    for item in items.map_err(|error| error.message().to_owned())? {
        sink.send(SubscriptionMessage::new(sink.method_name(), sink.subscription_id(), &item)?).await?;
    }
    Ok(())
}

fn new_heads(reader: &ChainReader, moved: &HeadsMoved) -> Result<Vec<Value>, EthError> {
    let head = |hash| {
        let block = reader.block(hash)?.ok_or(EthError::BlockNotFound)?;
        json(&rpc_header(&block))
    };
    moved.added.iter().map(|id| head(id.hash)).collect()
}

/// Logs that left the chain, marked as removed, then those that joined it.
fn new_logs(reader: &ChainReader, moved: &HeadsMoved, filter: &Filter) -> Result<Vec<Value>, EthError> {
    let mut told = Vec::new();
    for id in &moved.dropped {
        for mut log in matching(reader, id.hash, filter)? {
            log.removed = true;
            told.push(json(&log)?);
        }
    }
    for id in &moved.added {
        for log in matching(reader, id.hash, filter)? {
            told.push(json(&log)?);
        }
    }
    Ok(told)
}

/// A transaction that a block has taken meanwhile is told by its hash alone.
fn new_waiting(reader: &ChainReader, hash: B256, show: Show) -> Result<Vec<Value>, EthError> {
    match show {
        Show::Hashes => Ok(vec![json(&hash)?]),
        Show::Full => reader.mempool().get(hash).iter().map(|tx| json(&waiting(tx))).collect(),
    }
}

fn json(item: &impl Serialize) -> Result<Value, EthError> {
    serde_json::to_value(item).map_err(|error| EthError::BadParams(error.to_string()))
}

/// Subscription ids as Ethereum's clients know them: hexadecimal strings. Each is valid on its own connection only, so a
/// counter is enough.
#[derive(Debug, Default)]
pub(super) struct HexIds(AtomicU64);

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        SubscriptionId::Str(format!("{:#x}", self.0.fetch_add(1, Ordering::Relaxed) + 1).into())
    }
}
