//! An import: what is on record is loaded, merged with the file by the pure function, and written, in one transaction.

use alloy::primitives::B256;
use tokio_postgres::Row;

use super::book::{begin_moving, commit_moved, put_marks};
use super::eth_rows::{histories, rewrite};
use super::judge::{Room, room, room_of};
use super::ledger::{Settling, record_of};
use super::session::{ServerError, Session, damage};
use super::statements::ROLLBACK;
use super::statements::exchange::{BIND_CHAIN, LOCK_ETH_KEYS, OF_STORE, OWE_LISTENING, PUT_RECORDS, RECORDS};
use crate::interchange::{Contents, ImportReport, InterchangeError, Merged, OnRecord};
use crate::permit::Attempt;
use crate::rules::Record;
use crate::{Duty, EthPublicKey, Marks};

/// Records of one statement.
const PIECE: usize = 4096;

impl Settling<'_> {
    /// Takes in all of a file. Nobody records anything meanwhile.
    ///
    /// # Errors
    /// [`ServerError`]; all may be imported, or nothing.
    pub(super) async fn import(
        &mut self,
        contents: Contents,
        given: Option<B256>,
    ) -> Result<Result<ImportReport, InterchangeError>, ServerError> {
        *self.book = begin_moving(self.session).await?;
        self.session.client.batch_execute(LOCK_ETH_KEYS).await?;
        let known = self.on_record(&contents).await?;
        let merged = match contents.merge(&known, given) {
            Ok(merged) => merged,
            Err(refusal) => {
                self.session.client.batch_execute(ROLLBACK).await?;
                return Ok(Err(refusal));
            }
        };
        self.write_merged(&merged).await?;
        if !contents.signers.is_empty() {
            self.session.client.batch_execute(OWE_LISTENING).await?;
        }
        *self.book = commit_moved(self.session).await?;
        let flushed = self.session.client.query_one(&self.session.statements.flushed, &[]).await?;
        self.memory.advance(flushed.try_get(0)?);
        Ok(Ok(merged.report))
    }

    /// What is known of all that a file speaks of.
    async fn on_record(&self, contents: &Contents) -> Result<OnRecord, ServerError> {
        let mut known = OnRecord { genesis: of_store(self.session).await?.genesis, ..OnRecord::default() };
        let public_keys: Vec<EthPublicKey> = contents.public_keys.keys().copied().collect();
        known.public_keys.extend(histories(self.session, &public_keys).await?);
        for (&signer, told) in &contents.signers {
            let marks = told.marks.keys().map(|&kind| ((signer, kind), self.book.marks(&room(signer, kind))));
            known.marks.extend(marks);
        }
        let duties = contents.signers.values().flat_map(|told| &told.duties);
        let keys: Vec<_> = duties.map(|(duty, _)| duty.key()).collect();
        for piece in keys.chunks(PIECE) {
            let piece: Vec<&[u8]> = piece.iter().map(<[u8; _]>::as_slice).collect();
            for row in self.session.client.query(RECORDS, &[&piece]).await? {
                known.duties.extend([on_record(&row)?]);
            }
        }
        Ok(known)
    }

    async fn write_merged(&self, merged: &Merged) -> Result<(), ServerError> {
        if let Some(genesis) = merged.genesis {
            self.session.client.execute(BIND_CHAIN, &[&genesis.as_slice()]).await?;
        }
        rewrite(self.session, &merged.public_keys).await?;
        let marks = merged.marks.iter().map(|(&(signer, kind), &marks)| (room(signer, kind), marks));
        put_marks(self.session, &marks.collect::<Vec<(Room, Marks)>>()).await?;
        let records: Vec<_> = merged.duties.values().copied().collect();
        for piece in records.chunks(PIECE) {
            self.put_records(piece).await?;
        }
        Ok(())
    }

    async fn put_records(&self, records: &[(Duty, Record)]) -> Result<(), ServerError> {
        let keys: Vec<_> = records.iter().map(|(duty, _)| duty.key().to_vec()).collect();
        let rooms: Vec<_> = records.iter().map(|(duty, _)| room_of(*duty).to_vec()).collect();
        let digests: Vec<&[u8]> = records.iter().map(|(_, record)| record.digest.as_slice()).collect();
        let signatures: Vec<Option<Vec<u8>>> =
            records.iter().map(|(_, record)| record.signature.map(|signature| signature.as_bytes().to_vec())).collect();
        // Of no call: nobody was given leave by it.
        let attempt = Attempt::new().0.to_be_bytes().to_vec();
        let client = &self.session.client;
        client.execute(PUT_RECORDS, &[&keys, &rooms, &digests, &signatures, &attempt, &self.asker.node]).await?;
        Ok(())
    }
}

/// What a store says of itself, on the server that it was accepted on.
pub(super) struct OfStore {
    pub(super) store_id: Vec<u8>,
    pub(super) genesis: Option<B256>,
}

/// # Errors
/// [`ServerError`]; a pooler has led the connection to another server since it was made.
pub(super) async fn of_store(session: &Session) -> Result<OfStore, ServerError> {
    let row = session.client.query_one(OF_STORE, &[]).await?;
    super::eth_ledger::check_timeline(&row)?;
    let genesis = row.try_get::<_, Option<&[u8]>>(2)?.map(B256::try_from).transpose();
    let genesis = genesis.map_err(|_| damage("the root of the chain has a wrong length"))?;
    Ok(OfStore { store_id: row.try_get(1)?, genesis })
}

/// A duty and its record, in a row of key, digest and signature.
pub(super) fn on_record(row: &Row) -> Result<(Duty, Record), ServerError> {
    let duty = Duty::from_key(row.try_get(0)?).ok_or_else(|| damage("a record has a key that no duty has"))?;
    Ok((duty, record_of(row.try_get(1)?, row.try_get(2)?)?))
}
