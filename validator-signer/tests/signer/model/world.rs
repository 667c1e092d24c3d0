//! Signers, their keys and stores, the reservations that somebody holds, and the model of it all.

use std::fmt::{Debug, Display};
use std::sync::Arc;

use alloy::primitives::{Address, B256, Signature};
use alloy::signers::SignerSync;
use fermata_validator_signer::{
    Duty, KeyChange, Keystore, Protection, Reservation, Safe, SignerError, ValidatorSigner,
};

use super::rules::{Answer, Memory, Model, STRICT, answered, told};
use super::{Marking, Step};
use crate::homes::{Home, Make, Wishes};
use crate::support::{Manner, RecordingKeys, attestation, digest, key};

/// Which stores, and how many nodes share them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) make: Make,
    pub(super) nodes: usize,
}

impl Setting {
    /// Whether each answer is the model's. Two stores that must agree come to hold different records; of them it is asked
    /// only that keys are never asked for a second digest.
    fn is_exact(self) -> bool {
        self.make != Make::Both
    }
}

struct Node {
    store: Arc<dyn Protection>,
    signer: ValidatorSigner,
}

pub(super) struct World {
    setting: Setting,
    home: Home,
    keys: Arc<RecordingKeys>,
    model: Model,
    nodes: Vec<Node>,
    held: Vec<(Reservation, u32)>,
}

async fn open(home: &Home, node: usize, keys: &Arc<RecordingKeys>) -> Node {
    let wishes = Wishes { strict: [STRICT].into(), ..Wishes::default() };
    let store = home.open_node(node, &wishes).await;
    let signer = ValidatorSigner::owning(store.clone(), keys.clone());
    signer.start().unwrap();
    Node { store, signer }
}

impl World {
    pub(super) async fn new(setting: Setting) -> Self {
        let (home, keys) = (Home::of_nodes(setting.make, setting.nodes).await, RecordingKeys::new());
        let mut nodes = Vec::new();
        for node in 0..setting.nodes {
            nodes.push(open(&home, node, &keys).await);
        }
        let memory = if setting.make == Make::OnDisk { Memory::OfAnOpening } else { Memory::OnRecord };
        Self { setting, home, keys, model: Model::new(memory), nodes, held: Vec::new() }
    }

    fn expect<T: PartialEq + Debug>(&self, what: impl Display, found: T, expected: T) {
        assert!(found == expected || !self.setting.is_exact(), "{what}: {found:?}, expected {expected:?}");
    }

    pub(super) async fn step(&mut self, node: usize, step: Step) {
        let node = node % self.nodes.len();
        match step {
            Step::Sign(duty, digest) => {
                let outcome = self.nodes[node].signer.sign(duty, digest).await;
                self.expect_signed((duty, digest), outcome);
            }
            Step::SignMany(wanted) => self.sign_many(node, wanted).await,
            Step::Race(duty, one, other) => self.race(node, duty, [one, other]).await,
            Step::Fail(duty, digest) => self.fail(node, duty, digest).await,
            Step::Reserve(duty, digest) => self.reserve(node, duty, digest).await,
            Step::ReserveHeld(which) => {
                let Some(at) = which.checked_rem(self.held.len()) else { return };
                let (duty, digest) = (self.held[at].0.duty(), self.held[at].0.digest());
                self.reserve(node, duty, digest).await;
            }
            Step::Cancel(which) => self.cancel(node, which).await,
            Step::Use(which) => self.use_held(node, which).await,
            Step::Drop(which) => drop(self.take(which)),
            Step::Observe(duty, digest) => {
                let signature = signature(duty, digest);
                let sighting = self.nodes[node].signer.observe(duty, digest, signature).await.unwrap();
                let expected = Some(self.model.observe(duty, digest));
                self.expect(duty, sighting, expected);
            }
            Step::Prune(through) => {
                self.nodes[node].store.prune(through).await.unwrap();
                self.model.prune(through);
            }
            Step::Change(validator, change) => self.change(node, key(validator).address(), change).await,
            Step::Mark(marking) => self.mark(node, marking).await,
            Step::StopAndStart => {
                self.nodes[node].signer.stop().await;
                self.nodes[node].signer.start().unwrap();
            }
            Step::Reopen => {
                self.nodes[node].signer.close().await;
                self.nodes[node] = open(&self.home, node, &self.keys).await;
                self.model.reopened();
            }
            Step::SetBack if self.setting.make == Make::Both && self.nodes.len() == 1 => self.set_back().await,
            Step::SetBack => {}
        }
        self.settle(node).await;
    }

    /// What a node was given to keep is written before it does what it is asked for next.
    async fn settle(&self, node: usize) {
        if self.nodes.len() > 1 {
            self.nodes[node].store.payload(attestation(7, 0)).await.unwrap();
        }
    }

    async fn sign_many(&mut self, node: usize, mut wanted: Vec<(Duty, B256)>) {
        // The store judges a transaction in the order of its keys.
        wanted.sort_by_key(|(duty, _)| (duty.slot, duty.kind));
        let outcomes = self.nodes[node].signer.sign_many(&wanted).await;
        for (wanted, outcome) in wanted.into_iter().zip(outcomes) {
            self.expect_signed(wanted, outcome);
        }
    }

