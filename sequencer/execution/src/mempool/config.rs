//! What the pool takes, and how much of it.

/// Limits of a [`super::Mempool`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MempoolConfig {
    /// Most transactions in all.
    pub max_transactions: usize,
    /// Most raw bytes in all.
    pub max_bytes: usize,
    /// Most transactions of one sender.
    pub max_per_sender: usize,
    /// By how many percent a replacement must raise both fees.
    pub replacement_bump_percent: u128,
    /// Least priority fee, in wei per gas.
    pub min_priority_fee: u128,
    /// Least fee cap, in wei per gas: where the chain's base fee cannot fall below it, a lower cap can never be mined.
    pub min_fee_cap: u128,
}

impl Default for MempoolConfig {
    fn default() -> Self {
        Self {
            max_transactions: 20_000,
            max_bytes: 64 * 1024 * 1024,
            max_per_sender: 256,
            replacement_bump_percent: 10,
            min_priority_fee: 0,
            min_fee_cap: 0,
        }
    }
}

impl MempoolConfig {
    /// What a replacement must offer at least where `old` was offered: the bump, and in any case more than before.
    pub(super) const fn bumped(&self, old: u128) -> u128 {
        let bump = old.saturating_mul(self.replacement_bump_percent) / 100;
        old.saturating_add(if bump == 0 { 1 } else { bump })
    }
}

/// What every transaction of the chain must keep to, whatever its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxRules {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Gas of a block: a transaction that asks for more can never be mined.
    pub block_gas_limit: u64,
}

/// Most raw bytes of one transaction: what Ethereum's clients take.
pub const MAX_TX_BYTES: usize = 128 * 1024;
