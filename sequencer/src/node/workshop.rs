//! Making a node's workshop from what the node was opened with.

use std::sync::Arc;

use fermata_execution::Execution;
use fermata_validator_signer::KeyRing;
use tokio::sync::watch;

use super::NodeError;
use super::open::Ground;
use crate::chain::Chain;
use crate::config::{BlobSource as ConfiguredBlobs, NodeConfig};
use crate::events::Events;
use crate::l1::{BlobSource, Committees, HeadReceiver, Proposals, Sync};
use crate::node_store::NodeStore;
use crate::own_keys::OwnKeys;
use crate::peers::Peers;
use crate::phases::Phases;
use crate::side_duties::{SideDuties, SideParts, SideSettings};
use crate::timetable::Timetable;
use crate::workshop::{ProposerSettings, Workshop};

/// What a workshop is made from, beside the ground it stands on.
pub(super) struct Makings {
    pub(super) keys: Arc<KeyRing>,
    pub(super) execution: Arc<dyn Execution>,
    pub(super) head: HeadReceiver,
    pub(super) proposals: Proposals,
    pub(super) proposer: watch::Receiver<ProposerSettings>,
    pub(super) side: watch::Receiver<SideSettings>,
    pub(super) store: Arc<NodeStore>,
}

impl Makings {
    pub(super) async fn make(self, ground: &Ground<'_>) -> Result<Workshop, NodeError> {
        let Self { keys, execution, head, proposals, proposer, side, store } = self;
        let (view, clock, events) = (ground.view.clone(), ground.clock.clone(), Events::default());
        let timetable = Timetable::new(*view.times(), ground.config.timetable)?;
        let sync = Sync::new(view.clone(), proposals.clone(), blob_source(ground.config), Arc::clone(&execution));
        let chain = Chain::new(Arc::clone(&execution), sync, clock.clone(), events.clone());
        let committees = Arc::new(Committees::new(view.clone(), head.clone()));
        let publisher = ground.publisher(head)?;
        let signer = Arc::new(ground.signer(keys).await?);
        let own_keys = OwnKeys::new(Arc::clone(&signer), events.clone());
        let side_parts = SideParts {
            view: view.clone(),
            committees: Arc::clone(&committees),
            signer: Arc::clone(&signer),
            clock: clock.clone(),
            l1_chain_id: ground.l1_chain_id,
            proposals,
        };
        let peers = peers(ground, &timetable).remembering(store).await?;
        let side = Arc::new(SideDuties::new(side_parts, side).looking_for(own_keys.clone()));
        for seen in peers.evidence.all() {
            side.offences().equivocated(seen.duty.slot, seen.duty.validator);
        }
        Ok(Workshop {
            roles: ground.config.roles,
            peers,
            side,
            timetable,
            committees,
            chain: Arc::new(chain),
            view,
            execution,
            signer,
            own_keys,
            publisher: Arc::new(publisher),
            phases: Phases::new(events.clone()),
            clock,
            events,
            settings: proposer,
            last_landed: watch::Sender::new(None),
            last_withheld: watch::Sender::new(None),
        })
    }
}

fn peers(ground: &Ground<'_>, timetable: &Timetable) -> Peers {
    // There and back, and a block's time to find what was asked for.
    let patience = 2 * timetable.budgets().peer + timetable.budgets().block;
    Peers::new(Arc::clone(&ground.network), ground.domain(), ground.clock.clone(), patience)
}

fn blob_source(config: &NodeConfig) -> BlobSource {
    match &config.l1.blobs {
        ConfiguredBlobs::Anvil => BlobSource::Anvil,
        ConfiguredBlobs::Beacon(url) => BlobSource::Beacon {
            url: url.as_str().trim_end_matches('/').to_owned(),
            slot_secs: config.l1.ethereum_slot_secs,
        },
    }
}
