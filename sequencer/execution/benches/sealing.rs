//! What sealing a block costs as the state grows: 100 transfers between existing accounts, at 10^3, 10^5 and 10^6
//! accounts, each state in a directory of its own. Prints the cost against that at 10^3 accounts, the named baseline, as
//! measured in the same run. A block is sealed as a proposer seals it: taken from the mempool, executed, its roots
//! computed, durably stored. The states take turns, block by block, so that whatever else the machine does weighs on all
//! of them alike. Senders were recovered when the transactions came in: that is not part of it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::primitives::{Address, B256, TxKind, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use fermata_execution::mempool::{AccountView, MempoolConfig};
use fermata_execution::{
    BlockAttributes, Execution, Genesis, GenesisAccount, Heads, Options, RecoveredTx, RevmExecution,
};
use fermata_primitives::{Clock, SystemClock};

const CHAIN_ID: u64 = 1;
const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];
const TRANSFERS: u64 = 100;
const WARM_UP: u64 = 5;
const BLOCKS: u64 = 60;

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
fn transfers(block: u64, accounts: u64, wallets: &[PrivateKeySigner]) -> Result<Vec<RecoveredTx>, Box<dyn Error>> {
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
        Ok(RecoveredTx::decode(TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into())?)
    };
    wallets.iter().zip(0..).map(sign).collect()
}

/// A chain with a state of one size.
struct Chain {
    dir: tempfile::TempDir,
    accounts: u64,
    wallets: Vec<PrivateKeySigner>,
    execution: RevmExecution,
    seeding: Duration,
    seals: Vec<Duration>,
}

impl Chain {
    async fn seeded(accounts: u64) -> Result<Self, Box<dyn Error>> {
        let (dir, wallets) = (tempfile::tempdir()?, wallets()?);
        let options = Options {
            dir: dir.path().to_owned(),
            genesis: genesis(accounts, &wallets),
            clock: Arc::new(SystemClock),
            mempool: MempoolConfig::default(),
        };
        let begun = SystemClock.monotonic();
        let execution = RevmExecution::open(options).await?;
        let seeding = SystemClock.monotonic() - begun;
        Ok(Self { dir, accounts, wallets, execution, seeding, seals: Vec::new() })
    }

    /// Seals the next block and makes it the head; only the seal is timed.
    async fn advance(&mut self, block: u64) -> Result<(), Box<dyn Error>> {
        let parent = self.execution.heads().await?;
        for tx in transfers(block, self.accounts, &self.wallets)? {
            self.execution.mempool().add(tx, AccountView { nonce: block, balance: U256::MAX }, 1)?;
        }
        let attributes = BlockAttributes {
            timestamp: block + 1,
            beneficiary: account(0),
            prev_randao: B256::ZERO,
            gas_limit: 30_000_000,
            max_payload_bytes: usize::MAX,
            transactions: None,
            deadline: None,
        };
        let job = self.execution.begin(parent.unsafe_head.hash, attributes).await?;
        let begun = SystemClock.monotonic();
        let sealed = self.execution.seal(job).await?;
        self.seals.push(SystemClock.monotonic() - begun);
        assert_eq!(sealed.header().gas_used, TRANSFERS * 21_000, "every transfer was executed");
        self.execution.set_heads(Heads { unsafe_head: sealed.id(), ..parent }).await?;
        Ok(())
    }

    /// Median time of a seal, after the warm-up.
    fn median(&self) -> Duration {
        let mut measured = self.seals[WARM_UP as usize..].to_vec();
        measured.sort_unstable();
        measured[measured.len() / 2]
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut chains = Vec::new();
    for accounts in SIZES {
        chains.push(Chain::seeded(accounts).await?);
    }
    for block in 0..WARM_UP + BLOCKS {
        for chain in &mut chains {
            chain.advance(block).await?;
        }
    }
    println!("sealing a block of {TRANSFERS} transfers, median of {BLOCKS}; baseline: {} accounts", SIZES[0]);
    println!("{:>10} {:>12} {:>8} {:>12} {:>10}", "accounts", "seal", "ratio", "seeding", "store");
    let baseline = chains[0].median();
    for chain in chains {
        let ratio = chain.median().as_secs_f64() / baseline.as_secs_f64();
        let (seal, seeding) = (chain.median().as_secs_f64() * 1e3, chain.seeding.as_secs_f64());
        chain.execution.close().await?;
        let megabytes = chain.dir.path().join("data.mdb").metadata()?.len() / 1_000_000;
        println!("{:>10} {seal:>9.2} ms {ratio:>7.2}x {seeding:>10.2} s {megabytes:>7} MB", chain.accounts);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?.block_on(run())
}
