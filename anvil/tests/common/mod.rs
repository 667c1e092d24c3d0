//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::DynProvider;
use alloy::signers::SignerSync;
use alloy::signers::local::{MnemonicBuilder, PrivateKeySigner};
use fermata_anvil::{Anvil, AnvilConfig, L1Clock};
use fermata_primitives::{L1Timestamp, SharedClock, SystemClock};

/// A time that no wall clock of a test can be at.
pub(crate) const GENESIS: L1Timestamp = L1Timestamp(1_700_000_000);

pub(crate) fn system_clock() -> SharedClock {
    Arc::new(SystemClock)
}

/// An anvil that mines on demand and began at [`GENESIS`].
pub(crate) async fn anvil() -> (Anvil, DynProvider) {
    let config = AnvilConfig { genesis_timestamp: Some(GENESIS), ..AnvilConfig::default() };
    let anvil = Anvil::start(&config, system_clock()).await.expect("anvil");
    let provider = anvil.provider().expect("a provider");
    (anvil, provider)
}

/// The same, and the owner of its clock.
pub(crate) async fn anvil_with_clock() -> (Anvil, DynProvider, L1Clock) {
    let (anvil, provider) = anvil().await;
    let l1_clock = L1Clock::own(provider.clone(), system_clock()).await.expect("the clock");
    (anvil, provider, l1_clock)
}

/// A key that anvil gives ether.
pub(crate) fn funded_key(index: u32) -> PrivateKeySigner {
    let phrase = "test test test test test test test test test test test junk";
    let path = format!("m/44'/60'/0'/0/{index}");
    let builder = MnemonicBuilder::english().phrase(phrase).derivation_path(path).expect("a path");
    builder.build().expect("a key")
}

/// One wei for somebody, offered with `tip`.
pub(crate) fn signed_payment(key: &PrivateKeySigner, nonce: u64, tip: U256) -> (B256, Bytes) {
    let tip = tip.to::<u128>();
    let transaction = TxEip1559 {
        chain_id: 31_337,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000 + tip,
        max_priority_fee_per_gas: tip,
        to: Address::repeat_byte(0x77).into(),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let signature = key.sign_hash_sync(&transaction.signature_hash()).expect("a signature");
    let envelope = TxEnvelope::from(transaction.into_signed(signature));
    (*envelope.tx_hash(), envelope.encoded_2718().into())
}
