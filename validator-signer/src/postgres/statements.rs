//! Every statement the store sends, and the tables they work on.
//!
//! Records are keyed by the bytes of the duty, slot first, as on disk. A *room* is a (validator, kind): what one row of
//! marks counts for. Whoever moves a mark, declares a kind strict or says something of a key takes the `marks` table in
//! EXCLUSIVE mode and raises `marks_version`; whoever records a duty takes it in ROW SHARE mode first, and records only if
//! the version is still the one it judged by. The two modes shut each other out, and the statement after the lock sees what
//! the mark's mover committed: a duty that was pruned cannot come back under a snapshot from before.
//!
//! The highest pinned slot of a strict room moves with each pin, which the version does not count; there the row of marks
//! itself is held from before the look at it until the commit (`statements/marks.rs`).

/// The timeline that the server writes: what the names of its log's files begin with.
macro_rules! timeline {
    () => {
        "('x' || substring(pg_walfile_name(pg_current_wal_insert_lsn()) FOR 8))::bit(32)::bigint"
    };
}

pub(super) mod eth;
pub(super) mod exchange;
mod marks;
mod payloads;

use eth::EthStatements;
pub(super) use marks::MarkStatements;
pub(super) use payloads::PayloadStatements;
use tokio_postgres::{Client, Error, Statement};

/// Version of the tables below.
pub(super) const SCHEMA_VERSION: i32 = 2;

