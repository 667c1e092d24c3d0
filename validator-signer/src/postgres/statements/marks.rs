//! Statements about marks.

use tokio_postgres::{Client, Error, Statement};

/// All that the marks' version counts, in one row: of one moment.
const BOOK: &str = "SELECT marks_version, floor, listen_only_until, listening_owed, strict,
    (SELECT array_agg(room ORDER BY room) FROM marks),
    (SELECT array_agg(low ORDER BY room) FROM marks),
    (SELECT array_agg(high ORDER BY room) FROM marks),
    (SELECT array_agg(max_signed ORDER BY room) FROM marks),
    (SELECT array_agg(validator ORDER BY validator) FROM keys), (SELECT array_agg(state ORDER BY validator) FROM keys)
    FROM store";

/// Replaces the marks of rooms. The table is held in EXCLUSIVE mode: they were read under it.
const PUT: &str = "
    INSERT INTO marks (room, low, high, max_signed)
    SELECT room, low, high, top FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[]) AS r (room, low, high, top)
    ON CONFLICT (room) DO UPDATE SET low = EXCLUDED.low, high = EXCLUDED.high, max_signed = EXCLUDED.max_signed,
        moved_at = clock_timestamp()";

/// A slot of the room was pinned: it stays known when the record goes.
const PINNED: &str = "
    INSERT INTO marks (room, max_signed) VALUES ($1, $2)
    ON CONFLICT (room) DO UPDATE SET max_signed = GREATEST(marks.max_signed, EXCLUDED.max_signed)";

/// Holds rooms against every other transaction that pins something in them, until this one ends. All take them in one
/// order. The statement after it sees what the last holder committed.
const HOLD: &str = "
    INSERT INTO marks (room) SELECT room FROM unnest($1::bytea[]) AS r (room) ORDER BY room
    ON CONFLICT (room) DO UPDATE SET room = EXCLUDED.room";

/// Declares kinds strict, by their codes, and brings the marks of their rooms up to the records. The table is held in
/// EXCLUSIVE mode: no record is on its way.
const BRING_UP: &str = "
    INSERT INTO marks (room, max_signed)
    SELECT DISTINCT ON (room) room, substring(key FOR 8) FROM duties WHERE substring(room FROM 21) = ANY($1::bytea[])
    ORDER BY room, key DESC
    ON CONFLICT (room) DO UPDATE SET max_signed = GREATEST(marks.max_signed, EXCLUDED.max_signed)";
const DECLARE: &str = "UPDATE store SET strict = $1";

const LISTEN: &str = "UPDATE store SET listen_only_until = GREATEST(listen_only_until, $1::bytea)";

/// Settles what is owed, unless another node was faster.
const LISTEN_WHEN_NEW: &str = "
    UPDATE store SET listen_only_until = GREATEST(listen_only_until, $1::bytea), listening_owed = false WHERE listening_owed";

/// The last slot from $1 on that the key $2 has a record in.
const LAST_OF_KEY: &str = "SELECT substring(key FOR 8) FROM duties WHERE key >= $1 AND substring(key FROM 12) = $2
    ORDER BY key DESC LIMIT 1";

/// The last slot from $1 on that the room $2 has a record in.
const LAST_OF_ROOM: &str = "SELECT substring(key FOR 8) FROM duties WHERE key >= $1 AND room = $2
    ORDER BY key DESC LIMIT 1";

/// The statements about marks, prepared.
#[derive(Clone)]
pub(in super::super) struct MarkStatements {
    pub(in super::super) book: Statement,
    pub(in super::super) put: Statement,
    pub(in super::super) pinned: Statement,
    pub(in super::super) hold: Statement,
    pub(in super::super) bring_up: Statement,
    pub(in super::super) declare: Statement,
    pub(in super::super) listen: Statement,
    pub(in super::super) listen_when_new: Statement,
    pub(in super::super) last_of_key: Statement,
    pub(in super::super) last_of_room: Statement,
}

impl MarkStatements {
    /// # Errors
    /// What the server said.
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        Ok(Self {
            book: client.prepare(BOOK).await?,
            put: client.prepare(PUT).await?,
            pinned: client.prepare(PINNED).await?,
            hold: client.prepare(HOLD).await?,
            bring_up: client.prepare(BRING_UP).await?,
            declare: client.prepare(DECLARE).await?,
            listen: client.prepare(LISTEN).await?,
            listen_when_new: client.prepare(LISTEN_WHEN_NEW).await?,
            last_of_key: client.prepare(LAST_OF_KEY).await?,
            last_of_room: client.prepare(LAST_OF_ROOM).await?,
        })
    }
}
