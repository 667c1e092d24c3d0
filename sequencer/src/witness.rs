//! Looks at each checkpoint as it lands on L1: who attested it, and whether it may stand.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use alloy::primitives::B256;
use fermata_primitives::{CheckpointNumber, Slot};
use fermata_publisher::L1HeadInfo;
use fermata_rollup::{
    Committee, CommitteeAttestations, L1Signature, Propose, attestations_and_signers_digest, contracts,
};
use fermata_validator_signer::{Duty, DutyKind};

use crate::error::{Result, SequencerError};
use crate::invalidation::{AttestationsFault, InvalidCheckpoint, fault_of};
use crate::l1::{CheckpointMark, Committees, Proposals, RollupView};
use crate::offences::Offences;
use crate::own_keys::OwnKeys;
use crate::pipeline::L1Tip;
use crate::poll_loop::chain as error_chain;

/// Checkpoints below the tip that are looked at: what is older was for others to drop.
const LOOK_BACK: u64 = 64;

/// Attestations as they landed, and what is wrong with them.
type Fault = (contracts::CommitteeAttestations, AttestationsFault);

/// Knows the newest part of the pending chain.
#[derive(Debug)]
pub(crate) struct Witness {
    view: RollupView,
    proposals: Proposals,
    committees: Arc<Committees>,
    offences: Arc<Offences>,
    /// Looks at attestations of our own keys.
    pub(crate) own_keys: Option<OwnKeys>,
    /// First slot whose attestations it looks at: older ones may be of a node that this one took over from.
    since: OnceLock<Slot>,
    /// Never held across a call to L1.
    seen: Mutex<BTreeMap<CheckpointNumber, Seen>>,
}

/// A checkpoint that has been looked at.
#[derive(Debug)]
struct Seen {
    mark: CheckpointMark,
    invalid: Option<Arc<InvalidCheckpoint>>,
}

impl Witness {
    pub(crate) fn new(
        proposals: Proposals,
        view: RollupView,
        committees: Arc<Committees>,
        offences: Arc<Offences>,
    ) -> Self {
        let (own_keys, since) = (None, OnceLock::new());
        Self { view, proposals, committees, offences, own_keys, since, seen: Mutex::default() }
    }

    /// The lowest checkpoint of the pending chain that may not stand: dropping it drops all above.
    pub(crate) fn invalid(&self) -> Option<Arc<InvalidCheckpoint>> {
        self.lock().values().find_map(|seen| seen.invalid.clone())
    }

    /// Looks at what has landed by `head` and was not looked at before.
    ///
    /// # Errors
    /// L1 did not answer; what was looked at by then is kept.
    pub(crate) async fn look(&self, head: L1HeadInfo) -> Result<()> {
        let now = self.view.times().slot_at(head.timestamp);
        self.offences.watched_from(now.next());
        self.since.get_or_init(|| now.next());
        let tip = self.view.tip(head.hash).await?;
        let range = pending(&tip);
        self.lock().retain(|number, _| range.contains(&number.0));
        for (number, mark) in self.unseen(range).await? {
            let invalid = self.judge(number, mark).await?;
            if let Some(invalid) = &invalid {
                let InvalidCheckpoint { number, slot, fault, .. } = invalid;
                tracing::warn!(checkpoint = number.0, slot = slot.0, ?fault, "a checkpoint landed that may not stand");
            }
            self.lock().insert(number, Seen { mark, invalid: invalid.map(Arc::new) });
        }
        self.offences.followed_to(now);
        Ok(())
    }

    /// What is not known yet, from the lowest on. Each checkpoint fixes those below it, so that the first one that is
    /// known ends the search.
    async fn unseen(&self, range: RangeInclusive<u64>) -> Result<Vec<(CheckpointNumber, CheckpointMark)>> {
        let mut unseen = Vec::new();
        for number in range.rev().map(CheckpointNumber) {
            let mark = self.view.checkpoint_mark(number).await?;
            if self.lock().get(&number).is_some_and(|seen| seen.mark == mark) {
                break;
            }
            unseen.push((number, mark));
        }
        unseen.reverse();
        Ok(unseen)
    }

