//! What the contracts of governance say of a payload.

use alloy::primitives::{Address, U256};
use alloy::providers::{DynProvider, Provider};
use fermata_primitives::Slot;
use fermata_rollup::contracts::{IGovernance, IGovernanceProposer, IProposerPayload};

use super::RollupView;
use crate::error::{Result, SequencerError};

/// Proposals that are looked at, newest first: an older one has ended long ago.
const PROPOSALS_LOOKED_AT: u64 = 32;

/// Where proposers signal, and the governance behind it.
#[derive(Clone, Debug)]
pub struct GovernanceView {
    rollup: RollupView,
    proposer: IGovernanceProposer::IGovernanceProposerInstance<DynProvider>,
}

/// What there is to know before a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignalFacts {
    /// The rollup whose proposers may signal.
    pub canonical: Address,
    /// Signals for the payload in the slot's round.
    pub signals: u64,
    /// Signals it needs.
    pub quorum: u64,
    /// The last slot of the round in which somebody signalled; slot 0 where nobody has.
    pub last_signal: Slot,
    /// Whether the payload is a contract.
    pub has_code: bool,
    /// Whether governance is deciding on the payload, or has carried it out.
    pub is_proposed: bool,
}

impl GovernanceView {
    /// The governance of the rollup, as it is now.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn open(rollup: RollupView) -> Result<Self> {
        let proposer = rollup.governance_proposer().await?;
        let proposer = IGovernanceProposer::new(proposer, rollup.client().provider().clone());
        Ok(Self { rollup, proposer })
    }

    /// The contract that counts signals.
    #[must_use]
    pub const fn address(&self) -> Address {
        *self.proposer.address()
    }

    /// What there is to know before a signal for `payload` in the slot.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn facts(&self, payload: Address, slot: Slot) -> Result<SignalFacts> {
        let (client, proposer) = (self.rollup.client(), &self.proposer);
        let canonical = client.within("getInstance", proposer.getInstance().call()).await?;
        let round_slots = client.within("ROUND_SIZE", proposer.ROUND_SIZE().call()).await?;
        let round = U256::from(slot.0).checked_div(round_slots).unwrap_or_default();
        let (signals, data) =
            (proposer.signalCount(canonical, round, payload), proposer.getRoundData(canonical, round));
        let quorum = proposer.QUORUM_SIZE();
        let (signals, data, quorum, code, is_proposed) = futures::try_join!(
            client.within("signalCount", signals.call()),
            client.within("getRoundData", data.call()),
            client.within("QUORUM_SIZE", quorum.call()),
            client.within("eth_getCode", client.provider().get_code_at(payload)),
            self.is_proposed(payload),
        )?;
        Ok(SignalFacts {
            canonical,
            signals: signals.saturating_to(),
            quorum: quorum.saturating_to(),
            last_signal: Slot(data.lastSignalSlot.saturating_to()),
            has_code: !code.is_empty(),
            is_proposed,
        })
    }

    async fn is_proposed(&self, payload: Address) -> Result<bool> {
        let client = self.rollup.client();
        let governance = client.within("getGovernance", self.proposer.getGovernance().call()).await?;
        let governance = IGovernance::new(governance, client.provider().clone());
        let count: u64 = client.within("proposalCount", governance.proposalCount().call()).await?.saturating_to();
        for id in (count.saturating_sub(PROPOSALS_LOOKED_AT)..count).rev().map(U256::from) {
            let state = client.within("getProposalState", governance.getProposalState(id).call()).await?;
            if stands(state) && self.carries(&governance, id, payload).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the proposal is for the payload: as it is, or wrapped as the governance proposer does.
    async fn carries(
        &self,
        governance: &IGovernance::IGovernanceInstance<DynProvider>,
        id: U256,
        payload: Address,
    ) -> Result<bool> {
        let client = self.rollup.client();
        let proposed = client.within("getProposal", governance.getProposal(id).call()).await?.payload;
        if proposed == payload {
            return Ok(true);
        }
        let wrapper = IProposerPayload::new(proposed, client.provider().clone());
        match client.within("getOriginalPayload", wrapper.getOriginalPayload().call()).await {
            Ok(original) => Ok(original == payload),
            Err(error @ SequencerError::L1Timeout { .. }) => Err(error),
            // What others proposed need not be a wrapper: then the call has no answer.
            Err(_) => Ok(false),
        }
    }
}

/// Whether a proposal in this state may still take effect, or has.
fn stands(state: u8) -> bool {
    /// `ProposalState` of the contract: rejected, droppable, dropped, expired.
    const ENDED: [u8; 4] = [4, 6, 7, 8];
    !ENDED.contains(&state)
}
