//! The rules of signing once: what is known of a duty and what is asked of it in, a verdict out.
//!
//! No I/O and no clock: a store reads what the rules look at ([`Known`]), asks [`judge`], and makes a [`Verdict::Pin`]
//! durable, all in one transaction. So every store, whatever it is made of, refuses alike.

use alloy::primitives::{B256, Signature};
use fermata_primitives::Slot;

use crate::{Duty, DutyKind, Marks, NotSafe, Sighting};

/// What is on record of a duty: the digest it is pinned to and, once there is one, the signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    /// The digest; zero where it is not known which one was signed. Such a record refuses every payload.
    pub(crate) digest: B256,
    /// The signature over it, as far as is known.
    pub(crate) signature: Option<Signature>,
}

impl Record {
    pub(crate) const fn pinned(digest: B256) -> Self {
        Self { digest, signature: None }
    }
}

/// What a key may do at all, whatever the duty.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Standing {
    /// Sign.
    #[default]
    Enabled,
    /// Nothing here any more: an operator retired it.
    Retired,
    /// Nothing until an operator lifts it: somebody else signed this duty with the key.
    Halted(Duty),
}

/// How much the rules trust the records to be complete.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Mode {
    /// What is not on record and above the low mark was not signed.
    #[default]
    Complete,
    /// No slot that does not exceed all that was ever pinned, on record or not.
    Strict,
}

/// All that the rules look at for one duty. Read in the transaction that applies the verdict.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Known {
    /// What is on record of the duty.
    pub(crate) record: Option<Record>,
    /// What is on record of the duty that seals it, see [`Duty::seal`]; `None` for a duty without one.
    pub(crate) seal: Option<Record>,
    /// The marks of the validator and kind.
    pub(crate) marks: Marks,
    /// What the validator's key may do.
    pub(crate) standing: Standing,
    /// The first slot the store signs for; it listens until then.
    pub(crate) listen_only_until: Option<Slot>,
    /// The mode of the kind.
    pub(crate) mode: Mode,
}

/// What the rules say of one payload. It holds once the transaction that found it is committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Not on record, and safe: pin it.
    Pin,
    /// Pinned to this digest before, and not signed as far as is known: safe again.
    Resume,
    /// Signed before with this digest.
    Done(Signature),
    /// Not safe.
    Refused(NotSafe),
}

/// Judges one payload: may `digest` be signed for `duty`?
///
/// Where several rules refuse, the reason that holds longest is told: the key's before the record's, the record's before
/// the marks'. What was signed is handed out again below a low mark too, since that signs nothing.
pub(crate) fn judge(duty: Duty, digest: B256, known: &Known) -> Verdict {
    if digest.is_zero() {
        return Verdict::Refused(NotSafe::ZeroDigest { duty });
    }
    match known.standing {
        Standing::Enabled => {}
        Standing::Retired => return Verdict::Refused(NotSafe::Retired { duty }),
        Standing::Halted(seen) => return Verdict::Refused(NotSafe::Halted { duty, seen }),
    }
    match known.record {
        Some(record) if record.digest != digest => {
            Verdict::Refused(NotSafe::Conflict { duty, on_record: record.digest, asked: digest })
        }
        Some(Record { signature: Some(signature), .. }) => Verdict::Done(signature),
        Some(Record { signature: None, .. }) => out_of_bounds(duty, known).map_or(Verdict::Resume, Verdict::Refused),
        None => {
            let refusal = out_of_bounds(duty, known).or_else(|| passed(duty, known)).or_else(|| sealed(duty, known));
            refusal.map_or(Verdict::Pin, Verdict::Refused)
        }
    }
}

/// Refused by a mark, whether the duty is pinned or not.
fn out_of_bounds(duty: Duty, known: &Known) -> Option<NotSafe> {
    let Marks { low, high, .. } = known.marks;
    if let Some(low) = low.filter(|low| duty.slot <= *low) {
        return Some(NotSafe::BelowLow { duty, low });
    }
    if let Some(high) = high.filter(|high| duty.slot >= *high) {
        return Some(NotSafe::AtOrAboveHigh { duty, high });
    }
    let until = known.listen_only_until.filter(|until| duty.slot < *until)?;
    Some(NotSafe::ListenOnly { duty, until })
}

/// Refused in strict mode: something as late may have been signed. The blocks of a slot come one after another, so a
/// block has only to be no earlier.
fn passed(duty: Duty, known: &Known) -> Option<NotSafe> {
    let max_signed = match known.mode {
        Mode::Complete => None,
        Mode::Strict => known.marks.max_signed,
    }?;
    let passed = match duty.kind {
        DutyKind::BlockProposal { .. } => duty.slot < max_signed,
        DutyKind::CheckpointProposal
        | DutyKind::Attestation
        | DutyKind::AttestationsAndSigners
        | DutyKind::GovernanceVote
        | DutyKind::SlashingVote => duty.slot <= max_signed,
    };
    passed.then_some(NotSafe::NotAboveMaxSigned { duty, max_signed })
}

/// Judges a valid signature over `digest` for `duty`, seen outside: was it made here? Whatever is signed here is pinned
/// first, so a digest that is not pinned was signed elsewhere, unless the records do not reach there, or another node is
/// known to sign there.
pub(crate) fn sight(duty: Duty, digest: B256, known: &Known) -> Sighting {
    let Marks { low, high, .. } = known.marks;
    let elsewhere_by_plan = match known.standing {
        Standing::Retired => true,
        Standing::Enabled | Standing::Halted(_) => high.is_some_and(|high| duty.slot >= high),
    };
    match known.record {
        Some(record) if record.digest == digest => Sighting::Ours,
        Some(record) if record.digest.is_zero() => Sighting::Unknowable,
        Some(_) => Sighting::Elsewhere,
        None if elsewhere_by_plan || low.is_some_and(|low| duty.slot <= low) => Sighting::Unknowable,
        None => Sighting::Elsewhere,
    }
}

fn sealed(duty: Duty, known: &Known) -> Option<NotSafe> {
    known.seal.map(|_| NotSafe::Sealed { duty })
}

#[cfg(test)]
mod tests;
