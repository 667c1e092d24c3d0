//! What is to be done about one payload, given what is on record. Pure: the same for every node that reads the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::Slot;

use crate::permit::Attempt;
use crate::rules::{self, Known, Mode, Record};
use crate::{Duty, DutyKind, KeyState, Marks, NotSafe};

/// A (validator, kind): what one mark counts for.
pub(super) type Room = [u8; 21];

pub(super) fn room(validator: Address, kind: DutyKind) -> Room {
    let mut room = [0; 21];
    room[..20].copy_from_slice(validator.as_slice());
    room[20] = kind.code();
    room
}

pub(super) fn room_of(duty: Duty) -> Room {
    room(duty.validator, duty.kind)
}

/// A payload that leave is asked for. Its attempt is made once and kept over everything that is tried for it: a record that
/// carries it is this call's own, however little was heard of the commit.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) duty: Duty,
    pub(super) digest: B256,
    pub(super) attempt: Attempt,
    /// Kept beside the pin, so that the payload can be found again.
    pub(super) payload: Option<Arc<[u8]>>,
}

/// A duty on record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) record: Record,
    pub(super) owner: String,
    pub(super) fence: i64,
    pub(super) attempt: Attempt,
    /// Since it was pinned or taken over, by the database's clock.
    pub(super) age: Duration,
}

/// What a look at the records showed of one duty, all of one moment.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Seen<'a> {
    /// Its record.
    pub(super) row: Option<&'a Row>,
    /// The record that seals it.
    pub(super) sealed: Option<&'a Row>,
    /// Highest slot that was ever pinned in its room; looked for in strict rooms alone.
    pub(super) max_signed: Option<Slot>,
}

/// What a look at the records showed of many duties.
#[derive(Default, Debug)]
pub(super) struct Look {
    /// By the duty's key.
    pub(super) rows: HashMap<Vec<u8>, Row>,
    /// Of strict rooms.
    pub(super) max_signed: HashMap<Room, Slot>,
}

impl Look {
    pub(super) fn at(&self, duty: Duty) -> Seen<'_> {
        let row = |duty: Duty| self.rows.get(duty.key().as_slice());
        let max_signed = self.max_signed.get(&room_of(duty)).copied();
        Seen { row: row(duty), sealed: duty.seal().and_then(row), max_signed }
    }
}

/// All marks and what else refuses more than one duty, at one version.
#[derive(Clone, Default, Debug)]
pub(super) struct MarkBook {
    pub(super) version: i64,
    /// Highest slot that is refused to everybody.
    pub(super) floor: Option<Slot>,
    /// First slot that is signed.
    pub(super) listen_only_until: Option<Slot>,
    /// It is new, restored or imported into, and no node has settled since from when on it signs.
    pub(super) owes_listening: bool,
    /// Kinds that only go forward.
    pub(super) strict: BTreeSet<DutyKind>,
    /// By room. In a strict one every pin raises the highest pinned slot, which the version does not count: it may be
    /// higher than it is here.
    pub(super) marks: HashMap<Room, Marks>,
    /// What is said of keys.
    pub(super) keys: BTreeMap<Address, KeyState>,
}

impl MarkBook {
    pub(super) fn is_strict(&self, duty: Duty) -> bool {
        self.strict.contains(&duty.kind.marked())
    }

    pub(super) fn marks(&self, room: &Room) -> Marks {
        self.marks.get(room).copied().unwrap_or_default()
    }

    /// All that the rules look at.
    pub(super) fn known(&self, duty: Duty, seen: &Seen<'_>) -> Known {
        let record = |row: &Row| row.record;
        let beyond = Marks { low: self.floor, high: None, max_signed: seen.max_signed };
        Known {
            record: seen.row.map(record),
            seal: seen.sealed.map(record),
            marks: self.marks(&room_of(duty)).merge(beyond),
            standing: self.keys.get(&duty.validator).map(KeyState::standing).unwrap_or_default(),
            listen_only_until: self.listen_only_until,
            mode: if self.is_strict(duty) { Mode::Strict } else { Mode::Complete },
        }
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
    /// Pinned by this call, and by none before.
    Granted,
    /// Pinned before, and this call's from now on.
    Resumed { fence: i64 },
    /// Signed before.
    Done(Signature),
    /// Another node holds this payload.
    Busy { owner: String, age: Duration },
    /// Not safe.
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

/// Fence of a pin that was never taken over.
pub(super) const FIRST_FENCE: i64 = 1;

/// Applies the rules, and the courtesy between nodes: what another one holds is left to it while it is young.
pub(super) fn find(wanted: &Wanted, seen: &Seen<'_>, book: &MarkBook, asker: &Asker) -> Finding {
    let known = book.known(wanted.duty, seen);
    match (rules::judge(wanted.duty, wanted.digest, &known), seen.row) {
        (rules::Verdict::Done(signature), _) => Finding::Settled(Verdict::Done(signature)),
        (rules::Verdict::Refused(refusal), _) => Finding::Settled(Verdict::Refused(refusal)),
        (rules::Verdict::Pin, _) | (rules::Verdict::Resume, None) => Finding::Free,
        (rules::Verdict::Resume, Some(row)) => resume(wanted, row, asker),
    }
}

/// Of payloads of strict kinds, in the order of their keys, those that may be recorded one after the other: each raises
/// the highest pinned slot for the next.
pub(super) fn in_turn(batch: &[Wanted], mut look: Look, book: &MarkBook, asker: &Asker) -> Vec<Wanted> {
    let mut free = Vec::new();
    for wanted in batch {
        if find(wanted, &look.at(wanted.duty), book, asker) == Finding::Free {
            look.max_signed.insert(room_of(wanted.duty), wanted.duty.slot);
            free.push(wanted.clone());
        }
    }
    free
}

fn resume(wanted: &Wanted, row: &Row, asker: &Asker) -> Finding {
    if row.attempt == wanted.attempt {
        return Finding::Settled(match row.fence {
            FIRST_FENCE => Verdict::Granted,
            fence => Verdict::Resumed { fence },
        });
    }
    if row.owner == asker.node || row.age >= asker.takeover_after {
        return Finding::TakeOver { fence: row.fence };
    }
    Finding::Settled(Verdict::Busy { owner: row.owner.clone(), age: row.age })
}

#[cfg(test)]
mod tests;
