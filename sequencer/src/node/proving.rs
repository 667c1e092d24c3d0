//! Opening the prover, where the node is one.

use std::sync::Arc;

use alloy::primitives::Address;
use alloy::signers::local::PrivateKeySigner;

use super::open::{Ground, NodeError};
use super::{Node, keys, sending};
use crate::config::{ProofMaker, ProverConfig};
use crate::error::SequencerError;
use crate::l1::{HeadReceiver, Proposals};
use crate::prover::{Frontier, MockProofs, ProofSource, Prover, ProverParts, ProverService};
use crate::status::ProverStatus;
use crate::workshop::Workshop;

/// The prover, with a publisher manager and accounts of its own; `None` where the node is none. It proves nothing yet.
///
/// # Errors
/// Its keys or its store cannot be used; it would send from a publisher's account; mock proofs would be refused.
pub(super) async fn open(
    ground: &Ground<'_>,
    workshop: &Workshop,
    proposals: Proposals,
    head: HeadReceiver,
) -> Result<Option<Arc<Prover>>, NodeError> {
    let Some(config) = &ground.config.prover else { return Ok(None) };
    let signers = keys::publishers(&config.keys)?;
    refuse_shared_accounts(ground, &signers)?;
    let account = signers.first().map_or(Address::ZERO, PrivateKeySigner::address);
    let prover_id = config.id.unwrap_or(account);
    let view = workshop.view.clone();
    let source = source(config, &view).await?;
    tracing::info!(proofs = source.describe(), %account, rewards = %prover_id, "this node is a prover");
    let publisher = ground.manager(("prover", ground.data_dir.prover()), (signers.into(), None), head.clone())?;
    Ok(Some(Arc::new(Prover::new(ProverParts {
        clock: workshop.clock.clone(),
        frontier: Frontier::new(view, proposals, ground.l1_chain_id, prover_id),
        head,
        publisher: Arc::new(publisher),
        account,
        source,
        poll_interval: config.poll_interval,
        events: workshop.events.clone(),
    }))))
}

async fn source(config: &ProverConfig, view: &crate::l1::RollupView) -> Result<Arc<dyn ProofSource>, NodeError> {
    Ok(match &config.proofs {
        ProofMaker::Mock => Arc::new(MockProofs::for_mock_verifier(view).await?),
        ProofMaker::Service(url) => Arc::new(ProverService::new(url.clone(), config.request_timeout)),
    })
}

/// Each manager counts the nonces of its accounts: two that share one would take each other's.
fn refuse_shared_accounts(ground: &Ground<'_>, provers: &[PrivateKeySigner]) -> Result<(), NodeError> {
    let mut publishers = keys::publishers(&ground.config.publisher.keys)?;
    publishers.extend(ground.funder()?);
    let is_publisher = |account: &Address| publishers.iter().any(|publisher| publisher.address() == *account);
    match provers.iter().map(PrivateKeySigner::address).find(is_publisher) {
        Some(account) => Err(SequencerError::SharedAccount { account }.into()),
        None => Ok(()),
    }
}

/// What the prover is at; `None` where the node is none.
pub(super) async fn tell(node: &Node) -> Option<ProverStatus> {
    let prover = node.inner.prover.as_ref()?;
    let accounts = prover.publisher().status().await.map(|status| status.accounts).unwrap_or_default();
    let progress = prover.progress();
    Some(ProverStatus {
        proofs: prover.proofs(),
        id: prover.id(),
        accounts: accounts.into_iter().map(sending::account).collect(),
        epoch: progress.epoch.map(Into::into),
        last: progress.last,
        failure: progress.failure,
    })
}
