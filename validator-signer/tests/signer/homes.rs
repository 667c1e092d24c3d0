//! Stores of every kind: what is promised of one is promised of all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{SharedClock, Slot, SystemClock};
use fermata_validator_signer::{
    Both, DutyKind, EthOptions, EthProtection, EthSurvey, FarFutureGuard, PostgresOptions, PostgresProtection,
    Protection, Sentinel, SlashingProtection, StoreOptions, ValidatorSigner,
};

use crate::postgres::server::SharedPlace;
use crate::support::{DOMAIN, Place, RecordingKeys, small};

/// What a store is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Make {
    OnDisk,
    Shared,
    /// One on disk and one that is shared, which must agree.
    Both,
}

impl Make {
    pub(crate) const ALL: [Self; 3] = [Self::OnDisk, Self::Shared, Self::Both];
    /// Those that keep records themselves.
    pub(crate) const KEEPERS: [Self; 2] = [Self::OnDisk, Self::Shared];

    /// Records that there are of one duty.
    pub(crate) fn records(self) -> u64 {
        if self == Self::Both { 2 } else { 1 }
    }
}

/// How a store is opened, whatever it is made of.
#[derive(Clone)]
pub(crate) struct Wishes {
    pub(crate) strict: BTreeSet<DutyKind>,
    pub(crate) far_future: Option<FarFutureGuard>,
    pub(crate) clock: SharedClock,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { strict: BTreeSet::new(), far_future: None, clock: Arc::new(SystemClock) }
    }
}

/// Where the initialised stores of some nodes lie.
pub(crate) struct Home {
    /// On each node's disk.
    places: Vec<Place>,
    shared: Option<SharedPlace>,
    takeover_after: Duration,
}

impl Home {
    pub(crate) async fn new(make: Make) -> Self {
        // Shown with the test that fails.
        println!("a store of make {make:?}");
        Self::of_nodes(make, 1).await
    }

    /// Stores for several nodes, which never wait for one another: what one holds is taken over by the next.
    pub(crate) async fn of_nodes(make: Make, nodes: usize) -> Self {
        let places = (0..nodes).filter(|_| make != Make::Shared).map(|_| Place::new()).collect();
        let shared = if make == Make::OnDisk { None } else { Some(SharedPlace::new().await) };
        let takeover_after = if nodes > 1 { Duration::ZERO } else { Duration::from_secs(60) };
        Self { places, shared, takeover_after }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Protection> {
        self.open_with(&Wishes::default()).await
    }

    pub(crate) async fn open_with(&self, wishes: &Wishes) -> Arc<dyn Protection> {
        self.open_node(0, wishes).await
    }

    pub(crate) async fn open_node(&self, node: usize, wishes: &Wishes) -> Arc<dyn Protection> {
        let Wishes { strict, far_future, clock } = wishes.clone();
        let local = self.places.get(node).map(|place| {
            let (strict, far_future, clock) = (strict.clone(), far_future.clone(), clock.clone());
            let options = StoreOptions { strict, far_future, clock, ..small() };
            SlashingProtection::open(&place.store, DOMAIN, options).unwrap()
        });
        let Some(shared) = &self.shared else { return Arc::new(local.unwrap()) };
        let usual = shared.options(&format!("node-{node}"));
        // A busy machine may take its time.
        let (patience, takeover_after) = (Duration::from_secs(30), self.takeover_after);
        let options = PostgresOptions { strict, far_future, clock, patience, takeover_after, ..usual };
        let shared = PostgresProtection::open(&shared.url, DOMAIN, options).await.unwrap();
        match local {
            Some(local) => Arc::new(Both::new(Arc::new(local), Arc::new(shared)).unwrap()),
            None => Arc::new(shared),
        }
    }

    /// Puts the shared store, which nobody has open, back to where it was when it was made.
    pub(crate) fn set_back(&self) {
        let forget = "TRUNCATE duties, marks, keys, payloads;
            UPDATE store SET marks_version = 1, listen_only_until = NULL, strict = '', listening_owed = true";
        self.shared.as_ref().unwrap().sql(forget);
    }

    /// Whether the next node to open the store, which nobody has open, is to listen first.
    pub(crate) fn owes_listening(&self) -> bool {
        match &self.shared {
            Some(shared) => shared.sql("SELECT listening_owed FROM store") == "t",
            None => SlashingProtection::verify(&self.places[0].store, &Sentinel::default()).unwrap().owes_listening,
        }
    }

    /// Goes on with a store that was restored, and refuses all slots through `low`.
    pub(crate) async fn accept_restored(&self, low: Slot) {
        if let Some(shared) = &self.shared {
            let options = shared.options("node-0");
            PostgresProtection::accept_restored(&shared.url, DOMAIN, &options, low, None).await.unwrap();
        } else {
            let (place, sentinel) = (&self.places[0], Sentinel::default());
            assert!(SlashingProtection::accept_restored(&place.store, &sentinel, low, None).unwrap().owes_listening);
        }
    }

    /// The keeper of the records itself.
    pub(crate) async fn keeper(&self) -> Arc<dyn EthProtection> {
        self.keeper_with(EthOptions::default()).await
    }

    pub(crate) async fn keeper_with(&self, eth: EthOptions) -> Arc<dyn EthProtection> {
        match (self.places.first(), &self.shared) {
            (Some(place), None) => {
                Arc::new(SlashingProtection::open(&place.store, DOMAIN, StoreOptions { eth, ..small() }).unwrap())
            }
            (None, Some(shared)) => {
                let options = PostgresOptions { eth, patience: Duration::from_secs(30), ..shared.options("node-0") };
                Arc::new(PostgresProtection::open(&shared.url, DOMAIN, options).await.unwrap())
            }
            (Some(_), Some(_)) | (None, None) => panic!("two stores that must agree keep no records of their own"),
        }
    }

    /// The same records in another place. The store is closed.
    pub(crate) fn copy(&self) -> Self {
        let places = self.places.iter().map(Place::copy).collect();
        Self { places, shared: self.shared.as_ref().map(SharedPlace::copy), takeover_after: self.takeover_after }
    }

    /// Ethereum's keys, blocks and attestations on record. The store is closed.
    pub(crate) fn ethereum(&self) -> [u64; 3] {
        if let Some(shared) = &self.shared {
            let count = |table| shared.sql(&format!("SELECT count(*) FROM {table}")).parse().unwrap();
            return ["eth_keys", "eth_blocks", "eth_attestations"].map(count);
        }
        let survey = SlashingProtection::verify(&self.places[0].store, &Sentinel::default()).unwrap();
        let EthSurvey { public_keys, blocks, attestations, .. } = survey.ethereum;
        [public_keys, blocks, attestations]
    }

    /// A started signer that owns the store.
    pub(crate) async fn signer(&self, keys: &Arc<RecordingKeys>) -> ValidatorSigner {
        let signer = ValidatorSigner::owning(self.open().await, keys.clone());
        signer.start().unwrap();
        signer
    }
}
