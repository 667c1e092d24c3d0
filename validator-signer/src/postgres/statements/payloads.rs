//! Statements about the payloads beside their pins.

use tokio_postgres::{Client, Error, Statement};

/// Keeps the payloads of the pins that their attempts have made, in the same transaction.
const PUT: &str = "
    INSERT INTO payloads (key, payload)
    SELECT w.key, w.payload FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS w (key, attempt, payload)
    JOIN duties d ON d.key = w.key AND d.attempt = w.attempt
    ON CONFLICT (key) DO NOTHING";

/// Drops some that lie before $1; what another node drops just now is left to it.
const DROP: &str = "
    DELETE FROM payloads WHERE key IN (
        SELECT key FROM payloads WHERE key < $1 ORDER BY key LIMIT 256 FOR UPDATE SKIP LOCKED)";

const GET: &str = "SELECT payload FROM payloads WHERE key = $1";

/// The statements about payloads, prepared.
#[derive(Clone)]
pub(in super::super) struct PayloadStatements {
    pub(in super::super) put: Statement,
    pub(in super::super) drop: Statement,
    pub(in super::super) get: Statement,
}

impl PayloadStatements {
    /// # Errors
    /// What the server said.
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        Ok(Self { put: client.prepare(PUT).await?, drop: client.prepare(DROP).await?, get: client.prepare(GET).await? })
    }
}
