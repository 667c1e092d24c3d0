//! Batches of payloads, settled: recorded in one transaction, and whatever was not recorded looked at after it.

use std::collections::HashMap;
use std::time::Duration;

use alloy::primitives::{B256, Signature};
use fermata_primitives::crash_point;

use super::anchor::Memory;
use super::judge::{Asker, Attempt, Finding, Marks, Room, Row, Token, Verdict, judge, room, seal};
use super::link::load_marks;
use super::session::{ServerError, Session};
use super::statements::{BEGIN_RECORDING, COMMIT, UNLIMITED};
use crate::Duty;

/// Times that a batch is looked at again because its records changed between two looks. Each needs another node's doing.
const ROUNDS: usize = 8;

/// A signature that was made, under the fence of its permit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed {
    pub(super) duty: Duty,
    pub(super) digest: B256,
    pub(super) fence: i64,
    pub(super) signature: Signature,
}

/// What a transaction is to do, by place in the batch.
#[derive(Default, Debug)]
struct Plan {
    insert: Vec<usize>,
    take_over: Vec<(usize, i64)>,
}

/// One batch on its way.
pub(super) struct Batch<'a> {
    pub(super) session: &'a Session,
    pub(super) marks: &'a mut Marks,
    pub(super) memory: &'a mut Memory,
    pub(super) asker: &'a Asker,
}

