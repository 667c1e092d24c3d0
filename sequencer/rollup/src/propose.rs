//! The `propose` call: made from its parts, and read back from an L1 transaction.

use alloy::primitives::{Address, B256, Bytes, I256, keccak256};
use alloy::sol_types::{SolCall, SolValue};

use crate::attestation::{CommitteeAttestations, payload_digest};
use crate::blobs::BlobCommitments;
use crate::contracts::{self, IMulticall3, IRollup};
use crate::error::{Result, RollupError};
use crate::header::CheckpointHeader;
use crate::signature::L1Signature;

/// All a `propose` says. The blobs themselves travel beside it, in the same transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Propose {
    /// The new archive: hash of the checkpoint's last block.
    pub archive: B256,
    /// The vote on the fee asset's price, in basis points; L1 takes at most 100 either way.
    pub fee_asset_price_modifier: I256,
    /// The header.
    pub header: CheckpointHeader,
    /// The committee's attestations as packed: kept as they are, since L1 stores their hash.
    pub attestations: contracts::CommitteeAttestations,
    /// Who signed them, in committee order.
    pub signers: Vec<Address>,
    /// The proposer's signature over attestations and signers; [`L1Signature::EMPTY`] without a committee.
    pub attestations_and_signers_signature: L1Signature,
    /// Commitments to the blobs.
    pub commitments: BlobCommitments,
}

impl Propose {
    /// What the committee attested.
    #[must_use]
    pub fn payload_digest(&self) -> B256 {
        payload_digest(self.archive, self.fee_asset_price_modifier, self.header.hash())
    }

    /// Hash of the attestations, as L1 stores it and the event names it.
    #[must_use]
    pub fn attestations_hash(&self) -> B256 {
        keccak256(self.attestations.abi_encode())
    }

    /// The attestations, unpacked for a committee of `size`.
    ///
    /// # Errors
    /// Those of [`CommitteeAttestations::unpack`].
    pub fn committee_attestations(&self, size: usize) -> Result<CommitteeAttestations> {
        CommitteeAttestations::unpack(&self.attestations, &self.signers, size)
    }

    /// The call as data for the rollup contract.
    #[must_use]
    pub fn calldata(&self) -> Bytes {
        let call = IRollup::proposeCall {
            _args: contracts::ProposeArgs {
                archive: self.archive,
                oracleInput: contracts::OracleInput { feeAssetPriceModifier: self.fee_asset_price_modifier },
                header: (&self.header).into(),
            },
            _attestations: self.attestations.clone(),
            _signers: self.signers.clone(),
            _attestationsAndSignersSignature: self.attestations_and_signers_signature.into(),
            _blobInput: self.commitments.to_input(),
        };
        call.abi_encode().into()
    }

    fn from_call(call: IRollup::proposeCall) -> Result<Self> {
        Ok(Self {
            archive: call._args.archive,
            fee_asset_price_modifier: call._args.oracleInput.feeAssetPriceModifier,
            header: (&call._args.header).try_into()?,
            attestations: call._attestations,
            signers: call._signers,
            attestations_and_signers_signature: call._attestationsAndSignersSignature.into(),
            commitments: BlobCommitments::from_input(&call._blobInput)?,
        })
    }
}

/// The one `propose` to `rollup` in a transaction's input: a call of the rollup itself, or one within Multicall3's
/// `aggregate3`.
///
/// # Errors
/// [`RollupError::NoPropose`] or [`RollupError::SeveralProposes`] where it is not one; else those of
/// [`decode_proposes`].
pub fn decode_propose(input: &[u8], rollup: Address) -> Result<Propose> {
    let mut proposes = decode_proposes(input, rollup)?;
    match proposes.len() {
        1 => Ok(proposes.remove(0)),
        0 => Err(RollupError::NoPropose),
        several => Err(RollupError::SeveralProposes(several)),
    }
}

/// Every `propose` to `rollup` in a transaction's input. Of several the event tells which one L1 took: by
/// [`Propose::payload_digest`] and [`Propose::attestations_hash`].
///
/// # Errors
/// [`RollupError::Calldata`], [`RollupError::HeaderOutOfRange`] or [`RollupError::Damaged`] where the arguments are not
/// what L1 can have accepted.
pub fn decode_proposes(input: &[u8], rollup: Address) -> Result<Vec<Propose>> {
    if !input.starts_with(&IMulticall3::aggregate3Call::SELECTOR) {
        return Ok(decode_direct(input)?.into_iter().collect());
    }
    let bundle = IMulticall3::aggregate3Call::abi_decode(input).map_err(RollupError::Calldata)?;
    let of_rollup = bundle.calls.iter().filter(|call| call.target == rollup);
    of_rollup.filter_map(|call| decode_direct(&call.callData).transpose()).collect()
}

/// The call, or `None` where it is of another function.
fn decode_direct(input: &[u8]) -> Result<Option<Propose>> {
    if !input.starts_with(&IRollup::proposeCall::SELECTOR) {
        return Ok(None);
    }
    let call = IRollup::proposeCall::abi_decode(input).map_err(RollupError::Calldata)?;
    Propose::from_call(call).map(Some)
}

