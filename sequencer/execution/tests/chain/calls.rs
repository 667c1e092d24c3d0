//! Calls and gas estimates against the state at a block.

use alloy::primitives::{Address, Bytes, TxKind, U256};
use alloy::rpc::types::{TransactionInput, TransactionRequest};
use fermata_execution::{CallOutcome, ExecutionError, GasEstimate};

use crate::support::{GWEI, REVERTS, STORER, TestChain, sign, transaction, transfer, wallet};

const FRIEND: Address = Address::repeat_byte(0xf1);

fn request(to: TxKind, input: impl Into<Bytes>) -> TransactionRequest {
    TransactionRequest {
        from: Some(wallet(0).address()),
        to: Some(to),
        input: TransactionInput::new(input.into()),
        ..TransactionRequest::default()
    }
}

#[tokio::test]
async fn a_call_reads_the_state_of_the_block_it_names_and_changes_nothing() {
    let chain = TestChain::new().await;
    // Returns its caller's balance: CALLER BALANCE PUSH0 MSTORE PUSH1 32 PUSH0 RETURN, as creation code.
    let code = Bytes::from_static(&[0x33, 0x31, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]);
    let before = chain.head().await.hash;
    let block = chain.advance(vec![transfer(0, 0, FRIEND)]).await;
    let ask = |at, code: &Bytes| {
        let outcome = chain.execution.reader().call(at, &request(TxKind::Create, code.clone())).unwrap();
        let CallOutcome::Success { output, .. } = outcome else { panic!("{outcome:?}") };
        U256::from_be_slice(&output)
    };
    let (old, new) = (ask(before, &code), ask(block.hash(), &code));
    assert_eq!(new, chain.balance(&block, wallet(0).address()));
    assert!(old > new);
    assert_eq!(ask(block.hash(), &code), new, "and again");
}

#[tokio::test]
async fn a_revert_is_an_outcome_with_its_data() {
    let chain = TestChain::new().await;
    let at = chain.head().await.hash;
    let reader = chain.execution.reader();
    let outcome = reader.call(at, &request(TxKind::Create, Bytes::from_static(&REVERTS))).unwrap();
    let CallOutcome::Reverted { output, .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(U256::from_be_slice(output), U256::from(42));
    let estimate = reader.estimate_gas(at, &request(TxKind::Create, Bytes::from_static(&REVERTS))).unwrap();
    assert!(matches!(estimate, GasEstimate::Fails(CallOutcome::Reverted { .. })), "{estimate:?}");
}

#[tokio::test]
async fn a_call_that_no_transaction_can_be_made_of_is_refused_with_the_reason() {
    let chain = TestChain::new().await;
    let at = chain.head().await.hash;
    let rich = TransactionRequest { value: Some(U256::MAX >> 1), ..request(TxKind::Call(FRIEND), Bytes::new()) };
    let mixed = TransactionRequest {
        gas_price: Some(GWEI),
        max_fee_per_gas: Some(GWEI),
        ..request(TxKind::Call(FRIEND), Bytes::new())
    };
    for (bad, word) in [(rich, "insufficient funds for gas * price + value"), (mixed, "gasPrice")] {
        let error = chain.execution.reader().call(at, &bad).unwrap_err();
        assert!(matches!(&error, ExecutionError::BadCall(what) if what.contains(word)), "{error}");
    }
}

#[tokio::test]
async fn a_call_may_come_from_a_contract() {
    let chain = TestChain::new().await;
    let deploy = sign(transaction(0, TxKind::Create, 0, Bytes::from_static(&STORER)), &wallet(0));
    let block = chain.advance(vec![deploy]).await;
    let contract = wallet(0).address().create(0);
    let call = TransactionRequest { from: Some(contract), ..request(TxKind::Call(FRIEND), Bytes::new()) };
    let outcome = chain.execution.reader().call(block.hash(), &call).unwrap();
    assert!(matches!(outcome, CallOutcome::Success { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_plain_transfer_is_estimated_at_exactly_its_cost() {
    let chain = TestChain::new().await;
    let at = chain.head().await.hash;
    let ask = request(TxKind::Call(FRIEND), Bytes::new());
    assert_eq!(chain.execution.reader().estimate_gas(at, &ask).unwrap(), GasEstimate::Enough(21_000));
}

#[tokio::test]
async fn an_estimate_is_enough_and_little_more_than_needed() {
    let chain = TestChain::new().await;
    let at = chain.head().await.hash;
    let reader = chain.execution.reader();
    let deploy = request(TxKind::Create, Bytes::from_static(&STORER));
    let GasEstimate::Enough(estimate) = reader.estimate_gas(at, &deploy).unwrap() else { panic!("it can be deployed") };
    let with_gas = |gas| reader.call(at, &TransactionRequest { gas: Some(gas), ..deploy.clone() });
    assert!(matches!(with_gas(estimate), Ok(CallOutcome::Success { .. })));
    assert!(!matches!(with_gas(estimate - estimate / 32), Ok(CallOutcome::Success { .. })));
}

#[tokio::test]
async fn fee_history_tells_base_fees_use_and_tips() {
    let chain = TestChain::new().await;
    chain.advance(vec![transfer(0, 0, FRIEND), transfer(1, 0, FRIEND)]).await;
    let newest = chain.advance(vec![]).await;
    let history = chain.execution.reader().fee_history(newest.id(), 2, &[0.0, 100.0]).unwrap();
    assert_eq!(history.oldest_block, 1);
    assert_eq!(history.base_fee_per_gas.len(), 3, "and the next block's");
    assert_eq!(history.base_fee_per_gas[1], u128::from(newest.header().base_fee_per_gas.unwrap()));
    assert_eq!(history.gas_used_ratio, [42_000.0 / 30_000_000.0, 0.0]);
    assert_eq!(history.reward, Some(vec![vec![GWEI, GWEI], vec![0, 0]]));
}
