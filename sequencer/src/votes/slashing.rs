//! The vote on whom to slash, and carrying out what a round of votes decided.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::Address;
use alloy::sol_types::SolEvent;
use fermata_primitives::{Epoch, Slot};
use fermata_publisher::SuccessRule;
use fermata_rollup::contracts::ISlashingProposer::{RoundExecuted, VoteCast};
use fermata_rollup::{SlashUnits, SlashVote, VerifyingContract};
use fermata_validator_signer::{Duty, DutyKind, ValidatorSigner};

use crate::actions::{ActionKind, L1Action};
use crate::error::Result;
use crate::l1::{RollupView, SlashingView};
use crate::offences::{Offence, Offences};

/// Who shall be slashed for what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlashPolicy {
    /// What absence from an epoch costs.
    pub inactivity: SlashUnits,
    /// What two proposals for one slot cost.
    pub equivocation: SlashUnits,
    /// Absent is who missed at least so much of an epoch, in percent.
    pub inactivity_percent: u8,
    /// Validators voted against with the greatest step, whatever they did.
    pub always: BTreeSet<Address>,
    /// Validators never voted against; goes before `always`.
    pub never: BTreeSet<Address>,
}

impl SlashPolicy {
    /// How much the member shall lose. `ours` are spared their offences, and can be voted against by name alone.
    fn units(&self, member: &Address, offences: Option<&BTreeSet<Offence>>, ours: &BTreeSet<Address>) -> SlashUnits {
        if self.never.contains(member) {
            return SlashUnits::NONE;
        }
        if self.always.contains(member) {
            return SlashUnits::MOST;
        }
        if ours.contains(member) {
            return SlashUnits::NONE;
        }
        offences.into_iter().flatten().fold(SlashUnits::NONE, |units, offence| units.and(self.cost(*offence)))
    }

    const fn cost(&self, offence: Offence) -> SlashUnits {
        match offence {
            Offence::Inactivity => self.inactivity,
            Offence::Equivocation => self.equivocation,
        }
    }
}

/// Votes on whom to slash, as the proposer of a slot.
#[derive(Debug)]
pub struct SlashingVoter {
    view: RollupView,
    signer: Arc<ValidatorSigner>,
    l1_chain_id: u64,
    offences: Arc<Offences>,
    /// The contracts that were read last: governance may put others in their place.
    known: Mutex<Option<Arc<SlashingView>>>,
}

impl SlashingVoter {
    /// A voter with the keys of `signer`, on what is among `offences`.
    #[must_use]
    pub const fn new(
        view: RollupView,
        signer: Arc<ValidatorSigner>,
        l1_chain_id: u64,
        offences: Arc<Offences>,
    ) -> Self {
        Self { view, signer, l1_chain_id, offences, known: Mutex::new(None) }
    }

    /// The vote of the slot's `proposer`; `None` where there is nobody to vote against.
    ///
    /// # Errors
    /// L1 did not answer, or the signer refused: the duty is on record for another vote.
    ///
    /// # Cancel safety
    /// Dropped: at most the duty is on record, for this vote.
    pub async fn vote(&self, slot: Slot, proposer: Address, policy: &SlashPolicy) -> Result<Option<L1Action>> {
        let Some(contracts) = self.contracts().await? else { return Ok(None) };
        let rules = contracts.rules();
        let round = rules.round_of(slot);
        let epochs = rules.target_epochs(round);
        if epochs.is_empty() || !self.accuses(&epochs, policy) {
            return Ok(None);
        }
        let committees = contracts.target_committees(round).await?;
        let seats = self.seats(&epochs, &committees, rules.committee_size as usize, policy);
        if seats.iter().all(|units| *units == SlashUnits::NONE) {
            return Ok(None);
        }
        let (to, vote) = (contracts.address(), SlashVote::pack(slot, &seats));
        let typed = vote.typed_data(VerifyingContract { l1_chain_id: self.l1_chain_id, address: to });
        let duty = Duty { validator: proposer, slot, kind: DutyKind::SlashingVote };
        let by = self.view.times().end_of(slot).into();
        let signature = self.signer.sign_typed_by(duty, &typed, by).await?;
        let success = SuccessRule::Event { address: to, topic0: VoteCast::SIGNATURE_HASH };
        let calldata = vote.calldata(signature.into());
        Ok(Some(L1Action { kind: ActionKind::SlashingVote, slot, to, calldata, success }))
    }

