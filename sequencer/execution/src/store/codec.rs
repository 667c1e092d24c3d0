//! Reading records back: one that does not decode means a damaged store.

use alloy::primitives::B256;
use alloy::rlp::Decodable;

use crate::{ExecutionError, Result};

/// Decodes an RLP record of the table `what`.
pub(super) fn decode<T: Decodable>(bytes: &[u8], what: &str) -> Result<T> {
    let mut rest = bytes;
    let record = T::decode(&mut rest).map_err(|cause| unreadable(what, &cause.to_string()))?;
    if rest.is_empty() { Ok(record) } else { Err(unreadable(what, "bytes are left over")) }
}

/// Reads a 32-byte hash.
pub(super) fn hash(bytes: &[u8], what: &str) -> Result<B256> {
    B256::try_from(bytes).map_err(|_| unreadable(what, "not 32 bytes"))
}

pub(super) fn unreadable(what: &str, cause: &str) -> ExecutionError {
    ExecutionError::Missing(format!("a readable {what} ({cause})"))
}
