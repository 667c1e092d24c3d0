//! Who signed a transaction. This is what bounds how many transactions a second can be taken in, so it is done by
//! libsecp256k1.

use alloy::consensus::TxEnvelope;
use alloy::primitives::{Address, Signature};
use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};

/// The address whose key signed the transaction; `None` where no key did, or where the signature has the high `s` that
/// EIP-2 forbids.
pub(crate) fn sender_of(envelope: &TxEnvelope) -> Option<Address> {
    let signature = envelope.signature();
    if signature.normalize_s().is_some() {
        return None;
    }
    let key = recoverable(signature)?.recover(Message::from_digest(envelope.signature_hash().0)).ok()?;
    // The first byte only says that the point is not compressed.
    Some(Address::from_raw_public_key(&key.serialize_uncompressed()[1..]))
}

fn recoverable(signature: &Signature) -> Option<RecoverableSignature> {
    let parity = if signature.v() { RecoveryId::One } else { RecoveryId::Zero };
    RecoverableSignature::from_compact(&signature.as_rsy()[..64], parity).ok()
}

#[cfg(test)]
mod tests {
    use alloy::consensus::transaction::SignerRecoverable;
    use alloy::consensus::{SignableTransaction, TxEip1559};
    use alloy::primitives::{B256, U256};
    use alloy::signers::SignerSync;
    use alloy::signers::local::PrivateKeySigner;
    use proptest::prelude::*;

    use super::*;

    fn signed(nonce: u64, signature: Signature) -> TxEnvelope {
        TxEip1559 { nonce, ..TxEip1559::default() }.into_signed(signature).into()
    }

    /// Half the order of the curve.
    fn half_order() -> U256 {
        U256::from_be_bytes(secp256k1::constants::CURVE_ORDER) >> 1
    }

    proptest! {
        #[test]
        fn the_signer_is_found(key in 1u64.., nonce: u64) {
            let signer = PrivateKeySigner::from_bytes(&B256::from(U256::from(key))).expect("a valid key");
            let tx = TxEip1559 { nonce, ..TxEip1559::default() };
            let signature = signer.sign_hash_sync(&tx.signature_hash()).expect("a local key signs");
            prop_assert_eq!(sender_of(&signed(nonce, signature)), Some(signer.address()));
        }

        #[test]
        fn any_signature_is_judged_as_the_other_implementation_judges_it(r: [u8; 32], s: [u8; 32], v: bool, near: i8) {
            let near_half = half_order().wrapping_add(U256::from(near.unsigned_abs()));
            for s in [U256::from_be_bytes(s), U256::from_be_bytes(s) >> 1, near_half, U256::ZERO] {
                let envelope = signed(0, Signature::new(U256::from_be_bytes(r), s, v));
                prop_assert_eq!(sender_of(&envelope), envelope.recover_signer().ok());
            }
        }
    }
}
