//! What the committee signs, and how its signatures are packed for L1.

use alloy::primitives::{Address, B256, I256, U256, eip191_hash_message, keccak256};
use alloy::sol_types::SolValue;

use crate::contracts;
use crate::error::{DamagedAttestations, Result, RollupError};
use crate::signature::L1Signature;

/// Domain of an attestation, so that its digest is of nothing else.
const CHECKPOINT_ATTESTATION: u8 = 1;
/// Domain of the proposer's signature over everybody's attestations.
const ATTESTATIONS_AND_SIGNERS: u8 = 2;

const ADDRESS_BYTES: usize = 20;

/// What a committee member attests: the new archive, the vote on the fee asset's price (basis points) and the header.
/// It is signed as an Ethereum message ([`signing_hash`]).
#[must_use]
pub fn payload_digest(archive: B256, fee_asset_price_modifier: I256, header_hash: B256) -> B256 {
    let domain = U256::from(CHECKPOINT_ATTESTATION);
    keccak256((domain, archive, fee_asset_price_modifier, header_hash).abi_encode_params())
}

/// What the proposer signs over the packed attestations and their signers, so that bad ones can be laid at its door.
/// It is signed as an Ethereum message ([`signing_hash`]).
#[must_use]
pub fn attestations_and_signers_digest(packed: &contracts::CommitteeAttestations, signers: &[Address]) -> B256 {
    let domain = U256::from(ATTESTATIONS_AND_SIGNERS);
    keccak256((domain, packed.clone(), signers.to_vec()).abi_encode_params())
}

/// The hash a key signs for a digest: EIP-191, version 0x45.
#[must_use]
pub fn signing_hash(digest: B256) -> B256 {
    eip191_hash_message(digest)
}

/// One seat of the committee: its holder, and its signature where it attested.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MemberAttestation {
    /// The member; of attestations read from L1, the one the proposer claims.
    pub member: Address,
    /// Its signature over the payload digest, not verified.
    pub signature: Option<L1Signature>,
}

/// The committee's attestations of one checkpoint, in committee order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommitteeAttestations {
    seats: Vec<MemberAttestation>,
}

impl CommitteeAttestations {
    /// Attestations of this committee, of which nobody has signed yet.
    #[must_use]
    pub fn unsigned(committee: &[Address]) -> Self {
        let seats = committee.iter().map(|&member| MemberAttestation { member, signature: None }).collect();
        Self { seats }
    }

    /// Adds a member's signature; a second one of the same member takes the first one's place. The signature is taken
    /// as it is: verify it first where it came from elsewhere.
    ///
    /// # Errors
    /// [`RollupError::NotInCommittee`] where the signer has no seat; nothing was added.
    pub fn add(&mut self, signer: Address, signature: impl Into<L1Signature>) -> Result<()> {
        let seat = self.seats.iter_mut().find(|seat| seat.member == signer);
        seat.ok_or(RollupError::NotInCommittee(signer))?.signature = Some(signature.into());
        Ok(())
    }

    /// The seats in committee order.
    #[must_use]
    pub fn seats(&self) -> &[MemberAttestation] {
        &self.seats
    }

    /// The committee.
    #[must_use]
    pub fn members(&self) -> Vec<Address> {
        self.seats.iter().map(|seat| seat.member).collect()
    }

    /// Who has signed, in committee order, as `propose` takes them.
    #[must_use]
    pub fn signers(&self) -> Vec<Address> {
        self.seats.iter().filter(|seat| seat.signature.is_some()).map(|seat| seat.member).collect()
    }

    /// How many have signed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seats.iter().filter(|seat| seat.signature.is_some()).count()
    }

    /// The same attestations without the signature of the seat at `index`.
    #[must_use]
    pub fn without(mut self, index: usize) -> Self {
        if let Some(seat) = self.seats.get_mut(index) {
            seat.signature = None;
        }
        self
    }

    /// The seats whose signature is not their member's over `payload_digest`: what L1 lets anyone invalidate.
    #[must_use]
    pub fn bad_seats(&self, payload_digest: B256) -> Vec<usize> {
        let is_bad = |seat: &MemberAttestation| {
            seat.signature.is_some_and(|signature| signature.signer(payload_digest) != Some(seat.member))
        };
        self.seats.iter().enumerate().filter(|(_, seat)| is_bad(seat)).map(|(index, _)| index).collect()
    }

    /// The attestations as `propose` takes them.
    #[must_use]
    pub fn pack(&self) -> contracts::CommitteeAttestations {
        let mut bitmap = vec![0_u8; self.seats.len().div_ceil(8)];
        let mut data = Vec::with_capacity(self.seats.len() * L1Signature::BYTES);
        for (index, seat) in self.seats.iter().enumerate() {
            match seat.signature {
                Some(signature) => {
                    bitmap[index / 8] |= bit(index);
                    data.extend_from_slice(&signature.to_bytes());
                }
                None => data.extend_from_slice(seat.member.as_slice()),
            }
        }
        contracts::CommitteeAttestations { signatureIndices: bitmap.into(), signaturesOrAddresses: data.into() }
    }

    /// Reads packed attestations of a committee of `size`, with the signers that were named beside them. As on L1, bits
    /// after the last member mean nothing, and no signature is verified: see [`Self::bad_seats`].
    ///
    /// # Errors
    /// [`RollupError::Attestations`] where the sizes do not agree; the contract refuses such attestations too.
    pub fn unpack(packed: &contracts::CommitteeAttestations, signers: &[Address], size: usize) -> Result<Self> {
        let bitmap = &packed.signatureIndices;
        check_bitmap_size(bitmap.len(), size)?;
        let signed: Vec<bool> = (0..size).map(|index| bitmap[index / 8] & bit(index) != 0).collect();
        check_sizes(packed.signaturesOrAddresses.len(), signers.len(), &signed)?;
        let mut data = packed.signaturesOrAddresses.as_ref();
        let mut signers = signers.iter().copied();
        let read = |&is_signed: &bool| {
            if is_signed { read_signed(&mut data, &mut signers) } else { read_absent(&mut data) }
        };
        let seats = signed.iter().map(read).collect();
        Ok(Self { seats })
    }
}

