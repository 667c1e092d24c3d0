//! Transactions for the pool's tests, without the cost of signing them: the pool never looks at a signature.

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::primitives::{Address, Bytes, Signature, TxKind, U256};

use super::{AccountView, PooledTx};
use crate::RecoveredTx;

/// The gas limit of every transaction made here.
pub(super) const GAS: u64 = 21_000;

/// An account that can pay for anything.
pub(super) const fn rich(nonce: u64) -> AccountView {
    AccountView { nonce, balance: U256::MAX }
}

/// The `index`-th test sender.
pub(super) fn sender(index: u8) -> Address {
    Address::repeat_byte(index + 1)
}

/// A transfer of sender `index` that pays `cap` and `tip` wei per gas.
pub(super) fn transfer(index: u8, nonce: u64, cap: u128, tip: u128) -> PooledTx {
    with_input(index, nonce, (cap, tip), 0)
}

/// The same with `input` bytes of calldata.
pub(super) fn with_input(index: u8, nonce: u64, (cap, tip): (u128, u128), input: usize) -> PooledTx {
    let unsigned = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: GAS,
        max_fee_per_gas: cap,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(sender(index)),
        input: Bytes::from(vec![0; input]),
        ..TxEip1559::default()
    };
    let envelope = TxEnvelope::from(unsigned.into_signed(Signature::test_signature()));
    let raw = Bytes::from(envelope.encoded_2718());
    PooledTx::new(RecoveredTx::decode_known(raw, sender(index)).expect("a well-formed transaction"))
}
