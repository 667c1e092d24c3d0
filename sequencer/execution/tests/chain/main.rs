//! The in-process execution engine through its trait: building, checking, moving heads, reopening.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod anvil;
mod building;
mod calls;
mod durability;
mod heads;
mod oracle;
mod random_states;
mod support;
mod validity;
