//! The tables of Ethereum's keys, and the statements that work on them.
//!
//! Whoever records a duty of a key takes the `eth_keys` table in ROW EXCLUSIVE mode and then the key's lock; what is read after
//! it is all there is, since nobody else records for the key meanwhile. Whoever works on many keys takes the table in
//! EXCLUSIVE mode instead, which shuts all of those out. Numbers are eight bytes, big-endian, so that they sort.

use tokio_postgres::{Client, Error, Statement};

/// Makes the tables in the schema `name`.
pub(super) fn create(name: &str) -> String {
    format!(
        "CREATE TABLE {name}.eth_keys (
            public_key bytea PRIMARY KEY CHECK (octet_length(public_key) = 48),
            block bytea CHECK (octet_length(block) = 8),
            source bytea CHECK (octet_length(source) = 8),
            target bytea CHECK (octet_length(target) = 8),
            retired boolean NOT NULL DEFAULT false,
            CHECK ((source IS NULL) = (target IS NULL))
        );
        CREATE TABLE {name}.eth_blocks (
            public_key bytea CHECK (octet_length(public_key) = 48),
            slot bytea CHECK (octet_length(slot) = 8),
            root bytea NOT NULL CHECK (octet_length(root) = 32),
            PRIMARY KEY (public_key, slot)
        );
        CREATE TABLE {name}.eth_attestations (
            public_key bytea CHECK (octet_length(public_key) = 48),
            target bytea CHECK (octet_length(target) = 8),
            source bytea CHECK (octet_length(source) = 8),
            root bytea NOT NULL CHECK (octet_length(root) = 32),
            PRIMARY KEY (public_key, target, source)
        );
        CREATE TABLE {name}.eth_floor (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            block bytea CHECK (octet_length(block) = 8),
            source bytea CHECK (octet_length(source) = 8),
            target bytea CHECK (octet_length(target) = 8)
        );
        CREATE TABLE {name}.eth_attempts (
            node text PRIMARY KEY,
            attempt bytea NOT NULL CHECK (octet_length(attempt) = 16),
            made_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );"
    )
}

pub(in crate::postgres) const BEGIN: &str = "BEGIN; LOCK TABLE eth_keys IN ROW EXCLUSIVE MODE";

/// Takes locks of keys, in the order given. A key shares its lock with others, since a server has room for some thousands
/// of locks and there may be more keys than that.
const LOCK: &str =
    "SELECT pg_advisory_xact_lock('eth_keys'::regclass::oid::integer, lock) FROM unnest($1::integer[]) AS l (lock)";

/// Whether this is the server that the store was accepted on (a pooler may have led the connection to another one since it
/// was made), and the attempt of the node's last transaction that was committed.
const LAST: &str = concat!(
    "SELECT (SELECT timeline FROM store) = ",
    timeline!(),
    ", (SELECT attempt FROM eth_attempts WHERE node = $1)"
);

/// Keys that are known, and every key where there is a floor, which refuses to all. GREATEST passes over a null.
const KEYS: &str = "
    SELECT w.public_key, GREATEST(k.block, f.block), GREATEST(k.source, f.source), GREATEST(k.target, f.target),
        COALESCE(k.retired, false)
    FROM unnest($1::bytea[]) AS w (public_key)
    LEFT JOIN eth_keys k ON k.public_key = w.public_key
    LEFT JOIN eth_floor f ON f.only_row
    WHERE k.public_key IS NOT NULL OR f.only_row";

/// Blocks of keys, each from one slot to another.
const BLOCKS: &str = "
    SELECT b.public_key, b.slot, b.root
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS w (public_key, first, last)
    JOIN eth_blocks b ON b.public_key = w.public_key AND b.slot BETWEEN w.first AND w.last";

/// Attestations of keys, each from one target to another.
const ATTESTATIONS: &str = "
    SELECT a.public_key, a.target, a.source, a.root
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS w (public_key, first, last)
    JOIN eth_attestations a ON a.public_key = w.public_key AND a.target BETWEEN w.first AND w.last";

