//! A validator's BLS key on BN254: one secret, a public key in each group, and a proof that they belong together.

use alloy::primitives::{B256, U256, keccak256};
use alloy::sol_types::SolValue;
use ark_bn254::{Fq, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::{BigInteger, PrimeField, Zero};
use fermata_rollup::contracts::{G1Point, G2Point};

use crate::{AnvilError, Result};

/// What separates these digests from others over the same curve: the contract's, padded to a word.
const DOMAIN: &[u8; 23] = b"AZTEC_BLS_POP_BN254_V1\0";

/// The secret of a validator's BLS key. Its debug form does not show it.
#[derive(Clone, Copy)]
pub struct BlsSecret(Fr);

impl std::fmt::Debug for BlsSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlsSecret(..)")
    }
}

impl BlsSecret {
    /// The secret that 32 bytes stand for: big-endian, reduced modulo the group order.
    ///
    /// # Errors
    /// [`AnvilError::BlsSecretZero`] where nothing is left.
    pub fn from_bytes(bytes: &B256) -> Result<Self> {
        let secret = Fr::from_be_bytes_mod_order(bytes.as_slice());
        if secret.is_zero() { Err(AnvilError::BlsSecretZero) } else { Ok(Self(secret)) }
    }

    /// The public key in the first group.
    #[must_use]
    pub fn public_key_g1(&self) -> G1Point {
        g1_point((G1Projective::generator() * self.0).into_affine())
    }

    /// The public key in the second group.
    #[must_use]
    pub fn public_key_g2(&self) -> G2Point {
        g2_point((G2Projective::generator() * self.0).into_affine())
    }

    /// The signature over the public key that shows that one has the secret.
    #[must_use]
    pub fn proof_of_possession(&self) -> G1Point {
        let digest = registration_point(&self.public_key_g1());
        g1_point((digest * self.0).into_affine())
    }
}

/// The point that a key's owner signs to register it, as the stake registry's `getRegistrationDigest` computes it.
#[must_use]
pub fn registration_digest(public_key: &G1Point) -> G1Point {
    g1_point(registration_point(public_key))
}

/// The public key, hashed to the curve: the first x of a row of hashes that lies on it, and of its two y the one that a
/// bit of another hash says.
fn registration_point(public_key: &G1Point) -> G1Affine {
    let message = (public_key.x, public_key.y).abi_encode_packed();
    let hash = |attempt: U256| keccak256((domain(), message.clone(), attempt).abi_encode_params());
    let mut attempt = U256::ZERO;
    loop {
        let on_curve = field(&hash(attempt)).and_then(|x| G1Affine::get_ys_from_x_unchecked(x).map(|ys| (x, ys)));
        if let Some((x, (smaller, larger))) = on_curve {
            let odd = hash(U256::MAX)[31] & 1 == 1;
            return G1Affine::new_unchecked(x, if odd { larger } else { smaller });
        }
        attempt += U256::ONE;
    }
}

fn domain() -> B256 {
    B256::right_padding_from(DOMAIN)
}

/// The field element a hash is, unless it is not below the modulus.
fn field(hash: &B256) -> Option<Fq> {
    let element = Fq::from_be_bytes_mod_order(hash.as_slice());
    (word(element) == U256::from_be_bytes(hash.0)).then_some(element)
}

fn word(element: Fq) -> U256 {
    U256::from_be_slice(&element.into_bigint().to_bytes_be())
}

fn g1_point(point: G1Affine) -> G1Point {
    let (x, y) = point.xy().expect("a non-zero scalar times a generator is not the point at infinity");
    G1Point { x: word(x), y: word(y) }
}

/// The contract's order: the real part first.
fn g2_point(point: G2Affine) -> G2Point {
    let (x, y) = point.xy().expect("a non-zero scalar times a generator is not the point at infinity");
    G2Point { x0: word(x.c0), x1: word(x.c1), y0: word(y.c0), y1: word(y.c1) }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::uint;
    use ark_bn254::Bn254;
    use ark_ec::pairing::Pairing;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_secret_one_has_the_generators_as_its_keys() {
        let one = BlsSecret::from_bytes(&B256::with_last_byte(1)).expect("a secret");
        assert_eq!((one.public_key_g1().x, one.public_key_g1().y), (U256::ONE, U256::from(2)));
        let real = uint!(10857046999023057135944570762232829481370756359578518086990519993285655852781_U256);
        assert_eq!(one.public_key_g2().x0, real);
    }

    #[test]
    fn a_secret_that_is_zero_modulo_the_order_is_refused() {
        let order = uint!(21888242871839275222246405745257275088548364400416034343698204186575808495617_U256);
        for zero in [U256::ZERO, order] {
            assert!(matches!(BlsSecret::from_bytes(&B256::from(zero)), Err(AnvilError::BlsSecretZero)));
        }
    }

    #[test]
    fn the_debug_form_does_not_show_the_secret() {
        let secret = BlsSecret::from_bytes(&B256::repeat_byte(7)).expect("a secret");
        assert_eq!(format!("{secret:?}"), "BlsSecret(..)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn the_proof_is_a_signature_of_the_public_key(bytes in any::<[u8; 32]>()) {
            let secret = BlsSecret::from_bytes(&B256::from(bytes)).expect("a secret");
            let digest = registration_point(&secret.public_key_g1());
            prop_assert!(digest.is_on_curve() && digest.is_in_correct_subgroup_assuming_on_curve());
            let proof = (digest * secret.0).into_affine();
            let public_key = (G2Projective::generator() * secret.0).into_affine();
            prop_assert_eq!(Bn254::pairing(proof, G2Affine::generator()), Bn254::pairing(digest, public_key));
            prop_assert_eq!(secret.proof_of_possession(), g1_point(proof));
        }
    }
}
