//! L1 transactions that land once and in time, whatever happens.
