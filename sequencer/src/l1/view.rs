//! What the rollup contract says.

mod beside;

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::Filter;
use alloy::rpc::types::state::{AccountOverride, StateOverride};
use alloy::sol_types::SolEvent;
use fermata_primitives::{CheckpointNumber, Epoch, L1Timestamp, Slot, SlotTimes};
use fermata_rollup::contracts::IRollup::CheckpointInvalidated;
use fermata_rollup::contracts::{CheckpointLog, IGse, IInbox, IRollup, IVerifier};
use fermata_rollup::{Committee, RollupConstants, sample_indices};

pub use self::beside::CheckpointMark;
use super::L1Client;
use crate::error::{Result, SequencerError};
use crate::events::StepBack;
use crate::pipeline::L1Tip;

/// What a checkpoint's header takes from L1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckpointInputs {
    /// Fee per mana that the contract will demand.
    pub mana_min_fee: u128,
    /// Root of the L1-to-L2 messages that the checkpoint consumes.
    pub in_hash: B256,
}

/// The rollup contract, read through an L1 client.
#[derive(Clone, Debug)]
pub struct RollupView {
    client: L1Client,
    rollup: IRollup::IRollupInstance<DynProvider>,
    inbox: IInbox::IInboxInstance<DynProvider>,
    gse: IGse::IGseInstance<DynProvider>,
    constants: RollupConstants,
}

impl RollupView {
    /// Reads the contract's constants. `ethereum_slot_secs` is the L1 chain's; the contract does not know it.
    ///
    /// # Errors
    /// L1 did not answer, or what it says is no rollup.
    pub async fn open(client: L1Client, rollup: Address, ethereum_slot_secs: u64) -> Result<Self> {
        client.expect_code(rollup, "rollup contract").await?;
        let provider = client.provider().clone();
        let rollup = IRollup::new(rollup, provider.clone());
        let constants = read_constants(&client, &rollup, ethereum_slot_secs).await?;
        let inbox = client.within("getInbox", rollup.getInbox().call()).await?;
        let gse = client.within("getGSE", rollup.getGSE().call()).await?;
        let (inbox, gse) = (IInbox::new(inbox, provider.clone()), IGse::new(gse, provider));
        Ok(Self { client, rollup, inbox, gse, constants })
    }

    /// The L1 client it reads through.
    #[must_use]
    pub const fn client(&self) -> &L1Client {
        &self.client
    }

    /// The rollup's address.
    #[must_use]
    pub fn address(&self) -> Address {
        *self.rollup.address()
    }

    /// The contract's constants.
    #[must_use]
    pub const fn constants(&self) -> &RollupConstants {
        &self.constants
    }

    /// The contract's time model.
    #[must_use]
    pub const fn times(&self) -> &SlotTimes {
        &self.constants.times
    }

