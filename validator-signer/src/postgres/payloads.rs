//! Payloads beside their pins: what was pinned can be found again after a crash, by any node, and signed instead of lost.

use tokio_postgres::types::ToSql;

use super::judge::Wanted;
use super::ledger::Settling;
use super::session::ServerError;
use crate::Duty;
use crate::store::PAYLOAD_SLOTS;

impl Settling<'_> {
    /// Keeps the payloads of the pins that a batch has just made, and drops those of long ago; sent in one go, within the
    /// transaction of the pins.
    ///
    /// # Errors
    /// [`ServerError`]; the transaction fails with it.
    pub(super) async fn put_payloads(&self, batch: &[Wanted]) -> Result<(), ServerError> {
        let kept: Vec<_> = batch.iter().filter_map(|wanted| Some((wanted, wanted.payload.as_deref()?))).collect();
        let Some(newest) = kept.iter().map(|(wanted, _)| wanted.duty.slot.0).max() else { return Ok(()) };
        let keys: Vec<_> = kept.iter().map(|(wanted, _)| wanted.duty.key().to_vec()).collect();
        let attempts: Vec<_> = kept.iter().map(|(wanted, _)| wanted.attempt.0.to_be_bytes().to_vec()).collect();
        let payloads: Vec<&[u8]> = kept.iter().map(|(_, payload)| *payload).collect();
        let long_ago = newest.saturating_sub(PAYLOAD_SLOTS).to_be_bytes().to_vec();
        let (client, statements) = (&self.session.client, &self.session.statements.payloads);
        let put: [&(dyn ToSql + Sync); 3] = [&keys, &attempts, &payloads];
        let drop: [&(dyn ToSql + Sync); 1] = [&long_ago];
        let (put, dropped) =
            futures::join!(client.execute(&statements.put, &put), client.execute(&statements.drop, &drop));
        put?;
        dropped?;
        Ok(())
    }

    /// The payload that `duty` is pinned to, where one was kept.
    ///
    /// # Errors
    /// [`ServerError`].
    pub(super) async fn payload(&self, duty: Duty) -> Result<Option<Vec<u8>>, ServerError> {
        let row =
            self.session.client.query_opt(&self.session.statements.payloads.get, &[&duty.key().as_slice()]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}
