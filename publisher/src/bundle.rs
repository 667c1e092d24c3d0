//! Several calls in one transaction, each with an end of its own.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::bindings::IMulticall3;
use alloy::rpc::types::state::StateOverride;
use alloy::sol_types::SolCall;
use fermata_primitives::L1Timestamp;

use crate::request::EntryRule;
use crate::{InvalidRequest, L1Request, MAX_BLOBS, MinedTx, RejectReason, RequestBlobs, SuccessRule};

/// Calls that one transaction carries out through Multicall3. The revert of one undoes that one alone.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// What it is, for logs and status: "slot 12".
    pub label: String,
    /// In the order in which they are carried out.
    pub entries: Vec<BundleEntry>,
    /// The earliest L1 block timestamp it may land in.
    pub not_before: L1Timestamp,
    /// It must land in an L1 block with a timestamp below this.
    pub deadline: L1Timestamp,
    /// Where Multicall3 is: [`crate::MULTICALL3_ADDRESS`] on every public chain.
    pub multicall: Address,
    /// What a simulation takes for granted, because it cannot show it: it carries no blobs.
    pub assumed: StateOverride,
}

/// One call of a bundle.
#[derive(Clone, Debug)]
pub struct BundleEntry {
    /// What it is, for logs: "propose slot 12".
    pub label: String,
    /// Names its effect: while an entry with the same key may be live, or once one has taken effect, another is left out.
    pub dedup_key: Option<String>,
    /// The contract it calls; Multicall3 is the sender that it sees.
    pub to: Address,
    /// The call.
    pub calldata: Bytes,
    /// The blobs it reads; of one entry at most.
    pub blobs: RequestBlobs,
    /// Gas it uses beyond what a simulation shows, as for reading its blobs.
    pub unsimulated_gas: u64,
    /// How the receipt tells whether it took effect: an event.
    pub success: SuccessRule,
}

/// How a bundle ended.
#[derive(Clone, PartialEq, Debug)]
pub struct BundleOutcome {
    /// Its transaction, once a block holds it.
    pub mined: Option<MinedTx>,
    /// How each entry ended, in their order.
    pub entries: Vec<EntryOutcome>,
}

/// How an entry of a bundle ended.
#[derive(Clone, PartialEq, Debug)]
pub enum EntryOutcome {
    /// It is in an L1 block and took effect.
    Succeeded,
    /// It is in an L1 block and took none.
    Failed {
        /// What its call reverted with, where a replay told; decoded by the caller, who knows the contract.
        revert_data: Option<Bytes>,
    },
    /// It would revert in a block of its window: left out, so that it costs nothing.
    Dropped {
        /// What it would revert with.
        revert_data: Bytes,
    },
    /// Its window passed. If it had been sent, its nonce is being taken back, and until then it may still land: the
    /// contract must refuse what is stale.
    Expired,
    /// It was interrupted before anything was sent, and nothing ever will be.
    NotSent,
    /// It was interrupted while its transaction was in flight; the next start reconciles it.
    InFlight {
        /// The transaction.
        tx_hash: B256,
    },
    /// It was not sent, or cannot land any more.
    Rejected {
        /// Why.
        reason: RejectReason,
    },
}

impl Bundle {
    /// Checks what can be checked without L1.
    ///
    /// # Errors
    /// [`InvalidRequest`] names what is wrong.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        if self.not_before >= self.deadline {
            return Err(InvalidRequest::EmptyWindow { not_before: self.not_before, deadline: self.deadline });
        }
        let blobs: usize = self.entries.iter().map(|entry| entry.blobs.len()).sum();
        if blobs > MAX_BLOBS {
            return Err(InvalidRequest::TooManyBlobs(blobs));
        }
        if self.entries.iter().filter(|entry| !entry.blobs.is_empty()).count() > 1 {
            return Err(InvalidRequest::BlobsOfManyEntries);
        }
        let without_event = self.entries.iter().find(|entry| !matches!(entry.success, SuccessRule::Event { .. }));
        without_event.map_or(Ok(()), |entry| Err(InvalidRequest::EntryWithoutEvent(entry.label.clone())))
    }

    /// The one transaction that carries out these of its entries.
    pub(crate) fn request_of(&self, entries: &[&BundleEntry]) -> L1Request {
        let calls = entries.iter().map(|entry| IMulticall3::Call3 {
            target: entry.to,
            allowFailure: true,
            callData: entry.calldata.clone(),
        });
        let blobs = entries.iter().map(|entry| &entry.blobs).find(|blobs| !blobs.is_empty());
        L1Request {
            label: self.label.clone(),
            dedup_key: None,
            to: self.multicall,
            calldata: IMulticall3::aggregate3Call { calls: calls.collect() }.abi_encode().into(),
            value: U256::ZERO,
            blobs: blobs.cloned().unwrap_or_default(),
            gas_limit: None,
            not_before: self.not_before,
            deadline: self.deadline,
            success: SuccessRule::Each(entries.iter().map(|entry| entry.rule()).collect()),
        }
    }
}

impl BundleEntry {
    fn rule(&self) -> EntryRule {
        EntryRule { label: self.label.clone(), dedup_key: self.dedup_key.clone(), success: self.success.clone() }
    }
}
