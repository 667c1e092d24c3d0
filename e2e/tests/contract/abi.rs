//! Our bindings against the published ABI.

use std::collections::BTreeSet;

use alloy::dyn_abi::{DynSolType, DynSolValue, Specifier};
use alloy::json_abi::JsonAbi;
use alloy::primitives::{Address, B256, U256, hex};
use alloy::sol_types::{SolCall, SolEventInterface, SolInterface};
use fermata_rollup::contracts::{
    IErc20, IEscapeHatch, IGovernance, IGovernanceProposer, IGse, IInbox, IMulticall3, IProposerPayload, IRegistry,
    IRollup, ISlasher, ISlashingProposer, IVerifier, L1Errors,
};

/// The ABI of a contract of the pinned package.
fn published(contract: &str) -> JsonAbi {
    let out = fermata_anvil::find_artifacts().expect("the contracts are installed");
    let path = out.join(format!("{contract}.sol")).join(format!("{contract}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let artifact: serde_json::Value = serde_json::from_slice(&text).expect("an artifact is JSON");
    serde_json::from_value(artifact["abi"].clone()).expect("an artifact has an ABI")
}

/// Our selectors that the contract has no function for.
fn strange_functions<C: SolInterface>(contract: &str) -> Vec<String> {
    let known: BTreeSet<_> = published(contract).functions().map(|function| function.selector().0).collect();
    let strange = C::selectors().filter(|selector| !known.contains(selector));
    strange.map(|selector| format!("{contract}: {}", hex::encode(selector))).collect()
}

/// Our topics that the contract has no event for.
fn strange_events<E: SolEventInterface>(contract: &str, topics: &[[u8; 32]]) -> Vec<String> {
    assert_eq!(topics.len(), E::COUNT);
    let known: BTreeSet<_> = published(contract).events().map(|event| event.selector().0).collect();
    let strange = topics.iter().filter(|topic| !known.contains(*topic));
    strange.map(|topic| format!("{contract}: {}", hex::encode(topic))).collect()
}

#[test]
fn every_function_of_our_bindings_is_one_of_the_contracts() {
    let strange = [
        strange_functions::<IRollup::IRollupCalls>("Rollup"),
        strange_functions::<IInbox::IInboxCalls>("Inbox"),
        strange_functions::<IGse::IGseCalls>("GSE"),
        strange_functions::<IRegistry::IRegistryCalls>("Registry"),
        strange_functions::<IErc20::IErc20Calls>("TestERC20"),
        strange_functions::<IMulticall3::IMulticall3Calls>("Multicall3"),
        strange_functions::<IVerifier::IVerifierCalls>("MockVerifier"),
        strange_functions::<IGovernance::IGovernanceCalls>("Governance"),
        strange_functions::<IGovernanceProposer::IGovernanceProposerCalls>("GovernanceProposer"),
        strange_functions::<IProposerPayload::IProposerPayloadCalls>("GSEPayload"),
        strange_functions::<ISlashingProposer::ISlashingProposerCalls>("TallySlashingProposer"),
        strange_functions::<ISlasher::ISlasherCalls>("Slasher"),
        strange_functions::<IEscapeHatch::IEscapeHatchCalls>("EscapeHatch"),
    ];
    assert_eq!(strange.concat(), Vec::<String>::new());
}

/// A value of the type that fills every bit it may.
fn full(kind: &DynSolType) -> DynSolValue {
    match kind {
        DynSolType::Bool => DynSolValue::Bool(true),
        DynSolType::Uint(bits) => DynSolValue::Uint(U256::MAX >> (256 - bits), *bits),
        DynSolType::Address => DynSolValue::Address(Address::repeat_byte(0xff)),
        DynSolType::FixedBytes(bytes) => {
            DynSolValue::FixedBytes(B256::right_padding_from(&[0xff; 32][..*bytes]), *bytes)
        }
        DynSolType::Bytes => DynSolValue::Bytes(vec![0xff; 33]),
        DynSolType::Array(item) => DynSolValue::Array(vec![full(item); 2]),
        // A struct is encoded as a tuple is.
        DynSolType::Tuple(items) | DynSolType::CustomStruct { tuple: items, .. } => {
            DynSolValue::Tuple(items.iter().map(full).collect())
        }
        other @ (DynSolType::Int(_) | DynSolType::Function | DynSolType::String | DynSolType::FixedArray(..)) => {
            panic!("no getter returns {other}")
        }
    }
}

/// What the contract might return, in its own types.
fn full_return(abi: &JsonAbi, name: &str) -> Vec<u8> {
    let function = abi.function(name).and_then(|overloads| overloads.first()).expect("a function");
    let kinds = function.outputs.iter().map(|output| output.resolve().expect("a Solidity type"));
    DynSolValue::Tuple(kinds.map(|kind| full(&kind)).collect()).abi_encode_params()
}

/// Whether our types hold all that the contract might return.
fn holds<C: SolCall>(returned: &[u8]) -> bool {
    C::abi_decode_returns_validate(returned).is_ok_and(|value| C::abi_encode_returns(&value) == returned)
}

#[test]
fn what_our_bindings_return_has_the_contracts_types() {
    let (rollup, inbox, gse) = (published("Rollup"), published("Inbox"), published("GSE"));
    let (governance, signals) = (published("Governance"), published("GovernanceProposer"));
    let (slashing, slasher) = (published("TallySlashingProposer"), published("Slasher"));
    let hatch = published("EscapeHatch");
    macro_rules! check {
        ($abi:ident, $interface:ident: $($call:ident $name:literal),* $(,)?) => {$(
            assert!(holds::<$interface::$call>(&full_return(&$abi, $name)), $name);
        )*};
    }
    check!(rollup, IRollup:
        getTipsCall "getTips", getCheckpointCall "getCheckpoint", statusCall "status", validateBlobsCall "validateBlobs",
        canProposeAtTimeCall "canProposeAtTime", getEpochCommitteeCall "getEpochCommittee",
        getEpochCommitteeCommitmentCall "getEpochCommitteeCommitment", getAttesterViewCall "getAttesterView",
        getManaMinFeeComponentsAtCall "getManaMinFeeComponentsAt", getL1FeesAtCall "getL1FeesAt",
        getFeeHeaderCall "getFeeHeader", getStatusCall "getStatus", archiveAtCall "archiveAt",
        getProposerAtCall "getProposerAt", canPruneAtTimeCall "canPruneAtTime", getGenesisTimeCall "getGenesisTime",
        getSampleSeedAtCall "getSampleSeedAt", getManaMinFeeAtCall "getManaMinFeeAt", getInboxCall "getInbox",
        getEpochProofPublicInputsCall "getEpochProofPublicInputs",
    );
    check!(inbox, IInbox: getStateCall "getState", getRootCall "getRoot", getInProgressCall "getInProgress");
    check!(gse, IGse:
        getAttestersFromIndicesAtTimeCall "getAttestersFromIndicesAtTime",
        getAttesterCountAtTimeCall "getAttesterCountAtTime", isRegisteredCall "isRegistered",
    );
    check!(governance, IGovernance: getProposalCall "getProposal", getProposalStateCall "getProposalState");
    check!(signals, IGovernanceProposer:
        getRoundDataCall "getRoundData", signalCountCall "signalCount", getInstanceCall "getInstance",
        signalWithSigCall "signalWithSig", getSignalSignatureDigestCall "getSignalSignatureDigest",
    );
    check!(slashing, ISlashingProposer:
        getRoundCall "getRound", getTallyCall "getTally", getSlashTargetCommitteesCall "getSlashTargetCommittees",
        getPayloadAddressCall "getPayloadAddress", getVotesCall "getVotes", ROUND_SIZECall "ROUND_SIZE",
        SLASHING_PROPOSER_TYPECall "SLASHING_PROPOSER_TYPE",
    );
    check!(slasher, ISlasher: vetoedPayloadsCall "vetoedPayloads", isSlashingEnabledCall "isSlashingEnabled");
    check!(hatch, IEscapeHatch: isHatchOpenCall "isHatchOpen", getBondSizeCall "getBondSize");
    assert!(!holds::<IInbox::getInProgressCall>(&full_return(&rollup, "getTips")), "a wrong type is noticed");
}

#[test]
fn every_event_of_our_bindings_is_one_of_the_contracts() {
    let strange = [
        strange_events::<IRollup::IRollupEvents>("Rollup", IRollup::IRollupEvents::SELECTORS),
        strange_events::<IInbox::IInboxEvents>("Inbox", IInbox::IInboxEvents::SELECTORS),
        strange_events::<IGovernanceProposer::IGovernanceProposerEvents>(
            "GovernanceProposer",
            IGovernanceProposer::IGovernanceProposerEvents::SELECTORS,
        ),
        strange_events::<ISlashingProposer::ISlashingProposerEvents>(
            "TallySlashingProposer",
            ISlashingProposer::ISlashingProposerEvents::SELECTORS,
        ),
    ];
    assert_eq!(strange.concat(), Vec::<String>::new());
}

#[test]
fn every_error_of_our_bindings_is_one_of_the_contracts() {
    let contracts = [
        "Errors",
        "Rollup",
        "Inbox",
        "GSE",
        "TestERC20",
        "GovernanceProposer",
        "TallySlashingProposer",
        "Slasher",
        "EscapeHatch",
    ];
    let known: BTreeSet<_> = contracts
        .into_iter()
        .flat_map(|contract| published(contract).errors().map(|error| error.selector().0).collect::<Vec<_>>())
        .collect();
    let strange = L1Errors::L1ErrorsErrors::selectors().filter(|selector| !known.contains(selector));
    let strange: Vec<_> = strange.map(L1Errors::L1ErrorsErrors::name_by_selector).collect();
    assert_eq!(strange, Vec::<Option<&str>>::new());
}