/// Makes the tables of a new store in the schema `name`, all within one transaction.
pub(super) fn create(name: &str) -> String {
    format!(
        "CREATE SCHEMA {name};
        CREATE TABLE {name}.store (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            schema_version integer NOT NULL,
            store_id bytea NOT NULL CHECK (octet_length(store_id) = 16),
            l1_chain_id text NOT NULL,
            rollup bytea NOT NULL CHECK (octet_length(rollup) = 20),
            system_identifier bigint NOT NULL,
            timeline bigint NOT NULL,
            marks_version bigint NOT NULL DEFAULT 1,
            floor bytea CHECK (octet_length(floor) = 8),
            listen_only_until bytea CHECK (octet_length(listen_only_until) = 8),
            listening_owed boolean NOT NULL DEFAULT true,
            strict bytea NOT NULL DEFAULT '',
            genesis_validators_root bytea CHECK (octet_length(genesis_validators_root) = 32),
            created_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        CREATE TABLE {name}.marks (
            room bytea PRIMARY KEY,
            low bytea CHECK (octet_length(low) = 8),
            high bytea CHECK (octet_length(high) = 8),
            max_signed bytea CHECK (octet_length(max_signed) = 8),
            moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        CREATE TABLE {name}.keys (
            validator bytea PRIMARY KEY CHECK (octet_length(validator) = 20),
            state bytea NOT NULL,
            changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        CREATE TABLE {name}.duties (
            key bytea PRIMARY KEY,
            room bytea NOT NULL,
            state text NOT NULL DEFAULT 'pinned' CHECK (state IN ('pinned', 'signed')),
            digest bytea NOT NULL CHECK (octet_length(digest) = 32),
            signature bytea CHECK (octet_length(signature) = 65),
            owner text NOT NULL,
            fence bigint NOT NULL DEFAULT 1,
            attempt bytea NOT NULL CHECK (octet_length(attempt) = 16),
            pinned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            signed_at timestamptz,
            CHECK ((state = 'signed') = (signature IS NOT NULL))
        ) WITH (fillfactor = 80);
        CREATE TABLE {name}.payloads (
            key bytea PRIMARY KEY,
            payload bytea NOT NULL
        );
        {}",
        eth::create(name)
    )
}

/// Removes the schema `name` and all that is in it.
pub(super) fn drop(name: &str) -> String {
    format!("DROP SCHEMA {name} CASCADE")
}

/// The settings of a session, and what it must not run without. `synchronous_commit` is raised, never lowered. A plan made
/// while the tables were empty would read all of them later, hence no sequential scans; where there is no other way they
/// count as endless work, hence no compiling of plans.
pub(super) const SETTINGS: &str = "
    SET statement_timeout = '2s';
    SET lock_timeout = '500ms';
    SET idle_in_transaction_session_timeout = '2s';
    SET default_transaction_isolation = 'read committed';
    SET enable_seqscan = off;
    SET jit = off;
    SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false);";

/// Whether the server keeps what it confirms.
pub(super) const DURABILITY: &str = "SELECT current_setting('fsync') = 'on', pg_is_in_recovery()";

/// Who the server is, the timeline it writes, and how far its log is on disk.
pub(super) const IDENTITY: &str = concat!(
    "SELECT (SELECT system_identifier FROM pg_control_system()), ",
    timeline!(),
    ", (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint"
);

/// The first row of a new store: its id, its rollup, and the server it is made on.
pub(super) const FIRST_ROW: &str = concat!(
    "INSERT INTO store (schema_version, store_id, l1_chain_id, rollup, system_identifier, timeline)
    SELECT $1, $2, $3, $4, system_identifier, ",
    timeline!(),
    " FROM pg_control_system()"
);

/// Whether the schema $1 exists, and whether the table `store` does in it.
pub(super) const PRESENT: &str = "SELECT to_regnamespace($1) IS NOT NULL, to_regclass($1 || '.store') IS NOT NULL";

/// The transaction of a batch, before and after its statements. The wait for the disks of a commit has no limit here: a
/// server that gives a wait for its standbys up says "committed", which is not what the standbys say.
pub(super) const BEGIN_RECORDING: &str = "BEGIN; LOCK TABLE marks IN ROW SHARE MODE";
pub(super) const BEGIN_MOVING_MARKS: &str = "BEGIN; LOCK TABLE marks IN EXCLUSIVE MODE";
pub(super) const UNLIMITED: &str = "SET LOCAL statement_timeout = 0";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";

const FLUSHED: &str = "SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint";

const PUT_KEY: &str = "INSERT INTO keys (validator, state) VALUES ($1, $2)
    ON CONFLICT (validator) DO UPDATE SET state = EXCLUDED.state, changed_at = clock_timestamp()";

/// Takes a pin back that nobody but its maker was given leave for, and its payload; answers with the number.
const CANCEL: &str = "
    WITH gone AS (DELETE FROM duties WHERE key = $1 AND attempt = $2 AND state = 'pinned' RETURNING key),
    unkept AS (DELETE FROM payloads p USING gone WHERE p.key = gone.key)
    SELECT count(*) FROM gone";

/// Takes this server for the store's own, and refuses every slot up to $1 to everybody; it listens before it signs. GREATEST
/// passes over a null.
pub(super) const ACCEPT_SERVER: &str = concat!(
    "UPDATE store SET floor = GREATEST(floor, $1::bytea), listening_owed = true, marks_version = marks_version + 1,
    system_identifier = (SELECT system_identifier FROM pg_control_system()), timeline = ",
    timeline!()
);

/// Waits for whoever records a block, or the checkpoint that seals its slot: the statement after it sees what they did. Of two
/// nodes that record one of each at the same moment, neither would see the other's. Always in the order of the locks.
const LOCK_SEALS: &str = "SELECT pg_advisory_xact_lock(id) FROM (
    SELECT DISTINCT hashtextextended(encode(seal, 'hex'), 0) AS id FROM unnest($1::bytea[]) AS w (seal) ORDER BY id
) AS seals";

/// Records what nobody has recorded, unless a mark has moved or the slot is sealed; answers with what it recorded. It looks
/// at the timeline by itself: a pooler may have led the connection to another server since it was made.
macro_rules! insert {
    () => {
        concat!(
            "
    INSERT INTO duties (key, room, digest, attempt, owner)
    SELECT w.key, w.room, w.digest, w.attempt, $6
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[]) AS w (key, room, digest, attempt, seal)
    WHERE (SELECT marks_version FROM store) = $7
      AND (SELECT true FROM duties s WHERE s.key = w.seal) IS NULL
      AND (SELECT timeline FROM store) = ",
            timeline!(),
            "
    ON CONFLICT (key) DO NOTHING
    RETURNING key, room, attempt"
        )
    };
}

const INSERT: &str = insert!();

/// The same for strict rooms that are held, whose highest pinned slots it raises.
const INSERT_STRICT: &str = concat!(
    "WITH done AS (",
    insert!(),
    "), highest AS (SELECT DISTINCT ON (room) room, substring(key FOR 8) AS slot FROM done ORDER BY room, key DESC),
    raised AS (UPDATE marks m SET max_signed = GREATEST(m.max_signed, h.slot) FROM highest h WHERE m.room = h.room)
    SELECT attempt FROM done"
);

/// What is on record, and the highest pinned slot of the rooms that are asked for; a statement of its own, so that it sees
/// what the insert lost against. At least one key is asked for; each is looked up by itself, so that no plan reads all
/// records.
const READ: &str = "
    SELECT (SELECT marks_version FROM store), d.key, d.digest, d.signature, d.owner, d.fence, d.attempt,
        GREATEST(extract(epoch FROM clock_timestamp() - d.pinned_at), 0)::float8,
        w.room, (SELECT m.max_signed FROM marks m WHERE m.room = w.room)
    FROM unnest($1::bytea[], $2::bytea[]) AS w (key, room)
    LEFT JOIN LATERAL (SELECT * FROM duties WHERE key = w.key LIMIT 1) AS d ON true";

