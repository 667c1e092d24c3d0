//! Blocks, transactions, receipts and logs as the RPC shows them.

use alloy::consensus::transaction::{Recovered, TransactionInfo};
use alloy::consensus::{BlockBody, ReceiptEnvelope, Transaction as _, TxEnvelope};
use alloy::primitives::{Address, B256, Sealed};
use alloy::rlp::Encodable;
use alloy::rpc::types::{Block as RpcBlock, BlockTransactions, Header, Log, Transaction, TransactionReceipt};
use serde::Deserialize;

use crate::{Block, BlockId, ChainReader, ExecutionError, RecoveredTx, Result};

/// How a block shows its transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(from = "bool")]
pub(super) enum Show {
    /// As hashes.
    #[default]
    Hashes,
    /// In full.
    Full,
}

impl From<bool> for Show {
    fn from(full: bool) -> Self {
        if full { Self::Full } else { Self::Hashes }
    }
}

/// A block with its transactions decoded and their receipts.
#[derive(Debug)]
pub(super) struct ExecutedView {
    pub(super) block: Block,
    transactions: Vec<RecoveredTx>,
    receipts: Vec<ReceiptEnvelope>,
}

impl ExecutedView {
    /// Reads a stored block; `None` where there is none.
    pub(super) fn read(reader: &ChainReader, hash: B256) -> Result<Option<Self>> {
        let (Some(block), Some((senders, receipts))) = (reader.block(hash)?, reader.outcome(hash)?) else {
            return Ok(None);
        };
        let decoded = block.transactions().iter().zip(senders);
        let transactions =
            decoded.map(|(raw, sender)| Ok(RecoveredTx::decode_known(raw.clone(), sender)?)).collect::<Result<_>>()?;
        Ok(Some(Self { block, transactions, receipts }))
    }

    /// The block as the RPC shows it.
    pub(super) fn rpc_block(&self, show: Show) -> RpcBlock {
        let transactions = match show {
            Show::Hashes => BlockTransactions::Hashes(self.transactions.iter().map(RecoveredTx::hash).collect()),
            Show::Full => {
                BlockTransactions::Full((0..self.transactions.len()).filter_map(|i| self.transaction(i)).collect())
            }
        };
        let mut header = rpc_header(&self.block);
        header.size = Some(alloy::primitives::U256::from(self.rlp_length()));
        RpcBlock { header, uncles: Vec::new(), transactions, withdrawals: Some(Default::default()) }
    }

    /// The transaction at `index`.
    pub(super) fn transaction(&self, index: usize) -> Option<Transaction> {
        let tx = self.transactions.get(index)?;
        let header = self.block.header();
        let info = TransactionInfo {
            hash: Some(tx.hash()),
            index: Some(index as u64),
            block_hash: Some(self.block.hash()),
            block_number: Some(header.number),
            base_fee: header.base_fee_per_gas,
            block_timestamp: Some(header.timestamp),
        };
        Some(Transaction::from_transaction(recovered(tx), info))
    }

    /// Every receipt, in order.
    pub(super) fn rpc_receipts(&self) -> Vec<TransactionReceipt> {
        let mut gas_before = 0;
        let mut logs_before = 0;
        let mut receipts = Vec::with_capacity(self.receipts.len());
        for (index, (tx, receipt)) in self.transactions.iter().zip(&self.receipts).enumerate() {
            let gas_used = receipt.cumulative_gas_used() - gas_before;
            receipts.push(self.rpc_receipt(index, tx, (gas_used, logs_before)));
            gas_before = receipt.cumulative_gas_used();
            logs_before += receipt.logs().len() as u64;
        }
        receipts
    }

    /// Every log of the block, in order.
    pub(super) fn logs(&self) -> Vec<Log> {
        self.rpc_receipts().into_iter().flat_map(|receipt| receipt.inner.logs().to_vec()).collect()
    }

    fn rpc_receipt(&self, index: usize, tx: &RecoveredTx, (gas_used, first_log): (u64, u64)) -> TransactionReceipt {
        let (envelope, id) = (tx.envelope(), self.block.id());
        let transaction_hash = tx.hash();
        let mut log_index = first_log;
        let inner = self.receipts[index].clone().map_logs(|inner| {
            let log = Log { log_index: Some(log_index), ..self.log(inner, transaction_hash, index) };
            log_index += 1;
            log
        });
        TransactionReceipt {
            inner,
            transaction_hash,
            transaction_index: Some(index as u64),
            block_hash: Some(id.hash),
            block_number: Some(id.number),
            gas_used,
            effective_gas_price: envelope.effective_gas_price(self.block.header().base_fee_per_gas),
            blob_gas_used: None,
            blob_gas_price: None,
            from: tx.signer(),
            to: envelope.to(),
            contract_address: created(tx),
        }
    }

    fn log(&self, inner: alloy::primitives::Log, transaction_hash: B256, index: usize) -> Log {
        let BlockId { number, hash } = self.block.id();
        Log {
            inner,
            block_hash: Some(hash),
            block_number: Some(number),
            block_timestamp: Some(self.block.header().timestamp),
            transaction_hash: Some(transaction_hash),
            transaction_index: Some(index as u64),
            log_index: None,
            removed: false,
        }
    }

    fn rlp_length(&self) -> usize {
        let body = BlockBody::<&TxEnvelope> {
            transactions: self.transactions.iter().map(RecoveredTx::envelope).collect(),
            ommers: Vec::new(),
            withdrawals: Some(Default::default()),
        };
        alloy::consensus::Block { header: self.block.header().clone(), body }.length()
    }
}

/// The header as the RPC shows it.
pub(super) fn rpc_header(block: &Block) -> Header {
    Header::from_consensus(Sealed::new_unchecked(block.header().clone(), block.hash()), None, None)
}

/// A transaction that waits for a block.
pub(super) fn waiting(tx: &RecoveredTx) -> Transaction {
    Transaction::from_transaction(recovered(tx), TransactionInfo::default())
}

/// The block must be there: it was found a moment ago, and blocks are never deleted.
pub(super) fn executed(reader: &ChainReader, hash: B256) -> Result<ExecutedView> {
    ExecutedView::read(reader, hash)?.ok_or(ExecutionError::UnknownBlock(hash))
}

fn recovered(tx: &RecoveredTx) -> Recovered<TxEnvelope> {
    Recovered::new_unchecked(tx.envelope().clone(), tx.signer())
}

fn created(tx: &RecoveredTx) -> Option<Address> {
    tx.envelope().is_create().then(|| tx.signer().create(tx.nonce()))
}
