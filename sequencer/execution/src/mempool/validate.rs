//! What can be said about a transaction without state: pure, so any number of threads may do it at once.

use alloy::consensus::Transaction;
use alloy::primitives::Bytes;
use revm::interpreter::gas::{InitialAndFloorGas, calculate_initial_tx_gas};
use revm::primitives::eip3860::MAX_INITCODE_SIZE;
use revm::primitives::hardfork::SpecId;

use super::config::{MAX_TX_BYTES, TxRules};
use super::{MempoolError, PooledTx};
use crate::RecoveredTx;

/// Decodes raw EIP-2718 bytes, recovers their sender and checks everything that does not depend on state. Costs about
/// one signature recovery.
///
/// A legacy transaction without a chain id (from before EIP-155) is taken: well-known deployments rely on them.
///
/// # Errors
/// [`MempoolError`]: the first rule it breaks, cheapest first.
pub fn validate(raw: Bytes, rules: &TxRules) -> Result<PooledTx, MempoolError> {
    if raw.len() > MAX_TX_BYTES {
        return Err(MempoolError::Oversized { size: raw.len(), limit: MAX_TX_BYTES });
    }
    let tx = RecoveredTx::decode(raw)?;
    check_chain(&tx, rules)?;
    check_shape(&tx)?;
    check_gas(&tx, rules)?;
    Ok(PooledTx::new(tx))
}

fn check_chain(tx: &RecoveredTx, rules: &TxRules) -> Result<(), MempoolError> {
    match tx.envelope().chain_id() {
        Some(have) if have != rules.chain_id => Err(MempoolError::WrongChainId { have, want: rules.chain_id }),
        Some(_) | None => Ok(()),
    }
}

fn check_shape(tx: &RecoveredTx) -> Result<(), MempoolError> {
    let envelope = tx.envelope();
    let (cap, tip) = (envelope.max_fee_per_gas(), envelope.max_priority_fee_per_gas().unwrap_or_default());
    if tip > cap {
        return Err(MempoolError::TipAboveFeeCap { tip, cap });
    }
    if envelope.nonce() == u64::MAX {
        return Err(MempoolError::NonceMax);
    }
    let size = envelope.input().len();
    if envelope.is_create() && size > MAX_INITCODE_SIZE {
        return Err(MempoolError::InitcodeTooLarge { size, limit: MAX_INITCODE_SIZE });
    }
    if envelope.is_eip7702() && envelope.authorization_list().is_none_or(<[_]>::is_empty) {
        return Err(MempoolError::EmptyAuthorizationList);
    }
    Ok(())
}

fn check_gas(tx: &RecoveredTx, rules: &TxRules) -> Result<(), MempoolError> {
    let have = tx.envelope().gas_limit();
    if have > rules.block_gas_limit {
        return Err(MempoolError::ExceedsBlockGasLimit { have, limit: rules.block_gas_limit });
    }
    let want = minimum_gas(tx);
    if have < want { Err(MempoolError::IntrinsicGas { have, want }) } else { Ok(()) }
}

/// Gas a transaction uses at least: its intrinsic gas, or the floor of EIP-7623.
fn minimum_gas(tx: &RecoveredTx) -> u64 {
    let envelope = tx.envelope();
    let (accounts, slots) = envelope
        .access_list()
        .map_or((0, 0), |list| (list.len() as u64, list.iter().map(|item| item.storage_keys.len() as u64).sum()));
    let authorizations = envelope.authorization_list().map_or(0, |list| list.len() as u64);
    let InitialAndFloorGas { initial_regular_gas, initial_state_gas, floor_gas } = calculate_initial_tx_gas(
        SpecId::PRAGUE,
        envelope.input(),
        envelope.is_create(),
        accounts,
        slots,
        authorizations,
        None,
    );
    (initial_regular_gas + initial_state_gas).max(floor_gas)
}

#[cfg(test)]
mod tests {
    use alloy::consensus::{SignableTransaction, TxEip1559, TxEip4844, TxEip7702, TxEnvelope, TxLegacy};
    use alloy::eips::Encodable2718;
    use alloy::eips::eip7702::Authorization;
    use alloy::primitives::{Address, Signature, TxKind, U256};
    use alloy::signers::SignerSync;
    use alloy::signers::local::PrivateKeySigner;

    use super::*;
    use crate::TransactionError;

    const RULES: TxRules = TxRules { chain_id: 7, block_gas_limit: 1_000_000 };

    fn signer() -> PrivateKeySigner {
        PrivateKeySigner::from_bytes(&[3; 32].into()).expect("a valid key")
    }

    fn transfer() -> TxEip1559 {
        TxEip1559 {
            chain_id: 7,
            gas_limit: 21_000,
            max_fee_per_gas: 10,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(Address::ZERO),
            value: U256::from(1),
            ..TxEip1559::default()
        }
    }

    fn sign<T: SignableTransaction<Signature>>(tx: T) -> Bytes
    where
        TxEnvelope: From<alloy::consensus::Signed<T>>,
    {
        let signature = signer().sign_hash_sync(&tx.signature_hash()).expect("a local key signs");
        TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
    }

    fn refusal(raw: Bytes) -> MempoolError {
        validate(raw, &RULES).expect_err("it breaks a rule")
    }

    #[test]
    fn a_good_transaction_is_recovered_to_its_sender() {
        let tx = validate(sign(transfer()), &RULES).unwrap();
        assert_eq!((tx.signer(), tx.cost()), (signer().address(), U256::from(210_001)));
    }

