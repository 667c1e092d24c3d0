//! Marks that an operator moves: a key handed over, taken over, or listened for first.

use alloy::primitives::Address;
use fermata_primitives::Slot;
use tokio_postgres::Statement;

use super::book::{begin_moving, commit_moved, load_book, put_marks, slot};
use super::judge::room;
use super::ledger::Settling;
use super::session::ServerError;
use super::statements::ROLLBACK;
use crate::{DutyKind, Marks};

impl Settling<'_> {
    /// Refuses `from` and all later slots to a key at every node, of every kind, unless one of them is pinned already: then
    /// gives the highest that is. No pin is on its way meanwhile, and those that come later are judged by the mark.
    ///
    /// # Errors
    /// [`ServerError`]; it may be done.
    pub(super) async fn hand_over(&mut self, key: Address, from: Slot) -> Result<Result<(), Slot>, ServerError> {
        *self.book = begin_moving(self.session).await?;
        let (first, validator) = (from.0.to_be_bytes().to_vec(), key.to_vec());
        let statement = &self.session.statements.marks.last_of_key;
        let row = self.session.client.query_opt(statement, &[&first, &validator]).await?;
        let on_record = row.map(|row| slot(row.try_get(0)?)).transpose()?.flatten();
        let marked = DutyKind::MARKED.map(|kind| self.book.marks(&room(key, kind)).max_signed);
        let pinned = marked.into_iter().fold(on_record, Option::max);
        if let Some(pinned) = pinned.filter(|pinned| *pinned >= from) {
            self.session.client.batch_execute(ROLLBACK).await?;
            return Ok(Err(pinned));
        }
        self.replace_marks(key, &DutyKind::MARKED, |marks| marks.merge(Marks::from(from))).await?;
        Ok(Ok(()))
    }

    /// Refuses the slots before `from` to a key, which another store's nodes signed; a high mark at or before it ends.
    ///
    /// # Errors
    /// [`ServerError`]; it may be done.
    pub(super) async fn take_over_key(&mut self, key: Address, from: Slot) -> Result<(), ServerError> {
        *self.book = begin_moving(self.session).await?;
        self.replace_marks(key, &DutyKind::MARKED, |marks| marks.taken_over(from)).await
    }

    /// Adds to the marks of a key, all or none.
    ///
    /// # Errors
    /// [`ServerError`]; they may be added.
    pub(super) async fn add_marks(&mut self, key: Address, added: &[(DutyKind, Marks)]) -> Result<(), ServerError> {
        *self.book = begin_moving(self.session).await?;
        let mut changed = std::collections::BTreeMap::new();
        for (kind, more) in added {
            let room = room(key, *kind);
            let marks = changed.entry(room).or_insert_with(|| self.book.marks(&room));
            *marks = marks.merge(*more);
        }
        put_marks(self.session, &changed.into_iter().collect::<Vec<_>>()).await?;
        *self.book = commit_moved(self.session).await?;
        Ok(())
    }

    /// Signs nothing before `slot` from now on, at any node; an earlier word for a later slot holds.
    ///
    /// # Errors
    /// [`ServerError`]; it may be said.
    pub(super) async fn listen_only_until(&mut self, slot: Slot) -> Result<(), ServerError> {
        self.listen(slot, &self.session.statements.marks.listen).await
    }

    /// The same where the store owes it, and then it does no more. Gives the first slot that is signed, whichever node
    /// said it.
    ///
    /// # Errors
    /// [`ServerError`]; it may be said.
    pub(super) async fn listen_when_new(&mut self, slot: Slot) -> Result<Option<Slot>, ServerError> {
        *self.book = load_book(self.session).await?;
        if self.book.owes_listening {
            self.listen(slot, &self.session.statements.marks.listen_when_new).await?;
        }
        Ok(self.book.listen_only_until)
    }

    async fn listen(&mut self, slot: Slot, statement: &Statement) -> Result<(), ServerError> {
        *self.book = begin_moving(self.session).await?;
        let until = slot.0.to_be_bytes().to_vec();
        self.session.client.execute(statement, &[&until]).await?;
        *self.book = commit_moved(self.session).await?;
        Ok(())
    }

    /// The marks of one key and kind, and the highest slot that is pinned.
    ///
    /// # Errors
    /// [`ServerError`].
    pub(super) async fn marks_of(&mut self, key: Address, kind: DutyKind) -> Result<Marks, ServerError> {
        *self.book = load_book(self.session).await?;
        let room = room(key, kind);
        let marks = self.book.marks(&room);
        // What lies at or below the mark tells nothing more.
        let from = marks.max_signed.unwrap_or_default().0.to_be_bytes().to_vec();
        let (client, statement) = (&self.session.client, &self.session.statements.marks.last_of_room);
        let row = client.query_opt(statement, &[&from, &room.as_slice()]).await?;
        let max_signed = row.map(|row| slot(row.try_get(0)?)).transpose()?.flatten();
        Ok(marks.merge(Marks { max_signed, ..Marks::default() }))
    }

    /// Replaces the marks of a key, in a transaction that has begun, and ends it.
    async fn replace_marks(
        &mut self,
        key: Address,
        kinds: &[DutyKind],
        change: impl Fn(Marks) -> Marks,
    ) -> Result<(), ServerError> {
        let rooms = kinds.iter().map(|kind| room(key, *kind));
        let changed: Vec<_> = rooms.map(|room| (room, change(self.book.marks(&room)))).collect();
        put_marks(self.session, &changed).await?;
        *self.book = commit_moved(self.session).await?;
        Ok(())
    }
}
