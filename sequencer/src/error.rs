//! What can go wrong in a node, by what the caller does next.

use std::time::Duration;

use alloy::primitives::{Address, B256};
use fermata_primitives::CheckpointNumber;

use crate::drain::Head;
use crate::pinned::NotResumed;
use crate::pipeline::NoPlace;

/// A source error of whatever kind.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a step of the node did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum SequencerError {
    /// Try again later: L1 did not answer.
    #[error("L1 did not answer `{what}`; check l1.rpc_url and the endpoint's health")]
    L1Unreachable {
        /// The call.
        what: &'static str,
        /// What the transport said.
        #[source]
        source: Source,
    },
    /// Try again later: L1 took too long.
    #[error("L1 took longer than {after:?} to answer `{what}`; check the endpoint, or raise l1.request_timeout_ms")]
    L1Timeout {
        /// The call.
        what: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// Refuse to run: this is another chain.
    #[error("L1 has chain id {found}, expected {expected}; check l1.rpc_url and l1.chain_id")]
    WrongChain {
        /// What the configuration says.
        expected: u64,
        /// What L1 says.
        found: u64,
    },
    /// Refuse to run: no contract there.
    #[error(
        "there is no code at {address}, which should be the {what}; check the addresses file, or run `fermata deploy`"
    )]
    NoContract {
        /// The address.
        address: Address,
        /// What should be there.
        what: &'static str,
    },
    /// Refuse to run: the rollup was deployed for another L2 chain.
    #[error(
        "the rollup on L1 was deployed with genesis {on_l1}, this node's genesis is {ours}; use the execution settings it was deployed with"
    )]
    WrongGenesis {
        /// Genesis archive in the contract.
        on_l1: B256,
        /// Ours.
        ours: B256,
    },
    /// Refuse to run: the time model of the contract does not fit this L1.
    #[error("l1.ethereum_slot_secs does not fit the rollup")]
    Times(#[from] fermata_primitives::SlotTimesError),
    /// Refuse to propose: none of our keys is staked.
    #[error(
        "none of our {keys} validator keys is staked in the rollup; stake them (`fermata deploy` does so for a new rollup), or check validator.keystore_dir"
    )]
    NotStaked {
        /// How many keys we have.
        keys: usize,
    },
    /// Skip the slot: there is no committee for its epoch.
    #[error("there is no committee for epoch {epoch}: {reason}")]
    NoCommittee {
        /// The epoch.
        epoch: u64,
        /// What the contract says.
        reason: String,
    },
    /// Skip the slot: the contract would refuse.
    #[error("the rollup contract would refuse the checkpoint: {reason}")]
    WouldRevert {
        /// The contract's own error, decoded where it is known.
        reason: String,
    },
    /// Try again next tick: the L2 chain is not where L1 says.
    #[error("not synced: the L2 head is not the last block of checkpoint {want} on L1 yet")]
    NotSynced {
        /// L1's newest checkpoint.
        want: CheckpointNumber,
    },
    /// A checkpoint on L1 is not what its blobs hold: stop and look.
    #[error("checkpoint {number} on L1 cannot be rebuilt from its blobs: {reason}")]
    BadCheckpoint {
        /// Its number.
        number: CheckpointNumber,
        /// What does not fit.
        reason: String,
    },
    /// Skip the slot: the checkpoint has no place in the chain.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    /// Skip the slot: nothing else may be signed for it than what was.
    #[error(transparent)]
    NotResumed(#[from] NotResumed),
    /// Do not attest: another node's proposal is not what executing it gives.
    #[error("the proposal is not valid: {0}")]
    BadProposal(String),
    /// The slot is lost: the contract would not count it.
    #[error(
        "{have} of {committee} attested, {need} are needed; check that the validators' keys are loaded and their nodes run"
    )]
    TooFewAttestations {
        /// Signatures there are.
        have: usize,
        /// Members of the committee.
        committee: usize,
        /// The quorum.
        need: usize,
    },
    /// The slot is lost: L1 did not take the checkpoint.
    #[error("L1 did not take the checkpoint: {0}")]
    NotLanded(String),
    /// Ask again later: nobody makes proofs now.
    #[error("the prover service {service} did not answer; check prover.proofs and the service's health")]
    ProverService {
        /// Its URL, as far as it may be shown.
        service: String,
        /// What went wrong.
        #[source]
        source: Source,
    },
    /// Mend the proof source: the contract would refuse what it made.
    #[error(
        "the rollup contract would refuse the proof: {reason}; check the prover service against the rollup's verifier"
    )]
    ProofRefused {
        /// The contract's own error, decoded where it is known.
        reason: String,
    },
    /// Look at the contract and try again: L1 did not take the proof.
    #[error("L1 did not take the proof: {0}")]
    NotProven(String),
    /// The epoch is lost: the contract prunes it.
    #[error("epoch {epoch} was not proven before L1 time {deadline}; the contract prunes it, and the chain goes back")]
    ProofTooLate {
        /// The epoch.
        epoch: fermata_primitives::Epoch,
        /// When its proof had to be on L1.
        deadline: fermata_primitives::L1Timestamp,
    },
    /// Refuse to open: mock proofs would be refused.
    #[error(
        "prover.proofs is `mock`, and the rollup's verifier at {verifier} checks proofs; set prover.proofs to the URL of a prover service"
    )]
    RealVerifier {
        /// The verifier.
        verifier: Address,
    },
    /// Refuse to open: two senders would take each other's nonces.
    #[error(
        "account {account} is a publisher's and the prover's; give the prover an account of its own with the [prover] keys"
    )]
    SharedAccount {
        /// The account.
        account: Address,
    },
    /// Refuse to open: one account tops up the publishers.
    #[error("publisher.funding.keystore_dir holds {found} keystores; leave the one of the funder in it")]
    FunderKeys {
        /// How many there are.
        found: usize,
    },
    /// Refuse to start: that is not what this node is for.
    #[error(
        "this node is {roles}, which a start gives nothing to do; add `sequencer`, or `validator` to attest alone, to node.roles and restart it"
    )]
    NotSequencer {
        /// What it is for.
        roles: crate::roles::Roles,
    },
    /// Ended early because the run was interrupted.
    #[error("interrupted")]
    Interrupted,
    /// Interrupted after the L1 transaction may have gone out: read L1 to learn whether it landed.
    #[error("interrupted while its L1 transaction {l1_tx} was in flight")]
    CutInFlight {
        /// The transaction.
        l1_tx: B256,
    },
    /// Refuse to start: the chain goes on from another block.
    #[error("the L2 head is {}, not {want}", have.hash)]
    HeadMismatch {
        /// The head there is.
        have: Head,
        /// The head that was asked for.
        want: B256,
    },
    /// Refuse to start: the block is not here, and did not come in time.
    #[error("block {want} has not come, the L2 head is block {} {}; wait until the node has synced, or check the hash", have.number, have.hash)]
    HeadNotSynced {
        /// The head there is.
        have: Head,
        /// The head that was asked for.
        want: B256,
    },
    /// Skip the slot: no sub-slot was left, or there were too few transactions.
    #[error("no block was built: no sub-slot was left, or each had fewer transactions than sequencer.min_transactions")]
    NothingToBuild,
    /// Skip the slot: what was needed did not come in time.
    #[error("too late: {0}")]
    TooLate(&'static str),
    /// A worker thread ended abnormally: a bug, reported.
    #[error("computing {what} ended abnormally; please report this")]
    Task {
        /// What it computed.
        what: &'static str,
        /// How it ended.
        #[source]
        source: Source,
    },
    /// The execution engine failed.
    #[error("execution failed")]
    Execution(#[from] fermata_execution::ExecutionError),
    /// Yield the slot, or mend the keys: the signer refused.
    #[error("the signer refused")]
    Signer(#[from] fermata_validator_signer::SignerError),
    /// The publisher failed.
    #[error("the publisher failed")]
    Publisher(#[from] fermata_publisher::Error),
    /// The encodings refused what they were given.
    #[error("the checkpoint could not be encoded")]
    Rollup(#[from] fermata_rollup::RollupError),
}

/// The crate's result.
pub type Result<T, E = SequencerError> = std::result::Result<T, E>;
