//! Another client as a referee: the same transactions do the same on anvil.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use alloy::consensus::{SignableTransaction, TxEip2930, TxEnvelope, TxLegacy};
use alloy::eips::Encodable2718;
use alloy::network::Ethereum;
use alloy::primitives::{Address, Bytes, TxKind, U256};
use alloy::providers::{Provider, ProviderBuilder};
use alloy::rpc::types::TransactionReceipt;
use alloy::signers::SignerSync;
use fermata_anvil::find_anvil;
use serde_json::json;

use crate::support::{
    BENEFICIARY, CHAIN_ID, GENESIS_TIME, GWEI, REVERTS, SHORT_LIVED, STORER, TestChain, delegating, sign, store_call,
    transaction, transfer, wallet,
};

const FRIEND: Address = Address::repeat_byte(0xf1);

/// An anvil of its own, killed when dropped.
struct Anvil {
    process: Child,
    url: String,
    _dir: tempfile::TempDir,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have ended already; there is nothing left to do then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Anvil {
    /// Begins with the same genesis state as `chain`.
    fn beside(chain: &TestChain) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("genesis.json");
        std::fs::write(&file, genesis_json(chain).to_string()).unwrap();
        let mut process = Command::new(find_anvil().unwrap())
            .args(["--port", "0", "--no-mining", "--order", "fifo", "--hardfork", "prague", "--accounts", "0"])
            .args([
                "--chain-id",
                &CHAIN_ID.to_string(),
                "--gas-limit",
                "30000000",
                "--disable-default-create2-deployer",
            ])
            .args(["--base-fee", "875000000", "--init"])
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .expect("anvil starts");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("Listening on ").map(str::to_owned));
        let url = format!("http://{}", address.expect("anvil says where it listens"));
        Self { process, url, _dir: dir }
    }
}

/// Our genesis in geth's format.
fn genesis_json(chain: &TestChain) -> serde_json::Value {
    let alloc: serde_json::Map<_, _> =
        chain.genesis.alloc.iter().map(|a| (a.address.to_string(), json!({ "balance": a.balance }))).collect();
    json!({
        "config": { "chainId": CHAIN_ID },
        "timestamp": format!("{GENESIS_TIME:#x}"),
        "gasLimit": "0x1c9c380",
        "difficulty": "0x0",
        "baseFeePerGas": "0x3b9aca00",
        "alloc": alloc,
    })
}

fn legacy(nonce: u64, gas_price: u128) -> Bytes {
    let tx = TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce,
        gas_price,
        gas_limit: 50_000,
        to: TxKind::Call(FRIEND),
        value: U256::from(7),
        input: Bytes::from_static(&[0, 1, 0, 2]),
    };
    let signature = wallet(3).sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