#[cfg(test)]
mod tests {
    use alloy::eips::eip4844::Bytes48;
    use alloy::primitives::U256;
    use proptest::prelude::*;

    use super::*;
    use crate::attestation::tests::any_attestations;
    use crate::header::tests::any_header;

    const ROLLUP: Address = Address::repeat_byte(0x11);

    fn any_propose() -> impl Strategy<Value = Propose> {
        let blobs = proptest::collection::vec(any::<u8>(), 1..7);
        (any::<[u8; 32]>(), -100_i64..=100, any_header(), any_attestations(), blobs, any::<u8>()).prop_map(
            |(archive, vote, header, attestations, blobs, v)| Propose {
                archive: archive.into(),
                fee_asset_price_modifier: I256::try_from(vote).expect("fits"),
                header,
                attestations: attestations.pack(),
                signers: attestations.signers(),
                attestations_and_signers_signature: L1Signature { v, r: archive.into(), s: B256::repeat_byte(v) },
                commitments: BlobCommitments::new(blobs.into_iter().map(Bytes48::repeat_byte).collect()),
            },
        )
    }

    fn a_propose() -> Propose {
        Propose {
            archive: B256::repeat_byte(1),
            fee_asset_price_modifier: I256::ZERO,
            header: CheckpointHeader::default(),
            attestations: contracts::CommitteeAttestations::default(),
            signers: Vec::new(),
            attestations_and_signers_signature: L1Signature::EMPTY,
            commitments: BlobCommitments::new(vec![Bytes48::repeat_byte(0xc0)]),
        }
    }

    fn bundle(calls: &[(Address, Bytes)]) -> Vec<u8> {
        let calls = calls.iter().map(|(target, data)| contracts::Call3 {
            target: *target,
            allowFailure: true,
            callData: data.clone(),
        });
        IMulticall3::aggregate3Call { calls: calls.collect() }.abi_encode()
    }

    #[test]
    fn a_propose_to_another_rollup_is_not_ours() {
        let other = (Address::repeat_byte(0x22), a_propose().calldata());
        assert!(matches!(decode_propose(&bundle(&[other]), ROLLUP), Err(RollupError::NoPropose)));
        let prune: Bytes = IRollup::pruneCall {}.abi_encode().into();
        assert!(matches!(decode_propose(&bundle(&[(ROLLUP, prune.clone())]), ROLLUP), Err(RollupError::NoPropose)));
        assert!(matches!(decode_propose(&prune, ROLLUP), Err(RollupError::NoPropose)));
        assert!(matches!(decode_propose(&[], ROLLUP), Err(RollupError::NoPropose)));
    }

    #[test]
    fn of_two_proposes_none_is_picked_by_chance() {
        let (one, mut two) = (a_propose(), a_propose());
        two.archive = B256::repeat_byte(2);
        let input = bundle(&[(ROLLUP, one.calldata()), (ROLLUP, two.calldata())]);
        assert!(matches!(decode_propose(&input, ROLLUP), Err(RollupError::SeveralProposes(2))));
        assert_eq!(decode_proposes(&input, ROLLUP).expect("decodes"), [one, two]);
    }

    #[test]
    fn arguments_that_l1_cannot_have_accepted_are_refused_each_by_name() {
        let calldata = a_propose().calldata();
        assert!(matches!(decode_propose(&calldata[..200], ROLLUP), Err(RollupError::Calldata(_))));
        assert!(matches!(
            decode_propose(&bundle(&[(ROLLUP, calldata.slice(..99))]), ROLLUP),
            Err(RollupError::Calldata(_))
        ));
        let mut call = IRollup::proposeCall::abi_decode(&calldata).expect("own encoding");
        call._blobInput = vec![2; 49].into();
        assert!(matches!(decode_propose(&call.abi_encode(), ROLLUP), Err(RollupError::Damaged { .. })));
        call._args.header.slotNumber = U256::MAX;
        assert!(matches!(decode_propose(&call.abi_encode(), ROLLUP), Err(RollupError::HeaderOutOfRange("slot"))));
    }

    #[test]
    fn without_blobs_there_is_no_proposal() {
        let mut propose = a_propose();
        propose.commitments = BlobCommitments::default();
        assert!(matches!(decode_propose(&propose.calldata(), ROLLUP), Err(RollupError::Damaged { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_propose_round_trips_alone_and_within_a_bundle(propose in any_propose(), size in 0_usize..3) {
            let calldata = propose.calldata();
            prop_assert_eq!(decode_propose(&calldata, ROLLUP).expect("own encoding"), propose.clone());
            let mut calls = vec![(Address::repeat_byte(9), Bytes::from(vec![7; size])); size];
            calls.insert(size / 2, (ROLLUP, calldata));
            prop_assert_eq!(decode_propose(&bundle(&calls), ROLLUP).expect("own encoding"), propose);
        }
    }
}
