//! What a node's answer to a broadcast means.
//!
//! Codes decide nothing: one node answers -32000 and another -32003 to nearly everything, so the text is matched, in lower
//! case, as part of the message or of the data. A text nobody knows is ambiguous: a nonce is freed on proof alone.

use alloy::primitives::B256;
use alloy::transports::{RpcError, TransportError};
use serde::{Deserialize, Serialize};

/// A definite refusal, by what is done about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum RefusalClass {
    /// The nonce was used: receipts decide by whom.
    NonceTooLow,
    /// A predecessor is missing in the node's pool.
    NonceTooHigh,
    /// A live transaction with this nonce bids too much to be replaced.
    ReplacementUnderpriced,
    /// The bid is below the node's own floor.
    Underpriced,
    /// The fee cap is below the block's base fee.
    FeeCapTooLow,
    /// The bid is above a cap of the node's operator.
    NodeFeeCap,
    /// A transaction of another type from this account is pooled.
    OtherTypePooled,
    /// The account has as many pooled transactions as it may.
    AccountLimit,
    /// The pool is full.
    PoolFull,
    /// The account cannot pay.
    InsufficientFunds,
    /// The sidecar is not what the chain's fork wants.
    Format,
    /// The transaction can never be valid.
    Shape,
}

impl RefusalClass {
    /// The word for it in figures.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NonceTooLow => "nonce_too_low",
            Self::NonceTooHigh => "nonce_too_high",
            Self::ReplacementUnderpriced => "replacement_underpriced",
            Self::Underpriced => "underpriced",
            Self::FeeCapTooLow => "fee_cap_too_low",
            Self::NodeFeeCap => "node_fee_cap",
            Self::OtherTypePooled => "other_type_pooled",
            Self::AccountLimit => "account_limit",
            Self::PoolFull => "pool_full",
            Self::InsufficientFunds => "insufficient_funds",
            Self::Format => "format",
            Self::Shape => "shape",
        }
    }

    /// True when the same request would be refused again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Format | Self::Shape)
    }
}

/// What came of one broadcast.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The node has it.
    Accepted,
    /// The node may have it.
    Ambiguous {
        /// Why nobody knows.
        why: String,
    },
    /// The node does not have it.
    Refused {
        /// What is done about it.
        class: RefusalClass,
        /// The node's own words.
        message: String,
    },
}

const ACCEPTED: &[&str] = &["already known", "alreadyknown", "known transaction", "transaction already imported"];

/// A proof that does not hold is refused in any version.
const BAD_PROOF: &str = "kzg verification error";

/// Longer texts before those they contain.
const REFUSALS: &[(&str, RefusalClass)] = &[
    ("replacement transaction underpriced", RefusalClass::ReplacementUnderpriced),
    ("replacementnotallowed", RefusalClass::ReplacementUnderpriced),
    ("nonce too low", RefusalClass::NonceTooLow),
    ("oldnonce", RefusalClass::NonceTooLow),
    ("nonce too high", RefusalClass::NonceTooHigh),
    ("gapped nonce", RefusalClass::NonceTooHigh),
    ("gapped-nonce tx", RefusalClass::NonceTooHigh),
    ("noncegap", RefusalClass::NonceTooHigh),
    ("max priority fee per gas higher than max fee per gas", RefusalClass::Shape),
    ("max fee per gas less than block base fee", RefusalClass::FeeCapTooLow),
    ("max fee per blob gas less than block blob gas fee", RefusalClass::FeeCapTooLow),
    ("is greater than tx-specified `max_fee_per_blob_gas`", RefusalClass::FeeCapTooLow),
    ("transaction underpriced", RefusalClass::Underpriced),
    ("transaction gas price below minimum", RefusalClass::Underpriced),
    ("priority fee below minimum", RefusalClass::Underpriced),
    ("exceeds the configured cap", RefusalClass::NodeFeeCap),
    ("address already reserved", RefusalClass::OtherTypePooled),
    ("authority already reserved", RefusalClass::OtherTypePooled),
    ("future transaction tries to replace pending", RefusalClass::OtherTypePooled),
    ("account limit exceeded", RefusalClass::AccountLimit),
    ("in-flight transaction limit reached", RefusalClass::AccountLimit),
    ("txpool is full", RefusalClass::PoolFull),
    ("insufficient funds", RefusalClass::InsufficientFunds),
    ("wrong sidecar format", RefusalClass::Format),
    ("unexpected sidecar version", RefusalClass::Format),
    ("legacy blob sidecar unsupported", RefusalClass::Format),
    (BAD_PROOF, RefusalClass::Format),
    ("blob sidecar conversion failed", RefusalClass::Format),
    ("unexpected eip-4844 sidecar after osaka", RefusalClass::Format),
    ("unexpected eip-7594 sidecar before osaka", RefusalClass::Format),
    ("intrinsic gas too low", RefusalClass::Shape),
    ("insufficient gas for floor data gas cost", RefusalClass::Shape),
    ("exceeds block gas limit", RefusalClass::Shape),
    ("gas limit is greater than the block gas limit", RefusalClass::Shape),
    ("gas limit too high", RefusalClass::Shape),
    ("exceeds max transaction gas limit", RefusalClass::Shape),
    ("oversized data", RefusalClass::Shape),
    ("transaction blob limit exceeded", RefusalClass::Shape),
    ("blob transaction of type create", RefusalClass::Shape),
    ("too many blobs", RefusalClass::Shape),
    ("blobless blob transaction", RefusalClass::Shape),
];

