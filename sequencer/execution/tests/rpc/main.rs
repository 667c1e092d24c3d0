//! The `eth_` RPC, asked as wallets and libraries ask it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batches;
mod blocks;
mod calls;
mod contracts;
mod limits;
mod refusals;
mod server;
mod subscriptions;
mod support;
mod wallet;
