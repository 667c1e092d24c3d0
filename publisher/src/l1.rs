//! L1 as the publisher sees it: a head to watch, and calls that end in time.

mod backends;
mod batches;
mod breaker;
mod cursor;
mod merge;

use std::future::IntoFuture;
use std::time::Duration;

use alloy::eips::BlockId;
use alloy::primitives::{Address, B256, Bytes, U64};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::simulate::{SimulatePayload, SimulatedBlock};
use alloy::rpc::types::{BlockOverrides, TransactionRequest};
use alloy::transports::{RpcError, TransportError, TransportResult};
use fermata_primitives::{L1Timestamp, SharedClock};
use serde::Deserialize;
use tokio::sync::watch;

use crate::l1::backends::Backends;
use crate::meter;
use crate::redact::without_url;
use crate::{BackendStatus, Error};

pub(crate) use backends::{HandedOver, Late, Parcel, Reach};

/// The head of L1, as its watcher last saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct L1HeadInfo {
    /// Number of the block.
    pub number: u64,
    /// Hash of the block.
    pub hash: B256,
    /// Its timestamp: the time of L1.
    pub timestamp: L1Timestamp,
    /// Its base fee, in wei.
    pub base_fee: u128,
    /// The blob base fee, in wei; asked for when it is not known.
    pub blob_base_fee: Option<u128>,
    /// Its excess blob gas, where it tells: what its blob base fee is computed from.
    pub excess_blob_gas: Option<u64>,
}

/// What connects a publisher manager with L1.
#[derive(Clone, Debug)]
pub struct L1 {
    /// Where calls go.
    pub provider: DynProvider,
    /// The head: the publisher looks at L1 once for each change.
    pub heads: watch::Receiver<L1HeadInfo>,
    /// Where transactions are handed over, all of them at once; empty: where calls go, and nowhere else.
    pub send_to: Vec<SendBackend>,
}

impl L1 {
    /// An L1 that is read from and sent to at one place.
    #[must_use]
    pub const fn new(provider: DynProvider, heads: watch::Receiver<L1HeadInfo>) -> Self {
        Self { provider, heads, send_to: Vec::new() }
    }
}

/// A node that transactions are handed to.
#[derive(Clone, Debug)]
pub struct SendBackend {
    /// What it is called in logs and in the status: no part of it may be secret.
    pub name: String,
    /// The way to it, without retries of its own: what is missing from L1 goes out again anyway.
    pub provider: DynProvider,
}

/// The one field of a block that is read here.
#[derive(Clone, Debug, Deserialize)]
struct BlockTime {
    timestamp: U64,
}

/// Calls to L1, each with a timeout. Dropping a call ends it: nothing more goes out for it.
#[derive(Debug)]
pub(crate) struct L1Client {
    provider: DynProvider,
    backends: Backends,
    timeout: Duration,
}

impl L1Client {
    pub(crate) fn new(l1: &L1, chain_id: u64, timeout: Duration, clock: &SharedClock) -> Self {
        Self { provider: l1.provider.clone(), backends: Backends::of(l1, (chain_id, timeout), clock), timeout }
    }

    pub(crate) async fn chain_id(&self) -> Result<u64, Error> {
        self.ask("eth_chainId", self.provider.get_chain_id()).await
    }

    pub(crate) async fn block_timestamp(&self, hash: B256) -> Result<Option<L1Timestamp>, Error> {
        let method = "eth_getBlockByHash";
        let call = self.provider.client().request::<_, Option<BlockTime>>(method, (hash, false));
        Ok(self.ask(method, call).await?.map(|block| L1Timestamp(block.timestamp.to())))
    }

    /// True when there is a contract at `address`.
    pub(crate) async fn has_code(&self, address: Address) -> Result<bool, Error> {
        Ok(!self.ask("eth_getCode", self.provider.get_code_at(address)).await?.is_empty())
    }

    /// The gas `tx` needs, or what it reverts with.
    pub(crate) async fn estimate_gas(&self, tx: TransactionRequest) -> Result<Result<u64, Bytes>, Error> {
        reverted(self.ask("eth_estimateGas", self.provider.estimate_gas(tx)).await)
    }

    /// What `tx` reverts with on the state after block `at`; `None` when it does not.
    pub(crate) async fn revert_data(&self, tx: TransactionRequest, at: u64) -> Result<Option<Bytes>, Error> {
        let call = self.provider.call(tx).block(BlockId::number(at));
        Ok(reverted(self.ask("eth_call", call).await)?.err())
    }

    /// What `tx` answers on the state after block `at`, in a block with timestamp `time`.
    pub(crate) async fn call_after(&self, tx: TransactionRequest, at: u64, time: L1Timestamp) -> Result<Bytes, Error> {
        let in_block = BlockOverrides { time: Some(time.0), ..BlockOverrides::default() };
        let call = self.provider.call(tx).block(BlockId::number(at)).with_block_overrides(in_block);
        self.ask("eth_call", call).await
    }

