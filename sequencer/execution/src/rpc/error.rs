//! Why the RPC server does not stand.

use std::net::SocketAddr;

use thiserror::Error;

/// Errors of serving the RPC.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The operator chooses another port, or stops who holds it.
    #[error(
        "the RPC port {addr} is in use; stop the process that holds it, or choose another port (0 picks a free one)"
    )]
    PortInUse {
        /// Where it should have listened.
        addr: SocketAddr,
    },
    /// The operator looks at the address.
    #[error("the RPC cannot listen on {addr}; check that the address belongs to this machine and may be used")]
    Listen {
        /// Where it should have listened.
        addr: SocketAddr,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
}

impl RpcError {
    pub(super) fn listen(addr: SocketAddr, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::AddrInUse {
            return Self::PortInUse { addr };
        }
        Self::Listen { addr, source }
    }
}
