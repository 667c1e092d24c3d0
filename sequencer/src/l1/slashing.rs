//! What the contracts say that count slashing votes.

use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use fermata_primitives::Slot;
use fermata_rollup::contracts::{ISlasher, ISlashingProposer};
use fermata_rollup::{SlashRound, SlashingRules};

use super::{L1Client, RollupView};
use crate::error::Result;

/// Rounds whose results are looked at, newest first: older ones have been carried out, or nobody wants to.
const ROUNDS_LOOKED_AT: usize = 4;
/// `SlasherFlavor` of the contract that tallies votes seat by seat.
const TALLY: u8 = 1;

/// The slasher of a rollup, and the contract that tells it whom to slash.
#[derive(Clone, Debug)]
pub struct SlashingView {
    client: L1Client,
    slasher: ISlasher::ISlasherInstance<DynProvider>,
    proposer: ISlashingProposer::ISlashingProposerInstance<DynProvider>,
    rules: SlashingRules,
}

/// A round whose result can be carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecidedRound {
    /// The round.
    pub round: SlashRound,
    /// The committees of its target epochs.
    pub committees: Vec<Vec<Address>>,
}

impl SlashingView {
    /// The slashing contracts behind `slasher`; `None` where they count in another way than by tally.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn open(rollup: &RollupView, slasher: Address) -> Result<Option<Self>> {
        let client = rollup.client().clone();
        let slasher = ISlasher::new(slasher, client.provider().clone());
        let proposer = client.within("PROPOSER", slasher.PROPOSER().call()).await?;
        let proposer = ISlashingProposer::new(proposer, client.provider().clone());
        if client.within("SLASHING_PROPOSER_TYPE", proposer.SLASHING_PROPOSER_TYPE().call()).await? != TALLY {
            return Ok(None);
        }
        let rules = read_rules(&client, &proposer).await?;
        Ok(Some(Self { client, slasher, proposer, rules }))
    }

    /// The slasher.
    #[must_use]
    pub const fn slasher(&self) -> Address {
        *self.slasher.address()
    }

    /// The contract that counts votes.
    #[must_use]
    pub const fn address(&self) -> Address {
        *self.proposer.address()
    }

    /// How it counts.
    #[must_use]
    pub const fn rules(&self) -> &SlashingRules {
        &self.rules
    }

    /// The committees that a round votes on, epoch by epoch; an epoch without one has no members.
    ///
    /// # Errors
    /// L1 did not answer, or voting has not opened.
    pub async fn target_committees(&self, round: SlashRound) -> Result<Vec<Vec<Address>>> {
        let call = self.proposer.getSlashTargetCommittees(U256::from(round.0));
        self.client.within("getSlashTargetCommittees", call.call()).await
    }

    /// The newest round that can be carried out in the slot and would slash somebody.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn decided_in(&self, slot: Slot) -> Result<Option<DecidedRound>> {
        if !self.client.within("isSlashingEnabled", self.slasher.isSlashingEnabled().call()).await? {
            return Ok(None);
        }
        for round in self.rules.executable_in(slot).into_iter().rev().take(ROUNDS_LOOKED_AT) {
            let state = self.client.within("getRound", self.proposer.getRound(U256::from(round.0)).call()).await?;
            if state.isExecuted || state.voteCount < U256::from(self.rules.quorum) {
                continue;
            }
            let committees = self.target_committees(round).await?;
            if self.would_slash(round, &committees).await? {
                return Ok(Some(DecidedRound { round, committees }));
            }
        }
        Ok(None)
    }

    /// Whether the votes agree on anybody, and nobody has forbidden it.
    async fn would_slash(&self, round: SlashRound, committees: &[Vec<Address>]) -> Result<bool> {
        let round = U256::from(round.0);
        let tally = self.proposer.getTally(round, committees.to_vec());
        let slashes = self.client.within("getTally", tally.call()).await?;
        if slashes.is_empty() {
            return Ok(false);
        }
        let payload = self.proposer.getPayloadAddress(round, slashes);
        let payload = self.client.within("getPayloadAddress", payload.call()).await?;
        let vetoed = self.client.within("vetoedPayloads", self.slasher.vetoedPayloads(payload).call()).await?;
        Ok(!vetoed)
    }
}

async fn read_rules(
    client: &L1Client,
    proposer: &ISlashingProposer::ISlashingProposerInstance<DynProvider>,
) -> Result<SlashingRules> {
    macro_rules! read {
        ($method:ident) => {
            client.within(stringify!($method), proposer.$method().call()).await?.saturating_to()
        };
    }
    Ok(SlashingRules {
        round_slots: read!(ROUND_SIZE),
        round_epochs: read!(ROUND_SIZE_IN_EPOCHS),
        committee_size: read!(COMMITTEE_SIZE),
        quorum: read!(QUORUM),
        offset_rounds: read!(SLASH_OFFSET_IN_ROUNDS),
        execution_delay_rounds: read!(EXECUTION_DELAY_IN_ROUNDS),
        lifetime_rounds: read!(LIFETIME_IN_ROUNDS),
    })
}