fn with_access_list(nonce: u64, storer: Address) -> Bytes {
    let item = alloy::eips::eip2930::AccessListItem { address: storer, storage_keys: vec![U256::from(9).into()] };
    let tx = TxEip2930 {
        chain_id: CHAIN_ID,
        nonce,
        gas_price: 2 * GWEI,
        gas_limit: 200_000,
        to: TxKind::Call(storer),
        input: store_call(9, 1),
        access_list: vec![item].into(),
        ..TxEip2930::default()
    };
    let signature = wallet(4).sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

/// Blocks that between them use every transaction type, logs, reverts, storage, refunds and self-destruction.
fn blocks() -> Vec<Vec<Bytes>> {
    let call = |nonce, to, input: Bytes| sign(transaction(nonce, TxKind::Call(to), 0, input), &wallet(0));
    let create = |nonce, code: &'static [u8]| sign(transaction(nonce, TxKind::Create, 0, code), &wallet(0));
    let storer = wallet(0).address().create(0);
    vec![
        vec![
            create(0, &STORER),
            create(1, &REVERTS),
            create(2, &SHORT_LIVED),
            transfer(1, 0, FRIEND),
            legacy(0, 2 * GWEI),
        ],
        vec![call(3, storer, store_call(1, 5)), call(4, storer, store_call(2, 6)), with_access_list(0, storer)],
        vec![call(5, storer, store_call(1, 0)), delegating(5, 6, storer), transfer(1, 1, BENEFICIARY)],
        vec![],
        vec![call(6, storer, Bytes::new()), transfer(1, 2, wallet(6).address()), legacy(1, 3 * GWEI)],
    ]
}

#[tokio::test]
async fn receipts_base_fees_and_state_are_those_of_anvil() {
    let chain = TestChain::new().await;
    let anvil = Anvil::beside(&chain);
    let referee = ProviderBuilder::new()
        .disable_recommended_fillers()
        .network::<Ethereum>()
        .connect_http(anvil.url.parse().unwrap());
    let _: () = referee.raw_request("anvil_setCoinbase".into(), (BENEFICIARY,)).await.unwrap();
    let (mut logs, mut failed) = (0, 0);
    for transactions in blocks() {
        let block = chain.advance(transactions.clone()).await;
        for raw in &transactions {
            let _: alloy::primitives::B256 =
                referee.raw_request("eth_sendRawTransaction".into(), (raw,)).await.unwrap();
        }
        let time = block.header().timestamp;
        let _: serde_json::Value = referee.raw_request("evm_setNextBlockTimestamp".into(), (time,)).await.unwrap();
        let _: serde_json::Value = referee.raw_request("evm_mine".into(), ()).await.unwrap();
        let theirs = referee.get_block_by_number(block.header().number.into()).await.unwrap().unwrap().header;
        assert_eq!(block.header().base_fee_per_gas, theirs.base_fee_per_gas);
        let (own, name) = (block.header(), block.id());
        assert_eq!(own.transactions_root, theirs.transactions_root, "transactions of {name}");
        assert_eq!(own.gas_used, theirs.gas_used, "gas of {name}");
        let receipts = referee.get_block_receipts(own.number.into()).await.unwrap().unwrap();
        compare_receipts(&chain, &block, &receipts);
        logs += receipts.iter().map(|receipt| receipt.inner.logs().len()).sum::<usize>();
        failed += receipts.iter().filter(|receipt| !receipt.status()).count();
        assert_eq!(own.logs_bloom, theirs.logs_bloom, "bloom of {name}");
        assert_eq!(own.receipts_root, theirs.receipts_root, "receipts of {name}");
        compare_accounts(&chain, &block, &referee).await;
    }
    assert_eq!((logs, failed), (5, 1), "every contract did what this test is about");
}

fn compare_receipts(chain: &TestChain, block: &fermata_execution::Block, theirs: &[TransactionReceipt]) {
    let (senders, ours) = chain.execution.reader().outcome(block.hash()).unwrap().unwrap();
    assert_eq!(ours.len(), theirs.len());
    let mut gas_before = 0;
    for ((own, sender), other) in ours.iter().zip(senders).zip(theirs) {
        let gas_used = own.cumulative_gas_used() - gas_before;
        gas_before = own.cumulative_gas_used();
        assert_eq!((own.status(), gas_used, sender), (other.status(), other.gas_used, other.from));
        let logs: Vec<_> = other.inner.logs().iter().map(|log| log.inner.clone()).collect();
        assert_eq!(own.logs(), logs);
    }
}

async fn compare_accounts(chain: &TestChain, block: &fermata_execution::Block, referee: &impl Provider) {
    let reader = chain.execution.reader();
    let created = (0..3).map(|nonce| wallet(0).address().create(nonce));
    let wallets = (0..8).map(|n| wallet(n).address());
    for address in created.chain(wallets).chain([FRIEND, BENEFICIARY]) {
        let own = reader.account(block.hash(), address).unwrap().unwrap_or_default();
        assert_eq!(own.balance, referee.get_balance(address).await.unwrap(), "balance of {address}");
        assert_eq!(own.nonce, referee.get_transaction_count(address).await.unwrap(), "nonce of {address}");
        let code = reader.code(block.hash(), address).unwrap();
        assert_eq!(code, referee.get_code_at(address).await.unwrap(), "code of {address}");
        for slot in [1, 2, 3, 9].map(U256::from) {
            let own = reader.storage(block.hash(), address, slot).unwrap();
            assert_eq!(own, referee.get_storage_at(address, slot).await.unwrap(), "slot {slot} of {address}");
        }
    }
}
