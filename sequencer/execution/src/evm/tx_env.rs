//! A recovered transaction, as revm takes it.

use alloy::consensus::{Transaction, Typed2718};
use revm::context::TxEnv;
use revm::context_interface::either::Either;

use crate::RecoveredTx;

pub(super) fn tx_env(tx: &RecoveredTx) -> TxEnv {
    let envelope = tx.envelope();
    TxEnv {
        tx_type: envelope.ty(),
        caller: tx.signer(),
        gas_limit: envelope.gas_limit(),
        gas_price: envelope.max_fee_per_gas(),
        kind: envelope.kind(),
        value: envelope.value(),
        data: envelope.input().clone(),
        nonce: envelope.nonce(),
        chain_id: envelope.chain_id(),
        access_list: envelope.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: envelope.max_priority_fee_per_gas(),
        authorization_list: envelope
            .authorization_list()
            .map(|list| list.iter().cloned().map(Either::Left).collect())
            .unwrap_or_default(),
        ..TxEnv::default()
    }
}
