//! A slashing database in the shape of web3signer's: a transaction for each duty, which locks the validator, asks whether
//! the duty is safe, inserts it and commits.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;
use futures::join;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::pool::{Pool, fresh};
use crate::samples::{CALLERS, EARLIER_SLOTS, Effort, Samples, Until};

const TABLES: &str = "
    CREATE TABLE validators (id integer PRIMARY KEY, public_key bytea NOT NULL UNIQUE, enabled boolean NOT NULL);
    CREATE TABLE low_watermarks (validator_id integer PRIMARY KEY, slot bigint, source_epoch bigint, target_epoch bigint);
    CREATE TABLE metadata (id integer PRIMARY KEY, high_watermark_epoch bigint);
    CREATE TABLE signed_attestations (validator_id integer NOT NULL, signing_root bytea, source_epoch bigint NOT NULL,
        target_epoch bigint NOT NULL, UNIQUE (validator_id, target_epoch));
    INSERT INTO metadata VALUES (1, NULL)";

/// What a transaction asks, in its order, after the lock and before the insert.
const ASKED: [&str; 6] = [
    "SELECT enabled FROM validators WHERE id = $1 AND ($2::bigint, $3::bigint) IS NOT NULL",
    "SELECT high_watermark_epoch FROM metadata WHERE ($1::integer, $2::bigint, $3::bigint) IS NOT NULL",
    "SELECT source_epoch FROM low_watermarks WHERE validator_id = $1 AND (source_epoch > $2 OR target_epoch > $3)",
    "SELECT signing_root FROM signed_attestations WHERE validator_id = $1 AND $2::bigint IS NOT NULL
        AND target_epoch = $3",
    "SELECT 1 FROM signed_attestations WHERE validator_id = $1 AND source_epoch < $2 AND target_epoch > $3 LIMIT 1",
    "SELECT 1 FROM signed_attestations WHERE validator_id = $1 AND source_epoch > $2 AND target_epoch < $3 LIMIT 1",
];

struct Connection {
    client: Client,
    lock: Statement,
    asked: Vec<Statement>,
    insert: Statement,
}

impl Connection {
    async fn prepared(client: Client) -> Self {
        let lock = client.prepare("SELECT pg_advisory_xact_lock(1, $1)").await.expect("it is valid");
        let insert = "INSERT INTO signed_attestations VALUES ($1, $2, $3, $4)";
        let insert = client.prepare(insert).await.expect("it is valid");
        let mut asked = Vec::new();
        for question in ASKED {
            asked.push(client.prepare(question).await.expect("it is valid"));
        }
        Self { client, lock, asked, insert }
    }

    async fn record(&self, validator: i32, target: i64) {
        let source = target - 1;
        let duty: [&(dyn ToSql + Sync); 3] = [&validator, &source, &target];
        let (begun, locked) = join!(self.client.batch_execute("BEGIN"), self.client.query_one(&self.lock, &duty[..1]));
        begun.expect("it is up");
        locked.expect("it is up");
        for (question, rows) in self.asked.iter().zip([1, 1, 0, 0, 0, 0]) {
            let answer = self.client.query(question, &duty).await.expect("it is up");
            assert_eq!(answer.len(), rows, "a fresh duty is safe");
        }
        let row: [&(dyn ToSql + Sync); 4] = [&validator, &[7u8; 32].as_slice(), &source, &target];
        self.client.execute(&self.insert, &row).await.expect("it is new");
        self.client.batch_execute("COMMIT").await.expect("it is up");
    }
}

/// All callers, each with a duty of its own at a time.
pub(crate) async fn callers(effort: Effort) -> Samples {
    let filled = format!(
        "{TABLES};
        INSERT INTO validators SELECT v, decode(lpad(to_hex(v), 96, '0'), 'hex'), true FROM generate_series(0, {CALLERS} - 1) v;
        INSERT INTO signed_attestations SELECT v, decode(repeat('07', 32), 'hex'), s - 1, s
            FROM generate_series(0, {CALLERS} - 1) v, generate_series(0, {EARLIER_SLOTS} - 1) s"
    );
    let pool = Pool::new(&fresh(&filled), Connection::prepared).await;
    let (until, next) = (Until::of(effort), AtomicU64::new(EARLIER_SLOTS * CALLERS));
    let caller = async || {
        let mut samples = Samples::default();
        while let Some(begin) = until.goes_on() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (validator, slot) = ((number % CALLERS) as i32, (number / CALLERS) as i64);
            pool.with(async |connection: &mut Connection| connection.record(validator, slot).await).await;
            samples.note(begin, 1);
        }
        samples
    };
    Samples::together(join_all((0..CALLERS).map(|_| caller())).await).end(until)
}
