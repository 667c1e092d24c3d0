//! The `eth_` JSON-RPC.
