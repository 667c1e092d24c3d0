//! What carries records in and out of the store, whole files at a time.

/// An import shuts out everybody who records anything for Ethereum's keys, besides all whom the marks shut out.
pub(in crate::postgres) const LOCK_ETH_KEYS: &str = "LOCK TABLE eth_keys IN EXCLUSIVE MODE";

/// All that an export reads is of one moment, whatever is signed meanwhile.
pub(in crate::postgres) const BEGIN_EXPORT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Whether this is the server that the store was accepted on, the store's id, and the chain of its Ethereum keys.
pub(in crate::postgres) const OF_STORE: &str =
    concat!("SELECT timeline = ", timeline!(), ", store_id, genesis_validators_root FROM store");

/// What the keys sign elsewhere may not be on record.
pub(in crate::postgres) const OWE_LISTENING: &str = "UPDATE store SET listening_owed = true";

pub(in crate::postgres) const BIND_CHAIN: &str = "UPDATE store SET genesis_validators_root = $1";

/// The records of some duties.
pub(in crate::postgres) const RECORDS: &str = "SELECT key, digest, signature FROM duties WHERE key = ANY($1::bytea[])";

/// A piece of all records, after a key.
pub(in crate::postgres) const NEXT_RECORDS: &str =
    "SELECT key, digest, signature FROM duties WHERE key > $1 ORDER BY key LIMIT $2";

/// Writes records as they are from now on. What was there keeps its owner and its fence, so that a signature which is being
/// made under them is kept; it gets another attempt, so that nobody takes it back.
pub(in crate::postgres) const PUT_RECORDS: &str = "
    INSERT INTO duties (key, room, state, digest, signature, signed_at, attempt, owner)
    SELECT w.key, w.room, CASE WHEN w.signature IS NULL THEN 'pinned' ELSE 'signed' END, w.digest, w.signature,
        CASE WHEN w.signature IS NOT NULL THEN clock_timestamp() END, $5, $6
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[]) AS w (key, room, digest, signature)
    ON CONFLICT (key) DO UPDATE SET state = EXCLUDED.state, digest = EXCLUDED.digest, signature = EXCLUDED.signature,
        signed_at = EXCLUDED.signed_at, attempt = EXCLUDED.attempt";
