//! One warm anvil, and how it is made as new.

use std::net::SocketAddr;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use fermata_primitives::{Clock, SharedClock, SystemClock};
use serde_json::{Value, json};

use crate::blob_fee::NextFees;
use crate::dev_chain::idle_account;
use crate::{Anvil, AnvilConfig, AnvilError, Cheats, Result, warm_up};

/// How long a reset may take: anvil needs a few milliseconds.
const RESET_WITHIN: Duration = Duration::from_secs(5);
/// The base fee with which anvil begins, in wei.
const FIRST_BASE_FEE: u64 = 1_000_000_000;

/// What ends all that could still come of the chain before: its interval, its pool, its idea of the time.
const QUIET: [(&str, &[u64]); 3] =
    [("evm_setIntervalMining", &[0]), ("anvil_removeBlockTimestampInterval", &[]), ("anvil_dropAllTransactions", &[])];

/// An anvil that has met its first blob.
#[derive(Debug)]
pub(super) struct WarmAnvil {
    anvil: Anvil,
    config: AnvilConfig,
    /// Hash of the genesis block: one that differs shows that something of the chain before was left.
    genesis: B256,
}

impl WarmAnvil {
    /// Starts one, lets it meet a blob, and resets it.
    pub(super) async fn start(config: AnvilConfig, clock: SharedClock) -> Result<Self> {
        let anvil = Anvil::start(&config, clock).await?;
        let provider = anvil.provider()?;
        let genesis = genesis_hash(&Cheats::new(provider.clone())).await?;
        let mut warm = Self { anvil, config, genesis };
        warm_up::meet_a_blob(provider, idle_account()?, warm.config.chain_id).await;
        warm.reset().await?;
        Ok(warm)
    }

    /// Whether it runs as `config` says.
    pub(super) fn is_of(&self, config: &AnvilConfig) -> bool {
        self.config == *config
    }

    pub(super) const fn config(&self) -> &AnvilConfig {
        &self.config
    }

    pub(super) const fn anvil(&self) -> &Anvil {
        &self.anvil
    }

    pub(super) const fn anvil_mut(&mut self) -> &mut Anvil {
        &mut self.anvil
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.anvil.address()
    }

    /// Lets it go on, where somebody froze it; one that has ended is found out by the reset.
    pub(super) fn thaw(&mut self) {
        if let Err(error) = self.anvil.thaw() {
            tracing::debug!(%error, "an anvil has ended while it was lent");
        }
    }

    /// Takes back what a test may have changed, and looks whether that came about. One thing stays: who impersonated an
    /// account by a request of its own has to stop that itself, since anvil does not tell of whom it takes unsigned
    /// transactions.
    pub(super) async fn reset(&mut self) -> Result<()> {
        let cheats = Cheats::new(self.anvil.provider()?);
        let reset = async {
            ask(&cheats, "evm_setAutomine", json!([false])).await?;
            for (method, params) in QUIET {
                ask(&cheats, method, json!(params)).await?;
            }
            // The genesis block to come takes the excess of blob gas from the newest block.
            NextFees::read(&cheats).await?.with_excess(0).load(&cheats).await?;
            ask(&cheats, "evm_mine", json!([])).await?;
            for (method, params) in self.as_new() {
                ask(&cheats, method, params).await?;
            }
            self.check(&cheats).await
        };
        tokio::select! {
            done = reset => done,
            () = SystemClock.sleep(RESET_WITHIN) => Err(AnvilError::NotAsNew { within: RESET_WITHIN }),
        }
    }

    /// What makes it as new. The genesis block is made anew by the last, of what the others set.
    fn as_new(&self) -> [(&'static str, Value); 6] {
        [
            ("anvil_autoImpersonateAccount", json!([false])),
            ("anvil_setChainId", json!([self.config.chain_id])),
            ("evm_setBlockGasLimit", json!([U256::from(self.config.block_gas_limit)])),
            ("anvil_setCoinbase", json!([Address::ZERO])),
            ("anvil_setNextBlockBaseFeePerGas", json!([U256::from(FIRST_BASE_FEE)])),
            ("anvil_reset", json!([])),
        ]
    }

    /// The questions whose answers show what was left of the chain before.
    async fn check(&self, cheats: &Cheats) -> Result<()> {
        let answers = [
            ("eth_blockNumber", json!("0x0")),
            ("eth_chainId", json!(U256::from(self.config.chain_id))),
            ("eth_coinbase", json!(Address::ZERO)),
            ("anvil_getAutomine", json!(false)),
            ("anvil_getIntervalMining", Value::Null),
            ("txpool_status", json!({ "pending": "0x0", "queued": "0x0" })),
        ];
        for (method, expected) in answers {
            if ask(cheats, method, json!([])).await? != expected {
                return Err(AnvilError::CheatFailed { action: "reset its chain" });
            }
        }
        if genesis_hash(cheats).await? != self.genesis {
            return Err(AnvilError::CheatFailed { action: "make the genesis block anew" });
        }
        Ok(())
    }
}

async fn genesis_hash(cheats: &Cheats) -> Result<B256> {
    let block = ask(cheats, "eth_getBlockByNumber", json!(["0x0", false])).await?;
    let hash = block["hash"].as_str().and_then(|hash| hash.parse().ok());
    hash.ok_or(AnvilError::CheatFailed { action: "tell its genesis block" })
}

async fn ask(cheats: &Cheats, method: &'static str, params: Value) -> Result<Value> {
    cheats.request(method, "be as new", params).await
}
