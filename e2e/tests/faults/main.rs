//! What goes wrong between a node and its L1: each fault as a client meets it, scripts of faults, and the strict mempool.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;
mod door;
mod http;
mod mempool;
mod node;
mod rules;
mod web_socket;
