//! Batches of payloads, settled: recorded in one transaction, and whatever was not recorded looked at after it.

use std::collections::HashMap;
use std::time::Duration;

use alloy::primitives::{B256, Signature};
use tokio_postgres::Statement;

use super::anchor::Memory;
use super::book::{load_book, slot};
use super::judge::{Asker, Finding, Look, MarkBook, Room, Row, Seen, Verdict, Wanted, find, room_of};
use super::session::{ServerError, Session, damage};
use super::statements::{BEGIN_RECORDING, COMMIT, UNLIMITED};
use crate::permit::Attempt;
use crate::rules::Record;
use crate::{Duty, DutyKind};

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

/// What a transaction is to do.
#[derive(Default, Debug)]
struct Plan {
    insert: Vec<Wanted>,
    /// With the fence that the pin must still have.
    take_over: Vec<(Wanted, i64)>,
}

impl Plan {
    /// Every node takes rows in the order of their keys, so that no two wait for one another in a ring.
    fn sort(&mut self) {
        self.insert.sort_by_cached_key(|wanted| wanted.duty.key());
        self.take_over.sort_by_cached_key(|(wanted, _)| wanted.duty.key());
    }

    /// Takes out what is to be inserted into strict rooms, in order.
    fn take_strict(&mut self, book: &MarkBook) -> Vec<Wanted> {
        self.insert.extract_if(.., |wanted| book.is_strict(wanted.duty)).collect()
    }

    fn is_empty(&self) -> bool {
        self.insert.is_empty() && self.take_over.is_empty()
    }
}

/// What settles a batch.
pub(super) struct Settling<'a> {
    pub(super) session: &'a Session,
    pub(super) book: &'a mut MarkBook,
    pub(super) memory: &'a mut Memory,
    pub(super) asker: &'a Asker,
}

