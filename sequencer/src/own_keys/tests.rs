use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use fermata_primitives::Slot;
use fermata_rollup::signing_hash;
use fermata_validator_signer::{Domain, DutyKind, KeyChange, LocalKeys, Protection, SlashingProtection, StoreOptions};
use tokio::sync::broadcast::Receiver;

use super::*;
use crate::network::{Signable, Signed};

mod away;

pub(crate) const DOMAIN: Domain = Domain { l1_chain_id: 7, rollup: Address::repeat_byte(0xbb) };

/// A signer with one key, which is not started, and what is told of it.
pub(crate) struct Bench {
    _dir: tempfile::TempDir,
    pub(crate) key: PrivateKeySigner,
    pub(crate) stranger: PrivateKeySigner,
    pub(crate) signer: Arc<ValidatorSigner>,
    pub(crate) own_keys: OwnKeys,
    pub(crate) heard: Receiver<SequencerEvent>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Arc::new(on_disk(dir.path()));
        Self::over(dir, store)
    }

    fn over(dir: tempfile::TempDir, store: Arc<dyn Protection>) -> Self {
        let [key, stranger] = [1, 2].map(|byte| PrivateKeySigner::from_slice(&[byte; 32]).expect("a key"));
        let keys = LocalKeys::from_signers([key.clone()]).expect("one key");
        let signer = Arc::new(ValidatorSigner::owning(store, Arc::new(keys)));
        let events = Events::default();
        let (heard, own_keys) = (events.subscribe(), OwnKeys::new(Arc::clone(&signer), events));
        Self { _dir: dir, key, stranger, signer, own_keys, heard }
    }

    /// The content, as somebody who has our key signs it, past every record.
    pub(crate) fn signed<T: Signable>(&self, content: T) -> Signed<T> {
        self.signed_by(&self.key, content)
    }

    pub(crate) fn signed_by<T: Signable>(&self, key: &PrivateKeySigner, content: T) -> Signed<T> {
        let signature = sign(key, content.digest(&DOMAIN));
        Signed::new(content, signature)
    }

    fn duty(&self, slot: u64) -> Duty {
        Duty { validator: self.key.address(), slot: Slot(slot), kind: DutyKind::Attestation }
    }

    /// How often the key was told to be halted since the last look.
    fn halts(&mut self) -> usize {
        std::iter::from_fn(|| self.heard.try_recv().ok()).count()
    }
}

fn on_disk(dir: &std::path::Path) -> SlashingProtection {
    let store = dir.join("signer");
    SlashingProtection::init(&store, DOMAIN).expect("a fresh store");
    SlashingProtection::open(&store, DOMAIN, StoreOptions::default()).expect("it opens")
}

fn sign(key: &PrivateKeySigner, digest: B256) -> L1Signature {
    key.sign_hash_sync(&signing_hash(digest)).expect("it signs").into()
}

#[tokio::test]
async fn a_payload_that_was_signed_elsewhere_halts_its_key_once_however_often_it_is_said() {
    let mut bench = Bench::new();
    let (duty, digest) = (bench.duty(7), B256::repeat_byte(1));
    let signature = sign(&bench.key, digest);
    for _ in 0..3 {
        bench.own_keys.observe(duty, digest, signature).await;
    }
    assert_eq!(bench.halts(), 1);
    bench.signer.protection().change_key(duty.validator, KeyChange::LiftHalt).await.expect("lifted");
    bench.own_keys.observe(duty, digest, signature).await;
    assert_eq!(bench.halts(), 0, "what an operator has seen and lifted is not told again");
    let other = B256::repeat_byte(2);
    bench.own_keys.observe(duty, other, sign(&bench.key, other)).await;
    assert_eq!(bench.halts(), 1, "another payload is");
    bench.signer.close().await;
}

#[tokio::test]
async fn a_forged_signature_and_one_of_a_stranger_are_nothing_and_do_not_hide_a_true_one() {
    let mut bench = Bench::new();
    let (duty, digest) = (bench.duty(7), B256::repeat_byte(1));
    let forged = sign(&bench.stranger, digest);
    bench.own_keys.observe(duty, digest, forged).await;
    let theirs = Duty { validator: bench.stranger.address(), ..duty };
    bench.own_keys.observe(theirs, digest, forged).await;
    assert_eq!(bench.halts(), 0);
    bench.own_keys.observe(duty, digest, sign(&bench.key, digest)).await;
    assert_eq!(bench.halts(), 1);
    bench.signer.close().await;
}

#[test]
fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
    let (mut looked_up, digest) = (LookedUp::default(), B256::repeat_byte(1));
    let duty = |slot: usize| Duty { validator: Address::ZERO, slot: Slot(slot as u64), kind: DutyKind::Attestation };
    for slot in 0..=REMEMBERED {
        looked_up.insert(duty(slot), digest);
        looked_up.insert(duty(slot), digest);
    }
    assert_eq!((looked_up.known.len(), looked_up.in_order.len()), (REMEMBERED, REMEMBERED));
    assert!(!looked_up.contains(duty(0), digest) && looked_up.contains(duty(1), digest));
}