/// Marks only ever rise, and a retired key stays so.
const PUT_KEYS: &str = "
    INSERT INTO eth_keys AS k (public_key, block, source, target, retired)
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::boolean[])
    ON CONFLICT (public_key) DO UPDATE SET block = GREATEST(k.block, EXCLUDED.block),
        source = GREATEST(k.source, EXCLUDED.source), target = GREATEST(k.target, EXCLUDED.target),
        retired = k.retired OR EXCLUDED.retired";

/// Fails where a record is there already: none is ever written over for a duty.
const ADD_BLOCKS: &str = "
    INSERT INTO eth_blocks (public_key, slot, root) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[])";
const ADD_ATTESTATIONS: &str = "
    INSERT INTO eth_attestations (public_key, target, source, root)
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[])";

const PUT_ATTEMPT: &str = "
    INSERT INTO eth_attempts (node, attempt) VALUES ($1, $2)
    ON CONFLICT (node) DO UPDATE SET attempt = EXCLUDED.attempt, made_at = clock_timestamp()";

/// What joins histories, and what forgets them, writes by these.
pub(in crate::postgres) const PUT_BLOCKS: &str = "
    INSERT INTO eth_blocks (public_key, slot, root) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[])
    ON CONFLICT (public_key, slot) DO UPDATE SET root = EXCLUDED.root";
pub(in crate::postgres) const PUT_ATTESTATIONS: &str = "
    INSERT INTO eth_attestations (public_key, target, source, root)
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[])
    ON CONFLICT (public_key, target, source) DO UPDATE SET root = EXCLUDED.root";
pub(in crate::postgres) const DROP_BLOCKS: &str = "
    DELETE FROM eth_blocks b USING unnest($1::bytea[], $2::bytea[]) AS w (public_key, slot)
    WHERE b.public_key = w.public_key AND b.slot = w.slot";
pub(in crate::postgres) const DROP_ATTESTATIONS: &str = "
    DELETE FROM eth_attestations a USING unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS w (public_key, target, source)
    WHERE a.public_key = w.public_key AND a.target = w.target AND a.source = w.source";
/// Refuses what lies below to every key, whether anything is known of it or not.
pub(in crate::postgres) const RAISE_FLOOR: &str = "
    INSERT INTO eth_floor AS f (block, source, target) VALUES ($1, $2, $3)
    ON CONFLICT (only_row) DO UPDATE SET block = GREATEST(f.block, EXCLUDED.block),
        source = GREATEST(f.source, EXCLUDED.source), target = GREATEST(f.target, EXCLUDED.target)";
/// Every key that anything is known of.
pub(in crate::postgres) const PUBLIC_KEYS: &str = "SELECT public_key FROM eth_keys ORDER BY public_key";

/// The statements of duties, prepared.
#[derive(Clone)]
pub(in crate::postgres) struct EthStatements {
    pub(in crate::postgres) lock: Statement,
    pub(in crate::postgres) last: Statement,
    pub(in crate::postgres) keys: Statement,
    pub(in crate::postgres) blocks: Statement,
    pub(in crate::postgres) attestations: Statement,
    pub(in crate::postgres) put_keys: Statement,
    pub(in crate::postgres) add_blocks: Statement,
    pub(in crate::postgres) add_attestations: Statement,
    pub(in crate::postgres) put_attempt: Statement,
}

impl EthStatements {
    /// # Errors
    /// What the server said.
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        let (lock, last, keys, blocks, attestations, put_keys, add_blocks, add_attestations, put_attempt) = futures::try_join!(
            client.prepare(LOCK),
            client.prepare(LAST),
            client.prepare(KEYS),
            client.prepare(BLOCKS),
            client.prepare(ATTESTATIONS),
            client.prepare(PUT_KEYS),
            client.prepare(ADD_BLOCKS),
            client.prepare(ADD_ATTESTATIONS),
            client.prepare(PUT_ATTEMPT),
        )?;
        Ok(Self { lock, last, keys, blocks, attestations, put_keys, add_blocks, add_attestations, put_attempt })
    }
}
