//! What the rules say of one payload, given what is on record. Pure: the same for every node that reads the same.

use std::collections::HashMap;
use std::time::Duration;

use alloy::primitives::{B256, Signature};
use fermata_primitives::Slot;

use crate::{Duty, DutyKind, NotSafe};

/// A (validator, kind): what one mark counts for.
pub(super) type Room = [u8; 21];

pub(super) fn room(duty: Duty) -> Room {
    let mut room = [0; 21];
    room[..20].copy_from_slice(duty.validator.as_slice());
    room[20] = duty.kind.code();
    room
}

/// Made once for each payload that is asked for, and kept over everything that is tried for it: a record that carries it is
/// this call's own, however little was heard of the commit.
pub(super) type Token = [u8; 16];

/// A payload that leave is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) duty: Duty,
    pub(super) digest: B256,
    pub(super) token: Token,
}

/// A duty on record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) digest: B256,
    pub(super) signature: Option<Signature>,
    pub(super) owner: String,
    pub(super) fence: i64,
    pub(super) attempt: Token,
    /// Since it was pinned or taken over, by the database's clock.
    pub(super) age: Duration,
}

/// The marks at one version.
#[derive(Clone, Default, Debug)]
pub(super) struct Marks {
    pub(super) version: i64,
    /// Highest slot that is refused to everybody.
    pub(super) floor: Option<Slot>,
    /// Highest slot that is refused in a room.
    pub(super) low: HashMap<Room, Slot>,
}

impl Marks {
    /// The highest slot that is refused to this duty's room, if this duty lies at or below it.
    fn refusing(&self, duty: Duty) -> Option<Slot> {
        let mark = self.low.get(&room(duty)).copied().max(self.floor);
        mark.filter(|mark| duty.slot <= *mark)
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    /// The node's name.
    pub(super) node: String,
    /// Age at which it takes over what another node has pinned.
    pub(super) takeover_after: Duration,
}

/// The answer to one payload. It holds once what it was found from is committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Pinned to this payload by this call.
    Granted { fence: i64 },
    /// Signed before.
    Signed(Signature),
    /// Another node holds this payload.
    Busy { owner: String, age: Duration },
    /// Never.
    Refused(NotSafe),
}

/// What is to be done about a payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// Nothing: this is the answer.
    Settled(Verdict),
    /// Nobody has it: record it.
    Free,
    /// Take the pin over, if its fence is still this one.
    TakeOver { fence: i64 },
}

/// The rules. `sealed` tells whether the checkpoint proposal of the duty's slot is on record.
pub(super) fn judge(attempt: &Attempt, row: Option<&Row>, sealed: bool, marks: &Marks, asker: &Asker) -> Finding {
    let &Attempt { duty, digest, token } = attempt;
    let refused = |refusal| Finding::Settled(Verdict::Refused(refusal));
    if let Some(row) = row {
        if row.digest != digest {
            return refused(NotSafe::Conflict { duty, on_record: row.digest, asked: digest });
        }
        // Handing out again what was signed is safe, also below the mark.
        if let Some(signature) = row.signature {
            return Finding::Settled(Verdict::Signed(signature));
        }
    }
    if let Some(watermark) = marks.refusing(duty) {
        return refused(NotSafe::BelowWatermark { duty, watermark });
    }
    match row {
        Some(row) if row.attempt == token => Finding::Settled(Verdict::Granted { fence: row.fence }),
        Some(row) if row.owner == asker.node || row.age >= asker.takeover_after => {
            Finding::TakeOver { fence: row.fence }
        }
        Some(row) => Finding::Settled(Verdict::Busy { owner: row.owner.clone(), age: row.age }),
        None if sealed => refused(NotSafe::Sealed { duty }),
        None => Finding::Free,
    }
}

/// The duty whose record closes this one's slot to new records.
pub(super) fn seal(duty: Duty) -> Option<Duty> {
    match duty.kind {
        DutyKind::BlockProposal { .. } => Some(Duty { kind: DutyKind::CheckpointProposal, ..duty }),
        DutyKind::CheckpointProposal
        | DutyKind::Attestation
        | DutyKind::AttestationsAndSigners
        | DutyKind::GovernanceVote
        | DutyKind::SlashingVote => None,
    }
}
