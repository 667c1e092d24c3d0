//! The strict mempool before a real L1, which by itself takes nearly everything.

use std::sync::LazyLock;

use alloy::consensus::{SignableTransaction as _, TxEip1559, TxEip4844};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::eips::eip4844::{Blob, BlobTransactionSidecar};
use alloy::primitives::{Address, Bytes, TxKind, U256, hex};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context as _, Result};
use fermata_anvil::Anvil;
use fermata_e2e::{BROADCAST, Client, Fate, L1Proxy, L1ProxyOptions, PoolRules};
use fermata_publisher::PreparedBlobs;
use serde_json::{Value, json};

use crate::common::{ask, bare_l1, told};

const GWEI: u128 = 1_000_000_000;
const CHAIN: u64 = 31_337;

static BLOBS: LazyLock<PreparedBlobs> = LazyLock::new(|| PreparedBlobs::compute(vec![Blob::ZERO]).unwrap());

/// A new account on a bare L1 behind a strict mempool.
struct Story<'a> {
    anvil: &'a Anvil,
    l1: L1Proxy,
    signer: PrivateKeySigner,
}

impl<'a> Story<'a> {
    async fn begin(anvil: &'a Anvil, client: Client) -> Result<Self> {
        let options = L1ProxyOptions { mempool: Some(PoolRules::of(client)), ..L1ProxyOptions::default() };
        let l1 = L1Proxy::start_with(&anvil.url(), options).await?;
        let signer = PrivateKeySigner::random();
        let ether = U256::from(10).pow(U256::from(18));
        let () = told(anvil, "anvil_setBalance", json!([signer.address(), ether])).await?;
        Ok(Self { anvil, l1, signer })
    }

    /// A transfer that bids so many gwei.
    fn plain(&self, nonce: u64, gwei: u128) -> Result<Bytes> {
        let tx = TxEip1559 {
            chain_id: CHAIN,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 10 * gwei * GWEI,
            max_priority_fee_per_gas: gwei * GWEI,
            to: TxKind::Call(Address::repeat_byte(7)),
            ..TxEip1559::default()
        };
        let signature = self.signer.sign_hash_sync(&tx.signature_hash())?;
        Ok(tx.into_signed(signature).encoded_2718().into())
    }

    fn unsigned_blob(&self, nonce: u64, gwei: u128) -> TxEip4844 {
        TxEip4844 {
            chain_id: CHAIN,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 10 * gwei * GWEI,
            max_priority_fee_per_gas: gwei * GWEI,
            max_fee_per_blob_gas: gwei * GWEI,
            to: Address::repeat_byte(7),
            blob_versioned_hashes: BLOBS.versioned_hashes(),
            ..TxEip4844::default()
        }
    }

    /// As [`Story::plain`], with a blob.
    fn blob(&self, nonce: u64, gwei: u128) -> Result<Bytes> {
        let tx = self.unsigned_blob(nonce, gwei);
        let signature = self.signer.sign_hash_sync(&tx.signature_hash())?;
        Ok(tx.with_sidecar(BLOBS.sidecar().clone()).into_signed(signature).encoded_2718().into())
    }

    /// As [`Story::blob`], in the form of before Osaka.
    fn old_blob(&self, nonce: u64) -> Result<Bytes> {
        let tx = self.unsigned_blob(nonce, 1);
        let signature = self.signer.sign_hash_sync(&tx.signature_hash())?;
        let sidecar = BLOBS.sidecar();
        let proofs = vec![sidecar.cell_proofs[0]];
        let sidecar = BlobTransactionSidecar::new(sidecar.blobs.clone(), sidecar.commitments.clone(), proofs);
        Ok(tx.with_sidecar(sidecar).into_signed(signature).encoded_2718().into())
    }

    async fn broadcast(&self, bytes: &Bytes) -> Result<Value> {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": BROADCAST, "params": [hex::encode_prefixed(bytes)] });
        ask(&self.l1, &call).await?.json()
    }