/// The verdict of a broadcast of the transaction with hash `sent`.
pub(crate) fn classify(answer: Result<B256, TransportError>, sent: B256) -> Verdict {
    match answer {
        Ok(hash) if hash == sent => Verdict::Accepted,
        Ok(hash) => Verdict::Ambiguous { why: format!("the node answered with another hash, {hash}") },
        Err(RpcError::ErrorResp(payload)) => {
            let data = payload.data.as_ref().map(|data| data.get()).unwrap_or_default();
            Verdict::of_text(&format!("{} {data}", payload.message))
        }
        Err(other) => Verdict::Ambiguous { why: other.to_string() },
    }
}

impl Verdict {
    /// The kind of refusal, if it is one.
    #[must_use]
    pub const fn class(&self) -> Option<RefusalClass> {
        match self {
            Self::Refused { class, .. } => Some(*class),
            Self::Accepted | Self::Ambiguous { .. } => None,
        }
    }

    /// True when the node may take the same transaction with a sidecar of the other version.
    pub(crate) fn wants_other_sidecar(&self) -> bool {
        match self {
            Self::Refused { class: RefusalClass::Format, message } => !message.to_lowercase().contains(BAD_PROOF),
            Self::Refused { .. } | Self::Accepted | Self::Ambiguous { .. } => false,
        }
    }

    /// What the text of an error answer says, its data included.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let lower = text.to_lowercase();
        let message = text.trim().to_owned();
        if ACCEPTED.iter().any(|known| lower.contains(known)) {
            return Self::Accepted;
        }
        match REFUSALS.iter().find(|(known, _)| lower.contains(known)) {
            Some((_, class)) => Self::Refused { class: *class, message },
            None => Self::Ambiguous { why: message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_of(text: &str) -> Option<RefusalClass> {
        match Verdict::of_text(text) {
            Verdict::Refused { class, .. } => Some(class),
            Verdict::Accepted | Verdict::Ambiguous { .. } => None,
        }
    }

    #[test]
    fn texts_of_real_nodes_are_classified() {
        let cases = [
            ("nonce too low: next nonce 5, tx nonce 3", RefusalClass::NonceTooLow),
            ("OldNonce", RefusalClass::NonceTooLow),
            ("Nonce too high", RefusalClass::NonceTooHigh),
            ("NonceGap, Future nonce", RefusalClass::NonceTooHigh),
            ("replacement transaction underpriced: new tx gas fee cap 1 < 2", RefusalClass::ReplacementUnderpriced),
            ("transaction underpriced: tip needed 1, tip permitted 0", RefusalClass::Underpriced),
            ("Insufficient funds for gas * price + value", RefusalClass::InsufficientFunds),
            ("insufficient gas for floor data gas cost: gas 1, minimum needed 2", RefusalClass::Shape),
            ("Block `blob_gas_price` is greater than tx-specified `max_fee_per_blob_gas`", RefusalClass::FeeCapTooLow),
            ("max fee per gas less than block base fee: address 0x1", RefusalClass::FeeCapTooLow),
            ("max priority fee per gas higher than max fee per gas", RefusalClass::Shape),
            ("tx fee (2.00 ether) exceeds the configured cap (1.00 ether)", RefusalClass::NodeFeeCap),
            ("address already reserved", RefusalClass::OtherTypePooled),
            ("account limit exceeded: pooled 16 txs", RefusalClass::AccountLimit),
            ("txpool is full", RefusalClass::PoolFull),
            ("unexpected eip-4844 sidecar after osaka", RefusalClass::Format),
            ("transaction gas limit too high (cap: 16777216, tx: 20000000)", RefusalClass::Shape),
            ("gas limit too high", RefusalClass::Shape),
            ("blobless blob transaction", RefusalClass::Shape),
        ];
        for (text, class) in cases {
            assert_eq!(class_of(text), Some(class), "{text}");
        }
    }

    #[test]
    fn a_sidecar_of_the_wrong_version_is_told_from_one_that_proves_nothing() {
        let wants = |text| Verdict::of_text(text).wants_other_sidecar();
        for text in [
            "unexpected eip-4844 sidecar after osaka",
            "unexpected eip-7594 sidecar before osaka",
            "unexpected sidecar version, want: 1, got: 0",
            "legacy blob sidecar unsupported",
            "Wrong sidecar format",
        ] {
            assert!(wants(text), "{text}");
        }
        for text in ["KZG verification error: invalid proof", "nonce too low", "already known", "the moon is full"] {
            assert!(!wants(text), "{text}");
        }
    }

    #[test]
    fn a_transaction_the_node_already_has_is_accepted() {
        for text in ["already known", "AlreadyKnown", "Known transaction", "transaction already imported"] {
            assert_eq!(Verdict::of_text(text), Verdict::Accepted, "{text}");
        }
    }

    #[test]
    fn an_unknown_text_another_hash_and_a_broken_connection_are_ambiguous() {
        assert!(matches!(Verdict::of_text("the moon is full"), Verdict::Ambiguous { .. }));
        let other = classify(Ok(B256::repeat_byte(1)), B256::repeat_byte(2));
        assert!(matches!(other, Verdict::Ambiguous { .. }));
        let broken = Err(alloy::transports::TransportErrorKind::custom_str("connection reset"));
        assert!(matches!(classify(broken, B256::ZERO), Verdict::Ambiguous { .. }));
    }

    #[test]
    fn only_what_can_never_be_valid_is_final() {
        let finals: Vec<_> = REFUSALS.iter().filter(|(_, class)| class.is_final()).map(|(_, class)| *class).collect();
        assert!(finals.iter().all(|class| matches!(class, RefusalClass::Format | RefusalClass::Shape)));
        assert!(!RefusalClass::InsufficientFunds.is_final() && !RefusalClass::NonceTooLow.is_final());
    }
}
