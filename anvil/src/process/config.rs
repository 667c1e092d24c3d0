//! How anvil is to run.

use std::path::PathBuf;
use std::time::Duration;

use fermata_primitives::L1Timestamp;

/// The rules of the EVM and of blobs that anvil follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Hardfork {
    /// Blob sidecars of version 0.
    Prague,
    /// Blob sidecars of version 1 (cell proofs), and at most 2^24 gas for a transaction.
    #[default]
    Osaka,
}

impl Hardfork {
    const fn name(self) -> &'static str {
        match self {
            Self::Prague => "prague",
            Self::Osaka => "osaka",
        }
    }
}

/// Who makes blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AnvilMining {
    /// Nobody until told: an [`crate::L1Clock`] owns the time.
    #[default]
    OnDemand,
    /// A block for each transaction, at anvil's own time.
    EachTransaction,
}

/// Where anvil keeps its chain between two runs: loaded at its start if it is there, written at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile {
    /// The file.
    pub path: PathBuf,
    /// Also written this often; whole seconds.
    pub every: Option<Duration>,
}

/// How anvil is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnvilConfig {
    /// The binary; `None` looks for it, see [`crate::find_anvil`].
    pub binary: Option<PathBuf>,
    /// The port to listen on at 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// The chain's id.
    pub chain_id: u64,
    /// Timestamp of the genesis block; `None` is now.
    pub genesis_timestamp: Option<L1Timestamp>,
    /// Where the chain outlives the process.
    pub state: Option<StateFile>,
    /// Whose rules hold.
    pub hardfork: Hardfork,
    /// Who makes blocks.
    pub mining: AnvilMining,
    /// Gas limit of a block.
    pub block_gas_limit: u64,
    /// How long it may take until it listens.
    pub start_deadline: Duration,
    /// How long it may take to end when asked to.
    pub stop_deadline: Duration,
}

impl Default for AnvilConfig {
    fn default() -> Self {
        Self {
            binary: None,
            port: 0,
            chain_id: 31_337,
            genesis_timestamp: None,
            state: None,
            hardfork: Hardfork::default(),
            mining: AnvilMining::default(),
            block_gas_limit: 60_000_000,
            start_deadline: Duration::from_secs(10),
            stop_deadline: Duration::from_secs(5),
        }
    }
}

impl AnvilConfig {
    /// The arguments anvil is run with.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = ["--host", "127.0.0.1"].map(str::to_owned).into();
        let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        option("--port", self.port.to_string());
        option("--chain-id", self.chain_id.to_string());
        option("--hardfork", self.hardfork.name().to_owned());
        option("--gas-limit", self.block_gas_limit.to_string());
        // With anvil's own 32 the tags `safe` and `finalized` stay at genesis for 64 blocks.
        option("--slots-in-an-epoch", "1".to_owned());
        if let Some(genesis) = self.genesis_timestamp {
            option("--timestamp", genesis.to_string());
        }
        if let Some(state) = &self.state {
            option("--state", state.path.display().to_string());
            if let Some(every) = state.every {
                option("--state-interval", every.as_secs().max(1).to_string());
            }
        }
        if self.hardfork == Hardfork::Osaka {
            // A real L1 of this fork refuses larger transactions; anvil does only when told.
            arguments.push("--enable-tx-gas-limit".to_owned());
        }
        if self.mining == AnvilMining::OnDemand {
            arguments.push("--no-mining".to_owned());
        }
        arguments
    }
}
