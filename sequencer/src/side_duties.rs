//! What a slot owes L1 besides its checkpoint: votes, pruning, carrying out slashes, dropping what may not stand.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use alloy::sol_types::{SolCall, SolEvent};
use fermata_primitives::{Backoff, CheckpointNumber, SharedClock, Slot};
use fermata_publisher::{L1HeadInfo, SuccessRule};
use fermata_rollup::contracts::IRollup;
use fermata_validator_signer::ValidatorSigner;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::actions::{ActionKind, L1Action};
use crate::error::Result;
use crate::invalidation::{Asked, InvalidationDelays, Standing};
use crate::l1::{Committees, HeadReceiver, Proposals, RollupView};
use crate::offences::Offences;
use crate::own_keys::OwnKeys;
use crate::poll_loop::chain as error_chain;
use crate::votes::{GovernanceVoter, SlashingVoter, VoteSettings};
use crate::witness::Witness;

/// What the operator decides of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SideSettings {
    /// What is voted for.
    pub votes: VoteSettings,
    /// When a bad checkpoint is dropped.
    pub invalidation: InvalidationDelays,
}

/// What side duties are made from.
#[derive(Debug)]
pub struct SideParts {
    /// The rollup contract.
    pub view: RollupView,
    /// Who proposes and attests.
    pub committees: Arc<Committees>,
    /// Signs votes.
    pub signer: Arc<ValidatorSigner>,
    /// What slots are measured on.
    pub clock: SharedClock,
    /// The L1 the contracts are on.
    pub l1_chain_id: u64,
    /// Finds what was proposed on L1.
    pub proposals: Proposals,
}

/// Makes the actions of a slot besides its checkpoint. Each duty stands for itself: one that fails is told in the log and
/// takes nothing from the others.
#[derive(Debug)]
pub struct SideDuties {
    view: RollupView,
    committees: Arc<Committees>,
    signer: Arc<ValidatorSigner>,
    clock: SharedClock,
    governance: GovernanceVoter,
    slashing: SlashingVoter,
    offences: Arc<Offences>,
    witness: Witness,
    asked: Asked,
    settings: watch::Receiver<SideSettings>,
}

impl SideDuties {
    /// Has the witness look for attestations that another node made with our keys.
    #[must_use]
    pub(crate) fn looking_for(mut self, own_keys: OwnKeys) -> Self {
        self.witness.own_keys = Some(own_keys);
        self
    }

    /// Side duties that have seen nothing yet: let [`SideDuties::watch`] run beside them.
    #[must_use]
    pub fn new(parts: SideParts, settings: watch::Receiver<SideSettings>) -> Self {
        let SideParts { view, committees, signer, clock, l1_chain_id, proposals } = parts;
        let offences = Arc::new(Offences::new(*view.times()));
        let witness = Witness::new(proposals, view.clone(), Arc::clone(&committees), Arc::clone(&offences));
        Self {
            governance: GovernanceVoter::new(view.clone(), Arc::clone(&signer), l1_chain_id),
            slashing: SlashingVoter::new(view.clone(), Arc::clone(&signer), l1_chain_id, Arc::clone(&offences)),
            view,
            committees,
            signer,
            clock,
            offences,
            witness,
            asked: Asked::default(),
            settings,
        }
    }

    /// The offences seen: what comes over the network is told here.
    #[must_use]
    pub const fn offences(&self) -> &Arc<Offences> {
        &self.offences
    }

    /// The lowest checkpoint on L1 that may not stand, as far as it was looked at: nothing is built until it is dropped.
    #[must_use]
    pub fn first_invalid(&self) -> Option<CheckpointNumber> {
        self.witness.invalid().map(|invalid| invalid.number)
    }

