//! The committee's attestations of a checkpoint of ours: our own members', and those that come from other nodes.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use fermata_primitives::{Slot, UnixTime};
use fermata_rollup::{Committee, CommitteeAttestations, L1Signature, attestations_and_signers_digest};
use fermata_validator_signer::{Duty, DutyKind, SignerError};

use crate::error::{Result, SequencerError};
use crate::events::SequencerEvent;
use crate::network::{Attestation, Incoming, Received, Signable as _, Signed};
use crate::poll_loop::chain as error_chain;
use crate::proposal::CheckpointProposal;
use crate::refusal::Refusal;
use crate::slot::ProposerTurn;
use crate::telling::Told;
use crate::workshop::Workshop;

/// Attestations with the proposer's signature over them: what the contract asks for.
#[derive(Clone, Debug)]
pub struct SignedAttestations {
    /// One seat a member, in committee order.
    pub attestations: CommitteeAttestations,
    /// The proposer's signature over attestations and signers.
    pub proposer_signature: L1Signature,
}

/// Collects the committee's attestations of the proposal, and has the proposer sign the lot.
///
/// It ends when every member has attested; from the ideal time to publish on, a quorum is enough.
///
/// # Errors
/// [`SequencerError::TooFewAttestations`] below the quorum at the attestation deadline, or at once where there is no other
/// node; the signer refused the proposer.
pub(crate) async fn collect(
    workshop: &Workshop,
    turn: &ProposerTurn,
    proposal: &CheckpointProposal,
    told: &mut Told,
) -> Result<SignedAttestations> {
    let began = workshop.clock.monotonic();
    let mut seats = Seats::of(turn, proposal);
    seats.add_ours(workshop).await?;
    let mut quorum_after = None;
    while !seats.are_full() {
        if seats.are_enough() {
            quorum_after.get_or_insert_with(|| workshop.clock.monotonic().saturating_sub(began));
        }
        if !hear_more(workshop, &mut seats, told).await? {
            break;
        }
    }
    let quorum_after = quorum_after.unwrap_or_else(|| workshop.clock.monotonic().saturating_sub(began));
    seats.tell(workshop, turn, quorum_after);
    seal(workshop, turn, seats.attestations).await
}

/// Waits for one more attestation. False when those there are must do.
async fn hear_more(workshop: &Workshop, seats: &mut Seats<'_>, told: &mut Told) -> Result<bool> {
    let table = &workshop.timetable;
    if !seats.are_enough() && workshop.peers.count() == 0 {
        return Err(seats.too_few());
    }
    let until =
        if seats.are_enough() { table.ideal_publish(seats.slot) } else { table.attestation_deadline(seats.slot) };
    tokio::select! {
        biased;
        incoming = told.heard.recv() => match incoming {
            Some(Incoming::Message(received)) => {
                told.telling.answered(&received.from);
                seats.take(workshop, &received).await;
                Ok(true)
            }
            Some(Incoming::Missed(_)) => Ok(true),
            None if seats.are_enough() => Ok(false),
            None => Err(seats.too_few()),
        },
        () = workshop.clock.sleep_until(until) => if seats.are_enough() { Ok(false) } else { Err(seats.too_few()) },
    }
}

/// The proposer's signature over what was collected.
async fn seal(
    workshop: &Workshop,
    turn: &ProposerTurn,
    attestations: CommitteeAttestations,
) -> Result<SignedAttestations> {
    let packed = attestations.pack();
    if turn.committee.members.is_empty() {
        return Ok(SignedAttestations { attestations, proposer_signature: L1Signature::EMPTY });
    }
    let digest = attestations_and_signers_digest(&packed, &attestations.signers());
    let duty = Duty { validator: turn.proposer, slot: turn.slot, kind: DutyKind::AttestationsAndSigners };
    let by = workshop.end_of(turn.slot);
    let proposer_signature = workshop.signer.sign_by(duty, digest, by).await?.into();
    Ok(SignedAttestations { attestations, proposer_signature })
}

