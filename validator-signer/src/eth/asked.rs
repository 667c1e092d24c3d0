//! Ethereum duties on their way to a store, and its answers on their way back.

use alloy::primitives::B256;
use fermata_primitives::Slot;

use super::judging::{EthJudgement, EthWanted};
use super::rules::check_not_ahead;
use super::{EthDuty, EthNotSafe, EthPolicy, EthPublicKey, EthReason, EthSafe};
use crate::{FarFutureGuard, SignerError};

/// How a store treats Ethereum duties.
#[derive(Clone, Default, Debug)]
pub struct EthOptions {
    /// How much of what was signed is kept.
    pub policy: EthPolicy,
    /// Refuses slots that lie too far ahead, and targets of epochs that begin after them; `None` refuses none. Its time
    /// model is Ethereum's.
    pub far_future: Option<FarFutureGuard>,
}

impl EthOptions {
    fn check_time(&self, duty: EthDuty) -> Result<(), EthReason> {
        let Some(guard) = &self.far_future else { return Ok(()) };
        let current = guard.times.slot_at_time(guard.clock.now());
        let latest = Slot(current.0.saturating_add(guard.slots_ahead));
        match duty {
            EthDuty::Block(block) => check_not_ahead(block.slot.0, latest.0, current),
            EthDuty::Attestation(vote) => check_not_ahead(vote.target.0, guard.times.epoch_of(latest).0, current),
        }
    }
}

/// Duties of one key, asked for together.
pub(crate) struct EthAsked<'a> {
    public_key: EthPublicKey,
    duties: &'a [(EthDuty, B256)],
    /// Whether each may be asked of the store.
    in_time: Vec<Result<(), EthReason>>,
}

impl<'a> EthAsked<'a> {
    pub(crate) fn new(public_key: EthPublicKey, duties: &'a [(EthDuty, B256)], options: &EthOptions) -> Self {
        let in_time = duties.iter().map(|&(duty, _)| options.check_time(duty)).collect();
        Self { public_key, duties, in_time }
    }

    /// What the store is to judge.
    pub(crate) fn wanted(&self) -> Vec<EthWanted> {
        let passed = self.duties.iter().zip(&self.in_time).filter(|(_, in_time)| in_time.is_ok());
        passed.map(|(&(duty, root), _)| EthWanted { public_key: self.public_key, duty, root }).collect()
    }

    /// The answers to all, given the store's next judgement as often as [`wanted`](Self::wanted) has asked for one. Leave to
    /// sign is given here: what was judged is committed.
    pub(crate) fn answers(
        self,
        mut next: impl FnMut() -> Result<EthJudgement, SignerError>,
    ) -> Vec<Result<EthSafe, SignerError>> {
        let Self { public_key, duties, in_time } = self;
        let answers = duties.iter().zip(in_time).map(|(&(duty, root), in_time)| {
            let judgement = match in_time {
                Ok(()) => next()?,
                Err(reason) => Err(reason),
            };
            let verdict = judgement.map_err(|reason| EthNotSafe { public_key, duty, reason })?;
            Ok(EthSafe::after_commit(verdict, (public_key, duty, root)))
        });
        answers.collect()
    }
}