    async fn takes(&self, bytes: &Bytes) -> Result<String> {
        let answer = self.broadcast(bytes).await?;
        Ok(answer["result"].as_str().with_context(|| answer.to_string())?.to_owned())
    }

    async fn rejects(&self, bytes: &Bytes, code: i64, message: &str) -> Result<()> {
        let answer = self.broadcast(bytes).await?;
        anyhow::ensure!(answer["error"] == json!({ "code": code, "message": message }), "{answer}");
        let last = self.l1.calls().pop().context("it came by")?;
        anyhow::ensure!(last.fate == Fate::Rejected(message.to_owned()), "{last:?}");
        Ok(())
    }

    async fn mine(&self) -> Result<()> {
        let _: Value = told(self.anvil, "evm_mine", json!([])).await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_kind_holds_an_account_until_its_transaction_is_mined_or_dropped() -> Result<()> {
    let anvil = bare_l1().await?;
    for client in [Client::Geth, Client::Reth] {
        let story = Story::begin(&anvil, client).await?;
        story.takes(&story.plain(0, 1)?).await?;
        story.rejects(&story.blob(0, 1)?, -32_000, "address already reserved").await?;
        story.mine().await?;
        let hash = story.takes(&story.blob(1, 1)?).await?;
        story.rejects(&story.plain(1, 9)?, -32_000, "address already reserved").await?;
        let _: Value = told(story.anvil, "anvil_dropTransaction", json!([hash])).await?;
        story.takes(&story.plain(1, 9)?).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn replacements_of_blobs_bid_twice_as_much_and_known_ones_are_told_so() -> Result<()> {
    let anvil = bare_l1().await?;
    for client in [Client::Geth, Client::Reth] {
        let story = Story::begin(&anvil, client).await?;
        let first = story.blob(0, 4)?;
        story.takes(&first).await?;
        story.rejects(&first, -32_000, "already known").await?;
        let words = match client {
            Client::Geth => {
                "replacement transaction underpriced: new tx gas fee cap 70000000000 < 40000000000 queued \
                 + 100% replacement penalty"
            }
            Client::Reth => "replacement transaction underpriced",
        };
        story.rejects(&story.blob(0, 7)?, -32_000, words).await?;
        story.takes(&story.blob(0, 9)?).await?;
        let gap = match client {
            Client::Geth => "nonce too high: tx nonce 2, gapped nonce 1",
            Client::Reth => "nonce too high",
        };
        story.rejects(&story.blob(2, 9)?, -32_000, gap).await?;
        let old = match client {
            Client::Geth => "unexpected sidecar version, want: 1, got: 0",
            Client::Reth => "unexpected eip-4844 sidecar after osaka",
        };
        story.rejects(&story.old_blob(1)?, -32_000, old).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reorg_brings_back_holds_its_account_again() -> Result<()> {
    let anvil = bare_l1().await?;
    let story = Story::begin(&anvil, Client::Geth).await?;
    let before: Value = told(story.anvil, "evm_snapshot", json!([])).await?;
    let bytes = story.blob(0, 1)?;
    story.takes(&bytes).await?;
    story.mine().await?;
    story.rejects(&story.plain(0, 9)?, -32_000, "nonce too low: next nonce 1, tx nonce 0").await?;
    let _: bool = told(story.anvil, "evm_revert", json!([before])).await?;
    // A real L1's pool takes it back; anvil's is told.
    let _: Value = told(story.anvil, BROADCAST, json!([bytes])).await?;
    story.rejects(&story.plain(0, 9)?, -32_000, "address already reserved").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_transaction_is_l1s_to_refuse() -> Result<()> {
    let anvil = bare_l1().await?;
    let story = Story::begin(&anvil, Client::Geth).await?;
    let answer = story.broadcast(&Bytes::from_static(&[2, 3])).await?;
    assert!(answer["error"]["message"].is_string(), "{answer}");
    assert_eq!(story.l1.rejections(), Vec::<String>::new());
    Ok(())
}
