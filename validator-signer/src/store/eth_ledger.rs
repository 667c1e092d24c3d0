//! Ethereum duties in the store: judged and recorded in one durable transaction, as a rollup's are.

use fermata_primitives::{Epoch, Slot};
use heed::RwTxn;

use super::failure::Failure;
use super::ledger::Ledger;
use crate::eth::history::KeyHistory;
use crate::eth::judging::{EthJudgement, EthKnown, EthStanding, EthWanted};
use crate::eth::rules::EthVerdict;
use crate::{EthDuty, EthPolicy, EthPublicKey};

impl Ledger {
    /// Judges and records `wanted` in one durable transaction, in the order asked.
    ///
    /// # Errors
    /// [`Failure`]; nothing is recorded.
    pub(super) fn apply_eth(&self, wanted: &[EthWanted], policy: EthPolicy) -> Result<Vec<EthJudgement>, Failure> {
        let mut txn = self.begin()?;
        let mut judgements = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            judgements.push(self.judge_eth(&mut txn, *wanted, policy)?);
        }
        if judgements.contains(&Ok(EthVerdict::Record)) {
            self.commit(txn)?;
        }
        Ok(judgements)
    }

    fn judge_eth(&self, txn: &mut RwTxn<'_>, wanted: EthWanted, policy: EthPolicy) -> Result<EthJudgement, Failure> {
        let EthWanted { public_key, duty, root } = wanted;
        let tables = self.store.eth;
        let standing = tables.standing(txn, public_key)?;
        let mut history = KeyHistory { marks: standing.marks, ..KeyHistory::default() };
        match duty {
            EthDuty::Block(block) => {
                history.blocks.extend(tables.block(txn, public_key, block)?.map(|root| (block, root)));
            }
            EthDuty::Attestation(vote) => {
                history.attestations.extend(tables.attestations_from(txn, public_key, vote.source)?);
            }
        }
        let mut known = EthKnown { retired: standing.retired, history };
        let judgement = known.take(duty, root, policy);
        if judgement == Ok(EthVerdict::Record) {
            tables.put_standing(txn, public_key, EthStanding { marks: known.history.marks, ..standing })?;
            match (policy, duty) {
                (EthPolicy::Watermark, EthDuty::Block(_) | EthDuty::Attestation(_)) => {}
                (EthPolicy::FullHistory, EthDuty::Block(block)) => tables.put_block(txn, public_key, (block, root))?,
                (EthPolicy::FullHistory, EthDuty::Attestation(vote)) => {
                    tables.put_attestation(txn, public_key, (vote, root))?;
                }
            }
        }
        Ok(judgement)
    }

    /// Forgets blocks and attestations through a slot and a target, and refuses those from then on. Gives the number of
    /// records removed.
    ///
    /// # Errors
    /// As [`Ledger::apply_eth`].
    pub(super) fn prune_eth(&self, through: (Slot, Epoch)) -> Result<u64, Failure> {
        let mut txn = self.begin()?;
        let mut removed = 0;
        for public_key in self.store.eth.public_keys(&txn)? {
            let before = self.store.eth.history(&txn, public_key)?;
            let mut after = before.clone();
            after.prune(through.0, through.1);
            if after != before {
                removed += self.store.eth.replace(&mut txn, public_key, (&before, &after))?;
            }
        }
        self.commit(txn)?;
        Ok(removed)
    }

    /// Refuses a key everything, from now on and for ever.
    ///
    /// # Errors
    /// As [`Ledger::apply_eth`].
    pub(super) fn retire_eth(&self, public_keys: &[EthPublicKey]) -> Result<(), Failure> {
        let mut txn = self.begin()?;
        for &public_key in public_keys {
            let standing = self.store.eth.standing(&txn, public_key)?;
            self.store.eth.put_standing(&mut txn, public_key, EthStanding { retired: true, ..standing })?;
        }
        self.commit(txn)
    }
}