    /// At one node, or at two, where either may come first.
    async fn race(&mut self, node: usize, duty: Duty, [one, other]: [B256; 2]) {
        let rival = (node + 1) % self.nodes.len();
        let (first, second) =
            tokio::join!(self.nodes[node].signer.sign(duty, one), self.nodes[rival].signer.sign(duty, other));
        self.settle(rival).await;
        if rival != node && first.is_err() && second.is_ok() {
            self.expect_signed((duty, other), second);
            self.expect_signed((duty, one), first);
        } else {
            self.expect_signed((duty, one), first);
            self.expect_signed((duty, other), second);
        }
    }

    async fn reserve(&mut self, node: usize, duty: Duty, digest: B256) {
        let answer = self.nodes[node].store.reserve(duty, digest).await;
        let expected = self.model.reserve(duty, digest);
        self.expect(duty, answered(&answer), expected);
        if let Ok(Safe::Granted(reservation)) = answer {
            self.held.push((reservation, self.model.openings));
        }
    }

    async fn cancel(&mut self, node: usize, which: usize) {
        let Some((reservation, opening)) = self.take(which) else { return };
        let duty = reservation.duty();
        let freed = self.nodes[node].store.cancel(reservation).await.unwrap();
        let expected = self.model.cancel(duty, opening);
        self.expect(duty, freed, expected);
    }

    async fn change(&mut self, node: usize, validator: Address, change: KeyChange) {
        self.nodes[node].store.change_key(validator, change).await.unwrap();
        self.model.change(validator, change);
    }

    async fn mark(&mut self, node: usize, marking: Marking) {
        let store = &self.nodes[node].store;
        match marking {
            Marking::HandOver(validator, from) => {
                let validator = key(validator).address();
                let outcome = store.hand_over(validator, from).await;
                let expected = self.model.hand_over(validator, from);
                self.expect("a hand-over", outcome.is_ok(), expected);
            }
            Marking::TakeOver(validator, from) => {
                let validator = key(validator).address();
                store.take_over(validator, from).await.unwrap();
                self.model.take_over(validator, from);
            }
            Marking::ListenOnlyUntil(slot) => {
                store.listen_only_until(slot).await.unwrap();
                self.model.listen_only_until = self.model.listen_only_until.max(slot);
            }
        }
    }

    fn expect_signed(&mut self, (duty, digest): (Duty, B256), outcome: Result<Signature, SignerError>) {
        let expected = self.model.sign(duty, digest);
        let found = match outcome {
            Ok(_) => Ok(()),
            Err(SignerError::NotSafe(refusal)) => Err(told(refusal)),
            Err(error) => panic!("{duty}: {error}"),
        };
        self.expect(duty, found, if expected.is_safe() { Ok(()) } else { Err(expected) });
    }

    async fn fail(&mut self, node: usize, duty: Duty, digest: B256) {
        let number = (0..8).find(|number| key(*number).address() == duty.validator).unwrap();
        self.keys.behave(number, Manner::Failing);
        let outcome = self.nodes[node].signer.sign(duty, digest).await;
        self.keys.behave(number, Manner::Honest);
        let expected = self.model.reserve(duty, digest);
        let expected = if expected == Answer::Resume { Answer::Granted } else { expected };
        let found = match outcome {
            Ok(_) => Answer::Done,
            Err(SignerError::KeyFailed { .. }) => Answer::Granted,
            Err(SignerError::NotSafe(refusal)) => told(refusal),
            Err(error) => panic!("{duty}: {error}"),
        };
        self.expect(duty, found, expected);
    }

    async fn use_held(&mut self, node: usize, which: usize) {
        let Some((reservation, _)) = self.take(which) else { return };
        let permit = reservation.into_permit();
        let (duty, digest) = (permit.duty(), permit.digest());
        let signature = self.keys.sign(&permit).await.unwrap();
        self.nodes[node].store.record_signature(permit, signature).await.unwrap();
        self.model.used(duty, digest);
    }

    /// The shared store forgets all. A server that is set back ends its connections, so the node opens it anew.
    async fn set_back(&mut self) {
        self.nodes[0].signer.close().await;
        self.home.set_back();
        self.nodes[0] = open(&self.home, 0, &self.keys).await;
    }

    fn take(&mut self, which: usize) -> Option<(Reservation, u32)> {
        let at = which.checked_rem(self.held.len())?;
        Some(self.held.swap_remove(at))
    }

    /// Closes what is open, once the keys have told what they were asked for.
    pub(super) async fn end(self) {
        self.keys.assert_never_twice();
        for node in &self.nodes {
            // It hears what was said of keys at the others.
            node.store.recognise(attestation(7, 0), digest(1)).await.unwrap();
            for (validator, state) in node.store.key_states() {
                let expected = self.model.halted.contains(&validator);
                self.expect(validator, state.halt.is_some(), expected);
            }
            node.signer.close().await;
        }
    }
}

fn signature(duty: Duty, digest: B256) -> Signature {
    let signer = (0..8).map(key).find(|key| key.address() == duty.validator).unwrap();
    signer.sign_hash_sync(&duty.kind.signed_hash(digest)).unwrap()
}
