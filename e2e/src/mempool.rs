//! The transaction pool of a real L1 client, as a pure value.
//!
//! Anvil takes nearly everything; geth and reth do not, and each in its own words. A [`Pool`] judges a broadcast as one of them
//! would, by what is in the pool and what L1 says of the account. It is as strict as it may be: what a client checks only under some
//! of its settings is always checked here, above all what reth lets pass for its own users.
//!
//! Not judged, since anvil does so itself: signatures, chain id, intrinsic gas, and bids below the block's base fee. Proofs of blobs
//! are not verified.

mod geth;
mod pooled_tx;
mod rejection;
mod reth;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, U256};
use fermata_anvil::Hardfork;

pub(crate) use self::pooled_tx::{Blobs, PooledTx, SidecarVersion, without_sidecar};
pub(crate) use self::rejection::{PoolRule, Rejection};

/// The client whose pool it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Client {
    /// go-ethereum.
    Geth,
    /// reth.
    Reth,
}

/// Bytes of a transaction without blobs.
pub(crate) const MAX_TX_SIZE: usize = 128 * 1_024;
/// Bytes of a transaction with blobs, sidecar included.
pub(crate) const MAX_BLOB_TX_SIZE: usize = 1_024 * 1_024;
/// Blobs of a transaction.
pub(crate) const MAX_BLOBS: usize = 6;
/// Transactions of an account: with blobs for geth, of all kinds for reth.
pub(crate) const ACCOUNT_SLOTS: usize = 16;
/// Gas of a transaction, from Osaka on (EIP-7825).
pub(crate) const MAX_TX_GAS: u64 = 1 << 24;
/// Percent by which a replacement without blobs must bid more.
pub(crate) const PLAIN_BUMP: u128 = 10;
/// Percent by which a replacement with blobs must bid more, in every field.
pub(crate) const BLOB_BUMP: u128 = 100;
/// Wei that a node's operator lets a transaction cost at most, by default.
pub(crate) const TX_FEE_CAP: u128 = 1_000_000_000_000_000_000;

/// By whose rules a pool judges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolRules {
    /// The client.
    pub client: Client,
    /// The rules of L1: from Osaka on sidecars are of version 1, and gas is limited for each transaction.
    pub fork: Hardfork,
    /// Least tip, in wei for each gas.
    pub tip_floor: u128,
    /// Most that a transaction may cost besides its value, in wei; geth counts gas alone, reth blobs too.
    pub fee_cap: u128,
}

impl PoolRules {
    /// The client's defaults, on Osaka.
    #[must_use]
    pub const fn of(client: Client) -> Self {
        let tip_floor = match client {
            Client::Geth => 1,
            Client::Reth => 0,
        };
        Self { client, fork: Hardfork::Osaka, tip_floor, fee_cap: TX_FEE_CAP }
    }
}

/// What L1's head says about an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AccountView {
    /// Transactions of it that are in blocks.
    pub nonce: u64,
    /// What it has, in wei.
    pub balance: U256,
    /// Gas limit of the head.
    pub block_gas_limit: u64,
}

/// What becomes of a transaction that is not rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// It takes a new place.
    New,
    /// It takes the place of this one.
    Replaces(B256),
}

/// The transactions that a client has taken.
///
/// A transaction counts as long as its nonce is not in a block: what an [`AccountView`] says is behind it is not in the pool, and is
/// again after a reorg.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    rules: PoolRules,
    accounts: BTreeMap<Address, BTreeMap<u64, PooledTx>>,
}

/// Nonces behind an account's that a reorg may bring back.
const REMEMBERED: u64 = 64;

impl Pool {
    /// An empty pool.
    #[must_use]
    pub(crate) const fn new(rules: PoolRules) -> Self {
        Self { rules, accounts: BTreeMap::new() }
    }

    /// Whether the client would take `tx`.
    ///
    /// # Errors
    /// With the client's words and code: it would not.
    pub(crate) fn judge(&self, tx: &PooledTx, account: &AccountView) -> Result<Admission, Rejection> {
        let judging =
            Judging { rules: &self.rules, tx, account, pooled: self.pooled(tx.account, account.nonce).collect() };
        match self.rules.client {
            Client::Geth => geth::judge(&judging)?,
            Client::Reth => reth::judge(&judging)?,
        }
        Ok(judging.replaced().map_or(Admission::New, |replaced| Admission::Replaces(replaced.hash)))
    }

    /// It is in the pool from now on, in place of one with its nonce.
    pub(crate) fn insert(&mut self, tx: PooledTx) {
        let account = self.accounts.entry(tx.account).or_default();
        let nonce = tx.nonce;
        account.insert(nonce, tx);
        account.retain(|of, _| of.saturating_add(REMEMBERED) >= nonce);
    }

    /// It was dropped from the pool.
    pub(crate) fn forget(&mut self, hash: B256) {
        for account in self.accounts.values_mut() {
            account.retain(|_, tx| tx.hash != hash);
        }
    }

    /// The account's transactions that are not in blocks, where so many are; by nonce.
    pub(crate) fn pooled(&self, account: Address, nonce: u64) -> impl Iterator<Item = &PooledTx> {
        self.accounts.get(&account).into_iter().flat_map(move |pooled| pooled.range(nonce..)).map(|(_, tx)| tx)
    }
}

/// A transaction before its judge.
#[derive(Debug)]
struct Judging<'a> {
    rules: &'a PoolRules,
    tx: &'a PooledTx,
    account: &'a AccountView,
    /// The account's transactions in the pool, by nonce.
    pooled: Vec<&'a PooledTx>,
}

impl Judging<'_> {
    /// Those of the account with blobs, where it has blobs, else those without.
    fn of_its_kind(&self) -> impl Iterator<Item = &PooledTx> {
        self.pooled.iter().copied().filter(|other| other.blobs.is_some() == self.tx.blobs.is_some())
    }

    fn replaced(&self) -> Option<&PooledTx> {
        self.of_its_kind().find(|other| other.nonce == self.tx.nonce)
    }

    fn is_known(&self) -> bool {
        self.pooled.iter().any(|other| other.hash == self.tx.hash)
    }

    /// Whether the account has transactions of the other kind in the pool.
    fn meets_other_kind(&self) -> bool {
        self.of_its_kind().count() < self.pooled.len()
    }

    /// The first nonce that no transaction of its kind has.
    fn gap(&self) -> u64 {
        self.of_its_kind().fold(self.account.nonce, |next, other| if other.nonce == next { next + 1 } else { next })
    }

    /// What the account's transactions of its kind cost at most.
    fn pooled_cost(&self) -> U256 {
        self.of_its_kind().fold(U256::ZERO, |sum, other| sum.saturating_add(other.cost()))
    }
}
