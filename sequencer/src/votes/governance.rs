//! The signal for a governance payload.

use std::sync::Arc;

use alloy::primitives::Address;
use alloy::sol_types::SolEvent;
use fermata_primitives::Slot;
use fermata_publisher::SuccessRule;
use fermata_rollup::contracts::IGovernanceProposer::SignalCast;
use fermata_rollup::{GovernanceSignal, VerifyingContract};
use fermata_validator_signer::{Duty, DutyKind, ValidatorSigner};

use crate::actions::{ActionKind, L1Action};
use crate::error::Result;
use crate::l1::{GovernanceView, RollupView, SignalFacts};

/// Why no signal is cast. Each would be refused by the contract, or be of no use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoSignal {
    /// Only proposers of the canonical rollup may signal.
    #[error("this rollup is not the canonical one, {0} is")]
    NotCanonical(Address),
    /// There is nothing at the payload's address.
    #[error("there is no contract at the payload's address; check votes.governance_payload")]
    NoCode,
    /// Governance has it already.
    #[error("governance is deciding on the payload, or has carried it out")]
    Proposed,
    /// The round has decided.
    #[error("the payload has its quorum of {0} signals")]
    QuorumReached(u64),
    /// One signal a slot.
    #[error("somebody has signalled in slot {0}")]
    AlreadyCast(Slot),
}

impl SignalFacts {
    /// What speaks against a signal by the slot's proposer of this rollup.
    fn objection(&self, rollup: Address, slot: Slot) -> Option<NoSignal> {
        if self.canonical != rollup {
            Some(NoSignal::NotCanonical(self.canonical))
        } else if !self.has_code {
            Some(NoSignal::NoCode)
        } else if self.is_proposed {
            Some(NoSignal::Proposed)
        } else if self.signals >= self.quorum {
            Some(NoSignal::QuorumReached(self.quorum))
        } else if self.last_signal >= slot {
            Some(NoSignal::AlreadyCast(self.last_signal))
        } else {
            None
        }
    }
}

/// Signals for a payload, as the proposer of a slot.
#[derive(Debug)]
pub struct GovernanceVoter {
    view: RollupView,
    signer: Arc<ValidatorSigner>,
    l1_chain_id: u64,
}

impl GovernanceVoter {
    /// A voter with the keys of `signer`.
    #[must_use]
    pub const fn new(view: RollupView, signer: Arc<ValidatorSigner>, l1_chain_id: u64) -> Self {
        Self { view, signer, l1_chain_id }
    }

    /// The signal of the slot's `proposer` for `payload`, or why there is none.
    ///
    /// # Errors
    /// L1 did not answer, or the signer refused: the duty is on record for another payload.
    ///
    /// # Cancel safety
    /// Dropped: at most the duty is on record, for this payload.
    pub async fn signal(
        &self,
        slot: Slot,
        proposer: Address,
        payload: Address,
    ) -> Result<std::result::Result<L1Action, NoSignal>> {
        let governance = GovernanceView::open(self.view.clone()).await?;
        let facts = governance.facts(payload, slot).await?;
        let instance = self.view.address();
        if let Some(objection) = facts.objection(instance, slot) {
            return Ok(Err(objection));
        }
        let (to, signal) = (governance.address(), GovernanceSignal { payload, slot, instance });
        let typed = signal.typed_data(VerifyingContract { l1_chain_id: self.l1_chain_id, address: to });
        let duty = Duty { validator: proposer, slot, kind: DutyKind::GovernanceVote };
        let by = self.view.times().end_of(slot).into();
        let signature = self.signer.sign_typed_by(duty, &typed, by).await?;
        let success = SuccessRule::Event { address: to, topic0: SignalCast::SIGNATURE_HASH };
        let calldata = signal.calldata(signature.into());
        Ok(Ok(L1Action { kind: ActionKind::GovernanceSignal, slot, to, calldata, success }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: Address = Address::repeat_byte(1);
    const OTHER: Address = Address::repeat_byte(2);
    const GOOD: SignalFacts = SignalFacts {
        canonical: ROLLUP,
        signals: 150,
        quorum: 151,
        last_signal: Slot(9),
        has_code: true,
        is_proposed: false,
    };

    #[test]
    fn each_fact_that_speaks_against_a_signal_is_named() {
        let cases = [
            (GOOD, None),
            (SignalFacts { signals: 0, last_signal: Slot(0), ..GOOD }, None),
            (SignalFacts { canonical: OTHER, ..GOOD }, Some(NoSignal::NotCanonical(OTHER))),
            (SignalFacts { has_code: false, ..GOOD }, Some(NoSignal::NoCode)),
            (SignalFacts { is_proposed: true, ..GOOD }, Some(NoSignal::Proposed)),
            (SignalFacts { signals: 151, ..GOOD }, Some(NoSignal::QuorumReached(151))),
            (SignalFacts { last_signal: Slot(10), ..GOOD }, Some(NoSignal::AlreadyCast(Slot(10)))),
        ];
        for (facts, objection) in cases {
            assert_eq!(facts.objection(ROLLUP, Slot(10)), objection, "{facts:?}");
        }
    }
}