    /// The newest and the newest proven checkpoint, at L1 block `at`.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn tip(&self, at: B256) -> Result<L1Tip> {
        let call = self.rollup.status(U256::ZERO).block(at.into());
        let status = self.client.within("status", call.call()).await?;
        Ok(L1Tip {
            number: CheckpointNumber(status.pendingCheckpointNumber.saturating_to()),
            archive: status.pendingArchive,
            proven: CheckpointNumber(status.provenCheckpointNumber.saturating_to()),
            proven_archive: status.provenArchive,
        })
    }

    /// The last L2 block of a checkpoint; zero where there is no such checkpoint.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn archive_at(&self, number: CheckpointNumber) -> Result<B256> {
        self.client.within("archiveAt", self.rollup.archiveAt(U256::from(number.0)).call()).await
    }

    /// What the contract has of a checkpoint at L1 block `at`. It forgets what is proven and long past.
    ///
    /// # Errors
    /// L1 did not answer, or the contract has no such checkpoint (any more).
    pub async fn checkpoint(&self, number: CheckpointNumber, at: B256) -> Result<CheckpointLog> {
        let call = self.rollup.getCheckpoint(U256::from(number.0)).block(at.into());
        self.client.within("getCheckpoint", call.call()).await
    }

    /// The contract that checks the epochs' proofs.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn verifier(&self) -> Result<Address> {
        /// Where the contract keeps its chain of checkpoints, the verifier among it.
        const NAMESPACE: &[u8] = b"aztec.stf.storage";
        /// Words from there to the verifier; a test looks for its code there.
        const VERIFIER_OFFSET: u64 = 7;
        let slot = U256::from_be_bytes(keccak256(NAMESPACE).0) + U256::from(VERIFIER_OFFSET);
        let read = self.client.provider().get_storage_at(self.address(), slot);
        let word = self.client.within("eth_getStorageAt", read).await?;
        Ok(Address::from_word(word.into()))
    }

    /// Whether the verifier takes any proof: it takes an empty one of nothing.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn takes_any_proof(&self, verifier: Address) -> Result<bool> {
        self.client.expect_code(verifier, "verifier of epoch proofs").await?;
        let verifier = IVerifier::new(verifier, self.client.provider().clone());
        match self.client.within("verify", verifier.verify(Bytes::new(), Vec::new()).call()).await {
            Err(SequencerError::WouldRevert { .. }) => Ok(false),
            other => other,
        }
    }

    /// What the header of checkpoint `number` in `slot` takes from L1, with its parent landed.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn checkpoint_inputs(&self, number: CheckpointNumber, slot: Slot) -> Result<CheckpointInputs> {
        if !self.constants.takes_transactions() {
            return Ok(CheckpointInputs { mana_min_fee: 0, in_hash: B256::ZERO });
        }
        let at = U256::from(self.times().start_of(slot).0);
        let fee = self.rollup.getManaMinFeeAt(at, true);
        let root = self.inbox.getRoot(U256::from(number.0));
        let (fee, in_hash) = futures::try_join!(
            self.client.within("getManaMinFeeAt", fee.call()),
            self.client.within("getRoot", root.call()),
        )?;
        Ok(CheckpointInputs { mana_min_fee: fee.saturating_to(), in_hash })
    }

    /// The epoch's committee, sampled by us from the contract's seed and validator set.
    ///
    /// # Errors
    /// [`SequencerError::NoCommittee`] when the contract says there is none, or L1 did not answer.
    pub async fn committee(&self, epoch: Epoch) -> Result<Committee> {
        let start = U256::from(self.times().epoch_start(epoch).0);
        let seed = self.rollup.getSampleSeedAt(start);
        let size = self.rollup.getSamplingSizeAt(start);
        let read = futures::try_join!(
            self.client.within("getSampleSeedAt", seed.call()),
            self.client.within("getSamplingSizeAt", size.call()),
        );
        let (seed, set_size) = match read {
            Ok(read) => read,
            Err(SequencerError::WouldRevert { reason }) => {
                return Err(SequencerError::NoCommittee { epoch: epoch.0, reason });
            }
            Err(other) => return Err(other),
        };
        let members = self.members(epoch, seed, set_size).await?;
        Ok(Committee { epoch, seed, members })
    }

    async fn members(&self, epoch: Epoch, seed: U256, set_size: U256) -> Result<Vec<Address>> {
        let size = self.constants.committee_size;
        let indices = sample_indices(seed, set_size.saturating_to(), size)
            .map_err(|error| SequencerError::NoCommittee { epoch: epoch.0, reason: error.to_string() })?;
        let indices: Vec<U256> = indices.into_iter().map(U256::from).collect();
        let at = U256::from(self.constants.validator_set_time(epoch).0);
        let call = self.gse.getAttestersFromIndicesAtTime(self.address(), at, indices);
        self.client.within("getAttestersFromIndicesAtTime", call.call()).await
    }

    /// Why the contract has fewer checkpoints after the L1 blocks from `first` to `last` than before them.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn step_back(&self, first: u64, last: u64) -> Result<StepBack> {
        let filter = Filter::new().address(self.address()).from_block(first).to_block(last);
        let invalidated = filter.event_signature(CheckpointInvalidated::SIGNATURE_HASH);
        let logs = self.client.within("eth_getLogs", self.client.provider().get_logs(&invalidated)).await?;
        Ok(if logs.is_empty() { StepBack::Pruned } else { StepBack::Invalidated })
    }

    /// A state in which the contract takes blobs on trust, for simulations: those carry none.
    #[must_use]
    pub fn without_blob_check(&self) -> StateOverride {
        /// Where the contract keeps its flag `checkBlob`; a test asks the published storage layout.
        const CHECK_BLOB_SLOT: B256 = B256::with_last_byte(4);
        let diff = [(CHECK_BLOB_SLOT, B256::ZERO)];
        let account = AccountOverride::default().with_state_diff(diff);
        std::iter::once((self.address(), account)).collect()
    }

    /// How many of these addresses are staked and validating.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn staked(&self, validators: &[Address]) -> Result<usize> {
        /// `Status.VALIDATING` of the contract.
        const VALIDATING: u8 = 1;
        let calls = validators.iter().map(|v| async {
            let status = self.rollup.getStatus(*v);
            self.client.within("getStatus", status.call()).await
        });
        let statuses = futures::future::try_join_all(calls).await?;
        Ok(statuses.into_iter().filter(|status| *status == VALIDATING).count())
    }
}

async fn read_constants(
    client: &L1Client,
    rollup: &IRollup::IRollupInstance<DynProvider>,
    ethereum_slot_secs: u64,
) -> Result<RollupConstants> {
    let number = |value: U256| -> u64 { value.saturating_to() };
    macro_rules! read {
        ($method:ident) => {
            number(client.within(stringify!($method), rollup.$method().call()).await?)
        };
    }
    let genesis = L1Timestamp(read!(getGenesisTime));
    let times = SlotTimes::new(genesis, read!(getSlotDuration), read!(getEpochDuration), ethereum_slot_secs)?;
    Ok(RollupConstants {
        times,
        version: read!(getVersion),
        committee_size: read!(getTargetCommitteeSize),
        validator_set_lag_epochs: read!(getLagInEpochsForValidatorSet),
        randao_lag_epochs: read!(getLagInEpochsForRandao),
        mana_limit: read!(getManaLimit),
        mana_target: read!(getManaTarget),
        proof_submission_epochs: read!(getProofSubmissionEpochs),
    })
}
