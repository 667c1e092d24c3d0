//! What the crate promises, one story a module.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod answers;
mod elsewhere;
mod joining;
mod keystores;
mod lifecycle;
mod model;
mod never_twice;
mod opening;
mod postgres;
mod processes;
mod room;
mod silent_keys;
mod support;
