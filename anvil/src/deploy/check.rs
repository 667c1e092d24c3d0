//! What the contracts' constructors would refuse, and what would deploy but never work: found before anything is sent.

use alloy::primitives::{U256, aliases::U96};
use fermata_primitives::{L1Timestamp, SlotTimes};

use super::config::{DeployConfig, EscapeHatchConfig, SlashingConfig, StakingQueue};
use crate::{AnvilError, Result};

/// Rounds the slashing contract remembers.
const SLASHING_ROUNDABOUT: u64 = 128;
/// Slots a slashing round may have.
const SLASHING_MAX_ROUND: u64 = 1_024;
/// Bytes the slashing contract keeps for a vote; four validators take one.
const SLASHING_VOTE_BYTES: u64 = 128;
/// Seconds an epoch may have: the contract multiplies in 32 bits, and looks back by several epochs.
const LONGEST_EPOCH_SECS: u64 = 1 << 24;
/// Epochs by which the escape hatch's set of candidates is older than the draw.
const CANDIDATES_LAG_EPOCHS: u64 = 2;
/// Seconds for which a candidate may be made to stay.
const LONGEST_HATCH_EXIT_SECS: u64 = 30 * 24 * 3_600;

/// What must hold, the key it is about, and what is wrong where it does not.
type Rule = (bool, &'static str, String);

impl DeployConfig {
    /// Whether a rollup can be deployed with this.
    ///
    /// # Errors
    /// [`AnvilError::InvalidConfig`] names the first key that is wrong and what would be right;
    /// [`AnvilError::SlotTimes`] when slots, epochs and Ethereum slots do not fit together.
    pub fn check(&self) -> Result<()> {
        SlotTimes::new(L1Timestamp(0), self.slot_secs, self.epoch_slots, self.ethereum_slot_secs)?;
        hold(self.rules_of_time())?;
        hold(self.rules_of_fees())?;
        hold(self.rules_of_stake())?;
        hold(self.rules_of_votes())?;
        if let Some(hatch) = &self.escape_hatch {
            hold(self.rules_of_escape_hatch(hatch))?;
        }
        if self.committee_size > 0 { hold(self.rules_of_slashing(&self.slashing)) } else { Ok(()) }
    }

    fn rules_of_time(&self) -> [Rule; 5] {
        let epoch_secs = self.slot_secs.saturating_mul(self.epoch_slots);
        let (lag, randao_lag) = (self.validator_set_lag_epochs, self.randao_lag_epochs);
        let most_epochs = u64::from(u32::MAX) / self.epoch_slots;
        [
            (
                epoch_secs <= LONGEST_EPOCH_SECS,
                "epoch_slots",
                format!("an epoch may have at most {LONGEST_EPOCH_SECS} s, not {epoch_secs}"),
            ),
            (self.committee_size <= 1_024, "committee_size", "more than 1024 members fit no L1 transaction".to_owned()),
            (
                lag >= randao_lag,
                "validator_set_lag_epochs",
                format!("it must be at least `randao_lag_epochs`, {randao_lag}"),
            ),
            (lag <= 64, "validator_set_lag_epochs", "it may be at most 64".to_owned()),
            (
                self.proof_submission_epochs < most_epochs,
                "proof_submission_epochs",
                format!("it must be below {most_epochs}: the contract counts the window's slots in 32 bits"),
            ),
        ]
    }

    fn rules_of_fees(&self) -> [Rule; 3] {
        let most = u64::from(u32::MAX / 2);
        [
            (self.mana_target <= most, "mana_target", format!("it may be at most {most}: its double must fit 32 bits")),
            (
                (100..=100_000_000_000_000).contains(&self.initial_eth_per_fee_asset),
                "initial_eth_per_fee_asset",
                "it must be between 100 and 1e14 (in 1e-12 ether)".to_owned(),
            ),
            (self.inbox_lag > 0, "inbox_lag", "it must be at least 1".to_owned()),
        ]
    }

    fn rules_of_stake(&self) -> [Rule; 7] {
        let (stake, most) = (self.activation_threshold, U256::from(U96::MAX));
        let nobody = || "above `activation_threshold` nobody could stay".to_owned();
        let closed = || "zero lets nobody enter, ever".to_owned();
        let StakingQueue { normal_flush_size_min, normal_flush_size_quotient, max_queue_flush_size, .. } =
            self.staking_queue;
        [
            (
                U256::ZERO < stake && stake <= most,
                "activation_threshold",
                "it must be above zero and fit 96 bits".to_owned(),
            ),
            (self.ejection_threshold <= stake, "ejection_threshold", nobody()),
            (self.local_ejection_threshold <= stake, "local_ejection_threshold", nobody()),
            (self.exit_delay_secs <= u64::from(u32::MAX), "exit_delay_secs", "it must fit 32 bits".to_owned()),
            (normal_flush_size_min > 0, "staking_queue.normal_flush_size_min", closed()),
            (
                normal_flush_size_quotient > 0,
                "staking_queue.normal_flush_size_quotient",
                "it divides: not zero".to_owned(),
            ),
            (max_queue_flush_size > 0, "staking_queue.max_queue_flush_size", closed()),
        ]
    }

    fn rules_of_votes(&self) -> [Rule; 1] {
        let (quorum, round) = (self.governance_proposer.quorum(), self.governance_proposer.round_slots);
        [(quorum > round / 2 && quorum <= round, "governance_proposer.quorum", more_than_half(round))]
    }

    fn rules_of_slashing(&self, slashing: &SlashingConfig) -> [Rule; 7] {
        let round = self.slashing_round_slots();
        let quorum = slashing.quorum_of(round);
        let [small, medium, large] = slashing.amounts;
        [
            (
                (2..=SLASHING_MAX_ROUND).contains(&round),
                "slashing.round_epochs",
                format!("a round must have 2 to {SLASHING_MAX_ROUND} slots, not {round}"),
            ),
            (
                fits_a_vote(self.committee_size, slashing.round_epochs),
                "slashing.round_epochs",
                format!("`committee_size` times it must be a multiple of 4 and at most {}", SLASHING_VOTE_BYTES * 4),
            ),
            (quorum > round / 2 && quorum <= round, "slashing.quorum", more_than_half(round)),
            (
                slashing.lifetime_rounds > slashing.execution_delay_rounds,
                "slashing.lifetime_rounds",
                "a result must live longer than it waits (`slashing.execution_delay_rounds`)".to_owned(),
            ),
            (
                slashing.lifetime_rounds < SLASHING_ROUNDABOUT,
                "slashing.lifetime_rounds",
                format!("it must be below {SLASHING_ROUNDABOUT}"),
            ),
            (slashing.offset_rounds > 0, "slashing.offset_rounds", "it must be at least 1".to_owned()),
            (
                U256::ZERO < small && small <= medium && medium <= large,
                "slashing.amounts",
                "they must be above zero and in ascending order".to_owned(),
            ),
        ]
    }

    fn rules_of_escape_hatch(&self, hatch: &EscapeHatchConfig) -> [Rule; 7] {
        let (active, window) = (hatch.active_epochs, self.proof_submission_epochs);
        let most = U256::from(U96::MAX);
        let within_bond = || "it may be at most `escape_hatch.bond`".to_owned();
        [
            (
                U256::ZERO < hatch.bond && hatch.bond <= most,
                "escape_hatch.bond",
                "it must be above zero and fit 96 bits".to_owned(),
            ),
            (hatch.withdrawal_tax <= hatch.bond, "escape_hatch.withdrawal_tax", within_bond()),
            (hatch.failure_punishment <= hatch.bond, "escape_hatch.failure_punishment", within_bond()),
            (
                active > window,
                "escape_hatch.active_epochs",
                format!("it must be above `proof_submission_epochs`, {window}"),
            ),
            (
                hatch.frequency_epochs > active.max(CANDIDATES_LAG_EPOCHS),
                "escape_hatch.frequency_epochs",
                format!("it must be above {CANDIDATES_LAG_EPOCHS} and above `escape_hatch.active_epochs`, {active}"),
            ),
            (hatch.lag_hatches > 0, "escape_hatch.lag_hatches", "it must be at least 1".to_owned()),
            (
                hatch.exit_delay_secs <= LONGEST_HATCH_EXIT_SECS,
                "escape_hatch.exit_delay_secs",
                format!("it may be at most {LONGEST_HATCH_EXIT_SECS}"),
            ),
        ]
    }

    /// Slots of a slashing round.
    pub(super) const fn slashing_round_slots(&self) -> u64 {
        self.slashing.round_epochs.saturating_mul(self.epoch_slots)
    }
}

impl SlashingConfig {
    /// Makes its rounds short enough for the votes of such a committee, where they are not and there is a length that is.
    pub(crate) fn shorten_rounds_for(&mut self, committee_size: u64) {
        let fitting = (1..=self.round_epochs).rev().find(|epochs| fits_a_vote(committee_size, *epochs));
        self.round_epochs = fitting.unwrap_or(self.round_epochs);
    }
}

/// Whether a vote has room for the members of so many epochs.
const fn fits_a_vote(committee_size: u64, epochs: u64) -> bool {
    let members = committee_size.saturating_mul(epochs);
    members.is_multiple_of(4) && members / 4 <= SLASHING_VOTE_BYTES
}

fn more_than_half(round_slots: u64) -> String {
    format!("it must be more than half of a round's {round_slots} slots, and not more than all")
}

fn hold(rules: impl IntoIterator<Item = Rule>) -> Result<()> {
    match rules.into_iter().find(|(holds, ..)| !holds) {
        Some((_, key, problem)) => Err(AnvilError::InvalidConfig { key, problem }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key that `change` makes wrong.
    fn refused(change: impl FnOnce(&mut DeployConfig)) -> &'static str {
        let mut config = DeployConfig::default();
        change(&mut config);
        let refused = config.check().expect_err("it must be refused");
        let AnvilError::InvalidConfig { key, .. } = refused else { panic!("another error: {refused}") };
        key
    }

    #[test]
    fn the_defaults_are_valid_and_survive_being_written_down() {
        let config = DeployConfig::default();
        config.check().expect("valid");
        let text = serde_json::to_string(&config).expect("json");
        assert_eq!(serde_json::from_str::<DeployConfig>(&text).expect("config"), config);
        assert!(serde_json::from_str::<DeployConfig>(r#"{"slot_seconds": 4}"#).is_err());
    }

    #[test]
    fn each_invalid_value_is_refused_by_its_key() {
        assert_eq!(refused(|c| c.epoch_slots = 1 << 40), "epoch_slots");
        assert_eq!(refused(|c| c.committee_size = 2_000), "committee_size");
        assert_eq!(refused(|c| c.randao_lag_epochs = 3), "validator_set_lag_epochs");
        assert_eq!(refused(|c| c.proof_submission_epochs = 1 << 31), "proof_submission_epochs");
        assert_eq!(refused(|c| c.mana_target = 1 << 31), "mana_target");
        assert_eq!(refused(|c| c.initial_eth_per_fee_asset = 99), "initial_eth_per_fee_asset");
        assert_eq!(refused(|c| c.inbox_lag = 0), "inbox_lag");
        assert_eq!(refused(|c| c.activation_threshold = U256::ZERO), "activation_threshold");
        assert_eq!(refused(|c| c.activation_threshold = U256::MAX), "activation_threshold");
        assert_eq!(refused(|c| c.ejection_threshold = U256::MAX), "ejection_threshold");
        assert_eq!(refused(|c| c.local_ejection_threshold = U256::MAX), "local_ejection_threshold");
        assert_eq!(refused(|c| c.exit_delay_secs = 1 << 33), "exit_delay_secs");
        assert_eq!(refused(|c| c.staking_queue.normal_flush_size_min = 0), "staking_queue.normal_flush_size_min");
        assert_eq!(
            refused(|c| c.staking_queue.normal_flush_size_quotient = 0),
            "staking_queue.normal_flush_size_quotient"
        );
        assert_eq!(refused(|c| c.staking_queue.max_queue_flush_size = 0), "staking_queue.max_queue_flush_size");
        assert_eq!(refused(|c| c.governance_proposer.quorum = Some(150)), "governance_proposer.quorum");
        assert_eq!(refused(|c| c.governance_proposer.round_slots = 0), "governance_proposer.quorum");
        assert_eq!(refused(|c| c.slashing.round_epochs = 0), "slashing.round_epochs");
        assert_eq!(refused(|c| c.committee_size = 129), "slashing.round_epochs");
        assert_eq!(refused(|c| c.slashing.quorum = Some(64)), "slashing.quorum");
        assert_eq!(refused(|c| c.slashing.lifetime_rounds = 128), "slashing.lifetime_rounds");
        assert_eq!(refused(|c| c.slashing.execution_delay_rounds = 5), "slashing.lifetime_rounds");
        assert_eq!(refused(|c| c.slashing.offset_rounds = 0), "slashing.offset_rounds");
        assert_eq!(refused(|c| c.slashing.amounts[2] = U256::ONE), "slashing.amounts");
    }

    #[test]
    fn a_slot_that_is_no_whole_number_of_ethereum_slots_is_refused() {
        let config = DeployConfig { slot_secs: 10, ethereum_slot_secs: 4, ..DeployConfig::default() };
        assert!(matches!(config.check(), Err(AnvilError::SlotTimes(_))));
    }

    #[test]
    fn each_invalid_value_of_an_escape_hatch_is_refused_by_its_key() {
        let refused = |change: fn(&mut EscapeHatchConfig)| {
            let mut hatch = EscapeHatchConfig::default();
            change(&mut hatch);
            refused(|c| (c.proof_submission_epochs, c.escape_hatch) = (1, Some(hatch)))
        };
        assert_eq!(refused(|h| h.bond = U256::ZERO), "escape_hatch.bond");
        assert_eq!(refused(|h| h.withdrawal_tax = U256::MAX), "escape_hatch.withdrawal_tax");
        assert_eq!(refused(|h| h.failure_punishment = U256::MAX), "escape_hatch.failure_punishment");
        assert_eq!(refused(|h| h.active_epochs = 1), "escape_hatch.active_epochs");
        assert_eq!(refused(|h| h.frequency_epochs = 2), "escape_hatch.frequency_epochs");
        assert_eq!(refused(|h| h.lag_hatches = 0), "escape_hatch.lag_hatches");
        assert_eq!(refused(|h| h.exit_delay_secs = 1 << 22), "escape_hatch.exit_delay_secs");
        let hatch = Some(EscapeHatchConfig::default());
        let fitting = DeployConfig { proof_submission_epochs: 1, escape_hatch: hatch, ..DeployConfig::default() };
        fitting.check().expect("the defaults fit a short window");
    }

    #[test]
    fn a_large_committee_votes_in_the_longest_rounds_that_have_room_for_it() {
        for (committee_size, epochs) in [(4, 4), (128, 4), (130, 2), (132, 3), (256, 2), (512, 1)] {
            let mut config = DeployConfig { committee_size, ..DeployConfig::default() };
            config.slashing.shorten_rounds_for(committee_size);
            assert_eq!(config.slashing.round_epochs, epochs, "{committee_size}");
            config.check().expect("it can be deployed");
        }
    }

    #[test]
    fn without_a_committee_slashing_is_not_looked_at() {
        let mut config = DeployConfig { committee_size: 0, ..DeployConfig::default() };
        config.slashing.round_epochs = 0;
        config.check().expect("there is no slasher");
    }
}