impl Settling<'_> {
    /// Writes signatures that came in, then gives each payload its verdict, in the order of `batch`. No two of them may be
    /// alike; of two digests for one duty the earlier wins.
    ///
    /// # Errors
    /// [`ServerError`]; anything may be recorded, under the attempts of the batch. It may be settled again.
    pub(super) async fn settle(&mut self, signed: &[Signed], batch: &[Wanted]) -> Result<Vec<Verdict>, ServerError> {
        let mut verdicts: Vec<Option<Verdict>> = vec![None; batch.len()];
        // A payload that the marks refuse may have been signed all the same: it is looked for, and not recorded.
        let unmarked = |wanted: &&Wanted| find(wanted, &Seen::default(), self.book, self.asker) == Finding::Free;
        let mut plan = Plan { insert: batch.iter().filter(unmarked).cloned().collect(), take_over: Vec::new() };
        let mut signed = signed;
        for _ in 0..ROUNDS {
            plan.sort();
            let strict = plan.take_strict(self.book);
            let mut granted = self.record(std::mem::take(&mut signed), &plan).await?;
            granted.extend(self.record_strict(&strict).await?);
            for (wanted, verdict) in batch.iter().zip(&mut verdicts) {
                *verdict = verdict.take().or_else(|| granted.get(&wanted.attempt.0).cloned());
            }
            plan = self.look(batch, &mut verdicts).await?;
            if verdicts.iter().all(Option::is_some) {
                return Ok(verdicts.into_iter().flatten().collect());
            }
        }
        Err(ServerError::Passing("its records changed each time they were looked at".to_owned()))
    }

    /// One transaction, sent in one go. Gives the verdicts of the attempts it recorded.
    async fn record(&mut self, signed: &[Signed], plan: &Plan) -> Result<HashMap<u128, Verdict>, ServerError> {
        if signed.is_empty() && plan.is_empty() {
            return Ok(HashMap::new());
        }
        let client = &self.session.client;
        let (begun, locked, signed, inserted, kept, taken, unlimited, committed, flushed) = futures::join!(
            client.batch_execute(BEGIN_RECORDING),
            self.lock_seals(&plan.insert),
            self.sign(signed),
            self.insert(&self.session.statements.insert, &plan.insert),
            self.put_payloads(&plan.insert),
            self.take_over(&plan.take_over),
            client.batch_execute(UNLIMITED),
            client.batch_execute(COMMIT),
            client.query_one(&self.session.statements.flushed, &[]),
        );
        // The first failure tells the cause; after one, the commit rolls back.
        begun?;
        locked?;
        signed?;
        let mut granted: HashMap<_, _> = inserted?.into_iter().map(|Attempt(it)| (it, Verdict::Granted)).collect();
        kept?;
        granted.extend(taken?.into_iter().map(|(Attempt(it), fence)| (it, Verdict::Resumed { fence })));
        unlimited?;
        committed?;
        self.memory.advance(flushed?.try_get(0)?);
        Ok(granted)
    }

    /// Blocks, and the checkpoints that seal their slots, are recorded one after the other.
    pub(super) async fn lock_seals(&self, batch: &[Wanted]) -> Result<(), ServerError> {
        let seals: Vec<_> = batch.iter().filter_map(|wanted| seal_of(wanted.duty)).collect();
        if !seals.is_empty() {
            self.session.client.query(&self.session.statements.lock_seals, &[&seals]).await?;
        }
        Ok(())
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

    /// Gives the attempts it recorded.
    pub(super) async fn insert(&self, statement: &Statement, batch: &[Wanted]) -> Result<Vec<Attempt>, ServerError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = batch.iter().map(|wanted| wanted.duty.key().to_vec()).collect();
        let rooms: Vec<_> = batch.iter().map(|wanted| room_of(wanted.duty).to_vec()).collect();
        let digests: Vec<&[u8]> = batch.iter().map(|wanted| wanted.digest.as_slice()).collect();
        let attempts: Vec<_> = batch.iter().map(|wanted| wanted.attempt.0.to_be_bytes().to_vec()).collect();
        let seals: Vec<_> = batch.iter().map(|wanted| wanted.duty.seal().map(|seal| seal.key().to_vec())).collect();
        let (client, node, version) = (&self.session.client, &self.asker.node, &self.book.version);
        let rows = client.query(statement, &[&keys, &rooms, &digests, &attempts, &seals, node, version]).await?;
        rows.iter().map(|row| attempt_of(row.try_get("attempt")?)).collect()
    }

    /// Gives the attempts that took a pin over, with its new fence.
    async fn take_over(&self, batch: &[(Wanted, i64)]) -> Result<Vec<(Attempt, i64)>, ServerError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = batch.iter().map(|(wanted, _)| wanted.duty.key().to_vec()).collect();
        let digests: Vec<&[u8]> = batch.iter().map(|(wanted, _)| wanted.digest.as_slice()).collect();
        let fences: Vec<i64> = batch.iter().map(|&(_, fence)| fence).collect();
        let attempts: Vec<_> = batch.iter().map(|(wanted, _)| wanted.attempt.0.to_be_bytes().to_vec()).collect();
        let (statement, asker) = (&self.session.statements.take_over, self.asker);
        let age = asker.takeover_after.as_secs_f64();
        let rows = self
            .session
            .client
            .query(statement, &[&keys, &digests, &fences, &attempts, &asker.node, &age, &self.book.version])
            .await?;
        rows.iter().map(|row| Ok((attempt_of(row.try_get(0)?)?, row.try_get(1)?))).collect()
    }

    /// Looks at what is on record of the payloads without a verdict: gives each its own, or a place in the next plan.
    async fn look(&mut self, batch: &[Wanted], verdicts: &mut [Option<Verdict>]) -> Result<Plan, ServerError> {
        let mut plan = Plan::default();
        let open: Vec<usize> = (0..batch.len()).filter(|&at| verdicts[at].is_none()).collect();
        if open.is_empty() {
            return Ok(plan);
        }
        let look = self.read(open.iter().map(|&at| batch[at].duty)).await?;
        for at in open {
            let wanted = &batch[at];
            match find(wanted, &look.at(wanted.duty), self.book, self.asker) {
                Finding::Settled(verdict) => verdicts[at] = Some(verdict),
                Finding::Free => plan.insert.push(wanted.clone()),
                Finding::TakeOver { fence } => plan.take_over.push((wanted.clone(), fence)),
            }
        }
        Ok(plan)
    }

    /// The records of these duties and of what seals them, how far their strict rooms have come, and the marks as they are
    /// now.
    pub(super) async fn read(&mut self, duties: impl Iterator<Item = Duty>) -> Result<Look, ServerError> {
        let duties: Vec<Duty> = duties.flat_map(|duty| [Some(duty), duty.seal()]).flatten().collect();
        let keys: Vec<Vec<u8>> = duties.iter().map(|duty| duty.key().to_vec()).collect();
        let strict = |duty: &Duty| self.book.is_strict(*duty).then(|| room_of(*duty).to_vec());
        let rooms: Vec<Option<Vec<u8>>> = duties.iter().map(strict).collect();
        let found = self.session.client.query(&self.session.statements.read, &[&keys, &rooms]).await?;
        let mut look = Look::default();
        for row in &found {
            if row.try_get::<_, i64>(0)? != self.book.version {
                *self.book = load_book(self.session).await?;
            }
            if let Some(key) = row.try_get::<_, Option<Vec<u8>>>(1)? {
                look.rows.insert(key, decode(row)?);
            }
            if let Some((room, highest)) = row.try_get::<_, Option<&[u8]>>(8)?.zip(slot(row.try_get(9)?)?) {
                let room = Room::try_from(room).map_err(|_| damage("a mark has a key of no room"))?;
                look.max_signed.insert(room, highest);
            }
        }
        Ok(look)
    }
}

/// The key of the record that seals the duty's slot, where it is a block's; its own, where it is that record.
fn seal_of(duty: Duty) -> Option<Vec<u8>> {
    let is_seal = duty.kind == DutyKind::CheckpointProposal;
    let seal = duty.seal().or(is_seal.then_some(duty))?;
    Some(seal.key().to_vec())
}

pub(super) fn attempt_of(bytes: &[u8]) -> Result<Attempt, ServerError> {
    let bytes = bytes.try_into().map_err(|_| damage("an attempt has a wrong length"))?;
    Ok(Attempt(u128::from_be_bytes(bytes)))
}

/// # Errors
/// [`ServerError::Lasting`]: it is no record.
pub(super) fn record_of(digest: &[u8], signature: Option<&[u8]>) -> Result<Record, ServerError> {
    let digest = B256::try_from(digest).map_err(|_| damage("a digest has a wrong length"))?;
    let signature = signature.map(Signature::from_raw).transpose();
    let signature = signature.map_err(|_| damage("a record holds no signature where there should be one"))?;
    Ok(Record { digest, signature })
}

/// The record in a row of the reading statement.
fn decode(row: &tokio_postgres::Row) -> Result<Row, ServerError> {
    let age: f64 = row.try_get(7)?;
    Ok(Row {
        record: record_of(row.try_get(2)?, row.try_get(3)?)?,
        owner: row.try_get(4)?,
        fence: row.try_get(5)?,
        attempt: attempt_of(row.try_get(6)?)?,
        age: Duration::try_from_secs_f64(age).unwrap_or_default(),
    })
}
