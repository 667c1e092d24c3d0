//! What one writes with alloy alone.

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::network::{EthereumWallet, TransactionBuilder as _, TxSignerSync as _};
use alloy::primitives::{Bytes, TxKind, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context as _, Result};
use fermata_anvil::connect;
use futures::future::{BoxFuture, FutureExt as _};

use crate::contest::Contestant;
use crate::ground::{calldata, target};

/// One gwei in wei.
const GWEI: u128 = 1_000_000_000;

/// Bytes that were signed before they are asked for: nobody is faster.
pub(crate) struct Raw {
    provider: DynProvider,
    signed: std::vec::IntoIter<Bytes>,
}

impl Raw {
    pub(crate) fn new(url: &str, signer: &PrivateKeySigner, transactions: u32) -> Result<Self> {
        let signed: Result<Vec<_>> = (0..u64::from(transactions)).map(|nonce| sign(signer, nonce)).collect();
        Ok(Self { provider: connect(url)?, signed: signed?.into_iter() })
    }
}

fn sign(signer: &PrivateKeySigner, nonce: u64) -> Result<Bytes> {
    let mut tx = TxEip1559 {
        chain_id: 31_337,
        nonce,
        gas_limit: 60_000,
        max_fee_per_gas: 100 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: TxKind::Call(target()),
        value: U256::ZERO,
        access_list: alloy::eips::eip2930::AccessList::default(),
        input: calldata(),
    };
    let signature = signer.sign_transaction_sync(&mut tx)?;
    Ok(TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into())
}

impl Contestant for Raw {
    fn land(&mut self) -> BoxFuture<'_, Result<u64>> {
        async {
            let bytes = self.signed.next().context("as many are signed as are landed")?;
            let receipt = self.provider.send_raw_transaction(&bytes).await?.get_receipt().await?;
            receipt.block_number.context("a receipt without a block")
        }
        .boxed()
    }
}

/// Gas, nonce, fees and chain are filled in by alloy.
pub(crate) struct Fillers(DynProvider);

impl Fillers {
    pub(crate) fn new(url: &str, signer: PrivateKeySigner) -> Result<Self> {
        let provider = ProviderBuilder::new().wallet(EthereumWallet::from(signer)).connect_http(url.parse()?);
        Ok(Self(provider.erased()))
    }
}

impl Contestant for Fillers {
    fn land(&mut self) -> BoxFuture<'_, Result<u64>> {
        async {
            let request = TransactionRequest::default().with_to(target()).with_input(calldata());
            let receipt = self.0.send_transaction(request).await?.get_receipt().await?;
            receipt.block_number.context("a receipt without a block")
        }
        .boxed()
    }
}
