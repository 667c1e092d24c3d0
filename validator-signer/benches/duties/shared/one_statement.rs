//! A store of duties in the shape of Aztec's: one statement that inserts a duty or gets the one that is there, and another
//! that marks it signed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fermata_primitives::{Clock as _, SystemClock};
use futures::future::join_all;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use tokio_util::task::TaskTracker;

use super::pool::{Pool, connect, fresh};
use super::{NODES, RACES};
use crate::samples::{CALLERS, EARLIER_SLOTS, Effort, Samples, Until};

const TABLES: &str = "
    CREATE TABLE duties (rollup_address text NOT NULL, validator_address text NOT NULL, slot bigint NOT NULL,
        duty_type text NOT NULL, block_index integer NOT NULL, status text NOT NULL, message_hash text NOT NULL,
        signature text, node_id text NOT NULL, lock_token text NOT NULL, started_at timestamp NOT NULL DEFAULT now(),
        completed_at timestamp, PRIMARY KEY (rollup_address, validator_address, slot, duty_type, block_index));
    CREATE INDEX ON duties (status, started_at)";

const INSERT_OR_GET: &str = "
    WITH inserted AS (
        INSERT INTO duties VALUES ('rollup', $1, $2, 'attestation', -1, 'signing', $3, NULL, 'node', $4)
        ON CONFLICT DO NOTHING RETURNING lock_token, true AS is_new)
    SELECT * FROM inserted
    UNION ALL
    SELECT lock_token, false FROM duties WHERE rollup_address = 'rollup' AND validator_address = $1 AND slot = $2
        AND duty_type = 'attestation' AND block_index = -1 AND NOT EXISTS (SELECT 1 FROM inserted)";

const MARK_SIGNED: &str = "
    UPDATE duties SET status = 'signed', signature = $3, completed_at = now() WHERE rollup_address = 'rollup'
        AND validator_address = $1 AND slot = $2 AND duty_type = 'attestation' AND block_index = -1
        AND status = 'signing' AND lock_token = $4";

const ASK_AGAIN_AFTER: [Duration; 3] =
    [Duration::from_millis(10), Duration::from_millis(20), Duration::from_millis(30)];

struct Connection {
    client: Client,
    insert_or_get: Statement,
    mark_signed: Statement,
}

impl Connection {
    async fn prepared(client: Client) -> Self {
        let insert_or_get = client.prepare(INSERT_OR_GET).await.expect("it is valid");
        let mark_signed = client.prepare(MARK_SIGNED).await.expect("it is valid");
        Self { client, insert_or_get, mark_signed }
    }

    /// Whether the duty was absent.
    async fn insert_or_get(&self, validator: &str, slot: i64, token: &str) -> bool {
        let duty: [&(dyn ToSql + Sync); 4] = [&validator, &slot, &"07".repeat(32), &token];
        let mut waits = ASK_AGAIN_AFTER.into_iter();
        loop {
            let rows = self.client.query(&self.insert_or_get, &duty).await.expect("it is up");
            match rows.first() {
                Some(row) => return row.get(1),
                None => SystemClock.sleep(waits.next().expect("the winner has committed by then")).await,
            }
        }
    }

    async fn mark_signed(&self, validator: &str, slot: i64, token: &str) {
        let duty: [&(dyn ToSql + Sync); 4] = [&validator, &slot, &"07".repeat(65), &token];
        let marked = self.client.execute(&self.mark_signed, &duty).await.expect("it is up");
        assert_eq!(marked, 1, "the duty is ours");
    }
}

fn address(validator: u64) -> String {
    format!("0x{validator:040x}")
}

/// All callers, each with a duty of its own at a time, until it is marked signed.
pub(crate) async fn callers(effort: Effort) -> Samples {
    let filled = format!(
        "{TABLES};
        INSERT INTO duties SELECT 'rollup', '0x' || lpad(to_hex(v), 40, '0'), s, 'attestation', -1, 'signed',
            repeat('07', 32), repeat('07', 65), 'node', repeat('07', 16)
            FROM generate_series(0, {CALLERS} - 1) v, generate_series(0, {EARLIER_SLOTS} - 1) s"
    );
    let pool = Pool::new(&fresh(&filled), Connection::prepared).await;
    let (until, next, token) = (Until::of(effort), AtomicU64::new(EARLIER_SLOTS * CALLERS), "07".repeat(16));
    let caller = async || {
        let mut samples = Samples::default();
        while let Some(begin) = until.goes_on() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (validator, slot) = (address(number % CALLERS), (number / CALLERS) as i64);
            let is_new = pool.with(async |it: &mut Connection| it.insert_or_get(&validator, slot, &token).await).await;
            assert!(is_new, "a fresh duty is safe");
            pool.with(async |it: &mut Connection| it.mark_signed(&validator, slot, &token).await).await;
            samples.note(begin, 1);
        }
        samples
    };
    Samples::together(join_all((0..CALLERS).map(|_| caller())).await).end(until)
}

/// Nodes that want one duty at the same moment: how long those waited that did not get it.
pub(crate) async fn race(effort: Effort) -> Samples {
    let schema = fresh(TABLES);
    let (mut nodes, tasks) = (Vec::new(), TaskTracker::new());
    for _ in 0..NODES {
        nodes.push(Connection::prepared(connect(&schema, &tasks).await).await);
    }
    let (until, mut losers) = (Until::of(effort), Vec::new());
    for slot in 0..RACES {
        let race = nodes.iter().zip(0u8..).map(async |(connection, node)| {
            let (begin, mut samples) = (SystemClock.monotonic(), Samples::default());
            if !connection.insert_or_get(&address(1), slot as i64, &node.to_string()).await {
                samples.note(begin, 1);
            }
            samples
        });
        losers.extend(join_all(race).await);
    }
    Samples::together(losers).end(until)
}
