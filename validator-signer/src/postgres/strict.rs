//! Kinds that only go forward: no slot that does not exceed every one that was ever pinned, by whichever node.
//!
//! Two nodes must not pin a slot and an earlier one at the same time, each having seen neither. So whoever pins something
//! in a strict room holds its row of marks, looks, judges, records, raises the row's highest pinned slot, and commits,
//! while every other node that would pin there waits for the row. What the look sees is what the last holder committed:
//!
//! - A slot that is committed is in the row, since pin and row are one transaction. A pin that is rolled back raises
//!   nothing. A commit whose answer is lost is found by its attempt, before the mark is asked.
//! - A node that does not know that a kind is strict cannot record beside the row: kinds are declared strict under the
//!   version of the marks, and a record under an older version is refused by the server.
//! - What was pinned before the declaration is in the row too: it is brought up to the records while none is on its way.
//! - A pin that is pruned or taken back leaves its slot in the row.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::types::ToSql;

use super::book::{begin_moving, commit_moved};
use super::judge::{MarkBook, Verdict, Wanted, in_turn, room_of};
use super::ledger::Settling;
use super::session::{ServerError, Session};
use super::statements::{BEGIN_RECORDING, COMMIT, UNLIMITED};
use crate::DutyKind;

/// Declares kinds strict, beside those that are. Gives the book as it is then.
///
/// # Errors
/// [`ServerError`]; it may be done.
pub(super) async fn declare(session: &Session, kinds: &BTreeSet<DutyKind>) -> Result<MarkBook, ServerError> {
    let (client, statements) = (&session.client, &session.statements.marks);
    let book = begin_moving(session).await?;
    let codes: Vec<u8> = book.strict.union(kinds).map(|kind| kind.code()).collect();
    let each: Vec<Vec<u8>> = codes.iter().map(|code| vec![*code]).collect();
    // All records are read once, which may take longer than a duty's statement.
    client.batch_execute(UNLIMITED).await?;
    client.execute(&statements.bring_up, &[&each]).await?;
    client.execute(&statements.declare, &[&codes]).await?;
    commit_moved(session).await
}

impl Settling<'_> {
    /// Records, in a transaction of its own, the payloads of strict kinds that may be recorded one after the other. Gives
    /// the verdicts of their attempts.
    ///
    /// # Errors
    /// [`ServerError`]; anything may be recorded, under the attempts of the batch.
    pub(super) async fn record_strict(&mut self, batch: &[Wanted]) -> Result<HashMap<u128, Verdict>, ServerError> {
        if batch.is_empty() {
            return Ok(HashMap::new());
        }
        let rooms: BTreeSet<Vec<u8>> = batch.iter().map(|wanted| room_of(wanted.duty).to_vec()).collect();
        let rooms: Vec<_> = rooms.into_iter().collect();
        let client = &self.session.client;
        let held: [&(dyn ToSql + Sync); 1] = [&rooms];
        let (begun, held, locked) = futures::join!(
            client.batch_execute(BEGIN_RECORDING),
            client.execute(&self.session.statements.marks.hold, &held),
            self.lock_seals(batch),
        );
        begun?;
        held?;
        locked?;
        let look = self.read(batch.iter().map(|wanted| wanted.duty)).await?;
        let free = in_turn(batch, look, self.book, self.asker);
        let (inserted, kept, unlimited, committed, flushed) = futures::join!(
            self.insert(&self.session.statements.insert_strict, &free),
            self.put_payloads(&free),
            client.batch_execute(UNLIMITED),
            client.batch_execute(COMMIT),
            client.query_one(&self.session.statements.flushed, &[]),
        );
        let inserted = inserted?;
        kept?;
        unlimited?;
        committed?;
        self.memory.advance(flushed?.try_get(0)?);
        Ok(inserted.into_iter().map(|attempt| (attempt.0, Verdict::Granted)).collect())
    }
}
