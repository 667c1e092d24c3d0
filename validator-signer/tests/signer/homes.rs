//! Stores of every kind: what is promised of one is promised of all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{SharedClock, SystemClock};
use fermata_validator_signer::{
    Both, DutyKind, FarFutureGuard, PostgresOptions, PostgresProtection, Protection, SlashingProtection, StoreOptions,
    ValidatorSigner,
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

/// Where an initialised store lies.
pub(crate) struct Home {
    place: Option<Place>,
    shared: Option<SharedPlace>,
}

impl Home {
    pub(crate) async fn new(make: Make) -> Self {
        // Shown with the test that fails.
        println!("a store of make {make:?}");
        let place = (make != Make::Shared).then(Place::new);
        let shared = if make == Make::OnDisk { None } else { Some(SharedPlace::new().await) };
        Self { place, shared }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Protection> {
        self.open_with(&Wishes::default()).await
    }

    pub(crate) async fn open_with(&self, wishes: &Wishes) -> Arc<dyn Protection> {
        let Wishes { strict, far_future, clock } = wishes.clone();
        let local = self.place.as_ref().map(|place| {
            let (strict, far_future, clock) = (strict.clone(), far_future.clone(), clock.clone());
            let options = StoreOptions { strict, far_future, clock, ..small() };
            SlashingProtection::open(&place.store, DOMAIN, options).unwrap()
        });
        let Some(shared) = &self.shared else { return Arc::new(local.unwrap()) };
        // A busy machine may take its time.
        let patience = Duration::from_secs(30);
        let options = PostgresOptions { strict, far_future, clock, patience, ..shared.options("a") };
        let shared = PostgresProtection::open(&shared.url, DOMAIN, options).await.unwrap();
        match local {
            Some(local) => Arc::new(Both::new(Arc::new(local), Arc::new(shared)).unwrap()),
            None => Arc::new(shared),
        }
    }

    /// A started signer that owns the store.
    pub(crate) async fn signer(&self, keys: &Arc<RecordingKeys>) -> ValidatorSigner {
        let signer = ValidatorSigner::owning(self.open().await, keys.clone());
        signer.start().unwrap();
        signer
    }
}
