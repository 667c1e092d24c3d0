//! Signatures as the L1 contract takes them.

use alloy::primitives::{Address, B256, Signature, U256};

use serde::{Deserialize, Serialize};

use crate::contracts;
use crate::signing_hash;

/// Half the order of secp256k1's group: a signature with a greater `s` has a twin, and the contract refuses it.
const HALF_ORDER: U256 =
    alloy::primitives::uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// A signature as it lies in calldata: any 65 bytes, so that a bad one can be read, judged and invalidated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct L1Signature {
    /// Recovery id: 27 or 28 in a valid signature.
    pub v: u8,
    /// The first scalar, big-endian.
    pub r: B256,
    /// The second scalar, big-endian.
    pub s: B256,
}

impl L1Signature {
    /// Bytes of a packed signature.
    pub const BYTES: usize = 65;

    /// The signature of nobody: what `propose` takes where there is no committee.
    pub const EMPTY: Self = Self { v: 0, r: B256::ZERO, s: B256::ZERO };

    /// The signature, if it is one the contract recovers from: `None` for a recovery id other than 27 and 28, or a high
    /// `s`.
    #[must_use]
    pub fn recoverable(&self) -> Option<Signature> {
        let odd = match self.v {
            27 => false,
            28 => true,
            _ => return None,
        };
        let (r, s) = (U256::from_be_bytes(self.r.0), U256::from_be_bytes(self.s.0));
        if s > HALF_ORDER {
            return None;
        }
        Some(Signature::new(r, s, odd))
    }

    /// Who signed `digest` as an Ethereum message; `None` where the contract recovers nobody, because the signature is not
    /// [`recoverable`](Self::recoverable) or no point on the curve.
    #[must_use]
    pub fn signer(&self, digest: B256) -> Option<Address> {
        self.recoverable()?.recover_address_from_prehash(&signing_hash(digest)).ok()
    }

    /// `v || r || s`.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = self.v;
        bytes[1..33].copy_from_slice(self.r.as_slice());
        bytes[33..].copy_from_slice(self.s.as_slice());
        bytes
    }

    /// Reads `v || r || s`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        Self { v: bytes[0], r: B256::from_slice(&bytes[1..33]), s: B256::from_slice(&bytes[33..]) }
    }
}

impl From<Signature> for L1Signature {
    fn from(signature: Signature) -> Self {
        let normal = signature.normalized_s();
        Self { v: 27 + u8::from(normal.v()), r: normal.r().into(), s: normal.s().into() }
    }
}

impl From<L1Signature> for contracts::Signature {
    fn from(signature: L1Signature) -> Self {
        Self { v: signature.v, r: signature.r, s: signature.s }
    }
}

impl From<contracts::Signature> for L1Signature {
    fn from(signature: contracts::Signature) -> Self {
        Self { v: signature.v, r: signature.r, s: signature.s }
    }
}

#[cfg(test)]
mod tests {
    use alloy::signers::SignerSync;
    use alloy::signers::local::PrivateKeySigner;
    use proptest::prelude::*;

    use super::*;

    fn signed(digest: B256) -> (Address, L1Signature) {
        let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(0x17)).expect("a valid key");
        (key.address(), key.sign_hash_sync(&signing_hash(digest)).expect("signs").into())
    }

    #[test]
    fn the_signer_is_recovered_from_the_digest_it_signed_and_from_no_other() {
        let digest = B256::repeat_byte(1);
        let (address, signature) = signed(digest);
        assert_eq!(signature.signer(digest), Some(address));
        assert_ne!(signature.signer(B256::repeat_byte(2)), Some(address));
    }

    #[test]
    fn a_high_s_and_an_odd_recovery_id_have_no_signer_as_on_l1() {
        let digest = B256::repeat_byte(1);
        let (_, good) = signed(digest);
        let order = HALF_ORDER * U256::from(2) + U256::from(1);
        let twin = L1Signature { v: 55 - good.v, s: (order - U256::from_be_bytes(good.s.0)).into(), ..good };
        assert_eq!(twin.signer(digest), None);
        for v in [0, 1, 26, 29, 255] {
            assert_eq!(L1Signature { v, ..good }.signer(digest), None);
        }
        assert_eq!(L1Signature::EMPTY.signer(digest), None);
    }

    proptest! {
        #[test]
        fn any_65_bytes_round_trip(v: u8, r: [u8; 32], s: [u8; 32]) {
            let signature = L1Signature { v, r: r.into(), s: s.into() };
            prop_assert_eq!(L1Signature::from_bytes(&signature.to_bytes()), signature);
            prop_assert_eq!(L1Signature::from(contracts::Signature::from(signature)), signature);
            let _ = signature.signer(B256::ZERO);
        }
    }
}
