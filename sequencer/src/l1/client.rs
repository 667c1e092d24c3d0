//! An L1 endpoint whose every call has a deadline.

use std::future::{Future, IntoFuture};
use std::time::Duration;

use alloy::primitives::{Address, Bytes, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::transports::{RpcError, TransportErrorKind};

use fermata_publisher::without_url;
use fermata_rollup::contracts::decode_revert;

use crate::error::{Result, SequencerError};

/// An L1 JSON-RPC endpoint.
#[derive(Clone, Debug)]
pub struct L1Client {
    provider: DynProvider,
    timeout: Duration,
}

impl L1Client {
    /// A client whose calls end after `timeout`.
    #[must_use]
    pub const fn new(provider: DynProvider, timeout: Duration) -> Self {
        Self { provider, timeout }
    }

    /// The endpoint itself, for calls that are given to [`L1Client::within`].
    #[must_use]
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// Awaits a call, no longer than the client's deadline. `what` names it in errors.
    ///
    /// # Errors
    /// [`SequencerError::L1Timeout`] or [`SequencerError::L1Unreachable`]; [`SequencerError::WouldRevert`] when a
    /// contract call reverted.
    pub async fn within<T, E, F>(&self, what: &'static str, call: F) -> Result<T>
    where
        F: IntoFuture<Output = std::result::Result<T, E>>,
        E: Into<CallError>,
    {
        match tokio::time::timeout(self.timeout, call.into_future()).await {
            Err(_) => Err(SequencerError::L1Timeout { what, after: self.timeout }),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(match error.into() {
                CallError::Reverted(reason) => SequencerError::WouldRevert { reason },
                CallError::Transport(source) => SequencerError::L1Unreachable { what, source },
            }),
        }
    }

    /// The chain id.
    ///
    /// # Errors
    /// L1 did not answer.
    pub async fn chain_id(&self) -> Result<u64> {
        self.within("eth_chainId", self.provider.get_chain_id()).await
    }

    /// Checks that this is the chain it should be.
    ///
    /// # Errors
    /// [`SequencerError::WrongChain`], or L1 did not answer.
    pub async fn expect_chain(&self, expected: u64) -> Result<()> {
        let found = self.chain_id().await?;
        if found == expected { Ok(()) } else { Err(SequencerError::WrongChain { expected, found }) }
    }

    /// Checks that there is a contract.
    ///
    /// # Errors
    /// [`SequencerError::NoContract`], or L1 did not answer.
    pub async fn expect_code(&self, address: Address, what: &'static str) -> Result<()> {
        let code = self.within("eth_getCode", self.provider.get_code_at(address)).await?;
        if code.is_empty() { Err(SequencerError::NoContract { address, what }) } else { Ok(()) }
    }

    /// What each account has now, in wei, in the order given.
    ///
    /// # Errors
    /// L1 did not answer for all of them.
    pub async fn balances(&self, accounts: &[Address]) -> Result<Vec<(Address, U256)>> {
        let balance = async |account: Address| {
            let balance = self.within("eth_getBalance", self.provider.get_balance(account)).await?;
            Ok((account, balance))
        };
        futures::future::try_join_all(accounts.iter().copied().map(balance)).await
    }
}

/// How a call failed.
#[derive(Debug)]
pub enum CallError {
    /// The contract said no, and this is why.
    Reverted(String),
    /// The endpoint did not answer as it should.
    Transport(crate::error::Source),
}

impl From<RpcError<TransportErrorKind>> for CallError {
    fn from(error: RpcError<TransportErrorKind>) -> Self {
        match error.as_error_resp().and_then(|response| response.as_revert_data()) {
            Some(data) => Self::Reverted(revert_reason(&data)),
            None => Self::Transport(Box::new(without_url(error))),
        }
    }
}

impl From<alloy::contract::Error> for CallError {
    fn from(error: alloy::contract::Error) -> Self {
        if let alloy::contract::Error::TransportError(error) = error {
            return error.into();
        }
        Self::Transport(Box::new(error))
    }
}

/// What a contract's returned data says, for people.
#[must_use]
pub fn revert_reason(data: &[u8]) -> String {
    decode_revert(data).map_or_else(|| format!("unknown error {}", Bytes::copy_from_slice(data)), |r| r.to_string())
}

/// Awaits `work`, or ends early with [`SequencerError::Interrupted`].
///
/// # Errors
/// What `work` says, or [`SequencerError::Interrupted`].
pub async fn unless_interrupted<T>(
    interrupt: &tokio_util::sync::CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    interrupt.run_until_cancelled(work).await.unwrap_or(Err(SequencerError::Interrupted))
}

#[cfg(test)]
mod tests {
    use alloy::providers::ProviderBuilder;

    use super::*;
    use crate::poll_loop::chain;

    #[tokio::test]
    async fn the_key_in_the_path_of_an_endpoint_is_told_nowhere() {
        let url = "http://127.0.0.1:1/v3/s3cret?token=s3cret".parse().expect("a URL");
        let client = L1Client::new(ProviderBuilder::default().connect_http(url).erased(), Duration::from_secs(60));
        let error = client.chain_id().await.expect_err("nobody listens");
        let told = format!("{} {error:?}", chain(&error));
        assert!(told.contains("error sending request") && !told.contains("s3cret"), "{told}");
    }
}
