//! What can go wrong with an L1 of one's own, by what the caller does next.

use std::path::PathBuf;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use alloy::transports::TransportError;
use fermata_primitives::{L1Timestamp, SlotTimesError};

/// The one command that brings anvil and the contracts.
pub(crate) const INSTALL: &str = "npm ci --prefix anvil";

/// Shorthand of this crate.
pub type Result<T, E = AnvilError> = std::result::Result<T, E>;

/// Why something about anvil, its clock, the deployment or the staking did not come about.
#[derive(Debug, thiserror::Error)]
pub enum AnvilError {
    /// Install it, then try again.
    #[error("{tool} is missing (looked at {searched}): install it with `{INSTALL}`, or set {env}")]
    ToolMissing {
        /// What is missing.
        tool: &'static str,
        /// The environment variable that may point to it.
        env: &'static str,
        /// Where it was looked for.
        searched: String,
    },

    /// The package is there but a file of it is not what it should be.
    #[error("the contract artifact {path} is unusable: {problem}; reinstall the pinned package with `{INSTALL}`")]
    Artifact {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// The process could not be started, signalled or waited for.
    #[error("could not {action}; check that `sh` and anvil can be executed here")]
    Process {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },

    /// Anvil ended, or stayed silent, before it listened.
    #[error("anvil did not listen: {reason}; its last words: {output}")]
    NotListening {
        /// It ended, or the deadline came.
        reason: String,
        /// The end of its output.
        output: String,
    },

    /// Try again where there is less to do.
    #[error("an anvil was not as new within {within:?}: this machine is too busy, or anvil hangs; try again")]
    NotAsNew {
        /// How long it may take.
        within: Duration,
    },

    /// The folder of cached states is no place for them.
    #[error("the cached L1 state {path} could not be kept: check that its folder can be written to")]
    StateCache {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },

    /// Not a URL that can be spoken to.
    #[error("{url} is not an http(s) URL: {problem}; write it like http://127.0.0.1:8545")]
    BadUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },

    /// Nothing answered: try again, or check the address.
    #[error("the L1 did not answer when asked to {action}: check that it is up and its URL right")]
    L1Unreachable {
        /// What was asked.
        action: &'static str,
        /// The transport's error.
        #[source]
        source: TransportError,
    },

    /// The L1 answered and said no: trying again will not help.
    #[error("the L1 refused to {action}: check the request against what its node supports")]
    L1Refused {
        /// What was asked.
        action: &'static str,
        /// The node's error.
        #[source]
        source: TransportError,
    },

    /// Another chain than the one configured.
    #[error("the L1 has chain id {actual}, not {expected}: set `l1_chain_id`, or use the URL of the right chain")]
    WrongChain {
        /// As configured.
        expected: u64,
        /// As the node says.
        actual: u64,
    },

    /// A configuration that the contracts, or reason, would refuse. Nothing was sent.
    #[error("`{key}` is invalid: {problem}")]
    InvalidConfig {
        /// The key in `DeployConfig`.
        key: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },

