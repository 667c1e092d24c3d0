//! The mempool: transactions that wait for a block.
