//! The public test harness: real anvil, real contracts, several nodes.