/// The bit of the seat at `index` in its byte of the bitmap.
const fn bit(index: usize) -> u8 {
    0x80 >> (index % 8)
}

fn check_bitmap_size(got: usize, size: usize) -> Result<(), DamagedAttestations> {
    let expected = size.div_ceil(8);
    if got == expected { Ok(()) } else { Err(DamagedAttestations::BitmapSize { expected, got }) }
}

fn check_sizes(data: usize, signers: usize, signed: &[bool]) -> Result<(), DamagedAttestations> {
    let signatures = signed.iter().filter(|&&is_signed| is_signed).count();
    let expected = signatures * L1Signature::BYTES + (signed.len() - signatures) * ADDRESS_BYTES;
    if data != expected {
        return Err(DamagedAttestations::DataSize { expected, got: data });
    }
    if signers != signatures {
        return Err(DamagedAttestations::SignersSize { expected: signatures, got: signers });
    }
    Ok(())
}

/// Takes a seat that signed off the front of `data`, whose length has been checked.
fn read_signed(data: &mut &[u8], signers: &mut impl Iterator<Item = Address>) -> MemberAttestation {
    let (bytes, rest) = data.split_first_chunk().expect("the sizes were checked");
    *data = rest;
    let member = signers.next().expect("the sizes were checked");
    MemberAttestation { member, signature: Some(L1Signature::from_bytes(bytes)) }
}

/// Takes a seat that did not sign off the front of `data`, whose length has been checked.
fn read_absent(data: &mut &[u8]) -> MemberAttestation {
    let (bytes, rest) = data.split_first_chunk::<ADDRESS_BYTES>().expect("the sizes were checked");
    *data = rest;
    MemberAttestation { member: Address::from(bytes), signature: None }
}

#[cfg(test)]
pub(crate) mod tests {
    use alloy::primitives::hex;
    use alloy::signers::SignerSync;
    use alloy::signers::local::PrivateKeySigner;
    use proptest::prelude::*;

    use super::*;

    /// Attestations of any committee, signed by any of its members with any bytes.
    pub(crate) fn any_attestations() -> impl Strategy<Value = CommitteeAttestations> {
        let signature = (any::<u8>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(v, r, s)| L1Signature {
            v,
            r: r.into(),
            s: s.into(),
        });
        let seat = (any::<[u8; 20]>(), proptest::option::of(signature))
            .prop_map(|(member, signature)| MemberAttestation { member: member.into(), signature });
        proptest::collection::vec(seat, 0..50).prop_map(|seats| CommitteeAttestations { seats })
    }

    fn keys(count: u8) -> Vec<PrivateKeySigner> {
        (1..=count).map(|n| PrivateKeySigner::from_bytes(&B256::repeat_byte(n)).expect("a valid key")).collect()
    }

    fn attested(keys: &[PrivateKeySigner], digest: B256) -> CommitteeAttestations {
        let members: Vec<_> = keys.iter().map(PrivateKeySigner::address).collect();
        let mut attestations = CommitteeAttestations::unsigned(&members);
        for key in keys {
            let signature = key.sign_hash_sync(&signing_hash(digest)).expect("signs");
            attestations.add(key.address(), signature).expect("a member");
        }
        attestations
    }

    #[test]
    fn the_first_member_is_the_most_significant_bit_and_an_absent_one_is_its_address() {
        let digest = B256::repeat_byte(3);
        let keys = keys(10);
        let packed = attested(&keys, digest).without(1).without(8).pack();
        assert_eq!(packed.signatureIndices.as_ref(), hex!("bf40"));
        assert_eq!(packed.signaturesOrAddresses.len(), 8 * 65 + 2 * 20);
        assert_eq!(&packed.signaturesOrAddresses[65..85], keys[1].address().as_slice());
        assert!(matches!(packed.signaturesOrAddresses[0], 27 | 28));
    }

