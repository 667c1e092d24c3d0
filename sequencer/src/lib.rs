//! The rollup sequencer and its lifecycle engine.
//!
//! The main path is data; each step takes the former's value, and no step reaches back:
//!
//! ```text
//! tick -> ProposerTurn -> blocks -> CheckpointProposal -> signed -> SignedAttestations -> L1Request (tracked) -> confirmed
//! ```
//!
//! [`slot`] reads like that line. [`engine`] starts, stops, drains and closes; [`lifecycle`] is its table. [`node`] puts the
//! parts together, and [`service`] runs a node with its servers as a process does.

pub mod actions;
pub mod amount;
pub mod attestations;
pub mod catalogue;
pub mod chain;
mod checkpoint;
pub mod cli;
pub mod config;
pub mod data_dir;
pub mod dev;
#[cfg(test)]
mod docs_page;
pub mod drain;
pub mod engine;
pub mod error;
pub mod events;
pub mod evidence;
pub mod explain;
mod fallback;
pub mod feed;
mod inside;
pub mod invalidation;
pub mod l1;
mod landing;
pub mod lifecycle;
pub mod limit;
mod listening;
pub mod log;
mod lookout;
pub mod metrics;
pub mod network;
pub mod node;
pub mod node_store;
pub mod offences;
mod own_keys;
pub mod peers;
pub mod phases;
pub mod pinned;
pub mod pipeline;
pub mod poll_loop;
#[cfg(test)]
#[path = "../../validator-signer/tests/signer/postgres/server/running.rs"]
#[allow(dead_code, reason = "the signer's tests use more of it")]
mod postgres_server;
pub mod proposal;
pub mod prover;
mod pruning;
pub mod publishing;
pub mod refusal;
pub mod requests_tracker;
pub mod roles;
pub mod rpc;
pub mod run;
pub mod service;
pub mod side_duties;
pub mod signals;
pub mod slot;
mod slot_bundle;
pub mod span;
pub mod status;
pub mod tasks;
mod telling;
pub mod timetable;
pub mod verbs;
pub mod votes;
mod witness;
pub mod workshop;
