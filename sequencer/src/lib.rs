//! The rollup sequencer and its lifecycle engine.

pub mod engine;
mod inside;
pub mod lifecycle;
pub mod poll_loop;
pub mod requests_tracker;
pub mod run;
pub mod timetable;
pub mod verbs;
