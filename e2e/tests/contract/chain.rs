//! An L1 of the test's own: anvil, the real contracts, staked validators, and a clock that moves when told.

use std::sync::Arc;

use alloy::consensus::BlobTransactionSidecarVariant;
use alloy::eips::BlockId;
use alloy::eips::eip4844::Blob;
use alloy::eips::eip7594::BlobTransactionSidecarEip7594;
use alloy::network::{EthereumWallet, TransactionBuilder, TransactionBuilder4844};
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use fermata_anvil::{DeployConfig, DevChainConfig, L1Clock, L1Head, LeasedAnvil, TestL1};
use fermata_primitives::{L1Timestamp, Slot, SlotTimes, SystemClock};
use fermata_publisher::L1HeadInfo;
use fermata_rollup::contracts::{
    Call3, CheckpointHeaderValidationFlags, IGse, IInbox, IMulticall3, IRollup, decode_revert,
};
use fermata_rollup::{BlobCommitments, CheckpointHeader, Committee, GasFees, L1Addresses, Propose, RollupConstants};
use fermata_sequencer::actions::L1Action;

use crate::candidate::{Candidate, Keys, some_payload};

/// Validators staked: more than a committee takes, so that sampling has a choice.
pub(crate) const VALIDATORS: u32 = 7;
/// Seats of a committee.
pub(crate) const COMMITTEE: usize = 4;
/// Gas a test's transaction may take.
const GAS: u64 = 5_000_000;
/// An L1 with the contracts deployed and a committee standing.
pub(crate) struct Chain {
    _anvil: Arc<LeasedAnvil>,
    clock: L1Clock,
    pub(crate) provider: DynProvider,
    pub(crate) rollup: IRollup::IRollupInstance<DynProvider>,
    pub(crate) gse: IGse::IGseInstance<DynProvider>,
    inbox: IInbox::IInboxInstance<DynProvider>,
    pub(crate) addresses: L1Addresses,
    pub(crate) constants: RollupConstants,
    pub(crate) keys: Keys,
}

/// What a test's rollup is deployed with: short epochs.
pub(crate) fn short_epochs() -> DeployConfig {
    DeployConfig {
        epoch_slots: 8,
        committee_size: COMMITTEE as u64,
        genesis_archive: B256::repeat_byte(0x6e),
        ..DeployConfig::default()
    }
}

impl Chain {
    /// Takes an L1 with everything on it, and goes on to the first epoch whose committee knows all validators.
    pub(crate) async fn start() -> Self {
        Self::start_with(short_epochs()).await
    }

    /// The same, deployed with this.
    pub(crate) async fn start_with(config: DeployConfig) -> Self {
        let config = DevChainConfig { deploy: config, validators: VALIDATORS, ..DevChainConfig::default() };
        let l1 = TestL1::start(&config, Arc::new(SystemClock)).await.expect("an L1 with the rollup on it");
        let TestL1 { anvil, l1_clock: clock, deployment, accounts, .. } = l1;
        let addresses = deployment.addresses;
        let keys = accounts.validators.into_iter().map(|key| (key.address(), key)).collect();
        let url = anvil.url().parse().expect("its own URL");
        let wallet = EthereumWallet::from(accounts.deployer);
        let provider = ProviderBuilder::new().wallet(wallet).connect_http(url).erased();
        let rollup = IRollup::new(addresses.rollup, provider.clone());
        let chain = Self {
            constants: read_constants(&rollup, deployment.times).await,
            gse: IGse::new(addresses.gse, provider.clone()),
            inbox: IInbox::new(addresses.inbox, provider.clone()),
            _anvil: anvil,
            clock,
            provider,
            rollup,
            addresses,
            keys,
        };
        let times = chain.constants.times;
        let epoch = times.epoch_of(chain.slot()).0 + chain.constants.validator_set_lag_epochs + 1;
        chain.enter(times.first_slot(fermata_primitives::Epoch(epoch))).await;
        chain
    }

    /// The slot of the L1 head.
    pub(crate) fn slot(&self) -> Slot {
        self.constants.times.slot_at(self.clock.head().timestamp)
    }

    /// The L1 head, as a node would see it.
    pub(crate) fn head(&self) -> L1HeadInfo {
        let L1Head { number, hash, timestamp } = self.clock.head();
        L1HeadInfo { number, hash, timestamp, base_fee: 0, blob_base_fee: None, excess_blob_gas: None }
    }

