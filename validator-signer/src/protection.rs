//! What a signer needs of a store, wherever the store keeps its records.

use std::collections::BTreeMap;
use std::fmt;

use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::{Slot, UnixTime};
use futures::future::BoxFuture;

use crate::{
    Domain, Duty, DutyKind, Halt, KeyChange, KeyState, Marks, Reservation, Safe, Sighting, SignerError, SigningPermit,
};

pub(crate) fn only(answers: Vec<Result<Safe, SignerError>>) -> Result<Safe, SignerError> {
    answers.into_iter().next().expect("a store answers each duty it is asked for")
}

/// A store of duties, each durable on record before leave is given to sign it.
///
/// What every store promises, and a signer relies on: for one duty all digests that leave was ever given for are equal,
/// whatever is cut, killed or asked at once. A store that cannot tell whether a duty is safe answers with an error.
pub trait Protection: Send + Sync + fmt::Debug + 'static {
    /// The rollup this store protects keys for.
    fn domain(&self) -> Domain;

    /// Records many duties durably and gives leave to sign each digest. Each duty gets an answer of its own, in the order
    /// asked, and always one: a refusal takes nothing from the others. Of two digests for one duty the earlier wins.
    ///
    /// Once the store's clock has reached `by`, nothing more is recorded: a duty that waited too long is answered with
    /// [`SignerError::DeadlinePassed`], and not spent.
    ///
    /// # Cancel safety
    /// Dropped: each duty is either not on record, or pinned to its digest.
    fn reserve_many<'a>(
        &'a self,
        duties: &'a [(Duty, B256)],
        by: Option<UnixTime>,
    ) -> BoxFuture<'a, Vec<Result<Safe, SignerError>>>;

    /// Records `duty` durably and gives leave to sign `digest` for it.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each.
    ///
    /// # Cancel safety
    /// As [`reserve_many`](Self::reserve_many).
    fn reserve(&self, duty: Duty, digest: B256) -> BoxFuture<'_, Result<Safe, SignerError>> {
        Box::pin(async move { only(self.reserve_many(&[(duty, digest)], None).await) })
    }

    /// As [`reserve`](Self::reserve), unless the store's clock reaches `by` first.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve), and [`SignerError::DeadlinePassed`].
    ///
    /// # Cancel safety
    /// As [`reserve_many`](Self::reserve_many).
    fn reserve_by(&self, duty: Duty, digest: B256, by: UnixTime) -> BoxFuture<'_, Result<Safe, SignerError>> {
        Box::pin(async move { only(self.reserve_many(&[(duty, digest)], Some(by)).await) })
    }

    /// As [`reserve`](Self::reserve), unless the store's clock reaches `by` first, and keeps `payload` beside the pin if
    /// this makes it, so that after a crash [`payload`](Self::payload) gives what was pinned, to be signed instead of lost.
    ///
    /// # Errors
    /// As [`reserve_by`](Self::reserve_by), and [`SignerError::PayloadTooLarge`] beyond
    /// [`PAYLOAD_LIMIT`](crate::PAYLOAD_LIMIT).
    ///
    /// # Cancel safety
    /// As [`reserve_many`](Self::reserve_many): pin and payload are one.
    fn reserve_with_payload<'a>(
        &'a self,
        duty: Duty,
        digest: B256,
        payload: &'a [u8],
        by: Option<UnixTime>,
    ) -> BoxFuture<'a, Result<Safe, SignerError>>;

    /// The payload that `duty` is pinned to, where [`reserve_with_payload`](Self::reserve_with_payload) kept it. Those of
    /// the last 32 slots are kept.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each.
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    fn payload(&self, duty: Duty) -> BoxFuture<'_, Result<Option<Vec<u8>>, SignerError>>;

    /// As [`payload`](Self::payload), where this node pinned it: what another node has pinned, in a store that both share,
    /// is for that one to sign while it lives.
    ///
    /// # Errors
    /// As [`payload`](Self::payload).
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    fn own_payload(&self, duty: Duty) -> BoxFuture<'_, Result<Option<Vec<u8>>, SignerError>> {
        self.payload(duty)
    }

    /// Takes a reservation back before its key was asked, so that another payload may be pinned. Gives whether the duty
    /// is free again: it is not where somebody else was given leave for the same payload since.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each; the duty stays pinned.
    ///
    /// # Cancel safety
    /// Dropped: the duty is free or stays pinned.
    fn cancel(&self, reservation: Reservation) -> BoxFuture<'_, Result<bool, SignerError>>;

    /// Takes note of a valid signature by a key of this node that was seen outside, on the network or on L1. One over a
    /// payload that was never pinned here proves that the key signs elsewhere: the key is halted, durably.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each; the key is halted until the process ends.
    ///
    /// # Cancel safety
    /// Dropped: the key may be halted all the same.
    fn observe(&self, seen: Halt) -> BoxFuture<'_, Result<Sighting, SignerError>>;

    /// What the store makes of a payload whose signature was seen outside, as [`observe`](Self::observe) judges it. Halts
    /// nobody.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each.
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    fn recognise(&self, duty: Duty, digest: B256) -> BoxFuture<'_, Result<Sighting, SignerError>>;

    /// Changes what is said of a key as a whole, durably; twice is the same as once. Leave that was given before may still
    /// be used.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each; what was said before holds on.
    ///
    /// # Cancel safety
    /// Dropped: the change may be made all the same.
    fn change_key(&self, validator: Address, change: KeyChange) -> BoxFuture<'_, Result<(), SignerError>>;

    /// What is said of keys, as far as this process knows. A key that is not in it is enabled.
    fn key_states(&self) -> BTreeMap<Address, KeyState>;

    /// Signs nothing before `slot`, for any key: a store that is new, restored or imported listens first for another node
    /// that signs with its keys. A later slot said before holds.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each.
    ///
    /// # Cancel safety
    /// Dropped: it may be said all the same.
    fn listen_only_until(&self, slot: Slot) -> BoxFuture<'_, Result<(), SignerError>>;

    /// Listens before it signs, where it was made, restored or imported into since it last did: signs nothing before
    /// `slot` then, as [`listen_only_until`](Self::listen_only_until). Nothing changes where it was not. Gives the first
    /// slot that is signed, whenever that was said, and by whichever node.
    ///
    /// What such a store does not know may have been signed elsewhere, and whoever has signed it may still be at it.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each; it may be said all the same.
    ///
    /// # Cancel safety
    /// Dropped: it may be said all the same.
    fn listen_when_new(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Slot>, SignerError>>;

    /// Leaves `from` and all later slots to another store and the nodes that sign with it, for every kind. They
    /// [take over](Self::take_over) from the same slot on; no slot is both's.
    ///
    /// # Errors
    /// [`SignerError::HandOverTooEarly`] when one of those slots is pinned here already;
    /// [`SignerError::next_step`] tells what to do about the others.
    ///
    /// # Cancel safety
    /// Dropped: it may be done all the same.
    fn hand_over(&self, validator: Address, from: Slot) -> BoxFuture<'_, Result<(), SignerError>>;

    /// Refuses the slots before `from`, which another store's nodes signed; a high mark at or before `from` ends.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each.
    ///
    /// # Cancel safety
    /// Dropped: it may be done all the same.
    fn take_over(&self, validator: Address, from: Slot) -> BoxFuture<'_, Result<(), SignerError>>;

    /// Adds to the marks of a key, all or none. Marks only ever come to refuse more.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each.
    ///
    /// # Cancel safety
    /// Dropped: they may be added all the same.
    fn add_marks(&self, validator: Address, marks: Vec<(DutyKind, Marks)>) -> BoxFuture<'_, Result<(), SignerError>>;

    /// The marks of a key and kind; the highest pinned slot among them is that of the records, where they tell more.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each.
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    fn marks(&self, validator: Address, kind: DutyKind) -> BoxFuture<'_, Result<Marks, SignerError>>;

    /// The first slot that is signed, where the store only listens yet, or did at first, for another node that signs with
    /// its keys; as far as this process knows.
    fn listens_until(&self) -> Option<Slot>;

    /// As [`reserve`](Self::reserve), for a duty that was [`SignerError::Busy`]: waits a while for the node that holds it,
    /// and takes over from one that does not come to an end; not once the store's clock has reached `by`.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); still [`SignerError::Busy`] after the wait, or [`SignerError::DeadlinePassed`].
    ///
    /// # Cancel safety
    /// As [`reserve_many`](Self::reserve_many).
    fn reserve_after_peer(
        &self,
        duty: Duty,
        digest: B256,
        by: Option<UnixTime>,
    ) -> BoxFuture<'_, Result<Safe, SignerError>> {
        Box::pin(async move { only(self.reserve_many(&[(duty, digest)], by).await) })
    }

    /// Keeps the signature made under `permit`, so that the same payload gets it without asking the key again. A crash
    /// may lose it; that costs a repeat of the same signature, never another one.
    ///
    /// # Errors
    /// [`SignerError::Closed`]: the store closed meanwhile; the duty stays pinned.
    ///
    /// # Cancel safety
    /// Dropped: the signature may not be kept; the duty stays pinned.
    fn record_signature(&self, permit: SigningPermit, signature: Signature) -> BoxFuture<'_, Result<(), SignerError>>;

    /// Forgets duties so far behind `finalized` that nobody asks for them any more, and refuses their slots from then on.
    /// Gives the number of records removed.
    ///
    /// # Errors
    /// [`SignerError::next_step`] tells what to do about each; a part may be pruned already.
    ///
    /// # Cancel safety
    /// Dropped: what is pruned stays pruned.
    fn prune(&self, finalized: Slot) -> BoxFuture<'_, Result<u64, SignerError>>;

    /// Answers what is queued and closes the store. Closing twice is the same as once; whatever is asked afterwards is
    /// [`SignerError::Closed`].
    ///
    /// # Cancel safety
    /// Dropped once it was polled to its first wait: the store closes all the same.
    fn close(&self) -> BoxFuture<'_, ()>;
}