impl Batch<'_> {
    /// Writes signatures that came in, then gives each payload its verdict, in the order of `attempts`. No two of them may
    /// be alike; of two digests for one duty the earlier wins.
    ///
    /// # Errors
    /// [`ServerError`]; anything may be recorded, under the tokens of its attempts. The same batch may be settled again.
    pub(super) async fn settle(
        &mut self,
        signed: &[Signed],
        attempts: &[Attempt],
    ) -> Result<Vec<Verdict>, ServerError> {
        let mut verdicts = vec![None; attempts.len()];
        let mut plan = Plan::default();
        let mut signed = signed;
        for (at, attempt) in attempts.iter().enumerate() {
            // A payload that the marks refuse may have been signed all the same: it is looked for, and not recorded.
            if judge(attempt, None, false, self.marks, self.asker) == Finding::Free {
                plan.insert.push(at);
            }
        }
        for _ in 0..ROUNDS {
            let grants = self.record(std::mem::take(&mut signed), attempts, &mut plan).await?;
            for (attempt, verdict) in attempts.iter().zip(&mut verdicts) {
                if let Some(&fence) = grants.get(&attempt.token) {
                    *verdict = Some(Verdict::Granted { fence });
                }
            }
            plan = self.look(attempts, &mut verdicts).await?;
            if verdicts.iter().all(Option::is_some) {
                return Ok(verdicts.into_iter().flatten().collect());
            }
        }
        Err(ServerError::Passing("its records changed each time they were looked at".to_owned()))
    }

    /// One transaction, sent in one go. Gives the fence of each token it recorded.
    async fn record(
        &mut self,
        signed: &[Signed],
        attempts: &[Attempt],
        plan: &mut Plan,
    ) -> Result<HashMap<Token, i64>, ServerError> {
        if signed.is_empty() && plan.insert.is_empty() && plan.take_over.is_empty() {
            return Ok(HashMap::new());
        }
        // Every node takes rows in the order of their keys, so that no two wait for one another in a ring.
        plan.insert.sort_by_cached_key(|&at| attempts[at].duty.key());
        plan.take_over.sort_by_cached_key(|&(at, _)| attempts[at].duty.key());
        crash_point!("signer.before_shared_pin", |error| ServerError::Passing(error.to_string()));
        let client = &self.session.client;
        let (begun, signed, inserted, taken, unlimited, committed, flushed) = futures::join!(
            client.batch_execute(BEGIN_RECORDING),
            self.sign(signed),
            self.insert(attempts, &plan.insert),
            self.take_over(attempts, &plan.take_over),
            client.batch_execute(UNLIMITED),
            client.batch_execute(COMMIT),
            client.query_one(&self.session.statements.flushed, &[]),
        );
        // The first failure tells the cause; after one, the commit rolls back.
        begun?;
        signed?;
        let mut grants = inserted?;
        grants.extend(taken?);
        unlimited?;
        committed?;
        self.memory.advance(flushed?.try_get(0)?);
        Ok(grants)
    }

    async fn sign(&self, signed: &[Signed]) -> Result<(), ServerError> {
        if signed.is_empty() {
            return Ok(());
        }
        let mut signed: Vec<_> = signed.iter().map(|signed| (signed.duty.key(), signed)).collect();
        signed.sort_by_key(|(key, _)| *key);
        let keys: Vec<&[u8]> = signed.iter().map(|(key, _)| key.as_slice()).collect();
        let digests: Vec<&[u8]> = signed.iter().map(|(_, signed)| signed.digest.as_slice()).collect();
        let signatures: Vec<_> = signed.iter().map(|(_, signed)| signed.signature.as_bytes().to_vec()).collect();
        let fences: Vec<_> = signed.iter().map(|(_, signed)| signed.fence).collect();
        let statement = &self.session.statements.sign;
        self.session.client.execute(statement, &[&keys, &digests, &signatures, &fences]).await?;
        Ok(())
    }

    async fn insert(&self, attempts: &[Attempt], places: &[usize]) -> Result<Vec<(Token, i64)>, ServerError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<&Attempt> = places.iter().map(|&at| &attempts[at]).collect();
        let keys: Vec<_> = wanted.iter().map(|attempt| attempt.duty.key()).collect();
        let keys: Vec<&[u8]> = keys.iter().map(<[u8; _]>::as_slice).collect();
        let rooms: Vec<Room> = wanted.iter().map(|attempt| room(attempt.duty)).collect();
        let rooms: Vec<&[u8]> = rooms.iter().map(<[u8; _]>::as_slice).collect();
        let digests: Vec<&[u8]> = wanted.iter().map(|attempt| attempt.digest.as_slice()).collect();
        let tokens: Vec<&[u8]> = wanted.iter().map(|attempt| attempt.token.as_slice()).collect();
        let seals: Vec<_> = wanted.iter().map(|attempt| seal(attempt.duty).map(|seal| seal.key().to_vec())).collect();
        let version = self.marks.version;
        let statement = &self.session.statements.insert;
        let rows = self
            .session
            .client
            .query(statement, &[&keys, &rooms, &digests, &tokens, &seals, &self.asker.node, &version])
            .await?;
        rows.iter().map(|row| Ok((token(row.try_get(0)?)?, 1))).collect()
    }

    async fn take_over(
        &self,
        attempts: &[Attempt],
        places: &[(usize, i64)],
    ) -> Result<Vec<(Token, i64)>, ServerError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<&Attempt> = places.iter().map(|&(at, _)| &attempts[at]).collect();
        let keys: Vec<_> = wanted.iter().map(|attempt| attempt.duty.key()).collect();
        let keys: Vec<&[u8]> = keys.iter().map(<[u8; _]>::as_slice).collect();
        let digests: Vec<&[u8]> = wanted.iter().map(|attempt| attempt.digest.as_slice()).collect();
        let fences: Vec<i64> = places.iter().map(|&(_, fence)| fence).collect();
        let tokens: Vec<&[u8]> = wanted.iter().map(|attempt| attempt.token.as_slice()).collect();
        let age = self.asker.takeover_after.as_secs_f64();
        let statement = &self.session.statements.take_over;
        let rows = self
            .session
            .client
            .query(statement, &[&keys, &digests, &fences, &tokens, &self.asker.node, &age, &self.marks.version])
            .await?;
        rows.iter().map(|row| Ok((token(row.try_get(0)?)?, row.try_get(1)?))).collect()
    }

    /// Looks at what is on record for the attempts that have no verdict yet: gives each its own, or a place in the plan.
    async fn look(&mut self, attempts: &[Attempt], verdicts: &mut [Option<Verdict>]) -> Result<Plan, ServerError> {
        let mut plan = Plan::default();
        let open: Vec<usize> = (0..attempts.len()).filter(|&at| verdicts[at].is_none()).collect();
        if open.is_empty() {
            return Ok(plan);
        }
        let rows = self.read(open.iter().map(|&at| attempts[at].duty)).await?;
        for at in open {
            let attempt = &attempts[at];
            let sealed = seal(attempt.duty).is_some_and(|seal| rows.contains_key(seal.key().as_slice()));
            let row = rows.get(attempt.duty.key().as_slice());
            match judge(attempt, row, sealed, self.marks, self.asker) {
                Finding::Settled(verdict) => verdicts[at] = Some(verdict),
                Finding::Free => plan.insert.push(at),
                Finding::TakeOver { fence } => plan.take_over.push((at, fence)),
            }
        }
        Ok(plan)
    }

    /// The records of these duties and of what seals them, by key, and the marks as they are now.
    async fn read(&mut self, duties: impl Iterator<Item = Duty>) -> Result<HashMap<Vec<u8>, Row>, ServerError> {
        let keys: Vec<Vec<u8>> =
            duties.flat_map(|duty| [Some(duty), seal(duty)]).flatten().map(|duty| duty.key().to_vec()).collect();
        let found = self.session.client.query(&self.session.statements.read, &[&keys]).await?;
        let mut rows = HashMap::new();
        for row in &found {
            if row.try_get::<_, i64>(0)? != self.marks.version {
                *self.marks = load_marks(self.session).await?;
            }
            if let Some(key) = row.try_get::<_, Option<Vec<u8>>>(1)? {
                rows.insert(key, decode(row)?);
            }
        }
        Ok(rows)
    }
}

fn token(bytes: &[u8]) -> Result<Token, ServerError> {
    bytes.try_into().map_err(|_| damage("an attempt has a wrong length"))
}

fn damage(what: &str) -> ServerError {
    ServerError::Lasting(format!("it holds what was never written: {what}"))
}

/// The record in a row of the reading statement.
fn decode(row: &tokio_postgres::Row) -> Result<Row, ServerError> {
    let signature = row.try_get::<_, Option<&[u8]>>(3)?.map(Signature::from_raw).transpose();
    let age: f64 = row.try_get(7)?;
    Ok(Row {
        digest: B256::try_from(row.try_get::<_, &[u8]>(2)?).map_err(|_| damage("a digest has a wrong length"))?,
        signature: signature.map_err(|_| damage("a record holds no signature where there should be one"))?,
        owner: row.try_get(4)?,
        fence: row.try_get(5)?,
        attempt: token(row.try_get(6)?)?,
        age: Duration::try_from_secs_f64(age).unwrap_or_default(),
    })
}
