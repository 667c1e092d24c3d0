//! The strict mempool before L1.

use alloy::primitives::{B256, Bytes as TxBytes, U256};
use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::json_rpc::{Call, Calls, Form};
use super::upstream::Upstream;
use crate::PoolRules;
use crate::mempool::{AccountView, Pool, PooledTx, Rejection};

/// What came of a broadcast.
#[derive(Debug)]
pub(super) enum Screened {
    /// It has no transaction that a pool could judge.
    NoTransaction,
    /// The pool took it, and this is L1's answer.
    Admitted(Value),
    /// The pool did not take it; L1 has not seen it.
    Rejected(Rejection),
    /// L1 does not answer.
    Unanswered,
}

/// A pool that follows L1.
#[derive(Debug)]
pub(super) struct Screen(Mutex<Pool>);

impl Screen {
    pub(super) fn new(rules: PoolRules) -> Self {
        Self(Mutex::new(Pool::new(rules)))
    }

    /// Judges a broadcast by what L1 says now, and hands to L1 what the pool takes. One after the other: what is judged later is
    /// judged by what came of this.
    pub(super) async fn broadcast(&self, l1: &Upstream, call: &Call) -> Screened {
        let Some(tx) = transaction(call) else { return Screened::NoTransaction };
        let mut pool = self.0.lock().await;
        let Ok(account) = follow(&mut pool, l1, &tx).await else { return Screened::Unanswered };
        if let Err(rejection) = pool.judge(&tx, &account) {
            return Screened::Rejected(rejection);
        }
        let calls = Calls { list: vec![call.clone()], form: Form::Single };
        let Ok((_, answer)) = l1.post(calls.body_of(calls.list.iter())).await else { return Screened::Unanswered };
        let Ok(answer) = serde_json::from_slice::<Value>(&answer) else { return Screened::Unanswered };
        if answer.get("result").is_some_and(Value::is_string) {
            pool.insert(tx);
        }
        Screened::Admitted(answer)
    }
}

fn transaction(call: &Call) -> Option<PooledTx> {
    let bytes: TxBytes = serde_json::from_value(call.params.get(0)?.clone()).ok()?;
    PooledTx::decode(&bytes)
}

/// What L1 says of the account; what L1 has dropped is forgotten.
async fn follow(pool: &mut Pool, l1: &Upstream, tx: &PooledTx) -> Result<AccountView> {
    let asked = [
        ("eth_getTransactionCount", json!([tx.account, "latest"])),
        ("eth_getBalance", json!([tx.account, "latest"])),
        ("eth_getBlockByNumber", json!(["latest", false])),
    ];
    let results = l1.results(&asked).await?;
    let [nonce, balance, block] = results.as_slice() else { anyhow::bail!("L1 answers another number of calls") };
    let account = AccountView {
        nonce: quantity::<U256>(nonce)?.saturating_to(),
        balance: quantity(balance)?,
        block_gas_limit: quantity::<U256>(&block["gasLimit"])?.saturating_to(),
    };
    let pooled: Vec<B256> = pool.pooled(tx.account, account.nonce).map(|pooled| pooled.hash).collect();
    let by_hash: Vec<_> = pooled.iter().map(|hash| ("eth_getTransactionByHash", json!([hash]))).collect();
    if !by_hash.is_empty() {
        let known = l1.results(&by_hash).await?;
        let dropped = pooled.iter().zip(known).filter(|(_, known)| known.is_null());
        dropped.for_each(|(hash, _)| pool.forget(*hash));
    }
    Ok(account)
}

fn quantity<T: DeserializeOwned>(json: &Value) -> Result<T> {
    T::deserialize(json).with_context(|| format!("L1 gives no number: {json}"))
}