    /// Who proposes in the slot, as the contract says; the slot's committee must be told.
    pub(crate) async fn proposer(&self, slot: Slot) -> Address {
        let at = U256::from(self.constants.times.start_of(slot).0);
        self.rollup.getProposerAt(at).call().await.expect("a proposer")
    }

    /// Mines a block at `at`, which must be later than the head.
    pub(crate) async fn warp_to(&self, at: L1Timestamp) {
        let warp = self.clock.warp_to(at).await.expect("the clock obeys");
        assert!(matches!(warp, fermata_anvil::Warp::Mined(_)), "{at} is over: {warp:?}");
    }

    /// Mines the first block of a slot to come; nothing where the head lies in the slot already.
    pub(crate) async fn enter(&self, slot: Slot) {
        if self.slot() != slot {
            self.warp_to(self.constants.times.start_of(slot)).await;
        }
    }

    /// Has the contract sample the committee of the head's epoch and remember the epoch's randomness.
    pub(crate) async fn set_up_epoch(&self) {
        let receipt = self.send(self.rollup.setupEpoch().into_transaction_request()).await;
        assert!(receipt.status());
    }

    /// Enters the slot and makes a checkpoint that L1 would take now.
    pub(crate) async fn candidate(&self, slot: Slot) -> Candidate {
        self.enter(slot).await;
        let timestamp = self.constants.times.start_of(slot);
        let (at, rollup) = (U256::from(timestamp.0), &self.rollup);
        let number = rollup.getPendingCheckpointNumber().call().await.expect("a number") + U256::from(1);
        let payload = some_payload(slot.0);
        let blobs = payload.to_blobs().expect("fits");
        let commitments = BlobCommitments::of_blobs(&blobs).expect("in range");
        let fee = rollup.getManaMinFeeAt(at, true).call().await.expect("a fee");
        let header = CheckpointHeader {
            last_archive: rollup.archive().call().await.expect("an archive"),
            block_headers_hash: keccak256(&payload.blocks[0].header),
            blobs_hash: commitments.hash(),
            in_hash: self.inbox.getRoot(number).call().await.expect("a root"),
            out_hash: B256::ZERO,
            slot,
            timestamp,
            coinbase: Address::repeat_byte(0xc0),
            fee_recipient: B256::repeat_byte(0xfe),
            gas_fees: GasFees { da: 0, l2: fee.to() },
            total_mana_used: 1_000_000 + slot.0,
        };
        let epoch = self.constants.times.epoch_of(slot);
        let seed = rollup.getSampleSeedAt(at).call().await.expect("a seed");
        let members = rollup.getCommitteeAt(at).call().await.expect("a committee");
        let committee = Committee { epoch, seed, members };
        let archive = keccak256(slot.0.to_be_bytes());
        Candidate { header, archive, payload, blobs, commitments, committee, keys: self.keys.clone() }
    }

