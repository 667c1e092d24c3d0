//! Forgetting old duties: the marks first, durably, then the records below them, piece by piece.

use std::collections::BTreeMap;

use fermata_primitives::Slot;
use tokio_postgres::types::ToSql;

use super::eth_rows::{histories, public_keys, raise_floor, rewrite};
use super::session::{ServerError, Session};
use super::statements::exchange::LOCK_ETH_KEYS;
use super::statements::{ACCEPT_SERVER, BEGIN_MOVING_MARKS, COMMIT, ROLLBACK, UNLIMITED};
use crate::eth::restored::refuse_lost;
use crate::{EthLast, EthLastError, EthMarks};

/// Records of one piece, so that a signature waits for no more than this.
const PIECE: i64 = 4096;

/// The first key that lies after all of `horizon`; the slot comes first in a key. `None`: no key does.
fn end_of(horizon: Slot) -> Vec<u8> {
    // After the last slot there is no other: a key of nine bytes of ones lies after every duty's.
    horizon.0.checked_add(1).map_or_else(|| vec![0xff; 9], |next| next.to_be_bytes().to_vec())
}

/// Refuses the slots up to `horizon` to each room that has records there.
///
/// # Errors
/// [`ServerError`]; the marks may have moved.
pub(super) async fn raise_marks(session: &Session, horizon: Slot) -> Result<(), ServerError> {
    let Session { client, statements } = session;
    let rows = client.query(&statements.rooms_below, &[&end_of(horizon)]).await?;
    let rooms: Vec<Vec<u8>> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    if rooms.is_empty() {
        return Ok(());
    }
    let low = horizon.0.to_be_bytes().to_vec();
    let marks: [&(dyn ToSql + Sync); 2] = [&rooms, &low];
    let (begun, raised, counted, unlimited, committed) = futures::join!(
        client.batch_execute(BEGIN_MOVING_MARKS),
        client.execute(&statements.raise_marks, &marks),
        client.execute(&statements.next_marks_version, &[]),
        client.batch_execute(UNLIMITED),
        client.batch_execute(COMMIT),
    );
    begun?;
    raised?;
    counted?;
    unlimited?;
    Ok(committed?)
}

/// Removes a piece of what lies at or below `horizon` and below the mark of its room; gives the number removed.
///
/// # Errors
/// [`ServerError`]; the piece may be removed.
pub(super) async fn delete_below(session: &Session, horizon: Slot) -> Result<u64, ServerError> {
    let Session { client, statements } = session;
    let row = client.query_one(&statements.delete, &[&end_of(horizon), &PIECE]).await?;
    Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
}

/// Takes the server for the store's own, and refuses the slots up to `floor` to everybody, for ever, and `ethereum` to every
/// Ethereum key. Gives the number of those on record.
///
/// # Errors
/// [`ServerError`]; it may be done.
pub(super) async fn accept_server(
    session: &Session,
    floor: Slot,
    ethereum: Option<EthLast>,
) -> Result<Result<usize, EthLastError>, ServerError> {
    let client = &session.client;
    client.batch_execute(BEGIN_MOVING_MARKS).await?;
    client.batch_execute(LOCK_ETH_KEYS).await?;
    let public_keys = public_keys(session).await?;
    let changes = match refuse_lost(histories(session, &public_keys).await?, &BTreeMap::new(), ethereum) {
        Ok(changes) => changes,
        Err(refusal) => {
            client.batch_execute(ROLLBACK).await?;
            return Ok(Err(refusal));
        }
    };
    rewrite(session, &changes).await?;
    if let Some(last) = ethereum {
        raise_floor(session, EthMarks::after(last)).await?;
    }
    client.execute(ACCEPT_SERVER, &[&floor.0.to_be_bytes().to_vec()]).await?;
    client.batch_execute(UNLIMITED).await?;
    client.batch_execute(COMMIT).await?;
    Ok(Ok(changes.len()))
}
