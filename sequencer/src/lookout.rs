//! Looks through all that is said on the network for what was signed with the node's own keys, elsewhere.

use fermata_primitives::SharedClock;
use fermata_validator_signer::Domain;
use tokio_util::sync::CancellationToken;

use crate::network::{Attestation, Inbox, Incoming, Network, ProposedBlock, ProposedCheckpoint, Signable, Signed};
use crate::own_keys::OwnKeys;

/// Hears every message from the node's opening to its close, whether it runs, stands still or is done with a slot: who signs
/// with its keys shall not depend on when it happens to listen.
#[derive(Debug)]
pub(crate) struct Lookout {
    blocks: Inbox<Signed<ProposedBlock>>,
    checkpoints: Inbox<Signed<ProposedCheckpoint>>,
    attestations: Inbox<Signed<Attestation>>,
    look: Look,
    clock: SharedClock,
}

impl Lookout {
    /// Hears what is said on `network` from now on.
    pub(crate) fn new(network: &dyn Network, own_keys: OwnKeys, domain: Domain, clock: SharedClock) -> Self {
        Self {
            blocks: network.block_proposals(),
            checkpoints: network.checkpoint_proposals(),
            attestations: network.attestations(),
            look: Look { own_keys, domain },
            clock,
        }
    }

    /// Looks until `ended` is cancelled, and sees to it that what anybody has seen is looked up when the store answers.
    pub(crate) async fn run(self, ended: CancellationToken) {
        let Self { blocks, checkpoints, attestations, look, clock } = self;
        let heard =
            async { futures::join!(look.through(blocks), look.through(checkpoints), look.through(attestations)) };
        let all = futures::future::join(heard, look.own_keys.catch_up(&*clock));
        let _ = ended.run_until_cancelled(all).await;
        let left = look.own_keys.unjudged().waiting;
        if left > 0 {
            tracing::warn!(left, "signatures of own keys were never looked up: the signing store did not answer");
        }
    }
}

#[derive(Debug)]
struct Look {
    own_keys: OwnKeys,
    domain: Domain,
}

impl Look {
    /// What an inbox has missed is as if it had been lost on its way.
    async fn through<T: Signable>(&self, mut inbox: Inbox<Signed<T>>) {
        while let Some(incoming) = inbox.recv().await {
            if let Incoming::Message(received) = incoming {
                self.at(&received.message).await;
            }
        }
    }

    async fn at<T: Signable>(&self, signed: &Signed<T>) {
        let digest = signed.content().digest(&self.domain);
        if let Some(validator) = signed.signature().signer(digest) {
            self.own_keys.observe(signed.content().duty(validator), digest, signed.signature()).await;
        }
    }
}

#[cfg(test)]
mod tests;