    /// The action that carries out a round whose votes agree on somebody; `None` where there is no such round.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn execute(&self, slot: Slot) -> Result<Option<L1Action>> {
        let Some(contracts) = self.contracts().await? else { return Ok(None) };
        let Some(decided) = contracts.decided_in(slot).await? else { return Ok(None) };
        let to = contracts.address();
        let calldata = decided.round.execute_calldata(decided.committees);
        let success = SuccessRule::Event { address: to, topic0: RoundExecuted::SIGNATURE_HASH };
        Ok(Some(L1Action { kind: ActionKind::ExecuteSlash, slot, to, calldata, success }))
    }

    /// Whether anybody might be voted against: else the committees need not be read.
    fn accuses(&self, epochs: &[Epoch], policy: &SlashPolicy) -> bool {
        let offended = |epoch: &Epoch| !self.offences.of_epoch(*epoch, policy.inactivity_percent).is_empty();
        !policy.always.is_empty() || epochs.iter().any(offended)
    }

    /// The units of every seat, epoch by epoch. An epoch without a committee has seats all the same.
    fn seats(
        &self,
        epochs: &[Epoch],
        committees: &[Vec<Address>],
        size: usize,
        policy: &SlashPolicy,
    ) -> Vec<SlashUnits> {
        let ours: BTreeSet<_> = self.signer.addresses().into_iter().collect();
        let of_epoch = |(epoch, members): (&Epoch, &Vec<Address>)| {
            let offences = self.offences.of_epoch(*epoch, policy.inactivity_percent);
            let mut seats: Vec<_> =
                members.iter().map(|member| policy.units(member, offences.get(member), &ours)).collect();
            seats.resize(size, SlashUnits::NONE);
            seats
        };
        epochs.iter().zip(committees).flat_map(of_epoch).collect()
    }

    /// The rollup's slashing contracts, as they are now.
    async fn contracts(&self) -> Result<Option<Arc<SlashingView>>> {
        let Some(slasher) = self.view.slasher().await? else { return Ok(None) };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.slasher() == slasher) {
            return Ok(Some(known));
        }
        let read = SlashingView::open(&self.view, slasher).await?.map(Arc::new);
        if read.is_none() {
            tracing::warn!(%slasher, "the slasher does not count by tally: no slashing votes");
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFENDER: Address = Address::repeat_byte(1);

    fn policy() -> SlashPolicy {
        SlashPolicy {
            inactivity: SlashUnits::capped(1),
            equivocation: SlashUnits::capped(2),
            inactivity_percent: 90,
            always: BTreeSet::new(),
            never: BTreeSet::new(),
        }
    }

    #[test]
    fn offences_add_up_to_units_and_the_lists_of_names_go_before_them() {
        let one = || BTreeSet::from([OFFENDER]);
        let none = BTreeSet::new;
        let inactive = BTreeSet::from([Offence::Inactivity]);
        let both = BTreeSet::from([Offence::Inactivity, Offence::Equivocation]);
        let cases = [
            (policy(), Some(&inactive), none(), 1),
            (policy(), Some(&both), none(), 3),
            (policy(), None, none(), 0),
            (policy(), Some(&both), one(), 0),
            (SlashPolicy { inactivity: SlashUnits::NONE, ..policy() }, Some(&inactive), none(), 0),
            (SlashPolicy { always: one(), ..policy() }, None, none(), 3),
            (SlashPolicy { always: one(), ..policy() }, None, one(), 3),
            (SlashPolicy { never: one(), ..policy() }, Some(&both), none(), 0),
            (SlashPolicy { always: one(), never: one(), ..policy() }, Some(&both), none(), 0),
        ];
        for (policy, offences, ours, units) in cases {
            let given = policy.units(&OFFENDER, offences, &ours);
            assert_eq!(given, SlashUnits::capped(units), "{policy:?} {offences:?} {ours:?}");
        }
    }
}
