//! A prover service, asked over JSON-RPC.
//!
//! It has one method, `prover_epochProof`, with one parameter, [`ProofRequest`]. Its result is `null` while the proof is
//! being made, and then [`ProofAnswer`]. It is asked the same again and again until it has answered, also by a node that
//! was restarted: a service knows an epoch that it is at by its parameter.

#[cfg(test)]
mod tests;

use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::transports::http::reqwest::Url;
use fermata_primitives::{CheckpointNumber, Epoch, L1Timestamp};
use fermata_publisher::without_url;
use fermata_rollup::{BlobOpening, CheckpointFee, EpochProof};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::proofs::refused;
use super::{EpochToProve, ProofSource};
use crate::config::without_credentials;
use crate::error::{Result, SequencerError};

/// What a prover service is asked to prove.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofRequest {
    /// The L1 chain.
    pub l1_chain_id: u64,
    /// The rollup contract, which has the header hashes and the commitments to the blobs.
    pub rollup: Address,
    /// The epoch.
    pub epoch: Epoch,
    /// Its first checkpoint.
    pub start: CheckpointNumber,
    /// Its last checkpoint.
    pub end: CheckpointNumber,
    /// Archive of the checkpoint before the first.
    pub previous_archive: B256,
    /// Archive of the last.
    pub end_archive: B256,
    /// Out hash of the last.
    pub out_hash: B256,
    /// Who gets the reward.
    pub prover_id: Address,
    /// What each checkpoint's sequencer gets.
    pub fees: Vec<CheckpointFee>,
    /// The L1 time, in seconds, from which on the contract takes no proof any more.
    pub deadline: L1Timestamp,
}

/// A proof, as a service gives it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofAnswer {
    /// The opening of the epoch's blobs: versioned hash, point, value, commitment, proof; 192 bytes.
    pub blob_opening: Bytes,
    /// The proof itself.
    pub proof: Bytes,
}

/// A prover service.
#[derive(Clone, Debug)]
pub struct ProverService {
    provider: DynProvider,
    shown: String,
    timeout: Duration,
}

impl ProverService {
    /// A service at `url`, each of whose answers is waited for no longer than `timeout`.
    #[must_use]
    pub fn new(url: Url, timeout: Duration) -> Self {
        let shown = without_credentials(url.as_str());
        Self { provider: ProviderBuilder::default().connect_http(url).erased(), shown, timeout }
    }

    async fn ask(&self, request: ProofRequest) -> Result<Option<ProofAnswer>> {
        let unanswered = |source| SequencerError::ProverService { service: self.shown.clone(), source };
        let call = self.provider.raw_request("prover_epochProof".into(), (request,));
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer.map_err(|error| unanswered(Box::new(without_url(error)))),
            Err(_) => Err(unanswered(format!("no answer within {:?}", self.timeout).into())),
        }
    }
}

impl TryFrom<&EpochToProve> for ProofRequest {
    type Error = fermata_rollup::RollupError;

    /// # Errors
    /// The epoch has more checkpoints than one proof can be about.
    fn try_from(epoch: &EpochToProve) -> fermata_rollup::Result<Self> {
        let claim = &epoch.claim;
        Ok(Self {
            l1_chain_id: epoch.l1_chain_id,
            rollup: epoch.rollup,
            epoch: epoch.span.epoch,
            start: claim.start,
            end: claim.end()?,
            previous_archive: claim.previous_archive,
            end_archive: claim.end_archive,
            out_hash: claim.out_hash,
            prover_id: claim.prover_id,
            fees: claim.fees.clone(),
            deadline: epoch.span.deadline,
        })
    }
}

impl ProofSource for ProverService {
    fn proof_of<'a>(&'a self, epoch: &'a EpochToProve) -> BoxFuture<'a, Result<Option<EpochProof>>> {
        async move {
            let Some(answer) = self.ask(epoch.try_into().map_err(|error| refused(&error))?).await? else {
                return Ok(None);
            };
            let opening = BlobOpening::from_input(&answer.blob_opening).map_err(|error| refused(&error))?;
            Ok(Some(EpochProof { opening, proof: answer.proof }))
        }
        .boxed()
    }

    fn describe(&self) -> String {
        format!("proofs of the service {}", self.shown)
    }
}
