//! What is done on its own, between two batches: a pin taken back, a word said of a key.

use alloy::primitives::{Address, B256};
use tokio_postgres::types::ToSql;
use tracing::{error, info};

use super::book::{begin_moving, commit_moved};
use super::judge::room_of;
use super::ledger::Settling;
use super::session::ServerError;
use super::statements::{BEGIN_RECORDING, COMMIT, UNLIMITED};
use crate::permit::Attempt;
use crate::rules::sight;
use crate::{Duty, Halt, KeyState, Sighting};

impl Settling<'_> {
    /// Takes back the pin of an attempt, if it is still the only one that leave was given to. Gives whether it was.
    ///
    /// # Errors
    /// [`ServerError`]; it may be taken back.
    pub(super) async fn cancel(&mut self, duty: Duty, attempt: Attempt) -> Result<bool, ServerError> {
        let (client, statements) = (&self.session.client, &self.session.statements);
        let (key, attempt) = (duty.key().to_vec(), attempt.0.to_be_bytes().to_vec());
        let (room, slot) = (room_of(duty).to_vec(), duty.slot.0.to_be_bytes().to_vec());
        let (pinned, cancelled): ([&(dyn ToSql + Sync); 2], [&(dyn ToSql + Sync); 2]) =
            ([&room, &slot], [&key, &attempt]);
        // The marks first: a node that records in a strict room holds them before it comes to a record.
        let (begun, pinned, cancelled, unlimited, committed) = futures::join!(
            client.batch_execute(BEGIN_RECORDING),
            client.execute(&statements.marks.pinned, &pinned),
            client.query_one(&statements.cancel, &cancelled),
            client.batch_execute(UNLIMITED),
            client.batch_execute(COMMIT),
        );
        begun?;
        pinned?;
        let cancelled: i64 = cancelled?.try_get(0)?;
        unlimited?;
        committed?;
        Ok(cancelled > 0)
    }

    /// Changes what is said of a key. Whatever is recorded after it was judged by it.
    ///
    /// # Errors
    /// [`ServerError`]; it may be changed.
    pub(super) async fn change_key(
        &mut self,
        key: Address,
        change: impl FnOnce(KeyState) -> KeyState,
    ) -> Result<(), ServerError> {
        *self.book = begin_moving(self.session).await?;
        let state = change(self.book.keys.get(&key).copied().unwrap_or_default());
        let bytes = state.encode(key.as_slice()).to_vec();
        self.session.client.execute(&self.session.statements.put_key, &[&key.as_slice(), &bytes]).await?;
        *self.book = commit_moved(self.session).await?;
        info!(validator = %key, ?state, "the state of a key has changed");
        Ok(())
    }

    /// Judges a signature that was seen outside, and halts its key if it was made by none of the nodes that share the store.
    ///
    /// # Errors
    /// [`ServerError`]; the key may be halted.
    pub(super) async fn observe(&mut self, seen: Halt) -> Result<Sighting, ServerError> {
        let (duty, key) = (seen.duty, seen.duty.validator);
        let sighting = self.recognise(duty, seen.digest).await?;
        if sighting == Sighting::Elsewhere && self.book.keys.get(&key).is_none_or(|state| state.halt.is_none()) {
            error!(validator = %key, %duty, digest = %seen.digest,
                "another node signs with this key: it is halted here until an operator has stopped the other one");
            self.change_key(key, |state| KeyState { halt: Some(seen), ..state }).await?;
        }
        Ok(sighting)
    }

    /// Judges a payload whose signature was seen outside.
    ///
    /// # Errors
    /// [`ServerError`].
    pub(super) async fn recognise(&mut self, duty: Duty, digest: B256) -> Result<Sighting, ServerError> {
        let look = self.read(std::iter::once(duty)).await?;
        Ok(sight(duty, digest, &self.book.known(duty, &look.at(duty))))
    }
}