    #[test]
    fn a_stranger_cannot_attest() {
        let mut attestations = attested(&keys(4), B256::ZERO);
        let before = attestations.clone();
        let stranger = Address::repeat_byte(0xaa);
        let refused = attestations.add(stranger, alloy::primitives::Signature::test_signature());
        assert!(matches!(refused, Err(RollupError::NotInCommittee(address)) if address == stranger));
        assert_eq!(attestations, before);
    }

    #[test]
    fn a_signature_over_another_digest_is_a_bad_seat() {
        let digest = B256::repeat_byte(3);
        let keys = keys(4);
        let mut attestations = attested(&keys, digest).without(0);
        assert_eq!(attestations.bad_seats(digest), Vec::<usize>::new());
        let wrong = keys[2].sign_hash_sync(&signing_hash(B256::repeat_byte(4))).expect("signs");
        attestations.add(keys[2].address(), wrong).expect("a member");
        assert_eq!(attestations.bad_seats(digest), [2]);
        assert_eq!((attestations.count(), attestations.signers().len()), (3, 3));
    }

    #[test]
    fn sizes_that_do_not_agree_are_refused_each_by_name() {
        let attestations = attested(&keys(4), B256::ZERO).without(3);
        let (packed, signers) = (attestations.pack(), attestations.signers());
        let refusal =
            |packed: &contracts::CommitteeAttestations, signers: &[Address], size| match CommitteeAttestations::unpack(
                packed, signers, size,
            ) {
                Err(RollupError::Attestations(fault)) => fault,
                other => panic!("not refused: {other:?}"),
            };
        let bitmap = DamagedAttestations::BitmapSize { expected: 2, got: 1 };
        assert_eq!(refusal(&packed, &signers, 9), bitmap);
        let mut short = packed.clone();
        short.signaturesOrAddresses = packed.signaturesOrAddresses.slice(1..);
        assert_eq!(refusal(&short, &signers, 4), DamagedAttestations::DataSize { expected: 215, got: 214 });
        let fewer = DamagedAttestations::SignersSize { expected: 3, got: 2 };
        assert_eq!(refusal(&packed, &signers[1..], 4), fewer);
    }

    #[test]
    fn bits_after_the_last_member_mean_nothing() {
        let attestations = attested(&keys(4), B256::ZERO).without(3);
        let mut packed = attestations.pack();
        packed.signatureIndices = vec![0b1110_1111].into();
        let unpacked = CommitteeAttestations::unpack(&packed, &attestations.signers(), 4).expect("L1 takes it");
        assert_eq!(unpacked, attestations);
    }

    proptest! {
        #[test]
        fn packing_round_trips(attestations in any_attestations()) {
            let (packed, signers) = (attestations.pack(), attestations.signers());
            let unpacked = CommitteeAttestations::unpack(&packed, &signers, attestations.seats().len());
            prop_assert_eq!(unpacked.expect("own packing"), attestations);
        }

        #[test]
        fn any_bytes_are_unpacked_or_refused(
            bitmap in proptest::collection::vec(any::<u8>(), 0..4),
            data in proptest::collection::vec(any::<u8>(), 0..400),
            signers in 0_usize..5, size in 0_usize..20,
        ) {
            let packed = contracts::CommitteeAttestations {
                signatureIndices: bitmap.into(),
                signaturesOrAddresses: data.into(),
            };
            let signers = vec![Address::ZERO; signers];
            if let Ok(unpacked) = CommitteeAttestations::unpack(&packed, &signers, size) {
                prop_assert_eq!(unpacked.seats().len(), size);
                prop_assert_eq!(unpacked.pack().signaturesOrAddresses, packed.signaturesOrAddresses);
            }
        }

        #[test]
        fn the_payload_digest_changes_with_each_field(archive: [u8; 32], modifier: i64, header: [u8; 32]) {
            let (archive, header) = (B256::from(archive), B256::from(header));
            let vote = I256::try_from(modifier).expect("fits");
            let digest = payload_digest(archive, vote, header);
            prop_assert_ne!(digest, payload_digest(keccak256(archive), vote, header));
            prop_assert_ne!(digest, payload_digest(archive, vote + I256::ONE, header));
            prop_assert_ne!(digest, payload_digest(archive, vote, keccak256(header)));
        }

        #[test]
        fn the_proposers_digest_changes_with_attestations_and_signers(attestations in any_attestations()) {
            let (packed, mut signers) = (attestations.pack(), attestations.signers());
            let digest = attestations_and_signers_digest(&packed, &signers);
            let mut other = packed.clone();
            other.signaturesOrAddresses = [packed.signaturesOrAddresses.as_ref(), &[0]].concat().into();
            prop_assert_ne!(digest, attestations_and_signers_digest(&other, &signers));
            signers.push(Address::ZERO);
            prop_assert_ne!(digest, attestations_and_signers_digest(&packed, &signers));
        }
    }
}
