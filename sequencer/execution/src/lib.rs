//! The Execution trait and its in-process EVM: state in heed, mempool, eth JSON-RPC.
