//! What is to be done about one payload, given what is on record. Pure: the same for every node that reads the same.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::Slot;

use crate::permit::Attempt;
use crate::rules::{self, Known, Record};
use crate::{Duty, KeyState, Marks, NotSafe};

/// A (validator, kind): what one mark counts for.
pub(super) type Room = [u8; 21];

pub(super) fn room(duty: Duty) -> Room {
    let mut room = [0; 21];
    room[..20].copy_from_slice(duty.validator.as_slice());
    room[20] = duty.kind.code();
    room
}

/// A payload that leave is asked for. Its attempt is made once and kept over everything that is tried for it: a record that
/// carries it is this call's own, however little was heard of the commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) duty: Duty,
    pub(super) digest: B256,
    pub(super) attempt: Attempt,
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

/// All marks, at one version.
#[derive(Clone, Default, Debug)]
pub(super) struct MarkBook {
    pub(super) version: i64,
    /// Highest slot that is refused to everybody.
    pub(super) floor: Option<Slot>,
    /// Highest slot that is refused in a room.
    pub(super) low: HashMap<Room, Slot>,
    /// What is said of keys.
    pub(super) keys: BTreeMap<Address, KeyState>,
}

impl MarkBook {
    /// All that the rules look at, given the records of the duty and of what seals it.
    pub(super) fn known(&self, duty: Duty, row: Option<&Row>, sealed: Option<&Row>) -> Known {
        let record = |row: &Row| row.record;
        let low = self.low.get(&room(duty)).copied().max(self.floor);
        Known {
            record: row.map(record),
            seal: sealed.map(record),
            marks: Marks { low, ..Marks::default() },
            standing: self.keys.get(&duty.validator).map(KeyState::standing).unwrap_or_default(),
            ..Known::default()
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

/// Applies the rules, and the courtesy between nodes: what another one holds is left to it while it is young. `sealed` is
/// the record that seals the duty.
pub(super) fn find(
    wanted: &Wanted,
    row: Option<&Row>,
    sealed: Option<&Row>,
    book: &MarkBook,
    asker: &Asker,
) -> Finding {
    let known = book.known(wanted.duty, row, sealed);
    match (rules::judge(wanted.duty, wanted.digest, &known), row) {
        (rules::Verdict::Done(signature), _) => Finding::Settled(Verdict::Done(signature)),
        (rules::Verdict::Refused(refusal), _) => Finding::Settled(Verdict::Refused(refusal)),
        (rules::Verdict::Pin, _) | (rules::Verdict::Resume, None) => Finding::Free,
        (rules::Verdict::Resume, Some(row)) => resume(wanted, row, asker),
    }
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
mod tests {
    use super::*;
    use crate::DutyKind;

    const DUTY: Duty = Duty { validator: Address::repeat_byte(1), slot: Slot(7), kind: DutyKind::Attestation };

    fn wanted(digest: u8, attempt: u128) -> Wanted {
        Wanted { duty: DUTY, digest: B256::repeat_byte(digest), attempt: Attempt(attempt) }
    }

    fn row(owner: &str, age: u64) -> Row {
        let record = Record::pinned(B256::repeat_byte(1));
        Row { record, owner: owner.to_owned(), fence: 3, attempt: Attempt(9), age: Duration::from_secs(age) }
    }

    fn found(wanted: &Wanted, row: &Row, low: Option<Slot>) -> Finding {
        let asker = Asker { node: "us".to_owned(), takeover_after: Duration::from_secs(4) };
        let low = low.map(|low| (room(DUTY), low)).into_iter().collect();
        let book = MarkBook { low, ..MarkBook::default() };
        find(wanted, Some(row), None, &book, &asker)
    }

    #[test]
    fn a_pin_of_another_node_is_left_to_it_while_it_is_young() {
        let busy = Finding::Settled(Verdict::Busy { owner: "them".to_owned(), age: Duration::from_secs(3) });
        assert_eq!(found(&wanted(1, 1), &row("them", 3), None), busy);
        assert_eq!(found(&wanted(1, 1), &row("them", 4), None), Finding::TakeOver { fence: 3 });
        assert_eq!(found(&wanted(1, 1), &row("us", 0), None), Finding::TakeOver { fence: 3 });
    }

    #[test]
    fn a_pin_with_the_token_of_the_call_is_the_calls_own() {
        let found_again = found(&wanted(1, 9), &row("them", 0), None);
        assert_eq!(found_again, Finding::Settled(Verdict::Resumed { fence: 3 }));
        let fresh = Row { fence: FIRST_FENCE, ..row("us", 0) };
        assert_eq!(found(&wanted(1, 9), &fresh, None), Finding::Settled(Verdict::Granted));
    }

    #[test]
    fn another_payload_is_refused_however_old_the_pin_and_whoever_made_it() {
        for row in [row("them", 100), row("us", 100), Row { attempt: Attempt(1), ..row("us", 0) }] {
            let found = found(&wanted(2, 1), &row, None);
            assert!(matches!(found, Finding::Settled(Verdict::Refused(NotSafe::Conflict { .. }))), "{found:?}");
        }
    }

    #[test]
    fn an_old_pin_below_the_mark_is_not_taken_over() {
        let found = found(&wanted(1, 1), &row("them", 100), Some(Slot(7)));
        assert!(matches!(found, Finding::Settled(Verdict::Refused(NotSafe::BelowLow { low: Slot(7), .. }))));
    }
}
