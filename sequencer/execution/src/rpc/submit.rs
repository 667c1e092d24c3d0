//! The way of a raw transaction into the pool: validated on all cores, added in the order it came.

use alloy::primitives::{B256, Bytes};

use super::context::Context;
use super::eth_error::EthError;
use crate::ChainReader;
use crate::mempool::{AccountView, PooledTx, TxRules, validate};

/// Fewer transactions than this are not worth another core.
const LEAST_SHARE: usize = 4;

/// A validated transaction, its sender, and the base fee it will meet.
struct Checked {
    tx: PooledTx,
    account: AccountView,
    base_fee: u64,
}

impl Context {
    /// Validates transactions in parallel and adds them to the mempool one after the other, in the order given, so that
    /// a sender's nonces may follow each other in one batch. Answers each with its hash or why it was refused.
    pub(super) async fn submit(&self, raws: Vec<Bytes>) -> Vec<Result<B256, EthError>> {
        let share = raws.len().div_ceil(self.cores).max(LEAST_SHARE);
        let shares = raws.chunks(share).map(|share| self.check_share(share.to_vec()));
        let checked = futures::future::join_all(shares).await;
        checked.into_iter().flatten().map(|checked| self.add(checked?)).collect()
    }

    async fn check_share(&self, raws: Vec<Bytes>) -> Vec<Result<Checked, EthError>> {
        let count = raws.len();
        match self.validate(move |reader| check_all(reader, raws)).await {
            Ok(checked) => checked,
            Err(failure) => refuse_all(failure, count),
        }
    }

    fn add(&self, checked: Checked) -> Result<B256, EthError> {
        let Checked { tx, account, base_fee } = checked;
        let added = self.reader.mempool().add(tx, account, base_fee)?;
        // Nobody listens: that is no error.
        let _ = self.accepted.send(added.hash);
        Ok(added.hash)
    }
}

/// Validates against the rules and the state of one head.
fn check_all(reader: &ChainReader, raws: Vec<Bytes>) -> Result<Vec<Result<Checked, EthError>>, EthError> {
    let head = reader.heads()?.unsafe_head.hash;
    let header = reader.header(head)?.ok_or(EthError::BlockNotFound)?;
    let rules = TxRules { chain_id: reader.chain_id(), block_gas_limit: header.gas_limit };
    let base_fee = reader.next_base_fee(head)?;
    let check = |raw| {
        let tx = validate(raw, &rules)?;
        let account = reader.account(head, tx.signer())?;
        let account = account.map(|account| AccountView { nonce: account.nonce, balance: account.balance });
        Ok(Checked { tx, account: account.unwrap_or_default(), base_fee })
    };
    Ok(raws.into_iter().map(check).collect())
}

/// The head could not be read: that concerns every transaction of the share.
fn refuse_all(failure: EthError, count: usize) -> Vec<Result<Checked, EthError>> {
    let mut refusals: Vec<_> = (1..count).map(|_| Err(EthError::Stopping)).collect();
    refusals.insert(0, Err(failure));
    refusals
}
