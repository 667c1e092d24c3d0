//! L1 as the publisher sees it: a head to watch, and calls that end in time.

use std::future::IntoFuture;
use std::time::Duration;

use alloy::eips::BlockId;
use alloy::primitives::{B256, Bytes, U64, U128, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::client::{BatchRequest, Waiter};
use alloy::rpc::json_rpc::RpcRecv;
use alloy::rpc::types::simulate::{SimulatePayload, SimulatedBlock};
use alloy::rpc::types::{BlockOverrides, TransactionReceipt, TransactionRequest};
use alloy::transports::{RpcError, TransportError, TransportResult};
use fermata_primitives::L1Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::watch;

use crate::Error;
use crate::classify::{Verdict, classify};
use crate::desk::look::{TxAnswers, Wanted};
use crate::machine::news::{AccountSight, Look};
use crate::machine::questions::Questions;
use crate::redact::without_url;

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
}

/// What connects a publisher manager with L1.
#[derive(Clone, Debug)]
pub struct L1 {
    /// Where calls go.
    pub provider: DynProvider,
    /// The head: the publisher looks at L1 once for each change.
    pub heads: watch::Receiver<L1HeadInfo>,
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
    timeout: Duration,
}

impl L1Client {
    pub(crate) const fn new(provider: DynProvider, timeout: Duration) -> Self {
        Self { provider, timeout }
    }

    pub(crate) async fn chain_id(&self) -> Result<u64, Error> {
        self.ask("eth_chainId", self.provider.get_chain_id()).await
    }

    pub(crate) async fn block_timestamp(&self, hash: B256) -> Result<Option<L1Timestamp>, Error> {
        let method = "eth_getBlockByHash";
        let call = self.provider.client().request::<_, Option<BlockTime>>(method, (hash, false));
        Ok(self.ask(method, call).await?.map(|block| L1Timestamp(block.timestamp.to())))
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

    /// The first batch of a look: the tip, the blob base fee, and every account.
    pub(crate) async fn look_at_accounts(&self, questions: &Questions) -> Result<Look, Error> {
        const METHOD: &str = "eth_getTransactionCount";
        let client = self.provider.client();
        let mut batch = BatchRequest::new(&client);
        let tip = batch.add_call::<_, U128>("eth_maxPriorityFeePerGas", &());
        let blob_fee = questions.wants_blob_fee.then(|| batch.add_call::<_, U128>("eth_blobBaseFee", &()));
        let mut waiters = Vec::with_capacity(questions.accounts.len());
        for question in &questions.accounts {
            let mut count = |tag: &str| batch.add_call::<_, U64>(METHOD, &(question.address, tag));
            let latest = count("latest");
            let pending = question.wants_pending.then(|| count("pending"));
            let finalized = question.wants_final.then(|| count("finalized"));
            let balance = batch.add_call::<_, U256>("eth_getBalance", &(question.address, "latest"));
            waiters.push((question.address, latest, pending, finalized, balance));
        }
        self.ask(METHOD, batch.send()).await?;
        let mut look = Look {
            at: questions.at,
            // The method is not standard: without it the configured floor decides.
            suggested_tip: self.optional("eth_maxPriorityFeePerGas", tip).await?.map_or(0, |tip| tip.to()),
            ..Look::default()
        };
        if let Some(fee) = blob_fee {
            look.blob_base_fee = Some(self.ask("eth_blobBaseFee", ready(fee)).await?.to());
        }
        for (address, latest, pending, finalized, balance) in waiters {
            let final_nonce = match finalized {
                Some(finalized) => self.optional(METHOD, finalized).await?,
                None => None,
            };
            let pending_nonce = match pending {
                Some(pending) => Some(self.ask(METHOD, ready(pending)).await?.to()),
                None => None,
            };
            let sight = AccountSight {
                at: questions.at,
                latest_nonce: self.ask(METHOD, ready(latest)).await?.to(),
                pending_nonce,
                final_nonce: final_nonce.map(|nonce| nonce.to()),
                balance: self.ask("eth_getBalance", ready(balance)).await?,
            };
            look.accounts.push((address, sight));
        }
        Ok(look)
    }

    /// The second batch of a look: receipts, and what the node's pool holds.
    pub(crate) async fn look_at_txs(&self, wanted: &[Wanted]) -> Result<TxAnswers, Error> {
        const RECEIPT: &str = "eth_getTransactionReceipt";
        const KNOWN: &str = "eth_getTransactionByHash";
        if wanted.is_empty() {
            return Ok(TxAnswers::default());
        }
        let client = self.provider.client();
        let mut batch = BatchRequest::new(&client);
        let (mut receipts, mut pooled) = (Vec::new(), Vec::new());
        for wanted in wanted {
            match wanted {
                Wanted::Receipt(hash) => {
                    receipts.push((*hash, batch.add_call::<_, Option<TransactionReceipt>>(RECEIPT, &(*hash,))));
                }
                Wanted::Pooled(hash) => {
                    pooled.push((*hash, batch.add_call::<_, Option<IgnoredAny>>(KNOWN, &(*hash,))));
                }
            }
        }
        self.ask(RECEIPT, batch.send()).await?;
        let mut answers = TxAnswers::default();
        for (hash, waiter) in receipts {
            let receipt = self.ask(RECEIPT, ready(waiter)).await?;
            if let Some(receipt) = receipt.filter(|receipt| receipt.block_hash.is_some()) {
                answers.receipts.insert(hash, receipt);
            }
        }
        for (hash, waiter) in pooled {
            if self.ask(KNOWN, ready(waiter)).await?.is_some() {
                answers.pooled.push(hash);
            }
        }
        Ok(answers)
    }

    /// What a call answers that not every node has.
    async fn optional<T: RpcRecv>(
        &self,
        method: &'static str,
        waiter: TransportResult<Waiter<T>>,
    ) -> Result<Option<T>, Error> {
        match self.ask(method, ready(waiter)).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Error::L1Refused { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Hands a transaction to the node.
    pub(crate) async fn broadcast(&self, hash: B256, bytes: Bytes) -> Verdict {
        let call = self.provider.client().request::<_, B256>("eth_sendRawTransaction", (bytes,));
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => classify(answer.map_err(without_url), hash),
            Err(_) => Verdict::Ambiguous { why: format!("no answer within {:?}", self.timeout) },
        }
    }

    /// A timeout is a span of the machine's time: a jump of the injected clock must not end a call that is under way.
    async fn ask<T>(
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

/// The answer to one call of a batch that was sent.
async fn ready<T: RpcRecv>(waiter: TransportResult<Waiter<T>>) -> TransportResult<T> {
    waiter?.await
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
        let l1 = L1Client::new(ProviderBuilder::default().connect_http(url).erased(), Duration::from_secs(60));
        let refused = l1.chain_id().await.unwrap_err();
        assert!(matches!(refused, Error::L1Unreachable { .. }), "{refused:?}");
        let verdict = l1.broadcast(B256::ZERO, Bytes::new()).await;
        let told = format!("{} {refused:?} {verdict:?}", crate::window::with_cause(&refused));
        assert!(told.contains("error sending request") && !told.contains("s3cret"), "{told}");
    }
}
