//! How much one caller may ask for.

/// Limits of the RPC server. A request beyond one of them gets an error that names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RpcLimits {
    /// Bytes of a request, a batch as a whole.
    pub max_request_bytes: u32,
    /// Bytes of a response, a batch as a whole.
    pub max_response_bytes: u32,
    /// Requests in one batch.
    pub max_batch: u32,
    /// Connections at a time, HTTP and WebSocket together.
    pub max_connections: u32,
    /// Subscriptions of one connection.
    pub max_subscriptions: u32,
    /// Reads and EVM runs at a time; more wait for their turn.
    pub max_concurrent_reads: usize,
    /// Blocks that one `eth_getLogs` may span.
    pub max_log_blocks: u64,
    /// Logs that one `eth_getLogs` may return.
    pub max_logs: usize,
    /// Least priority fee that is suggested to wallets, in wei per gas.
    pub min_suggested_priority_fee: u128,
}

impl Default for RpcLimits {
    fn default() -> Self {
        Self {
            max_request_bytes: 15 * 1024 * 1024,
            max_response_bytes: 64 * 1024 * 1024,
            max_batch: 1_000,
            max_connections: 500,
            max_subscriptions: 128,
            max_concurrent_reads: 16,
            max_log_blocks: 10_000,
            max_logs: 20_000,
            min_suggested_priority_fee: 1_000_000,
        }
    }
}
