//! A proposer's signal for a governance payload.

use std::borrow::Cow;

use alloy::dyn_abi::TypedData;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::{Eip712Domain, SolCall, SolStruct};
use fermata_primitives::Slot;

use crate::L1Signature;
use crate::contracts::IGovernanceProposer;

/// Who checks an EIP-712 signature: a signature for one contract says nothing to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifyingContract {
    /// The L1 it is on.
    pub l1_chain_id: u64,
    /// Its address.
    pub address: Address,
}

impl VerifyingContract {
    /// The contract's domain, as it was deployed with this name.
    pub(crate) const fn domain(&self, name: &'static str) -> Eip712Domain {
        Eip712Domain {
            name: Some(Cow::Borrowed(name)),
            version: Some(Cow::Borrowed("1")),
            chain_id: Some(U256::from_limbs([self.l1_chain_id, 0, 0, 0])),
            verifying_contract: Some(self.address),
            salt: None,
        }
    }
}

/// What is signed, as the contract has it.
mod typed {
    alloy::sol! {
        #[derive(serde::Serialize)]
        struct Signal {
            address payload;
            uint256 slot;
            address instance;
        }
    }
}

/// A signal of the slot's proposer. The contract counts one a slot, in that slot alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GovernanceSignal {
    /// What governance shall decide.
    pub payload: Address,
    /// The slot it is cast in.
    pub slot: Slot,
    /// The rollup whose proposer it is: the canonical one.
    pub instance: Address,
}

impl GovernanceSignal {
    /// The EIP-712 hash the proposer signs as it stands, for the governance proposer contract.
    #[must_use]
    pub fn digest(&self, governance_proposer: VerifyingContract) -> B256 {
        self.typed().eip712_signing_hash(&governance_proposer.domain("EmpireBase"))
    }

    /// What [`digest`](Self::digest) is the hash of, for a signer that hashes it itself.
    #[must_use]
    pub fn typed_data(&self, governance_proposer: VerifyingContract) -> TypedData {
        TypedData::from_struct(&self.typed(), Some(governance_proposer.domain("EmpireBase")))
    }

    fn typed(&self) -> typed::Signal {
        let Self { payload, slot, instance } = *self;
        typed::Signal { payload, slot: U256::from(slot.0), instance }
    }

    /// The call as data for the governance proposer contract. Anyone may send it.
    #[must_use]
    pub fn calldata(&self, signature: L1Signature) -> Bytes {
        let call = IGovernanceProposer::signalWithSigCall { _payload: self.payload, _sig: signature.into() };
        call.abi_encode().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_signal_and_of_its_contract_counts_for_the_digest() {
        let signal =
            GovernanceSignal { payload: Address::repeat_byte(1), slot: Slot(7), instance: Address::repeat_byte(2) };
        let contract = VerifyingContract { l1_chain_id: 31_337, address: Address::repeat_byte(3) };
        let digests = [
            signal.digest(contract),
            GovernanceSignal { payload: Address::repeat_byte(9), ..signal }.digest(contract),
            GovernanceSignal { slot: Slot(8), ..signal }.digest(contract),
            GovernanceSignal { instance: Address::repeat_byte(9), ..signal }.digest(contract),
            signal.digest(VerifyingContract { l1_chain_id: 1, ..contract }),
            signal.digest(VerifyingContract { address: Address::repeat_byte(9), ..contract }),
        ];
        let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
    }

    #[test]
    fn the_typed_data_of_a_signal_hashes_to_its_digest() {
        let signal =
            GovernanceSignal { payload: Address::repeat_byte(1), slot: Slot(300), instance: Address::repeat_byte(2) };
        let contract = VerifyingContract { l1_chain_id: 31_337, address: Address::repeat_byte(3) };
        let written = serde_json::to_string(&signal.typed_data(contract)).expect("JSON");
        let read: TypedData = serde_json::from_str(&written).expect("typed data");
        assert_eq!(read.eip712_signing_hash().expect("a hash"), signal.digest(contract), "{written}");
    }

    #[test]
    fn the_call_carries_payload_and_signature() {
        let payload = Address::repeat_byte(1);
        let signal = GovernanceSignal { payload, slot: Slot(7), instance: Address::ZERO };
        let signature = L1Signature { v: 27, r: B256::repeat_byte(4), s: B256::repeat_byte(5) };
        let call = IGovernanceProposer::signalWithSigCall::abi_decode(&signal.calldata(signature)).expect("own call");
        assert_eq!((call._payload, L1Signature::from(call._sig)), (payload, signature));
    }
}