    pub(crate) async fn simulate(&self, payload: &SimulatePayload) -> Result<Vec<SimulatedBlock>, Error> {
        self.ask("eth_simulateV1", self.provider.simulate(payload).latest()).await
    }

    /// Hands a transaction to the backends, as far as `reach` says.
    pub(crate) async fn broadcast(&self, parcel: &Parcel, reach: Reach) -> HandedOver {
        self.backends.broadcast(parcel, reach).await
    }

    /// Asks every backend for its chain, and waits a short while: who has not answered is asked again before it is handed
    /// anything.
    ///
    /// # Errors
    /// [`Error::WrongChain`] when all that are there serve another chain.
    pub(crate) async fn check_backends(&self) -> Result<(), Error> {
        self.backends.check_chains().await
    }

    /// What each backend lacks of the transactions that are in flight: its place, and their hashes.
    pub(crate) fn behind(&self, in_flight: &[B256]) -> Vec<(usize, Vec<B256>)> {
        self.backends.behind(in_flight)
    }

    /// How the backends are.
    pub(crate) fn backends(&self) -> Vec<BackendStatus> {
        self.backends.status()
    }

    /// Asks L1, and counts the call.
    async fn ask<T>(
        &self,
        method: &'static str,
        call: impl IntoFuture<Output = TransportResult<T>>,
    ) -> Result<T, Error> {
        meter::asked(method);
        self.within(method, call).await
    }

    /// A timeout is a span of the machine's time: a jump of the injected clock must not end a call that is under way.
    async fn within<T>(
        &self,
        method: &'static str,
        call: impl IntoFuture<Output = TransportResult<T>>,
    ) -> Result<T, Error> {
        let answer = tokio::time::timeout(self.timeout, call.into_future()).await;
        match answer.map(|answer| answer.map_err(without_url)) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source @ RpcError::Transport(_))) => Err(Error::L1Unreachable { method, source }),
            Ok(Err(source)) => Err(Error::L1Refused { method, source }),
            Err(_) => Err(Error::L1TimedOut { method, after: self.timeout }),
        }
    }
}

/// Takes a revert out of the errors: it is an answer.
fn reverted<T>(answer: Result<T, Error>) -> Result<Result<T, Bytes>, Error> {
    match answer {
        Ok(value) => Ok(Ok(value)),
        Err(Error::L1Refused { method, source }) => match revert_bytes(&source) {
            Some(data) => Ok(Err(data)),
            None => Err(Error::L1Refused { method, source }),
        },
        Err(other) => Err(other),
    }
}

/// True when the node does not have the method at all: asking again never helps.
pub(crate) fn is_unsupported(error: &Error) -> bool {
    /// Codes of JSON-RPC and of EIP-1474 for a method that there is not.
    const CODES: [i64; 2] = [-32_601, -32_004];
    const TEXTS: [&str; 4] = ["method not found", "is not available", "not supported", "unsupported method"];
    let Error::L1Refused { source, .. } = error else { return false };
    let Some(payload) = source.as_error_resp() else { return false };
    let text = payload.message.to_lowercase();
    CODES.contains(&payload.code) || TEXTS.iter().any(|known| text.contains(known))
}

/// Nodes answer a revert with code 3, or with a text that says so; data may be missing.
fn revert_bytes(error: &TransportError) -> Option<Bytes> {
    let payload = error.as_error_resp()?;
    let says_so = payload.code == 3 || payload.message.to_lowercase().contains("revert");
    says_so.then(|| payload.as_revert_data().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use alloy::providers::ProviderBuilder;

    use super::*;

    #[tokio::test]
    async fn the_key_in_the_path_of_an_endpoint_is_told_nowhere() {
        let url = "http://127.0.0.1:1/v3/s3cret?token=s3cret".parse().unwrap();
        let head = L1HeadInfo {
            number: 0,
            hash: B256::ZERO,
            timestamp: L1Timestamp(0),
            base_fee: 0,
            blob_base_fee: None,
            excess_blob_gas: None,
        };
        let l1 = L1::new(ProviderBuilder::default().connect_http(url).erased(), watch::channel(head).1);
        let clock: SharedClock = std::sync::Arc::new(fermata_primitives::SystemClock);
        let l1 = L1Client::new(&l1, 1, Duration::from_secs(60), &clock);
        let refused = l1.chain_id().await.unwrap_err();
        assert!(matches!(refused, Error::L1Unreachable { .. }), "{refused:?}");
        let parcel = Parcel { hash: B256::ZERO, bytes: Bytes::new(), still_goes: std::sync::Arc::new(|| true) };
        let verdict = l1.broadcast(&parcel, Reach::Healthy).await.verdict;
        let told = format!("{} {refused:?} {verdict:?} {:?}", crate::window::with_cause(&refused), l1.backends());
        assert!(told.contains("error sending request") && !told.contains("s3cret"), "{told}");
    }
}
