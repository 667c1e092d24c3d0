//! All marks and what is said of keys: read as of one moment, and changed while nobody else can.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use fermata_primitives::Slot;

use super::judge::{MarkBook, Room};
use super::session::{ServerError, Session, damage};
use super::statements::{BEGIN_MOVING_MARKS, COMMIT, UNLIMITED};
use crate::{DutyKind, KeyState, Marks};

/// All that refuses more than one duty, as of one moment.
///
/// # Errors
/// [`ServerError`].
pub(super) async fn load_book(session: &Session) -> Result<MarkBook, ServerError> {
    let row = session.client.query_one(&session.statements.marks.book, &[]).await?;
    let bytes = |at| row.try_get::<_, Option<Vec<&[u8]>>>(at).map(Option::unwrap_or_default);
    let slots = |at| row.try_get::<_, Option<Vec<Option<&[u8]>>>>(at).map(Option::unwrap_or_default);
    let one = |at| row.try_get::<_, Option<&[u8]>>(at);
    let mut book = MarkBook { version: row.try_get(0)?, strict: kinds(row.try_get(4)?)?, ..MarkBook::default() };
    (book.floor, book.listen_only_until) = (slot(one(1)?)?, slot(one(2)?)?);
    book.owes_listening = row.try_get(3)?;
    let (lows, highs, tops) = (slots(6)?, slots(7)?, slots(8)?);
    for (at, room) in bytes(5)?.into_iter().enumerate() {
        let room = Room::try_from(room).map_err(|_| damage("a mark has a key of no room"))?;
        let marks = Marks { low: slot(lows[at])?, high: slot(highs[at])?, max_signed: slot(tops[at])? };
        book.marks.insert(room, marks);
    }
    for (validator, state) in bytes(9)?.into_iter().zip(bytes(10)?) {
        let state = KeyState::decode(validator, state).map_err(damage)?;
        let validator = Address::try_from(validator).map_err(|_| damage("a key has no address"))?;
        book.keys.insert(validator, state);
    }
    Ok(book)
}

/// A slot as it lies in a column.
///
/// # Errors
/// [`ServerError::Lasting`]: it is none.
pub(super) fn slot(bytes: Option<&[u8]>) -> Result<Option<Slot>, ServerError> {
    let number = |bytes: &[u8]| Ok(Slot(u64::from_be_bytes(bytes.try_into().map_err(|_| damage("a slot is none"))?)));
    bytes.map(number).transpose()
}

fn kinds(codes: &[u8]) -> Result<BTreeSet<DutyKind>, ServerError> {
    let kind = |code: &u8| DutyKind::from_code(*code, 0).ok_or_else(|| damage("a strict kind is unknown"));
    codes.iter().map(kind).collect()
}

/// Begins a transaction in which nobody else can record a duty or change what the book holds, and reads the book in it.
///
/// # Errors
/// [`ServerError`].
pub(super) async fn begin_moving(session: &Session) -> Result<MarkBook, ServerError> {
    session.client.batch_execute(BEGIN_MOVING_MARKS).await?;
    load_book(session).await
}

/// Makes what was changed since [`begin_moving`] known and durable; gives the book as it is now.
///
/// # Errors
/// [`ServerError`]; it may be changed.
pub(super) async fn commit_moved(session: &Session) -> Result<MarkBook, ServerError> {
    let client = &session.client;
    client.execute(&session.statements.next_marks_version, &[]).await?;
    client.batch_execute(UNLIMITED).await?;
    client.batch_execute(COMMIT).await?;
    load_book(session).await
}

/// Replaces the marks of rooms, between [`begin_moving`] and [`commit_moved`].
///
/// # Errors
/// [`ServerError`].
pub(super) async fn put_marks(session: &Session, marks: &[(Room, Marks)]) -> Result<(), ServerError> {
    let column = |of: fn(&Marks) -> Option<Slot>| -> Vec<Option<Vec<u8>>> {
        marks.iter().map(|(_, marks)| of(marks).map(|slot| slot.0.to_be_bytes().to_vec())).collect()
    };
    let rooms: Vec<&[u8]> = marks.iter().map(|(room, _)| room.as_slice()).collect();
    let (lows, highs, tops) = (column(|marks| marks.low), column(|marks| marks.high), column(|marks| marks.max_signed));
    session.client.execute(&session.statements.marks.put, &[&rooms, &lows, &highs, &tops]).await?;
    Ok(())
}