/// Takes pins over that are this node's own or have grown old, if nothing about them has changed since they were read.
const TAKE_OVER: &str = concat!(
    "
    UPDATE duties d SET fence = d.fence + 1, owner = $5, attempt = w.attempt, pinned_at = clock_timestamp()
    FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bytea[]) AS w (key, digest, fence, attempt)
    WHERE d.key = w.key AND d.digest = w.digest AND d.fence = w.fence AND d.state = 'pinned'
      AND (d.owner = $5 OR clock_timestamp() - d.pinned_at >= make_interval(secs => $6))
      AND (SELECT marks_version FROM store) = $7
      AND (SELECT timeline FROM store) = ",
    timeline!(),
    "
    RETURNING d.attempt, d.fence"
);

const SIGN: &str = "
    UPDATE duties d SET state = 'signed', signature = w.signature, signed_at = clock_timestamp()
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[]) AS w (key, digest, signature, fence)
    WHERE d.key = w.key AND d.digest = w.digest AND d.fence = w.fence AND d.state = 'pinned'";

const ROOMS_BELOW: &str = "SELECT DISTINCT room FROM duties WHERE key < $1";

const RAISE_MARKS: &str = "
    INSERT INTO marks (room, low) SELECT room, $2 FROM unnest($1::bytea[]) AS r (room)
    ON CONFLICT (room) DO UPDATE SET low = GREATEST(marks.low, EXCLUDED.low), moved_at = clock_timestamp()";

const NEXT_MARKS_VERSION: &str = "UPDATE store SET marks_version = marks_version + 1";

/// Removes a piece of what lies below both $1 and the mark of its room. How far each room had come stays known.
const DELETE: &str = "
    WITH gone AS (
        DELETE FROM duties WHERE key IN (
            SELECT d.key FROM duties d JOIN marks m ON m.room = d.room
            WHERE d.key < $1 AND substring(d.key FOR 8) <= m.low LIMIT $2)
        RETURNING key, room),
    unkept AS (DELETE FROM payloads p USING gone WHERE p.key = gone.key),
    highest AS (SELECT DISTINCT ON (room) room, substring(key FOR 8) AS slot FROM gone ORDER BY room, key DESC),
    raised AS (UPDATE marks m SET max_signed = h.slot FROM highest h
        WHERE m.room = h.room AND (m.max_signed IS NULL OR m.max_signed < h.slot))
    SELECT count(*) FROM gone";

/// The statements of a session, prepared.
#[derive(Clone)]
pub(super) struct Statements {
    pub(super) marks: MarkStatements,
    pub(super) payloads: PayloadStatements,
    pub(super) flushed: Statement,
    pub(super) put_key: Statement,
    pub(super) cancel: Statement,
    pub(super) lock_seals: Statement,
    pub(super) insert: Statement,
    pub(super) insert_strict: Statement,
    pub(super) read: Statement,
    pub(super) take_over: Statement,
    pub(super) sign: Statement,
    pub(super) rooms_below: Statement,
    pub(super) raise_marks: Statement,
    pub(super) next_marks_version: Statement,
    pub(super) delete: Statement,
    pub(super) eth: EthStatements,
}

impl Statements {
    /// # Errors
    /// What the server said.
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        Ok(Self {
            marks: MarkStatements::prepare(client).await?,
            payloads: PayloadStatements::prepare(client).await?,
            flushed: client.prepare(FLUSHED).await?,
            put_key: client.prepare(PUT_KEY).await?,
            cancel: client.prepare(CANCEL).await?,
            lock_seals: client.prepare(LOCK_SEALS).await?,
            insert: client.prepare(INSERT).await?,
            insert_strict: client.prepare(INSERT_STRICT).await?,
            read: client.prepare(READ).await?,
            take_over: client.prepare(TAKE_OVER).await?,
            sign: client.prepare(SIGN).await?,
            rooms_below: client.prepare(ROOMS_BELOW).await?,
            raise_marks: client.prepare(RAISE_MARKS).await?,
            next_marks_version: client.prepare(NEXT_MARKS_VERSION).await?,
            delete: client.prepare(DELETE).await?,
            eth: EthStatements::prepare(client).await?,
        })
    }
}
