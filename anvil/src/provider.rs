//! Speaking to an L1.

use alloy::network::TransactionBuilder;
use alloy::primitives::Address;
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::SolCall;

use crate::{AnvilError, Result};

/// A provider for the L1 at `url`, without fillers: nothing is sent until something is asked.
///
/// # Errors
/// [`AnvilError::BadUrl`] when `url` is no URL over http or https.
pub fn connect(url: &str) -> Result<DynProvider> {
    let bad = |problem: String| AnvilError::BadUrl { url: url.to_owned(), problem };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(bad("it does not begin with http:// or https://".to_owned()));
    }
    let parsed = url.parse().map_err(|error| bad(format!("{error}")))?;
    Ok(ProviderBuilder::default().connect_http(parsed).erased())
}

/// Hands a signed transaction to the L1, without waiting for a block; `action` is what it is to do.
pub(crate) async fn send_raw(provider: &DynProvider, raw: &[u8], action: &'static str) -> Result<()> {
    provider.send_raw_transaction(raw).await.map(drop).map_err(AnvilError::rpc(action))
}

/// Asks the contract at `address`, at the head.
///
/// # Errors
/// [`AnvilError::NoSuchContract`] when the answer is none of this call's.
pub(crate) async fn ask<C: SolCall>(provider: &DynProvider, address: Address, call: C) -> Result<C::Return> {
    let request = TransactionRequest::default().with_to(address).with_input(call.abi_encode());
    let answer = provider.call(request).await.map_err(AnvilError::rpc(C::SIGNATURE))?;
    C::abi_decode_returns(&answer).map_err(|_| AnvilError::NoSuchContract { address, call: C::SIGNATURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_no_url_is_refused() {
        for url in ["", "127.0.0.1:8545", "ws://127.0.0.1:8545", "http://"] {
            assert!(matches!(connect(url), Err(AnvilError::BadUrl { .. })), "{url}");
        }
    }
}
