//! The servers a node answers on. The `eth_` JSON-RPC is the execution crate's; here is the operator's.

pub mod admin;