/// Who has attested so far.
struct Seats<'a> {
    slot: Slot,
    committee: &'a Arc<Committee>,
    wanted: Attestation,
    attestations: CommitteeAttestations,
}

impl<'a> Seats<'a> {
    fn of(turn: &'a ProposerTurn, proposal: &CheckpointProposal) -> Self {
        let attestations = CommitteeAttestations::unsigned(&turn.committee.members);
        let wanted = Attestation { archive: proposal.archive, header: proposal.header };
        Self { slot: turn.slot, committee: &turn.committee, wanted, attestations }
    }

    fn are_full(&self) -> bool {
        self.attestations.count() == self.committee.members.len()
    }

    fn are_enough(&self) -> bool {
        self.attestations.count() >= self.committee.quorum()
    }

    fn too_few(&self) -> SequencerError {
        SequencerError::TooFewAttestations {
            have: self.attestations.count(),
            committee: self.committee.members.len(),
            need: self.committee.quorum(),
        }
    }

    /// Every key of ours in the committee attests. One that must not is left out; the others count.
    async fn add_ours(&mut self, workshop: &Workshop) -> Result<()> {
        let digest = self.wanted.digest(&workshop.peers.domain);
        let by = workshop.end_of(self.slot);
        for (member, signed) in sign_for_members(workshop, self.committee, (self.slot, digest), by).await {
            match signed {
                Ok(signature) => self.attestations.add(member, signature)?,
                Err(error) => workshop.miss_duty(self.slot, member, &error_chain(&error)),
            }
        }
        Ok(())
    }

    async fn take(&mut self, workshop: &Workshop, received: &Received<Signed<Attestation>>) {
        if received.message.content().slot() != self.slot {
            return;
        }
        let signed = &received.message;
        if let Err(refusal) = self.seat(workshop, signed) {
            workshop.refuse(self.slot, &received.from, &refusal);
        }
    }

    fn seat(&mut self, workshop: &Workshop, signed: &Signed<Attestation>) -> Result<(), Refusal> {
        let member = signed.signed_by_member(&workshop.peers.domain, self.committee)?;
        if *signed.content() != self.wanted {
            return Err(Refusal::OtherCheckpoint);
        }
        let seat = self.attestations.seats().iter().find(|seat| seat.member == member);
        match seat.and_then(|seat| seat.signature) {
            // A node says again what may have been lost.
            Some(same) if same == signed.signature() => Ok(()),
            Some(_) => Err(Refusal::Twice),
            None => {
                self.attestations.add(member, signed.signature())?;
                if let Some(seat) = self.committee.position(member) {
                    workshop.side.offences().attested(self.slot, self.committee, seat);
                }
                Ok(())
            }
        }
    }

    fn tell(&self, workshop: &Workshop, turn: &ProposerTurn, quorum_after: Duration) {
        let seats = self.attestations.seats();
        workshop.events.emit(SequencerEvent::AttestationsCollected {
            slot: self.slot,
            checkpoint: turn.place.number,
            have: self.attestations.count(),
            need: self.committee.quorum(),
            missing: seats.iter().filter(|seat| seat.signature.is_none()).map(|seat| seat.member).collect(),
            quorum_ms: u64::try_from(quorum_after.as_millis()).unwrap_or(u64::MAX),
        });
    }
}

/// Has every key of ours in the committee attest `digest` in `slot`, where its duty is on record before `by`: each member,
/// and its signature or why there is none.
pub(crate) async fn sign_for_members(
    workshop: &Workshop,
    committee: &Committee,
    (slot, digest): (Slot, B256),
    by: UnixTime,
) -> Vec<(Address, std::result::Result<L1Signature, SignerError>)> {
    let members = workshop.our_members(committee);
    let duty = |validator: &Address| (Duty { validator: *validator, slot, kind: DutyKind::Attestation }, digest);
    let duties: Vec<_> = members.iter().map(duty).collect();
    let signed = workshop.signer.sign_many_by(&duties, by).await;
    members.into_iter().zip(signed.into_iter().map(|signed| signed.map(L1Signature::from))).collect()
}
