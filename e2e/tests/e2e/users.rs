//! What a user sees: an unchanged wallet, a transaction that is mined, and its bytes on L1.

use alloy::consensus::Transaction;
use alloy::eips::eip2718::Encodable2718;
use alloy::network::{EthereumWallet, TransactionBuilder};
use alloy::primitives::{Address, U256};
use alloy::providers::{Provider, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use fermata_e2e::Net;
use fermata_primitives::L1Timestamp;
use fermata_rollup::CheckpointPayload;
use fermata_sequencer::dev::prefunded_accounts;
use fermata_sequencer::l1::BlobSource;

#[tokio::test(flavor = "multi_thread")]
async fn a_wallets_transaction_is_mined_and_its_bytes_are_in_a_blob_of_an_accepted_l1_transaction() -> anyhow::Result<()>
{
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let mut watch = net.watch(&node);
    node.start().await?;

    let wallet = EthereumWallet::from(prefunded_accounts()[3].clone());
    let l2 = ProviderBuilder::new().wallet(wallet).connect_http(node.l2_url().parse()?);
    let to = Address::repeat_byte(0x77);
    let transfer = TransactionRequest::default().with_to(to).with_value(U256::from(12_345));
    let receipt = l2.send_transaction(transfer).await?.get_receipt().await?;
    assert!(receipt.status());
    assert_eq!(l2.get_balance(to).await?, U256::from(12_345));

    let mined = receipt.block_number.expect("mined");
    let landed = loop {
        let landed = watch.checkpoint(1).await?;
        let safe = node.node().workshop().chain.heads().await?.unsafe_head.number;
        if landed.transactions > 0 && safe >= mined {
            break landed;
        }
    };
    let raw = l2.get_transaction_by_hash(receipt.transaction_hash).await?.expect("known").inner.encoded_2718();
    let view = &node.node().workshop().view;
    let l1 = &net.chain().provider;
    let l1_tx = l1.get_transaction_by_hash(landed.l1_tx).await?.expect("L1 has it");
    assert_eq!(l1_tx.to(), Some(fermata_publisher::MULTICALL3_ADDRESS), "it goes with what else the slot sends");
    assert!(l1.get_transaction_receipt(landed.l1_tx).await?.expect("mined").status());
    let blobs = BlobSource::Anvil.blobs_of(view.client(), &l1_tx, L1Timestamp(0)).await?;
    let payload = CheckpointPayload::from_blobs(&blobs)?;
    let carried = payload.blocks.iter().flat_map(|block| &block.transactions).any(|bytes| *bytes == raw);
    assert!(carried, "the transaction's bytes are in the blob");
    node.close().await
}
