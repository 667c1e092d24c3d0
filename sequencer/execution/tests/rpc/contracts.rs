//! Two contracts, small enough to be written by hand.

use alloy::primitives::{B256, Bytes};

/// The topic of what [`recorder`] logs.
pub(crate) const TOPIC: B256 = B256::repeat_byte(0x2a);

/// Stores the first word of its calldata in slot 0, logs it under [`TOPIC`] and returns it.
pub(crate) fn recorder() -> Bytes {
    let mut code = vec![];
    code.extend([0x60, 0x00, 0x35]); // PUSH1 0, CALLDATALOAD
    code.extend([0x80, 0x60, 0x00, 0x55]); // DUP1, PUSH1 0, SSTORE
    code.extend([0x60, 0x00, 0x52]); // PUSH1 0, MSTORE
    code.push(0x7f); // PUSH32
    code.extend(TOPIC);
    code.extend([0x60, 0x20, 0x60, 0x00, 0xa1]); // PUSH1 32, PUSH1 0, LOG1
    code.extend([0x60, 0x20, 0x60, 0x00, 0xf3]); // PUSH1 32, PUSH1 0, RETURN
    code.into()
}

/// Reverts with `Error("closed today")`.
pub(crate) fn refuser() -> Bytes {
    let mut reason = vec![0x08, 0xc3, 0x79, 0xa0];
    reason.extend(B256::with_last_byte(32));
    reason.extend(B256::with_last_byte(12));
    reason.extend(b"closed today");
    reason.extend([0; 20]);
    let length = u8::try_from(reason.len()).expect("a short reason");
    // PUSH1 length, PUSH1 12, PUSH1 0, CODECOPY, PUSH1 length, PUSH1 0, REVERT
    let mut code = vec![0x60, length, 0x60, 12, 0x60, 0x00, 0x39, 0x60, length, 0x60, 0x00, 0xfd];
    code.extend(reason);
    code.into()
}

/// Creation code that deploys `runtime`.
pub(crate) fn creation(runtime: &Bytes) -> Bytes {
    let length = u8::try_from(runtime.len()).expect("a short contract");
    // PUSH1 length, DUP1, PUSH1 11, PUSH1 0, CODECOPY, PUSH1 0, RETURN
    let mut code = vec![0x60, length, 0x80, 0x60, 11, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3];
    code.extend_from_slice(runtime);
    code.into()
}