    #[test]
    fn a_legacy_transaction_may_lack_a_chain_id_but_not_carry_another() {
        let legacy = |chain_id| TxLegacy {
            chain_id,
            gas_price: 10,
            gas_limit: 21_000,
            to: TxKind::Call(Address::ZERO),
            ..TxLegacy::default()
        };
        let tx = validate(sign(legacy(None)), &RULES).unwrap();
        assert_eq!((tx.fee_cap(), tx.priority_fee(), tx.tip_at(4)), (10, 10, Some(6)));
        assert_eq!(refusal(sign(legacy(Some(8)))), MempoolError::WrongChainId { have: 8, want: 7 });
        assert_eq!(
            refusal(sign(TxEip1559 { chain_id: 8, ..transfer() })),
            MempoolError::WrongChainId { have: 8, want: 7 }
        );
    }

    #[test]
    fn bytes_that_are_no_transaction_are_malformed() {
        let good = sign(transfer());
        let trailing = [good.as_ref(), &[0]].concat().into();
        let truncated = good.slice(..good.len() - 1);
        for raw in [Bytes::new(), Bytes::from_static(&[0x7f, 1, 2]), truncated, trailing] {
            assert!(matches!(refusal(raw), MempoolError::Transaction(TransactionError::Malformed(_))));
        }
    }

    #[test]
    fn a_signature_that_no_key_made_has_no_sender() {
        for s in [U256::ZERO, U256::MAX] {
            let signed = transfer().into_signed(Signature::new(U256::from(1), s, false));
            let raw = TxEnvelope::from(signed).encoded_2718().into();
            let refused = refusal(raw);
            assert_eq!(refused, MempoolError::Transaction(TransactionError::InvalidSignature));
            assert!(refused.to_string().starts_with("invalid sender"));
        }
    }

    #[test]
    fn size_is_looked_at_before_anything_else() {
        let raw = Bytes::from(vec![0xff; MAX_TX_BYTES + 1]);
        assert_eq!(refusal(raw), MempoolError::Oversized { size: MAX_TX_BYTES + 1, limit: MAX_TX_BYTES });
        let input = vec![0; MAX_TX_BYTES].into();
        assert!(matches!(refusal(sign(TxEip1559 { input, ..transfer() })), MempoolError::Oversized { .. }));
    }

    #[test]
    fn gas_lies_between_what_it_costs_to_begin_and_what_a_block_has() {
        let low = refusal(sign(TxEip1559 { gas_limit: 20_999, ..transfer() }));
        assert_eq!(low, MempoolError::IntrinsicGas { have: 20_999, want: 21_000 });
        let floor = refusal(sign(TxEip1559 { input: vec![1; 100].into(), ..transfer() }));
        assert_eq!(floor, MempoolError::IntrinsicGas { have: 21_000, want: 21_000 + 100 * 40 }, "EIP-7623");
        let high = refusal(sign(TxEip1559 { gas_limit: 1_000_001, ..transfer() }));
        assert_eq!(high, MempoolError::ExceedsBlockGasLimit { have: 1_000_001, limit: 1_000_000 });
    }

    #[test]
    fn creation_code_is_limited() {
        let create = |size: usize| TxEip1559 {
            to: TxKind::Create,
            input: vec![0; size].into(),
            gas_limit: 1_000_000,
            ..transfer()
        };
        assert!(validate(sign(create(MAX_INITCODE_SIZE)), &RULES).is_ok());
        let (size, limit) = (MAX_INITCODE_SIZE + 1, MAX_INITCODE_SIZE);
        assert_eq!(refusal(sign(create(size))), MempoolError::InitcodeTooLarge { size, limit });
    }

    #[test]
    fn fees_and_nonces_that_cannot_be_are_refused() {
        let tip = refusal(sign(TxEip1559 { max_priority_fee_per_gas: 11, ..transfer() }));
        assert_eq!(tip, MempoolError::TipAboveFeeCap { tip: 11, cap: 10 });
        assert_eq!(refusal(sign(TxEip1559 { nonce: u64::MAX, ..transfer() })), MempoolError::NonceMax);
    }

    #[test]
    fn set_code_transactions_are_taken_when_they_authorise_something() {
        let set_code = TxEip7702 {
            chain_id: 7,
            gas_limit: 100_000,
            max_fee_per_gas: 10,
            max_priority_fee_per_gas: 1,
            ..TxEip7702::default()
        };
        assert_eq!(refusal(sign(set_code.clone())), MempoolError::EmptyAuthorizationList);
        let authorization = Authorization { chain_id: U256::from(7), address: Address::ZERO, nonce: 0 };
        let signature = signer().sign_hash_sync(&authorization.signature_hash()).unwrap();
        let authorization_list = vec![authorization.into_signed(signature)];
        assert!(validate(sign(TxEip7702 { authorization_list, ..set_code }), &RULES).is_ok());
    }

    #[test]
    fn blob_transactions_are_refused_by_name() {
        let blob = TxEip4844 { chain_id: 7, blob_versioned_hashes: vec![[1; 32].into()], ..TxEip4844::default() };
        let signature = signer().sign_hash_sync(&blob.signature_hash()).unwrap();
        let raw = TxEnvelope::from(blob.into_signed(signature)).encoded_2718().into();
        assert_eq!(refusal(raw), MempoolError::Transaction(TransactionError::Blob));
    }
}