    /// The time model of the configuration is none. Nothing was sent.
    #[error("the slot times are invalid: set `slot_secs`, `epoch_slots` and `ethereum_slot_secs` anew")]
    SlotTimes(#[from] SlotTimesError),

    /// Send ether to the account, then try again. Nothing was sent.
    #[error("{account} has {balance} wei and may need {needed}: send it ether on this L1")]
    WithoutFunds {
        /// Who pays.
        account: Address,
        /// What it has.
        balance: U256,
        /// What the transactions may cost at most.
        needed: U256,
    },

    /// A transaction was mined and undone.
    #[error("the transaction to {action} ({transaction}) reverted: {reason}")]
    Reverted {
        /// What it was to do.
        action: &'static str,
        /// Its hash.
        transaction: B256,
        /// The contract's words.
        reason: String,
    },

    /// A transaction was sent, but no block took it in time.
    #[error(
        "the transaction to {action} ({transaction}) was not mined within {waited:?}: look at the L1's fees and pool"
    )]
    NotMined {
        /// What it was to do.
        action: &'static str,
        /// Its hash.
        transaction: B256,
        /// For how long, or how many blocks, one waited.
        waited: Duration,
    },

    /// No contract, or another one than it should be.
    #[error("{address} did not answer {call}: there is no such contract; check the addresses and the chain")]
    NoSuchContract {
        /// Who was asked.
        address: Address,
        /// What was asked.
        call: &'static str,
    },

    /// Multicall3 is not on this chain and its keyless transaction cannot land.
    #[error("Multicall3 could not be put on this L1: {problem}")]
    Multicall {
        /// Why not, and what would help.
        problem: String,
    },

    /// A validator's secret that is no scalar.
    #[error("the BLS secret is zero modulo the group order: take 32 random bytes")]
    BlsSecretZero,

    /// The stake registry refused validators; their stake went back to the withdrawers.
    #[error(
        "the stake registry refused {attesters:?}: the key or the attester is registered already, or the proof is wrong"
    )]
    DepositRefused {
        /// Whose deposits failed.
        attesters: Vec<Address>,
    },

    /// Stake waits in the entry queue: flush again in a later epoch.
    #[error("{attesters:?} still wait in the entry queue: flush it in a later epoch, or configure a larger flush")]
    StillQueued {
        /// Who waits.
        attesters: Vec<Address>,
    },

    /// Anvil mined, but not what it was told to.
    #[error("anvil made a block at {actual} where {wanted} was asked for: its clock has another owner")]
    ClockDisobeyed {
        /// The timestamp that was asked for.
        wanted: L1Timestamp,
        /// The timestamp of the block.
        actual: L1Timestamp,
    },

    /// No clock can follow L1 there; nothing was mined.
    #[error(
        "L1 time cannot go to {target}: clocks count nanoseconds in 64 bits, which end at {latest}; warp to an earlier time"
    )]
    BeyondTime {
        /// The timestamp that was asked for.
        target: L1Timestamp,
        /// The latest that there is.
        latest: L1Timestamp,
    },

    /// The interval is running already: stop it first.
    #[error("interval mining is running already: stop it before starting another")]
    IntervalRunning,

    /// The clock's grid needs a length.
    #[error("interval mining needs an Ethereum slot of at least one second")]
    IntervalZero,

    /// A reorg that reaches below the chain, or changes nothing.
    #[error(
        "{depth} blocks cannot be taken back at height {height}: it must be one at least, and block {oldest} is the oldest \
         that can be gone back to"
    )]
    ReorgDepth {
        /// Blocks to take back.
        depth: u64,
        /// The head's number.
        height: u64,
        /// The oldest block whose state anvil has: genesis, or the head of the state it began with.
        oldest: u64,
    },

    /// The transactions are held: let them go first.
    #[error("no transaction can be put back into blocks while all are held: release them first")]
    TransactionsHeld,

    /// An account was impersonated: nobody can send its transaction once more.
    #[error(
        "the transaction {transaction} cannot be put back: {from} was impersonated and has not signed it; let the reorg \
         take its transactions away, or sign what is to come back"
    )]
    NotSigned {
        /// The transaction.
        transaction: B256,
        /// In whose name it was sent.
        from: Address,
    },

    /// Anvil is no more.
    #[error("anvil has ended ({how}); its last words: {output}")]
    Ended {
        /// Its exit code or the signal it died of.
        how: String,
        /// The end of its output.
        output: String,
    },

    /// The cheat code was answered, but did not do what it is for.
    #[error("anvil did not {action}: its behaviour has changed, pin the version in `anvil/package.json`")]
    CheatFailed {
        /// What it was to do.
        action: &'static str,
    },

    /// The mnemonic or derivation path gives no key.
    #[error("no key can be derived from the mnemonic: check its words")]
    Mnemonic(#[source] alloy::signers::local::LocalSignerError),
}

impl AnvilError {
    /// For `map_err`: tells a node that says no from one that does not answer.
    pub(crate) fn rpc(action: &'static str) -> impl FnOnce(TransportError) -> Self {
        move |source| match source.as_error_resp() {
            Some(_) => Self::L1Refused { action, source },
            None => Self::L1Unreachable { action, source },
        }
    }

    /// For `map_err` of system calls.
    pub(crate) fn process(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Process { action, source }
    }
}