    async fn judge(&self, number: CheckpointNumber, mark: CheckpointMark) -> Result<Option<InvalidCheckpoint>> {
        let slot = mark.slot;
        if self.view.escape_hatch_open(self.view.times().epoch_of(slot)).await? {
            // It has no committee's attestations, and needs none.
            return Ok(None);
        }
        let committee = self.committees.of_slot(slot).await?;
        let propose = self.proposals.propose_of(number, &mark).await;
        if let Ok(propose) = &propose {
            self.look_for_ours(propose, &committee).await;
        }
        match propose.and_then(|propose| self.note(slot, propose, &committee)) {
            Ok(fault) => Ok(fault.map(|(attestations, fault)| InvalidCheckpoint {
                number,
                slot,
                committee,
                attestations,
                fault,
            })),
            // It will not get better: others, who can read it, judge it.
            Err(error @ (SequencerError::BadCheckpoint { .. } | SequencerError::Rollup(_))) => {
                let error = error_chain(&error);
                tracing::warn!(checkpoint = number.0, error, "the attestations of a checkpoint cannot be read");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Shows what was attested in the names of our own keys, whoever it was.
    async fn look_for_ours(&self, propose: &Propose, committee: &Committee) {
        let Some(own_keys) = &self.own_keys else { return };
        let slot = propose.header.slot;
        let is_watched = self.since.get().is_some_and(|since| slot >= *since);
        let Ok(attestations) = propose.committee_attestations(committee.members.len()) else { return };
        if !is_watched {
            return;
        }
        for (duty, digest, signature) in said(propose, &attestations) {
            own_keys.observe(duty, digest, signature).await;
        }
    }

    /// Notes who attested, and tells what is wrong.
    fn note(&self, slot: Slot, propose: Propose, committee: &Arc<Committee>) -> Result<Option<Fault>> {
        let attestations = propose.committee_attestations(committee.members.len())?;
        let bad = attestations.bad_seats(propose.payload_digest());
        let signed = attestations.seats().iter().enumerate().filter(|(_, seat)| seat.signature.is_some());
        let attested = signed.map(|(seat, _)| seat).filter(|seat| !bad.contains(seat));
        self.offences.landed(slot, committee, attested);
        Ok(fault_of(&propose, committee)?.map(|fault| (propose.attestations, fault)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CheckpointNumber, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a checkpoint on L1 says in the names of its committee: who attested it, and who proposed it with these attestations.
///
/// What the proposer signs over the attestations binds no slot by itself, and anybody may put it into a checkpoint of another
/// slot. Where its own attestation of this very checkpoint is among them, it was signed for this one.
fn said(propose: &Propose, attestations: &CommitteeAttestations) -> Vec<(Duty, B256, L1Signature)> {
    let (slot, payload) = (propose.header.slot, propose.payload_digest());
    let attested = attestations.seats().iter().filter_map(|seat| {
        let signature = seat.signature?;
        Some((signature.signer(payload)?, signature))
    });
    let duty = |validator, kind| Duty { validator, slot, kind };
    let mut said: Vec<_> =
        attested.map(|(member, signature)| (duty(member, DutyKind::Attestation), payload, signature)).collect();
    let bundle = attestations_and_signers_digest(&propose.attestations, &propose.signers);
    let signature = propose.attestations_and_signers_signature;
    if let Some(proposer) = signature.signer(bundle)
        && said.iter().any(|(duty, ..)| duty.validator == proposer)
    {
        said.push((duty(proposer, DutyKind::AttestationsAndSigners), bundle, signature));
    }
    said
}

/// The part of the pending chain that is looked at; empty where all is proven.
fn pending(tip: &L1Tip) -> RangeInclusive<u64> {
    let oldest = (tip.proven.0 + 1).max((tip.number.0 + 1).saturating_sub(LOOK_BACK));
    oldest..=tip.number.0
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use alloy::signers::SignerSync as _;
    use alloy::signers::local::PrivateKeySigner;
    use fermata_rollup::signing_hash;

    use super::*;
    use crate::invalidation::tests::{committee, keys, proposal};

    /// Three of four attest, and the first of them proposes.
    fn proposed() -> (Propose, Vec<PrivateKeySigner>, Committee) {
        let keys = keys();
        let committee = committee(&keys);
        let mut propose = proposal(&committee, &[Some(&keys[0]), Some(&keys[1]), None, Some(&keys[3])]);
        let bundle = attestations_and_signers_digest(&propose.attestations, &propose.signers);
        let signature = keys[0].sign_hash_sync(&signing_hash(bundle)).expect("it signs");
        propose.attestations_and_signers_signature = signature.into();
        (propose, keys, committee)
    }

    fn duties(propose: &Propose, committee: &Committee) -> Vec<(Address, DutyKind)> {
        let attestations = propose.committee_attestations(committee.members.len()).expect("well-formed");
        said(propose, &attestations).into_iter().map(|(duty, ..)| (duty.validator, duty.kind)).collect()
    }

    #[test]
    fn a_checkpoint_says_who_attested_it_and_who_bundled_that() {
        let (propose, keys, committee) = proposed();
        let by = |key: usize, kind| (keys[key].address(), kind);
        let mut expected = [0, 1, 3].map(|key| by(key, DutyKind::Attestation)).to_vec();
        expected.push(by(0, DutyKind::AttestationsAndSigners));
        assert_eq!(duties(&propose, &committee), expected);
    }

    #[test]
    fn what_was_bundled_for_one_slot_says_nothing_in_a_checkpoint_of_another() {
        let (mut propose, keys, committee) = proposed();
        propose.header.slot = propose.header.slot.next();
        let ours: Vec<_> = keys.iter().map(PrivateKeySigner::address).collect();
        assert!(duties(&propose, &committee).iter().all(|(validator, _)| !ours.contains(validator)));
        let (mut propose, _, committee) = proposed();
        propose.attestations_and_signers_signature = L1Signature::EMPTY;
        assert_eq!(duties(&propose, &committee).len(), 3, "nobody has bundled it");
    }

    #[test]
    fn what_is_not_proven_is_looked_at_and_no_more_than_the_newest_of_it() {
        let cases = [((0, 0), 1, 0), ((5, 0), 1, 5), ((5, 3), 4, 5), ((5, 5), 6, 5), ((1_000, 10), 937, 1_000)];
        for ((number, proven), first, last) in cases {
            let (number, proven) = (CheckpointNumber(number), CheckpointNumber(proven));
            let tip = L1Tip { number, proven, archive: B256::ZERO, proven_archive: B256::ZERO };
            assert_eq!(pending(&tip), first..=last, "{number} {proven}");
        }
    }
}
