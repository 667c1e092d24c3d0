//! The custom errors a caller of the L1 contracts meets, so that a revert has a name.
#![allow(missing_docs, reason = "the names are the contract's; sol! gives its generated items no place for more")]

use alloy::sol_types::{ContractError, SolInterface};

alloy::sol! {
    #![sol(all_derives)]

    /// Errors of the rollup, its libraries and the contracts beside it.
    interface L1Errors {
        error Rollup__InvalidArchive(bytes32 expected, bytes32 actual);
        error Rollup__InvalidInHash(bytes32 expected, bytes32 actual);
        error Rollup__InvalidTimestamp(uint256 expected, uint256 actual);
        error Rollup__TimestampInFuture(uint256 max, uint256 actual);
        error Rollup__SlotAlreadyInChain(uint256 lastSlot, uint256 proposedSlot);
        error Rollup__InvalidBlobHash(bytes32 expected, bytes32 actual);
        error Rollup__InvalidBlobProof(bytes32 blobHash);
        error Rollup__InvalidProof();
        error Rollup__InvalidOutHash(bytes32 expected, bytes32 actual);
        error Rollup__InvalidPreviousArchive(bytes32 expected, bytes32 actual);
        error Rollup__InvalidCheckpointNumber(uint256 expected, uint256 actual);
        error Rollup__InvalidFirstEpochProof();
        error Rollup__PastDeadline(uint256 deadline, uint256 currentEpoch);
        error Rollup__ProverHaveAlreadySubmitted(address prover, uint256 epoch);
        error Rollup__StartAndEndNotSameEpoch(uint256 start, uint256 end);
        error Rollup__StartIsNotBuildingOnProven();
        error Rollup__StartIsNotFirstCheckpointOfEpoch();
        error Rollup__TooManyCheckpointsInEpoch(uint256 expected, uint256 actual);
        error Rollup__NoBlobsInCheckpoint();
        error Rollup__UnavailableTxs(bytes32 txsHash);
        error Rollup__NonZeroDaFee();
        error Rollup__InvalidManaMinFee(uint256 expected, uint256 actual);
        error Rollup__ManaLimitExceeded();
        error Rollup__InvalidCoinbase();
        error Rollup__NothingToPrune();
        error Rollup__InvalidAttestations();
        error Rollup__AttestationsAreValid();
        error Rollup__InvalidAttestationIndex();
        error Rollup__CheckpointAlreadyProven();
        error Rollup__CheckpointNotInPendingChain();
        error Rollup__CannotInvalidateEscapeHatch();
        error Rollup__InvalidEscapeHatchProposer(address expected, address actual);
        error Rollup__UnavailableTempCheckpointLog(
            uint256 checkpointNumber, uint256 pendingCheckpointNumber, uint256 upperLimit
        );
        error HeaderLib__InvalidSlotNumber(uint256 expected, uint256 actual);
        error SampleLib__SampleLargerThanIndex(uint256 sample, uint256 index);
        error ValidatorSelection__EpochNotSetup();
        error ValidatorSelection__InvalidProposer(address expected, address actual);
        error ValidatorSelection__MissingProposerSignature(address proposer, uint256 index);
        error ValidatorSelection__InsufficientAttestations(uint256 minimumNeeded, uint256 provided);
        error ValidatorSelection__InvalidCommitteeCommitment(bytes32 reconstructed, bytes32 expected);
        error ValidatorSelection__InsufficientValidatorSetSize(uint256 actual, uint256 expected);
        error ValidatorSelection__EpochNotStable(uint256 queriedEpoch, uint32 currentTimestamp);
        error SignatureLib__InvalidSignature(address expected, address recovered);
        error AttestationLib__InvalidDataSize(uint256 expected, uint256 actual);
        error AttestationLib__SignatureIndicesSizeMismatch(uint256 expected, uint256 actual);
        error AttestationLib__SignaturesOrAddressesSizeMismatch(uint256 expected, uint256 actual);
        error AttestationLib__SignersSizeMismatch(uint256 expected, uint256 actual);
        error AttestationLib__NotASignatureAtIndex(uint256 index);
        error AttestationLib__NotAnAddressAtIndex(uint256 index);
        error EmpireBase__SignalAlreadyCastForSlot(uint256 slot);
        error EmpireBase__OnlyProposerCanSignal(address caller, address proposer);
        error EmpireBase__InstanceHaveNoCode(address instance);
        error TallySlashingProposer__VotingNotOpen(uint256 currentRound);
        error TallySlashingProposer__VoteAlreadyCastInCurrentSlot(uint256 slot);
        error TallySlashingProposer__InvalidSignature();
        error TallySlashingProposer__InvalidVoteLength(uint256 expected, uint256 actual);
        error TallySlashingProposer__InvalidCommitteeCommitment();
        error TallySlashingProposer__InvalidNumberOfCommittees(uint256 expected, uint256 actual);
        error TallySlashingProposer__RoundAlreadyExecuted(uint256 round);
        error TallySlashingProposer__RoundNotComplete(uint256 round);
        error TallySlashingProposer__RoundOutOfRange(uint256 round, uint256 currentRound);
        error Slasher__PayloadVetoed(address payload);
        error Slasher__SlashingDisabled();
        error Slasher__SlashFailed(address target, bytes data, bytes returnData);
        error EscapeHatch__InvalidConfiguration();
        error EscapeHatch__HatchTooEarly(uint256 hatch);
        error EscapeHatch__SetUnstable(uint256 hatch);
        error FeeLib__InvalidFeeAssetPriceModifier();
        error Inbox__Unauthorized();
        error Inbox__MustBuildBeforeConsume();
        error Inbox__Ignition();
        error Staking__AlreadyQueued(address attester);
        error Staking__AlreadyActive(address attester);
        error Staking__AlreadyExiting(address attester);
        error Staking__QueueEmpty();
        error Staking__QueueAlreadyFlushed(uint256 epoch);
        error Staking__DepositOutOfGas();
        error Staking__InvalidDeposit(address attester, address proposer);
        error Staking__InsufficientStake(uint256 stake, uint256 required);
        error Staking__InsufficientBootstrapValidators(uint256 queueSize, uint256 bootstrapFlushSize);
        error GSE__AlreadyRegistered(address instance, address attester);
        error GSE__InvalidProofOfPossession();
        error GSE__ProofOfPossessionAlreadySeen(bytes32 hashedPK1);
        error GSE__NotRollup(address caller);
        error OwnableUnauthorizedAccount(address account);
        error NotMinter(address caller);
        error ECDSAInvalidSignature();
        error ECDSAInvalidSignatureLength(uint256 length);
        error ECDSAInvalidSignatureS(bytes32 s);
        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
        error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);
    }
}

