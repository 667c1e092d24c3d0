//! The protocol between nodes and a database, gone through exhaustively: every order of every step, with commits whose
//! answers are lost, nodes that crash, pins that grow old and are taken over, and a failover to a replica that lags.
//!
//! The model is small: two nodes, two payloads, one duty, one server and its replica. What it checks: all payloads that
//! keys were ever asked to sign for the duty are equal. That it would find a fault is shown by protocols that are broken
//! on purpose.

use super::worlds::{State, explore};

const NODES: usize = 2;
const PAYLOADS: [u8; 2] = [1, 2];
/// Steps from the beginning that are gone through.
const DEPTH: usize = 14;

/// The pin of the one duty.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Pin {
    payload: u8,
    owner: usize,
    /// The call that made it, or took it over last.
    attempt: u8,
    is_old: bool,
}

/// How far a node has come with its call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Call {
    Idle,
    /// The insert is on its way; whether the duty was free when it was sent.
    Sent {
        saw_free: bool,
    },
    /// The server is done, and the answer on its way: whether it made the pin.
    Answered {
        made: bool,
    },
    /// No answer will come; the server may be done or not.
    Lost,
    /// Not inserted: the record is to be read.
    Look,
    /// To be taken over, if it is still this attempt's.
    TakeOver {
        from: u8,
    },
    /// Given leave.
    Permitted,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Node {
    call: Call,
    payload: u8,
    attempt: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct World {
    pin: Option<Pin>,
    replica: Option<Pin>,
    /// A replica has taken over; the store remembers the server it was accepted on.
    failed_over: bool,
    nodes: [Node; NODES],
    attempts: u8,
    /// Payloads that keys were asked for, a bit each.
    asked: u8,
}

/// Which safeguards the protocol has.
#[derive(Clone, Copy, Debug)]
struct Protocol {
    takes_over_the_same_payload_alone: bool,
    refuses_another_timeline: bool,
    looks_for_its_attempt_after_a_loss: bool,
    inserts_only_what_is_absent: bool,
}

const BUILT: Protocol = Protocol {
    takes_over_the_same_payload_alone: true,
    refuses_another_timeline: true,
    looks_for_its_attempt_after_a_loss: true,
    inserts_only_what_is_absent: true,
};

impl State for World {
    type Protocol = Protocol;

    fn new() -> Self {
        let node = Node { call: Call::Idle, payload: 0, attempt: 0 };
        Self { pin: None, replica: None, failed_over: false, nodes: [node; NODES], attempts: 0, asked: 0 }
    }

    fn next(&self, protocol: Protocol) -> Vec<Self> {
        let mut worlds = Vec::new();
        for at in 0..NODES {
            self.steps_of(at, protocol, &mut worlds);
            // A crash at any moment; what is on its way to the server may still arrive.
            if self.nodes[at].call != Call::Idle {
                worlds.push(self.with(at, Call::Idle));
                if let Call::Sent { .. } = self.nodes[at].call {
                    worlds.push(self.insert(at, protocol).with(at, Call::Idle));
                }
            }
        }
        let old = self.pin.map(|pin| Pin { is_old: true, ..pin });
        worlds.push(Self { pin: old, ..*self });
        worlds.push(Self { replica: if self.failed_over { self.replica } else { self.pin }, ..*self });
        if !self.failed_over {
            worlds.push(Self { pin: self.replica, failed_over: true, ..*self });
        }
        worlds
    }

    fn is_broken(&self) -> bool {
        self.asked.count_ones() > 1
    }
}

impl World {
    fn with(mut self, at: usize, call: Call) -> Self {
        self.nodes[at].call = call;
        self
    }

    fn steps_of(&self, at: usize, protocol: Protocol, worlds: &mut Vec<Self>) {
        let node = self.nodes[at];
        // Whoever connects looks whether the server is the one on which the store was accepted.
        let connects = !(self.failed_over && protocol.refuses_another_timeline);
        match node.call {
            Call::Idle if connects => {
                for payload in PAYLOADS {
                    let mut world = self.with(at, Call::Sent { saw_free: self.pin.is_none() });
                    world.attempts += 1;
                    world.nodes[at].attempt = world.attempts;
                    world.nodes[at].payload = payload;
                    worlds.push(world);
                }
            }
            Call::Sent { .. } => {
                let done = self.insert(at, protocol);
                worlds.push(done);
                worlds.push(done.with(at, Call::Lost));
                worlds.push(self.with(at, Call::Lost));
            }
            Call::Answered { made } => worlds.push(self.with(at, if made { Call::Permitted } else { Call::Look })),
            Call::Lost if !protocol.looks_for_its_attempt_after_a_loss => worlds.push(self.with(at, Call::Permitted)),
            Call::Lost if connects => worlds.push(self.with(at, Call::Sent { saw_free: self.pin.is_none() })),
            Call::Look if connects => worlds.extend(self.look(at, protocol)),
            Call::TakeOver { from } if connects => worlds.push(self.take_over(at, from)),
            Call::Permitted => {
                let asked = self.asked | 1 << node.payload;
                worlds.push(Self { asked, ..self.with(at, Call::Idle) });
            }
            Call::Idle | Call::Lost | Call::Look | Call::TakeOver { .. } => {}
        }
    }

    /// The server carries an insert out.
    fn insert(&self, at: usize, protocol: Protocol) -> Self {
        let Node { payload, attempt, call } = self.nodes[at];
        let saw_free = call == Call::Sent { saw_free: true };
        let is_free = if protocol.inserts_only_what_is_absent { self.pin.is_none() } else { saw_free };
        // The insert itself looks where it is: a pooler leads it to the replica on the same connection.
        let made = is_free && !(self.failed_over && protocol.refuses_another_timeline);
        let pin = if made { Some(Pin { payload, owner: at, attempt, is_old: false }) } else { self.pin };
        Self { pin, ..self.with(at, Call::Answered { made }) }
    }

    fn look(&self, at: usize, protocol: Protocol) -> Option<Self> {
        let Node { payload, attempt, .. } = self.nodes[at];
        let Some(pin) = self.pin else { return Some(self.with(at, Call::Sent { saw_free: true })) };
        if pin.attempt == attempt {
            return Some(self.with(at, Call::Permitted));
        }
        if pin.payload != payload && protocol.takes_over_the_same_payload_alone {
            return Some(self.with(at, Call::Idle));
        }
        (pin.owner == at || pin.is_old).then(|| self.with(at, Call::TakeOver { from: pin.attempt }))
    }

    fn take_over(&self, at: usize, from: u8) -> Self {
        let Node { payload, attempt, .. } = self.nodes[at];
        match self.pin {
            Some(pin) if pin.attempt == from => {
                let pin = Some(Pin { payload, owner: at, attempt, is_old: false });
                Self { pin, ..self.with(at, Call::Permitted) }
            }
            Some(_) | None => self.with(at, Call::Look),
        }
    }
}

#[test]
fn no_order_of_steps_makes_keys_sign_two_payloads() {
    let worlds = explore::<World>(BUILT, DEPTH).expect("the protocol is safe");
    assert!(worlds > 10_000, "only {worlds} worlds were gone through");
}

#[test]
fn each_safeguard_that_is_left_out_is_found_missing() {
    let broken = [
        Protocol { takes_over_the_same_payload_alone: false, ..BUILT },
        Protocol { refuses_another_timeline: false, ..BUILT },
        Protocol { looks_for_its_attempt_after_a_loss: false, ..BUILT },
        Protocol { inserts_only_what_is_absent: false, ..BUILT },
    ];
    for protocol in broken {
        assert!(explore::<World>(protocol, DEPTH).is_err(), "nothing is found wrong with {protocol:?}");
    }
}
