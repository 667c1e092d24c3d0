//! An export: all that is known, read of one moment while others go on.

use alloy::primitives::{Address, FixedBytes};

use super::book::load_book;
use super::eth_rows::{HISTORIES, Reach, public_keys, read};
use super::importing::{of_store, on_record};
use super::session::{ServerError, Session, damage};
use super::statements::ROLLBACK;
use super::statements::exchange::{BEGIN_EXPORT, NEXT_RECORDS};
use crate::DutyKind;
use crate::interchange::{ExportKeys, Found};

/// Records of one statement.
const PIECE: i64 = 4096;

/// What is known of these keys, and the store's id.
///
/// # Errors
/// [`ServerError`].
pub(super) async fn find(session: &Session, keys: &ExportKeys) -> Result<(Found, FixedBytes<16>), ServerError> {
    session.client.batch_execute(BEGIN_EXPORT).await?;
    let of_store = of_store(session).await?;
    let store_id = FixedBytes::try_from(of_store.store_id.as_slice());
    let store_id = store_id.map_err(|_| damage("the id of the store has a wrong length"))?;
    let mut found = Found::new(keys);
    found.genesis = of_store.genesis;
    find_signers(session, &mut found).await?;
    let public_keys = match keys {
        ExportKeys::All => public_keys(session).await?,
        ExportKeys::Chosen { public_keys, .. } => public_keys.clone(),
    };
    for piece in public_keys.chunks(HISTORIES) {
        let mut known = read(session, &Reach::all(piece.iter().copied())).await?;
        let named = piece.iter().map(|key| (*key, known.remove(key).unwrap_or_default().history));
        found.public_keys.extend(named);
    }
    session.client.batch_execute(ROLLBACK).await?;
    Ok((found, store_id))
}

/// What is known of the rollup's keys.
async fn find_signers(session: &Session, found: &mut Found) -> Result<(), ServerError> {
    let book = load_book(session).await?;
    for (room, marks) in &book.marks {
        let kind = DutyKind::from_code(room[20], 0).ok_or_else(|| damage("a mark has a key of no room"))?;
        found.add_marks(Address::from_slice(&room[..20]), kind, *marks);
    }
    let mut after: Vec<u8> = Vec::new();
    loop {
        let rows = session.client.query(NEXT_RECORDS, &[&after, &PIECE]).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get(0)?;
        for row in &rows {
            let (duty, record) = on_record(row)?;
            found.add_duty(duty, record);
        }
    }
    found.finish(book.floor, |signer| book.keys.get(&signer).is_some_and(|state| state.retired));
    Ok(())
}
