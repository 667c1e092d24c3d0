use alloy::primitives::{Address, B256};
use fermata_primitives::{L1Timestamp, ManualClock};
use fermata_validator_signer::{Duty, DutyKind, NotSafe, Safe};

use super::*;
use crate::data_dir::signer_anchor;

mod shared;

const DOMAIN: Domain = Domain { l1_chain_id: 7, rollup: Address::repeat_byte(0xbb) };

/// A data directory and a clock, in the slot it was made in.
struct Ground {
    root: tempfile::TempDir,
    config: ProtectionConfig,
    clock: Arc<ManualClock>,
}

fn times() -> SlotTimes {
    SlotTimes::new(L1Timestamp(1_000), 12, 32, 12).expect("they fit")
}

fn attestation(slot: u64) -> Duty {
    Duty { validator: Address::repeat_byte(1), slot: Slot(slot), kind: DutyKind::Attestation }
}

impl Ground {
    fn in_slot(slot: u64) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let anchor = signer_anchor(root.path());
        let config = ProtectionConfig { anchor, listen_only_slots: 0, strict: Default::default(), shared: None };
        let clock = Arc::new(ManualClock::new(times().start_of(Slot(slot)).into()));
        Self { root, config, clock }
    }

    fn data_dir(&self) -> DataDir {
        DataDir::open(self.root.path()).expect("it is free")
    }

    fn stores<'a>(&'a self, data_dir: &'a DataDir) -> Stores<'a> {
        Stores {
            config: &self.config,
            data_dir,
            domain: DOMAIN,
            times: times(),
            clock: self.clock.clone(),
            scan: Scan::InProcess,
            holder: "a test".to_owned(),
            is_new: false,
        }
    }

    /// As a node opens them for the first time in this directory.
    async fn open_first(&self) -> Result<Arc<dyn Protection>, SignerError> {
        let data_dir = self.data_dir();
        Stores { is_new: true, ..self.stores(&data_dir) }.open().await
    }

    /// As a node opens them later.
    async fn open_again(&self) -> Result<Arc<dyn Protection>, SignerError> {
        let data_dir = self.data_dir();
        self.stores(&data_dir).open().await
    }
}

fn digest(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

fn refusal(answer: Result<Safe, SignerError>) -> NotSafe {
    match answer {
        Err(SignerError::NotSafe(refusal)) => refusal,
        answer => panic!("it was not refused: {answer:?}"),
    }
}

#[tokio::test]
async fn a_new_store_listens_for_whole_slots_and_one_that_has_signed_does_not_again() {
    let ground = Ground::in_slot(40);
    let config = ProtectionConfig { listen_only_slots: 2, ..ground.config.clone() };
    let ground = Ground { config, ..ground };
    let store = ground.open_first().await.expect("it is made");
    assert_eq!(store.listens_until(), Some(Slot(43)), "the rest of slot 40, slots 41 and 42");
    let early = refusal(store.reserve(attestation(42), digest(1)).await);
    assert!(matches!(early, NotSafe::ListenOnly { until: Slot(43), .. }), "{early}");
    ground.clock.set(times().start_of(Slot(42)).into());
    assert!(matches!(store.reserve(attestation(43), digest(1)).await, Ok(Safe::Granted(_))));
    store.close().await;
    let store = ground.open_again().await.expect("it is there");
    assert_eq!(store.listens_until(), Some(Slot(43)));
    store.close().await;
}

#[tokio::test]
async fn a_node_that_is_told_not_to_listen_signs_at_once_and_a_store_that_vanished_is_not_made_again() {
    let ground = Ground::in_slot(40);
    let store = ground.open_first().await.expect("it is made");
    assert!(matches!(store.reserve(attestation(40), digest(1)).await, Ok(Safe::Granted(_))));
    assert_eq!(store.listens_until(), None);
    store.close().await;
    let data_dir = ground.data_dir();
    std::fs::remove_dir_all(data_dir.signer()).expect("it was there");
    data_dir.close();
    let gone = ground.open_again().await;
    assert!(matches!(gone, Err(SignerError::NotInitialised { .. })), "{gone:?}");
}

#[tokio::test]
async fn kinds_that_the_configuration_calls_strict_only_go_forward() {
    let ground = Ground::in_slot(40);
    let config = ProtectionConfig { strict: [DutyKind::Attestation].into(), ..ground.config.clone() };
    let ground = Ground { config, ..ground };
    let store = ground.open_first().await.expect("it is made");
    assert!(matches!(store.reserve(attestation(41), digest(1)).await, Ok(Safe::Granted(_))));
    let back = refusal(store.reserve(attestation(40), digest(1)).await);
    assert!(matches!(back, NotSafe::NotAboveMaxSigned { max_signed: Slot(41), .. }), "{back}");
    let vote = Duty { kind: DutyKind::GovernanceVote, ..attestation(40) };
    assert!(matches!(store.reserve(vote, digest(1)).await, Ok(Safe::Granted(_))), "another kind is not");
    store.close().await;
}

#[tokio::test]
async fn a_deadline_is_measured_on_the_nodes_clock_and_a_far_slot_is_refused() {
    let ground = Ground::in_slot(40);
    let store = ground.open_first().await.expect("it is made");
    let by = times().end_of(Slot(40)).into();
    ground.clock.set(by);
    let late = store.reserve_by(attestation(40), digest(1), by).await;
    assert!(matches!(late, Err(SignerError::DeadlinePassed { .. })), "{late:?}");
    assert!(matches!(store.reserve(attestation(40), digest(2)).await, Ok(Safe::Granted(_))), "it was not spent");
    let far = refusal(store.reserve(attestation(44), digest(1)).await);
    assert!(matches!(far, NotSafe::TooFarAhead { current: Slot(41), .. }), "{far}");
    store.close().await;
}