    /// Whether the slot belongs to the escape hatch: its proposer only votes.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn is_votes_only(&self, slot: Slot) -> Result<bool> {
        self.view.escape_hatch_open(self.view.times().epoch_of(slot)).await
    }

    /// What the slot's `proposer` does besides proposing, in the order of a bundle.
    ///
    /// # Cancel safety
    /// Dropped: at most duties are on record, for what would have been signed.
    pub async fn of_proposer(&self, slot: Slot, proposer: Address) -> Vec<L1Action> {
        let settings = self.settings.borrow().clone();
        let (prune, signal, vote, execute) = futures::join!(
            self.prune(slot),
            self.signal(slot, proposer, settings.votes.governance_payload),
            self.slashing.vote(slot, proposer, &settings.votes.slash),
            self.slashing.execute(slot),
        );
        let invalidate = self.invalidate(slot, Standing::Proposer, &settings.invalidation);
        let duties = [
            ("prune", prune),
            ("signal for governance", signal),
            ("vote on slashing", vote),
            ("carry out a slash", execute),
        ];
        let told = duties.into_iter().filter_map(|(duty, made)| told(slot, duty, made));
        let mut actions: Vec<_> = told.chain(invalidate).collect();
        actions.sort_by_key(|action| action.kind);
        actions
    }

    /// What this node does in a slot in which it does not propose: it drops a checkpoint that may not stand, once it is
    /// time. The same is not asked for twice in a slot.
    pub async fn of_bystander(&self, slot: Slot) -> Vec<L1Action> {
        let delays = self.settings.borrow().invalidation;
        let standing = match self.committees.of_slot(slot).await {
            Ok(committee) if self.signer.addresses().iter().any(|key| committee.members.contains(key)) => {
                Standing::Member
            }
            // Who does not know waits longer.
            Ok(_) | Err(_) => Standing::Anyone,
        };
        self.invalidate(slot, standing, &delays).into_iter().collect()
    }

    /// Looks at what has landed by `head` and was not looked at before.
    ///
    /// # Errors
    /// L1 did not answer; what was looked at by then is kept.
    pub async fn look(&self, head: L1HeadInfo) -> Result<()> {
        self.witness.look(head).await
    }

    /// Looks at each L1 head until `ended` is cancelled. A look that fails is tried again, also without a new head.
    pub async fn watch(self: Arc<Self>, mut head: HeadReceiver, ended: CancellationToken) {
        if self.view.constants().committee_size == 0 {
            return;
        }
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        while !ended.is_cancelled() {
            let now = *head.borrow_and_update();
            match ended.run_until_cancelled(self.look(now)).await {
                None => return,
                Some(Ok(())) => {
                    backoff.reset();
                    let _ = ended.run_until_cancelled(head.changed()).await;
                }
                Some(Err(error)) => {
                    tracing::warn!(error = %error_chain(&error), "the checkpoints on L1 could not be looked at");
                    let _ = ended.run_until_cancelled(self.clock.sleep(backoff.wait())).await;
                }
            }
        }
    }

    async fn prune(&self, slot: Slot) -> Result<Option<L1Action>> {
        let to = self.view.address();
        let can_prune = self.view.can_prune_in(slot).await?;
        let success = SuccessRule::Event { address: to, topic0: IRollup::PrunedPending::SIGNATURE_HASH };
        let calldata = IRollup::pruneCall {}.abi_encode().into();
        Ok(can_prune.then_some(L1Action { kind: ActionKind::Prune, slot, to, calldata, success }))
    }

    async fn signal(&self, slot: Slot, proposer: Address, payload: Option<Address>) -> Result<Option<L1Action>> {
        let Some(payload) = payload else { return Ok(None) };
        match self.governance.signal(slot, proposer, payload).await? {
            Ok(action) => Ok(Some(action)),
            Err(objection) => {
                tracing::debug!(slot = slot.0, %payload, %objection, "no signal for governance");
                Ok(None)
            }
        }
    }

    fn invalidate(&self, slot: Slot, standing: Standing, delays: &InvalidationDelays) -> Option<L1Action> {
        let invalid = self.witness.invalid()?;
        let age = self.clock.now().since(self.view.times().start_of(invalid.slot).into());
        if !delays.are_over(standing, age) || !self.asked.is_new(slot, invalid.number) {
            return None;
        }
        tracing::info!(checkpoint = invalid.number.0, slot = slot.0, ?standing, "invalidating a checkpoint");
        Some(invalid.action(self.view.address(), slot))
    }
}

/// The duty's action, if there is one; a failure is told in the log.
fn told(slot: Slot, duty: &'static str, made: Result<Option<L1Action>>) -> Option<L1Action> {
    made.unwrap_or_else(|error| {
        tracing::warn!(slot = slot.0, duty, error = %error_chain(&error), "a side duty of our slot failed");
        None
    })
}
