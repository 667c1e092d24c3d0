//! What sealing a block costs as the state grows: 100 transfers between existing accounts, at 10^3, 10^5 and 10^6
//! accounts, each state in a directory of its own. Prints the cost against that at 10^3 accounts, the named baseline, as
//! measured in the same run. A block is sealed as a proposer seals it: executed, its roots computed, durably stored.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use fermata_execution::mempool::MempoolConfig;
use fermata_execution::{BlockAttributes, Execution, Genesis, GenesisAccount, Heads, Options, RevmExecution};
use fermata_primitives::{Clock, SystemClock};

const CHAIN_ID: u64 = 1;
const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];
const TRANSFERS: u64 = 100;
const WARM_UP: u64 = 5;
const BLOCKS: u64 = 40;

/// An existing account that is no wallet.
fn account(n: u64) -> Address {
    Address::from_slice(&keccak256(n.to_be_bytes())[12..])
}

fn wallets() -> Result<Vec<PrivateKeySigner>, Box<dyn Error>> {
    (1..=TRANSFERS).map(|n| Ok(PrivateKeySigner::from_bytes(&B256::from(U256::from(n)))?)).collect()
}

/// A state of exactly `accounts` accounts, wallets and the history contract included.
fn genesis(accounts: u64, wallets: &[PrivateKeySigner]) -> Genesis {
    let mut genesis = Genesis::dev(CHAIN_ID, 0, &wallets.iter().map(PrivateKeySigner::address).collect::<Vec<_>>());
    let others = (0..accounts - TRANSFERS - 1).map(account);
    genesis.alloc.extend(others.map(|address| GenesisAccount {
        address,
        balance: U256::from(1_000_000),
        ..GenesisAccount::default()
    }));
    genesis
}

/// Each wallet sends one wei to an existing account, spread over all of them.
fn transfers(block: u64, accounts: u64, wallets: &[PrivateKeySigner]) -> Result<Vec<Bytes>, Box<dyn Error>> {
    let sign = |(wallet, index): (&PrivateKeySigner, u64)| {
        let spread =
            u64::from_be_bytes(keccak256([block.to_be_bytes(), index.to_be_bytes()].concat())[..8].try_into()?);
        let tx = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: block,
            gas_limit: 21_000,
            max_fee_per_gas: 2_000_000_000,
            to: TxKind::Call(account(spread % (accounts - TRANSFERS - 1))),
            value: U256::from(1),
            ..TxEip1559::default()
        };
        let signature = wallet.sign_hash_sync(&tx.signature_hash())?;
        Ok(TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into())
    };
    wallets.iter().zip(0..).map(sign).collect()
}

struct Costs {
    seeding: Duration,
    /// Median time of a seal.
    seal: Duration,
    file_bytes: u64,
}

async fn measure(dir: &Path, accounts: u64) -> Result<Costs, Box<dyn Error>> {
    let (clock, wallets) = (SystemClock, wallets()?);
    let begun = clock.monotonic();
    let options = Options {
        dir: dir.to_owned(),
        genesis: genesis(accounts, &wallets),
        clock: Arc::new(clock),
        mempool: MempoolConfig::default(),
    };
    let execution = RevmExecution::open(options).await?;
    let seeding = clock.monotonic() - begun;
    let mut seals = Vec::new();
    for block in 0..WARM_UP + BLOCKS {
        let parent = execution.heads().await?;
        let attributes = BlockAttributes {
            timestamp: block + 1,
            beneficiary: account(0),
            prev_randao: B256::ZERO,
            gas_limit: 30_000_000,
            max_payload_bytes: usize::MAX,
            transactions: Some(transfers(block, accounts, &wallets)?),
            deadline: None,
        };
        let job = execution.begin(parent.unsafe_head.hash, attributes).await?;
        let begun = clock.monotonic();
        let sealed = execution.seal(job).await?;
        seals.push(clock.monotonic() - begun);
        assert_eq!(sealed.header().gas_used, TRANSFERS * 21_000, "every transfer was executed");
        execution.set_heads(Heads { unsafe_head: sealed.id(), ..parent }).await?;
    }
    execution.close().await?;
    let mut measured = seals.split_off(WARM_UP as usize);
    measured.sort_unstable();
    let file_bytes = dir.join("data.mdb").metadata()?.len();
    Ok(Costs { seeding, seal: measured[measured.len() / 2], file_bytes })
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    println!("sealing a block of {TRANSFERS} transfers, median of {BLOCKS}; baseline: {} accounts", SIZES[0]);
    println!("{:>10} {:>12} {:>8} {:>12} {:>10}", "accounts", "seal", "ratio", "seeding", "store");
    let mut baseline = None;
    for accounts in SIZES {
        let dir = tempfile::tempdir()?;
        let costs = runtime.block_on(measure(dir.path(), accounts))?;
        let base = *baseline.get_or_insert(costs.seal);
        let ratio = costs.seal.as_secs_f64() / base.as_secs_f64();
        let (seal, seeding) = (costs.seal.as_secs_f64() * 1e3, costs.seeding.as_secs_f64());
        let megabytes = costs.file_bytes / 1_000_000;
        println!("{accounts:>10} {seal:>9.2} ms {ratio:>7.2}x {seeding:>10.2} s {megabytes:>7} MB");
    }
    Ok(())
}
