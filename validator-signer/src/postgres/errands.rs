//! What is done on its own, between two batches: a pin taken back, a word said of a key.

use alloy::primitives::Address;
use tracing::{error, info};

use super::ledger::Settling;
use super::link::load_book;
use super::session::ServerError;
use super::statements::{BEGIN_MOVING_MARKS, COMMIT, UNLIMITED};
use crate::permit::Attempt;
use crate::rules::sight;
use crate::{Duty, Halt, KeyState, Sighting};

impl Settling<'_> {
    /// Takes back the pin of an attempt, if it is still the only one that leave was given to. Gives whether it was.
    ///
    /// # Errors
    /// [`ServerError`]; it may be taken back.
    pub(super) async fn cancel(&mut self, duty: Duty, attempt: Attempt) -> Result<bool, ServerError> {
        let (key, attempt) = (duty.key().to_vec(), attempt.0.to_be_bytes().to_vec());
        Ok(self.session.client.execute(&self.session.statements.cancel, &[&key, &attempt]).await? > 0)
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
        let (client, statements) = (&self.session.client, &self.session.statements);
        client.batch_execute(BEGIN_MOVING_MARKS).await?;
        // Nobody else can change it from here to the commit.
        *self.book = load_book(self.session).await?;
        let state = change(self.book.keys.get(&key).copied().unwrap_or_default());
        let bytes = state.encode(key.as_slice()).to_vec();
        client.execute(&statements.put_key, &[&key.as_slice(), &bytes]).await?;
        client.execute(&statements.next_marks_version, &[]).await?;
        client.batch_execute(UNLIMITED).await?;
        client.batch_execute(COMMIT).await?;
        *self.book = load_book(self.session).await?;
        info!(validator = %key, ?state, "the state of a key has changed");
        Ok(())
    }

    /// Judges a signature that was seen outside, and halts its key if it was made by none of the nodes that share the store.
    ///
    /// # Errors
    /// [`ServerError`]; the key may be halted.
    pub(super) async fn observe(&mut self, seen: Halt) -> Result<Sighting, ServerError> {
        let (duty, key) = (seen.duty, seen.duty.validator);
        let rows = self.read(std::iter::once(duty)).await?;
        let known = self.book.known(duty, rows.get(duty.key().as_slice()), None);
        let sighting = sight(duty, seen.digest, &known);
        if sighting == Sighting::Elsewhere && self.book.keys.get(&key).is_none_or(|state| state.halt.is_none()) {
            error!(validator = %key, %duty, digest = %seen.digest,
                "another node signs with this key: it is halted here until an operator has stopped the other one");
            self.change_key(key, |state| KeyState { halt: Some(seen), ..state }).await?;
        }
        Ok(sighting)
    }
}
