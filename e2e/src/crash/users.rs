//! Users of an L2 chain whose node dies: they send again what it does not know any more.

use alloy::consensus::{SignableTransaction as _, TxEip1559};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::network::TxSignerSync as _;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy::providers::{DynProvider, Provider as _, ProviderBuilder};
use anyhow::{Context as _, Result};
use fermata_sequencer::dev::{CHAIN_ID, prefunded_accounts};

/// One account, and every transfer it has sent. The mempool does not outlive its process, so a transfer that a node does not
/// know, neither in its pool nor in its chain, is sent again, byte for byte.
#[derive(Clone, Default, Debug)]
pub struct Users {
    sent: Vec<Bytes>,
}

impl Users {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn provider(&self, url: &str) -> Result<DynProvider> {
        Ok(ProviderBuilder::default().connect_http(url.parse()?).erased())
    }

    /// Signs one more transfer, and sends what the node at the L2 RPC `url` does not know, this one among it.
    ///
    /// # Errors
    /// The node does not answer, or refuses.
    pub async fn send(&mut self, url: &str) -> Result<()> {
        let nonce = self.sent.len() as u64;
        let key = prefunded_accounts().swap_remove(5);
        let mut tx = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(Address::repeat_byte(0x5a)),
            value: U256::from(1),
            ..TxEip1559::default()
        };
        let signature = key.sign_transaction_sync(&mut tx)?;
        self.sent.push(alloy::consensus::TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into());
        self.send_again(url).await
    }

    /// Sends what the node does not know, whether or not another knew it.
    ///
    /// # Errors
    /// The node does not answer, or refuses one that it does not know.
    pub async fn send_again(&self, url: &str) -> Result<()> {
        let l2 = self.provider(url)?;
        for raw in &self.sent {
            let hash = keccak256(raw);
            if is_known(&l2, hash).await? {
                continue;
            }
            let sent = l2.send_raw_transaction(raw).await;
            // A node that has just come back may have taken up a block with it since it was asked.
            if sent.is_err() && is_known(&l2, hash).await? {
                continue;
            }
            drop(sent.with_context(|| format!("user transaction {hash}"))?);
        }
        Ok(())
    }

    /// The hashes of all that was sent.
    #[must_use]
    pub fn hashes(&self) -> Vec<B256> {
        self.sent.iter().map(keccak256).collect()
    }
}

async fn is_known(l2: &DynProvider, hash: B256) -> Result<bool> {
    Ok(l2.get_transaction_by_hash(hash).await?.is_some())
}