/// Why an L1 call reverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revert {
    /// One of the contracts' own errors.
    Named {
        /// The error's name, as in the contract.
        name: &'static str,
        /// The error with its arguments.
        error: Box<L1Errors::L1ErrorsErrors>,
    },
    /// `require` with a text, or `revert("...")`.
    Text(String),
    /// A Solidity panic: an assertion, an overflow, an index out of bounds.
    Panic(String),
}

impl std::fmt::Display for Revert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named { error, .. } => write!(f, "{error:?}"),
            Self::Text(text) => write!(f, "reverted with \"{text}\""),
            Self::Panic(reason) => write!(f, "panicked: {reason}"),
        }
    }
}

impl Revert {
    /// The custom error's name; `None` for a text or a panic.
    #[must_use]
    pub const fn name(&self) -> Option<&'static str> {
        match self {
            Self::Named { name, .. } => Some(*name),
            Self::Text(_) | Self::Panic(_) => None,
        }
    }
}

/// What the returned data of a reverted call says; `None` when it is empty or an error that is not known here.
#[must_use]
pub fn decode_revert(data: &[u8]) -> Option<Revert> {
    let selector = data.first_chunk::<4>()?;
    match ContractError::<L1Errors::L1ErrorsErrors>::abi_decode(data).ok()? {
        ContractError::CustomError(error) => {
            let name = L1Errors::L1ErrorsErrors::name_by_selector(*selector)?;
            Some(Revert::Named { name, error: Box::new(error) })
        }
        ContractError::Revert(text) => Some(Revert::Text(text.reason)),
        ContractError::Panic(panic) => Some(Revert::Panic(panic.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use alloy::sol_types::{Panic, Revert as TextRevert, SolError};

    use super::*;

    #[test]
    fn a_custom_error_has_its_name_and_arguments() {
        let data =
            L1Errors::HeaderLib__InvalidSlotNumber { expected: U256::from(7), actual: U256::from(9) }.abi_encode();
        let revert = decode_revert(&data).expect("a known error");
        assert_eq!(revert.name(), Some("HeaderLib__InvalidSlotNumber"));
        assert!(revert.to_string().contains("expected: 7"), "{revert}");
    }

    #[test]
    fn a_text_and_a_panic_are_told_apart() {
        let text = TextRevert::from("no stake").abi_encode();
        assert_eq!(decode_revert(&text), Some(Revert::Text("no stake".to_owned())));
        let panic = Panic { code: U256::from(0x11) }.abi_encode();
        assert!(matches!(decode_revert(&panic), Some(Revert::Panic(_))));
    }

    #[test]
    fn empty_and_unknown_data_have_no_name() {
        assert_eq!(decode_revert(&[]), None);
        assert_eq!(decode_revert(&[1, 2, 3]), None);
        assert_eq!(decode_revert(&[0xde, 0xad, 0xbe, 0xef]), None);
    }
}
