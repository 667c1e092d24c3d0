//! The transactions both chains are given, signed beforehand.

use std::thread;
use std::time::Duration;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use fermata_execution::Genesis;

use crate::Result;

pub(crate) const CHAIN_ID: u64 = 31_337;
pub(crate) const SENDERS: usize = 200;
pub(crate) const CONNECTIONS: usize = 8;
pub(crate) const BATCH: usize = 100;
/// Room for about 47 000 transfers a block, and a base fee that hardly moves.
pub(crate) const GAS_LIMIT: u64 = 1_000_000_000;
const NONCES: u64 = 100;
const GENESIS_TIME: u64 = 1_700_000_000;

/// Signed transfers: for each connection its batches, in nonce order for each sender.
pub(crate) struct Load {
    pub(crate) genesis: Genesis,
    pub(crate) connections: Vec<Vec<Vec<Bytes>>>,
}

impl Load {
    /// Signs all of them, each connection's on a thread of its own.
    pub(crate) fn sign() -> Result<Self> {
        let keys: Vec<_> = (1..=SENDERS as u64)
            .map(|n| PrivateKeySigner::from_bytes(&B256::from(U256::from(n))))
            .collect::<std::result::Result<_, _>>()?;
        let addresses: Vec<Address> = keys.iter().map(PrivateKeySigner::address).collect();
        let genesis = Genesis { gas_limit: GAS_LIMIT, ..Genesis::dev(CHAIN_ID, GENESIS_TIME, &addresses) };
        let connections = thread::scope(|scope| {
            let threads: Vec<_> =
                keys.chunks(SENDERS / CONNECTIONS).map(|keys| scope.spawn(move || batches(keys))).collect();
            threads.into_iter().map(|thread| thread.join().map_err(|_| "signing panicked")?).collect::<Result<_>>()
        })?;
        Ok(Self { genesis, connections })
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.iter().flatten().map(Vec::len).sum()
    }

    /// Transfers per second, when all of them took this long.
    pub(crate) fn rate(&self, took: Duration) -> f64 {
        self.len() as f64 / took.as_secs_f64()
    }
}

fn batches(keys: &[PrivateKeySigner]) -> Result<Vec<Vec<Bytes>>> {
    let mut signed = Vec::with_capacity(keys.len() * NONCES as usize);
    for nonce in 0..NONCES {
        for key in keys {
            signed.push(transfer(key, nonce)?);
        }
    }
    Ok(signed.chunks(BATCH).map(<[_]>::to_vec).collect())
}

fn transfer(key: &PrivateKeySigner, nonce: u64) -> Result<Bytes> {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 20_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::with_last_byte(0xee)),
        value: U256::ONE,
        ..TxEip1559::default()
    };
    let signature = key.sign_hash_sync(&tx.signature_hash())?;
    Ok(TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into())
}