    /// What the head says to the proposal, sent with blobs of these commitments: nothing, or the error's name.
    pub(crate) async fn simulate(&self, propose: &Propose, blobs: &BlobCommitments) -> Result<(), &'static str> {
        let request = with_blob_hashes(self.request(propose), blobs);
        // At the head: without a block, anvil takes one that it would mine now, and its slot passes as we look.
        match self.provider.call(request).block(BlockId::latest()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(refusal_of(&error.into())),
        }
    }

    /// What the head says to the header with its attestations: nothing, or the error's name.
    pub(crate) async fn validate(
        &self,
        propose: &Propose,
        flags: CheckpointHeaderValidationFlags,
    ) -> Result<(), &'static str> {
        let call = self.rollup.validateHeaderWithAttestations(
            (&propose.header).into(),
            propose.attestations.clone(),
            propose.signers.clone(),
            propose.attestations_and_signers_signature.into(),
            propose.payload_digest(),
            propose.commitments.hash(),
            flags,
        );
        call.block(BlockId::latest()).call().await.map(drop).map_err(|error| refusal_of(&error))
    }

    /// The blobs of a mined transaction, as L1 keeps them.
    pub(crate) async fn blobs_of(&self, transaction: B256) -> Vec<Blob> {
        let method = "anvil_getBlobsByTransactionHash".into();
        let blobs: Vec<Bytes> = self.provider.raw_request(method, [transaction]).await.expect("L1 has the blobs");
        blobs.iter().map(|blob| Blob::from_slice(blob)).collect()
    }

    /// Sends the proposal in a blob transaction and mines it, one second after the head.
    pub(crate) async fn land(&self, propose: &Propose, blobs: &[Blob]) -> TransactionReceipt {
        self.send(with_sidecar(self.request(propose), blobs)).await
    }

    /// Sends actions as the bundle that a node sends, and mines it, one second after the head. One that is refused takes
    /// nothing from the others.
    pub(crate) async fn send_bundle(&self, actions: &[L1Action]) -> TransactionReceipt {
        let call =
            |action: &L1Action| Call3 { target: action.to, allowFailure: true, callData: action.calldata.clone() };
        let bundle = IMulticall3::new(self.addresses.multicall3, self.provider.clone());
        let receipt = self.send(bundle.aggregate3(actions.iter().map(call).collect()).into_transaction_request()).await;
        assert!(receipt.status(), "the bundle itself never reverts");
        receipt
    }

    /// The same within a bundle.
    pub(crate) async fn land_in_multicall(&self, propose: &Propose, blobs: &[Blob]) -> TransactionReceipt {
        let call = |call_data| Call3 { target: self.addresses.rollup, allowFailure: true, callData: call_data };
        let prune = self.rollup.prune().calldata().clone();
        let bundle = IMulticall3::new(self.addresses.multicall3, self.provider.clone());
        let bundle = bundle.aggregate3(vec![call(prune), call(propose.calldata())]);
        self.send(with_sidecar(bundle.into_transaction_request(), blobs)).await
    }

    /// Sends a transaction and mines it, one second after the head.
    pub(crate) async fn send(&self, request: TransactionRequest) -> TransactionReceipt {
        let sent = self.provider.send_transaction(request.with_gas_limit(GAS)).await.expect("L1 takes it");
        self.clock.mine().await.expect("the clock obeys");
        let receipt = self.provider.get_transaction_receipt(*sent.tx_hash()).await.expect("L1 answers");
        receipt.expect("it is in the block")
    }

    fn request(&self, propose: &Propose) -> TransactionRequest {
        TransactionRequest::default().with_to(self.addresses.rollup).with_input(propose.calldata())
    }
}

/// The request as of a transaction that carries blobs of these commitments.
pub(crate) fn with_blob_hashes(mut request: TransactionRequest, blobs: &BlobCommitments) -> TransactionRequest {
    request.blob_versioned_hashes = Some(blobs.versioned_hashes());
    request.with_gas_limit(GAS)
}

fn with_sidecar(request: TransactionRequest, blobs: &[Blob]) -> TransactionRequest {
    let sidecar = BlobTransactionSidecarEip7594::try_from_blobs(blobs.to_vec()).expect("in range");
    request.with_blob_sidecar(BlobTransactionSidecarVariant::Eip7594(sidecar))
}

/// The name of the contract's error.
pub(crate) fn refusal_of(error: &alloy::contract::Error) -> &'static str {
    let revert = error.as_revert_data().and_then(|data| decode_revert(&data));
    revert.and_then(|revert| revert.name()).unwrap_or_else(|| panic!("not an error with a name: {error}"))
}

async fn read_constants(rollup: &IRollup::IRollupInstance<DynProvider>, times: SlotTimes) -> RollupConstants {
    macro_rules! read {
        ($getter:ident) => {
            rollup.$getter().call().await.expect("a constant").to::<u64>()
        };
    }
    assert_eq!(times.genesis().0, read!(getGenesisTime));
    assert_eq!(times.slot().as_secs(), read!(getSlotDuration));
    assert_eq!(times.epoch_slots(), read!(getEpochDuration));
    RollupConstants {
        times,
        version: read!(getVersion),
        committee_size: read!(getTargetCommitteeSize),
        validator_set_lag_epochs: read!(getLagInEpochsForValidatorSet),
        randao_lag_epochs: read!(getLagInEpochsForRandao),
        mana_limit: read!(getManaLimit),
        mana_target: read!(getManaTarget),
        proof_submission_epochs: read!(getProofSubmissionEpochs),
    }
}
