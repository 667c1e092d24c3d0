//! The protocol of the marks that nodes share, gone through exhaustively: pins in a room that becomes strict and is handed
//! over, in every order of every statement, with nodes that crash anywhere and know the marks of long ago.
//!
//! The model is small: two nodes, one room, two slots. What it checks: once the room is strict each pin lies above every
//! slot that was ever pinned; and no slot that was handed over was ever pinned here, before or after. That it would find a
//! fault is shown by protocols that are broken on purpose.

use super::worlds::{State, explore};

const NODES: usize = 2;
const SLOTS: [u8; 2] = [1, 2];
/// No slot is as high.
const NEVER: u8 = 3;

/// What the marks' version counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Book {
    version: u8,
    is_strict: bool,
    /// First slot that is refused.
    high: u8,
}

/// Slots, a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Slots(u8);

impl Slots {
    const fn has(self, slot: u8) -> bool {
        self.0 & 1 << slot != 0
    }

    const fn with(self, slot: u8) -> Self {
        Self(self.0 | 1 << slot)
    }

    fn highest(self) -> u8 {
        (0..NEVER).rev().find(|slot| self.has(*slot)).unwrap_or(0)
    }
}

/// How far a node has come with its transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Call {
    Idle,
    /// It holds the marks against movers.
    Begun(u8),
    /// And the room against others who pin there.
    Held(u8),
    /// And has seen how far the room has come.
    Looked(u8, u8),
    /// Recorded, and not committed.
    Inserted(u8),
    /// It holds the marks against everybody.
    Moving(Move),
    /// And has seen what it needs for the move.
    Decided(Move, u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Move {
    HandOver(u8),
    Declare,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Node {
    call: Call,
    /// What it last knew.
    book: Book,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct World {
    book: Book,
    records: Slots,
    max_signed: u8,
    nodes: [Node; NODES],
    /// Slots that were ever pinned, whatever became of them.
    ever: Slots,
    is_broken: bool,
}

/// Which safeguards the protocol has.
#[derive(Clone, Copy, Debug)]
struct Protocol {
    holds_the_room: bool,
    records_only_at_the_version_it_knows: bool,
    raises_the_mark_with_the_pin: bool,
    shuts_recorders_out_while_a_mark_moves: bool,
    brings_a_strict_room_up_to_its_records: bool,
    keeps_the_slot_of_what_is_taken_back: bool,
}

const BUILT: Protocol = Protocol {
    holds_the_room: true,
    records_only_at_the_version_it_knows: true,
    raises_the_mark_with_the_pin: true,
    shuts_recorders_out_while_a_mark_moves: true,
    brings_a_strict_room_up_to_its_records: true,
    keeps_the_slot_of_what_is_taken_back: true,
};

impl State for World {
    type Protocol = Protocol;

    fn new() -> Self {
        let book = Book { version: 0, is_strict: false, high: NEVER };
        let node = Node { call: Call::Idle, book };
        let nothing = Slots(0);
        Self { book, records: nothing, max_signed: 0, nodes: [node; NODES], ever: nothing, is_broken: false }
    }

    fn next(&self, protocol: Protocol) -> Vec<Self> {
        let mut worlds = Vec::new();
        for at in 0..NODES {
            match self.nodes[at].call {
                Call::Idle => self.begin(at, protocol, &mut worlds),
                Call::Begun(_) | Call::Held(_) | Call::Looked(..) => worlds.extend(self.record(at, protocol)),
                Call::Inserted(slot) => worlds.push(self.commit_pin(at, slot, protocol)),
                Call::Moving(wanted) => {
                    worlds.push(self.with(at, Call::Decided(wanted, self.decide(wanted, protocol))))
                }
                Call::Decided(wanted, seen) => worlds.push(self.commit_move(at, wanted, seen)),
            }
            // A crash, or a line that is cut: the transaction is gone.
            worlds.push(self.with(at, Call::Idle));
        }
        worlds
    }

    fn is_broken(&self) -> bool {
        self.is_broken
    }
}

impl World {
    fn with(mut self, at: usize, call: Call) -> Self {
        self.nodes[at].call = call;
        self
    }

    fn begin(&self, at: usize, protocol: Protocol, worlds: &mut Vec<Self>) {
        let mut informed = *self;
        informed.nodes[at].book = self.book;
        worlds.push(informed);
        for slot in SLOTS.into_iter().filter(|slot| self.records.has(*slot)) {
            let kept = if protocol.keeps_the_slot_of_what_is_taken_back { slot } else { 0 };
            let records = Slots(self.records.0 & !(1 << slot));
            worlds.push(Self { records, max_signed: self.max_signed.max(kept), ..*self });
        }
        let other = self.nodes[1 - at].call;
        let moves = matches!(other, Call::Moving(_) | Call::Decided(..));
        if !(moves && protocol.shuts_recorders_out_while_a_mark_moves) {
            let known = self.nodes[at].book;
            worlds.extend(
                SLOTS.into_iter().filter(|slot| *slot < known.high).map(|slot| self.with(at, Call::Begun(slot))),
            );
        }
        if !moves && (other == Call::Idle || !protocol.shuts_recorders_out_while_a_mark_moves) {
            let hand_overs = SLOTS.into_iter().filter(|_| self.book.high == NEVER).map(Move::HandOver);
            let declares = (!self.book.is_strict).then_some(Move::Declare);
            worlds.extend(hand_overs.chain(declares).map(|wanted| self.with(at, Call::Moving(wanted))));
        }
    }

    /// The next statement of a node that records; `None` while it waits for the other.
    fn record(&self, at: usize, protocol: Protocol) -> Option<Self> {
        let Node { call, book } = self.nodes[at];
        let other = self.nodes[1 - at];
        match call {
            Call::Begun(slot) if book.is_strict => {
                let holds = matches!(other.call, Call::Held(_) | Call::Looked(..))
                    || matches!(other.call, Call::Inserted(_)) && other.book.is_strict;
                (!(holds && protocol.holds_the_room)).then(|| self.with(at, Call::Held(slot)))
            }
            Call::Held(slot) => {
                let mut looked = self.with(at, Call::Looked(slot, self.max_signed));
                looked.nodes[at].book = self.book;
                Some(looked)
            }
            Call::Looked(slot, max_signed) if slot <= max_signed || slot >= book.high => {
                Some(self.with(at, Call::Idle))
            }
            Call::Begun(slot) | Call::Looked(slot, _) => {
                // Of two who record one duty the second waits for the first.
                let waits = other.call == Call::Inserted(slot);
                (!waits).then(|| self.insert(at, slot, protocol))
            }
            Call::Idle | Call::Inserted(_) | Call::Moving(_) | Call::Decided(..) => None,
        }
    }

    fn insert(&self, at: usize, slot: u8, protocol: Protocol) -> Self {
        let is_current =
            self.nodes[at].book.version == self.book.version || !protocol.records_only_at_the_version_it_knows;
        let is_free = is_current && !self.records.has(slot);
        self.with(at, if is_free { Call::Inserted(slot) } else { Call::Idle })
    }

    fn commit_pin(&self, at: usize, slot: u8, protocol: Protocol) -> Self {
        let raised = self.nodes[at].book.is_strict && protocol.raises_the_mark_with_the_pin;
        Self {
            records: self.records.with(slot),
            max_signed: if raised { self.max_signed.max(slot) } else { self.max_signed },
            ever: self.ever.with(slot),
            is_broken: self.book.is_strict && slot <= self.ever.highest() || slot >= self.book.high,
            ..self.with(at, Call::Idle)
        }
    }

    /// What a mover sees: how far the room has come.
    fn decide(&self, wanted: Move, protocol: Protocol) -> u8 {
        match wanted {
            Move::HandOver(_) => self.max_signed.max(self.records.highest()),
            Move::Declare if protocol.brings_a_strict_room_up_to_its_records => self.records.highest(),
            Move::Declare => 0,
        }
    }

    fn commit_move(&self, at: usize, wanted: Move, seen: u8) -> Self {
        let version = self.book.version + 1;
        let ended = self.with(at, Call::Idle);
        match wanted {
            Move::HandOver(from) if seen >= from => ended,
            Move::HandOver(from) => {
                let is_broken = self.ever.highest() >= from;
                Self { book: Book { version, high: from, ..self.book }, is_broken, ..ended }
            }
            Move::Declare => {
                let book = Book { version, is_strict: true, ..self.book };
                Self { book, max_signed: self.max_signed.max(seen), ..ended }
            }
        }
    }
}

#[test]
fn no_order_of_statements_pins_a_slot_behind_a_strict_mark_or_one_that_was_handed_over() {
    let worlds = explore::<World>(BUILT, usize::MAX).expect("the protocol is safe");
    assert!(worlds > 1_000, "only {worlds} worlds were gone through");
}

#[test]
fn each_safeguard_of_the_marks_that_is_left_out_is_found_missing() {
    let broken = [
        Protocol { holds_the_room: false, ..BUILT },
        Protocol { records_only_at_the_version_it_knows: false, ..BUILT },
        Protocol { raises_the_mark_with_the_pin: false, ..BUILT },
        Protocol { shuts_recorders_out_while_a_mark_moves: false, ..BUILT },
        Protocol { brings_a_strict_room_up_to_its_records: false, ..BUILT },
        Protocol { keeps_the_slot_of_what_is_taken_back: false, ..BUILT },
    ];
    for protocol in broken {
        assert!(explore::<World>(protocol, usize::MAX).is_err(), "nothing is found wrong with {protocol:?}");
    }
}
