//! The rollup sequencer and its lifecycle engine.

pub mod catalogue;
pub mod cli;
pub mod config;
pub mod data_dir;
#[cfg(test)]
mod docs_page;
pub mod engine;
mod inside;
pub mod lifecycle;
pub mod node_store;
pub mod poll_loop;
pub mod requests_tracker;
pub mod rpc;
pub mod run;
pub mod status;
pub mod timetable;
pub mod verbs;
