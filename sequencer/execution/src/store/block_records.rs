//! A block with what executing it has shown, and how that is written down.

use alloy::consensus::{Header, ReceiptEnvelope};
use alloy::eips::{Decodable2718, Encodable2718};
use alloy::primitives::{Address, B256, Bytes};
use alloy::rlp::Encodable;

use super::codec::{decode, hash, unreadable};
use super::{Snapshot, Writer};
use crate::{Block, Result};

/// A block, who sent its transactions, and what they did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ExecutedBlock {
    pub(crate) block: Block,
    /// Sender of each transaction, in order.
    pub(crate) senders: Vec<Address>,
    /// Receipt of each transaction, in order.
    pub(crate) receipts: Vec<ReceiptEnvelope>,
}

/// Where a transaction of the chain is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TxPlace {
    pub(crate) block: B256,
    pub(crate) index: u32,
}

impl Writer<'_> {
    /// Writes the block beside the chain; its state must be written in the same transaction.
    pub(crate) fn put_block(&mut self, executed: &ExecutedBlock) -> Result<()> {
        let key = executed.block.hash();
        let mut body = Vec::with_capacity(executed.block.payload_bytes() + 64);
        executed.block.transactions().to_vec().encode(&mut body);
        let receipts: Vec<Bytes> = executed.receipts.iter().map(|receipt| receipt.encoded_2718().into()).collect();
        self.put(self.tables.headers, key, &executed.block.encoded_header())?;
        self.put(self.tables.bodies, key, &body)?;
        self.put(self.tables.senders, key, &alloy::rlp::encode(&executed.senders))?;
        self.put(self.tables.receipts, key, &alloy::rlp::encode(receipts))
    }

    /// Puts a block's transactions into the index of the chain.
    pub(crate) fn put_places(&mut self, block: B256, transactions: &[B256]) -> Result<()> {
        for (index, transaction) in (0u32..).zip(transactions) {
            let place = [block.as_slice(), &index.to_be_bytes()].concat();
            self.put(self.tables.places, *transaction, &place)?;
        }
        Ok(())
    }

    /// Takes transactions out of the index of the chain.
    pub(crate) fn remove_places(&mut self, transactions: &[B256]) -> Result<()> {
        transactions.iter().try_for_each(|transaction| self.delete(self.tables.places, *transaction))
    }
}

impl Snapshot {
    /// The header of a stored block.
    pub(crate) fn header(&self, block: B256) -> Result<Option<Header>> {
        self.get(self.tables.headers, block)?.map(|bytes| decode(bytes, "block header")).transpose()
    }

    /// True where the block is stored.
    pub(crate) fn has_block(&self, block: B256) -> Result<bool> {
        Ok(self.get(self.tables.headers, block)?.is_some())
    }

    /// A stored block.
    pub(crate) fn block(&self, block: B256) -> Result<Option<Block>> {
        let Some(header) = self.header(block)? else { return Ok(None) };
        let body = self.get(self.tables.bodies, block)?.ok_or_else(|| unreadable("block body", "absent"))?;
        Ok(Some(Block::new(header, decode(body, "block body")?)))
    }

    /// Senders and receipts of a stored block.
    pub(crate) fn outcome(&self, block: B256) -> Result<Option<(Vec<Address>, Vec<ReceiptEnvelope>)>> {
        let Some(senders) = self.get(self.tables.senders, block)? else { return Ok(None) };
        let raw = self.get(self.tables.receipts, block)?.ok_or_else(|| unreadable("receipts", "absent"))?;
        let raw: Vec<Bytes> = decode(raw, "receipts")?;
        let receipts = raw.iter().map(|raw| {
            ReceiptEnvelope::decode_2718(&mut raw.as_ref()).map_err(|cause| unreadable("receipt", &cause.to_string()))
        });
        Ok(Some((decode(senders, "senders")?, receipts.collect::<Result<_>>()?)))
    }

    /// Where a transaction of the chain is.
    pub(crate) fn place(&self, transaction: B256) -> Result<Option<TxPlace>> {
        let Some(bytes) = self.get(self.tables.places, transaction)? else { return Ok(None) };
        let (block, index) = bytes.split_at_checked(32).ok_or_else(|| unreadable("place", "too short"))?;
        let index = index.try_into().map_err(|_| unreadable("place", "not 36 bytes"))?;
        Ok(Some(TxPlace { block: hash(block, "place")?, index: u32::from_be_bytes(index) }))
    }
}
