//! A node's side duties over a test's own L1, without the node.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use alloy::rpc::types::TransactionReceipt;
use fermata_primitives::{ManualClock, Slot};
use fermata_publisher::SuccessRule;
use fermata_rollup::SlashUnits;
use fermata_sequencer::actions::{ActionKind, L1Action};
use fermata_sequencer::invalidation::InvalidationDelays;
use fermata_sequencer::l1::{Committees, L1Client, Proposals, RollupView};
use fermata_sequencer::side_duties::{SideDuties, SideParts, SideSettings};
use fermata_sequencer::votes::{SlashPolicy, VoteSettings};
use fermata_validator_signer::{Domain, LocalKeys, SlashingProtection, StoreOptions, ValidatorSigner};
use tokio::sync::watch;

use crate::chain::Chain;

/// Side duties with keys of their own, and what moves them.
pub(crate) struct Side {
    pub(crate) duties: SideDuties,
    pub(crate) view: RollupView,
    pub(crate) clock: Arc<ManualClock>,
    settings: watch::Sender<SideSettings>,
    head: watch::Sender<fermata_publisher::L1HeadInfo>,
    _signing_store: tempfile::TempDir,
}

/// Nothing is voted for; bad checkpoints are dropped after the usual delays.
fn settings() -> SideSettings {
    let slash = SlashPolicy {
        inactivity: SlashUnits::capped(1),
        equivocation: SlashUnits::capped(2),
        inactivity_percent: 90,
        always: BTreeSet::new(),
        never: BTreeSet::new(),
    };
    SideSettings {
        votes: VoteSettings { governance_payload: None, slash },
        invalidation: InvalidationDelays {
            as_member: Some(Duration::from_secs(144)),
            as_anyone: Some(Duration::from_secs(432)),
        },
    }
}

impl Side {
    /// With the keys of the validators that `holds` says.
    pub(crate) async fn over(chain: &Chain, holds: impl Fn(&Address) -> bool) -> Self {
        let client = L1Client::new(chain.provider.clone(), Duration::from_secs(20));
        let view = RollupView::open(client, chain.addresses.rollup, 1).await.expect("a rollup");
        let head = watch::Sender::new(chain.head());
        let clock = Arc::new(ManualClock::new(chain.head().timestamp.into()));
        let store = tempfile::tempdir().expect("a directory");
        let settings = watch::Sender::new(settings());
        let parts = SideParts {
            committees: Arc::new(Committees::new(view.clone(), head.subscribe())),
            signer: Arc::new(signer(chain, (store.path(), &clock), holds)),
            view: view.clone(),
            clock: Arc::<ManualClock>::clone(&clock),
            l1_chain_id: chain.addresses.l1_chain_id,
            proposals: Proposals::new(view.clone(), chain.addresses.deployed_at_block),
        };
        let duties = SideDuties::new(parts, settings.subscribe());
        Self { duties, view, clock, settings, head, _signing_store: store }
    }

    /// Changes what the operator wants.
    pub(crate) fn set(&self, change: impl FnOnce(&mut SideSettings)) {
        self.settings.send_modify(change);
    }

    /// Tells of the L1 head, and looks at what has landed by it.
    pub(crate) async fn look(&self, chain: &Chain) {
        self.head.send_replace(chain.head());
        self.duties.look(chain.head()).await.expect("L1 answers");
    }

    /// What the slot's proposer does of this kind.
    pub(crate) async fn action(&self, chain: &Chain, slot: Slot, kind: ActionKind) -> Option<L1Action> {
        let proposer = chain.proposer(slot).await;
        let actions = self.duties.of_proposer(slot, proposer).await;
        assert!(actions.is_sorted_by_key(|action| action.kind), "{actions:?}");
        assert!(actions.iter().all(|action| action.slot == slot), "{actions:?}");
        actions.into_iter().find(|action| action.kind == kind)
    }
}

fn signer(
    chain: &Chain,
    (store, clock): (&Path, &Arc<ManualClock>),
    holds: impl Fn(&Address) -> bool,
) -> ValidatorSigner {
    let keys = chain.keys.iter().filter(|(address, _)| holds(address)).map(|(_, key)| key.clone());
    let keys = LocalKeys::from_signers(keys).expect("each key is there once");
    let domain = Domain { l1_chain_id: chain.addresses.l1_chain_id, rollup: chain.addresses.rollup };
    SlashingProtection::init(store, domain).expect("an empty directory");
    let options = StoreOptions { clock: Arc::<ManualClock>::clone(clock), ..StoreOptions::default() };
    let protection = SlashingProtection::open(store, domain, options).expect("it was made");
    let signer = ValidatorSigner::owning(Arc::new(protection), Arc::new(keys));
    signer.start().expect("it is open");
    signer
}

/// Whether the receipt shows that the action did what it was meant to do.
pub(crate) fn took_effect(receipt: &TransactionReceipt, action: &L1Action) -> bool {
    let SuccessRule::Event { address, topic0 } = &action.success else { return receipt.status() };
    receipt.logs().iter().any(|log| log.address() == *address && log.topic0() == Some(topic0))
}
