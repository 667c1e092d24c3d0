//! The other nodes, as the work of a slot sees them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use fermata_execution::{Block, Execution, Verdict};
use fermata_primitives::{SharedClock, UnixTime, crash_point};
use fermata_rollup::Committee;
use fermata_validator_signer::Domain;

use crate::evidence::Evidence;
use crate::network::{MAX_HASHES, Message, Network, NodeId, Recipient};
use crate::node_store::{NodeStore, NodeStoreError};
use crate::poll_loop::chain as error_chain;
use crate::refusal::{Refusal, Refusals};

/// The other nodes, and what is held against them.
#[derive(Debug)]
pub struct Peers {
    /// The way to them.
    pub network: Arc<dyn Network>,
    /// What signatures are for.
    pub domain: Domain,
    /// What was refused, by reason.
    pub refusals: Refusals,
    /// Who has signed what of late.
    pub evidence: Evidence,
    store: Option<Arc<NodeStore>>,
    clock: SharedClock,
    patience: Duration,
}

impl Peers {
    /// The nodes behind `network`. One that is asked for blocks is given `patience` to answer.
    #[must_use]
    pub fn new(network: Arc<dyn Network>, domain: Domain, clock: SharedClock, patience: Duration) -> Self {
        let (refusals, evidence) = (Refusals::default(), Evidence::default());
        Self { network, domain, refusals, evidence, store: None, clock, patience }
    }

    /// With the evidence that `store` has, and keeping there what is seen from now on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn remembering(self, store: Arc<NodeStore>) -> Result<Self, NodeStoreError> {
        let evidence = Evidence::with(store.equivocations().await?);
        Ok(Self { evidence, store: Some(store), ..self })
    }

    /// Keeps the evidence there is, also for the next process.
    pub async fn keep_evidence(&self) {
        let Some(store) = &self.store else { return };
        match store.record_equivocations(self.evidence.all()).await {
            Ok(()) => crash_point!("sequencer.after_evidence"),
            Err(error) => {
                tracing::error!(error = %error_chain(&error), "evidence was not recorded; it lasts until the process ends");
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.network.peers().len()
    }

    /// Sends a message. What goes wrong is told to the log alone: a message may be lost at any time.
    pub async fn send(&self, to: Recipient, message: impl Into<Message> + Send, deadline: UnixTime) {
        match self.network.send(to, message.into(), deadline).await {
            Ok(dispatch) if !dispatch.full.is_empty() => {
                tracing::warn!(nodes = ?dispatch.full, "a message was not sent: too much is on the way to them already");
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(error = %error_chain(&error), "a message was not sent"),
        }
    }

    /// These blocks, in this order: from execution, and those that it has not from other nodes, `first` and then each other.
    /// What comes from them is not executed yet.
    ///
    /// # Errors
    /// [`Refusal::MissingBlocks`] where nobody has given them by `deadline`; execution failed.
    pub async fn fetch(
        &self,
        execution: &dyn Execution,
        hashes: &[B256],
        first: &NodeId,
        deadline: UnixTime,
    ) -> Result<Vec<Block>, Refusal> {
        let mut blocks = Vec::with_capacity(hashes.len());
        for hash in hashes {
            blocks.push(execution.block(*hash).await?);
        }
        let missing: Vec<B256> =
            hashes.iter().zip(&blocks).filter(|(_, block)| block.is_none()).map(|(hash, _)| *hash).collect();
        let mut fetched = self.ask(missing, first, deadline).await?;
        let found = |(hash, block): (&B256, Option<Block>)| block.or_else(|| fetched.remove(hash));
        Ok(hashes.iter().zip(blocks).filter_map(found).collect())
    }

    /// Asks one node after the other for blocks, until all are there.
    async fn ask(
        &self,
        mut missing: Vec<B256>,
        first: &NodeId,
        deadline: UnixTime,
    ) -> Result<BTreeMap<B256, Block>, Refusal> {
        let (mut have, mut source) = (BTreeMap::new(), None);
        let others = self.network.peers().into_iter().filter(|peer| peer != first);
        for node in std::iter::once(first.clone()).chain(others) {
            for some in missing.chunks(MAX_HASHES) {
                match self.network.request_blocks(node.clone(), some.to_vec(), self.until(deadline)).await {
                    Ok(blocks) => have.extend(blocks.into_iter().map(|block| (block.hash(), block))),
                    Err(error) => source = Some(error),
                }
            }
            missing.retain(|hash| !have.contains_key(hash));
            if missing.is_empty() {
                return Ok(have);
            }
        }
        Err(Refusal::MissingBlocks { missing: missing.len(), source })
    }

    /// When the node that is asked should have answered.
    fn until(&self, deadline: UnixTime) -> UnixTime {
        deadline.min(self.clock.now() + self.patience)
    }

    /// Whether enough members of the committee can be reached: ours are a quorum, or there is somebody else.
    #[must_use]
    pub fn can_reach_quorum(&self, committee: &Committee, ours: usize) -> bool {
        ours >= committee.quorum() || committee.members.is_empty() || self.count() > 0
    }
}

/// Executes blocks that came from elsewhere, in order.
///
/// # Errors
/// [`Refusal::InvalidBlock`] where a block is not what executing it gives; [`Refusal::MissingBlocks`] where the first is built
/// on nothing known here.
pub async fn execute(execution: &dyn Execution, blocks: &[Block]) -> Result<(), Refusal> {
    for block in blocks {
        match execution.insert(block.clone()).await? {
            Verdict::Valid => {}
            Verdict::Invalid { reason } => return Err(Refusal::InvalidBlock { block: block.hash(), reason }),
            Verdict::MissingParent => return Err(Refusal::MissingBlocks { missing: 1, source: None }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
