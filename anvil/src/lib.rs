//! Anvil as an owned child process, the owner of the L1 clock, and deployment of the L1 rollup.
