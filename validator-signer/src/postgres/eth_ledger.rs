//! Ethereum duties, settled: looked at under their keys' locks, judged by the pure rules, recorded, committed.
//!
//! Watermarks do not tell whose they are, so that an answer that was lost cannot be found again among the records. What
//! tells is the *attempt* of the transaction: each writes its own in the row of its node, and the next one looks there first.
//! While the locks are held, a transaction that was lost has either been committed, or never will be.

use std::collections::{BTreeMap, BTreeSet};

use fermata_primitives::{Epoch, Slot};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::eth_rows::{Reach, add_records, put_standings, read, rewrite};
use super::ledger::{Settling, attempt_of};
use super::session::ServerError;
use super::statements::eth::BEGIN;
use super::statements::{COMMIT, ROLLBACK, UNLIMITED};
use crate::eth::judging::{EthJudgement, EthKnown, EthStanding, EthWanted};
use crate::eth::rules::EthVerdict;
use crate::interchange::Rewritten;
use crate::permit::Attempt;
use crate::{EthPolicy, EthPublicKey};

/// A transaction that was sent. Its judgements hold if, and only if, its attempt is on record.
#[derive(Clone, Debug)]
pub(super) struct EthTry {
    attempt: Attempt,
    judgements: Vec<EthJudgement>,
}

/// What is to be written.
struct EthPlan {
    attempt: Attempt,
    standings: Vec<(EthPublicKey, EthStanding)>,
    records: Vec<EthWanted>,
}

impl Settling<'_> {
    /// Judges and records `wanted` in one durable transaction, in the order asked. `tried` is the last try at these same
    /// duties, and becomes this one.
    ///
    /// # Errors
    /// [`ServerError`]; all may be recorded, or nothing. It may be settled again.
    pub(super) async fn settle_eth(
        &mut self,
        wanted: &[EthWanted],
        policy: EthPolicy,
        tried: &mut Option<EthTry>,
    ) -> Result<Vec<EthJudgement>, ServerError> {
        let (mut known, last) = self.look_eth(wanted).await?;
        if let Some(done) = tried.as_ref().filter(|tried| Some(tried.attempt) == last) {
            self.session.client.batch_execute(ROLLBACK).await?;
            return Ok(done.judgements.clone());
        }
        let judge =
            |wanted: &EthWanted| known.entry(wanted.public_key).or_default().take(wanted.duty, wanted.root, policy);
        let judgements: Vec<EthJudgement> = wanted.iter().map(judge).collect();
        if !judgements.contains(&Ok(EthVerdict::Record)) {
            self.session.client.batch_execute(ROLLBACK).await?;
            return Ok(judgements);
        }
        let attempt = Attempt::new();
        *tried = Some(EthTry { attempt, judgements: judgements.clone() });
        let recorded = recorded(wanted, &judgements);
        // Also where its marks stay as they are: a floor gives marks to a key that has no row yet, and a key without one is
        // in no export.
        let keys: BTreeSet<_> = recorded.iter().map(|wanted| wanted.public_key).collect();
        let of_recorded = known.iter().filter(|(key, _)| keys.contains(*key));
        let standings = of_recorded.map(|(&key, known)| (key, standing(known))).collect();
        let records = match policy {
            EthPolicy::Watermark => Vec::new(),
            EthPolicy::FullHistory => recorded,
        };
        self.record_eth(&EthPlan { attempt, standings, records }).await?;
        Ok(judgements)
    }

    /// Takes the locks of the keys, and reads what the rules look at; also gives the attempt of this node that was
    /// committed last.
    async fn look_eth(
        &self,
        wanted: &[EthWanted],
    ) -> Result<(BTreeMap<EthPublicKey, EthKnown>, Option<Attempt>), ServerError> {
        let (client, statements) = (&self.session.client, &self.session.statements.eth);
        let (locks, reach) = (locks(wanted.iter().map(|wanted| wanted.public_key)), Reach::of(wanted));
        let (locks, node): ([&(dyn ToSql + Sync); 1], [&(dyn ToSql + Sync); 1]) = ([&locks], [&self.asker.node]);
        let (begun, locked, last, known) = futures::join!(
            client.batch_execute(BEGIN),
            client.execute(&statements.lock, &locks),
            client.query_one(&statements.last, &node),
            read(self.session, &reach),
        );
        begun?;
        locked?;
        let last = last?;
        check_timeline(&last)?;
        Ok((known?, last.try_get::<_, Option<&[u8]>>(1)?.map(attempt_of).transpose()?))
    }

    /// Forgets a key's blocks and attestations through a slot and a target, and refuses those from then on. Gives the number
    /// of records removed.
    ///
    /// # Errors
    /// [`ServerError`]; it may be done.
    pub(super) async fn prune_eth(
        &mut self,
        public_key: EthPublicKey,
        through: (Slot, Epoch),
    ) -> Result<u64, ServerError> {
        self.begin_eth(std::iter::once(public_key)).await?;
        let mut known = read(self.session, &Reach::all(std::iter::once(public_key))).await?;
        let before = known.remove(&public_key).unwrap_or_default().history;
        let mut after = before.clone();
        after.prune(through.0, through.1);
        if after == before {
            self.session.client.batch_execute(ROLLBACK).await?;
            return Ok(0);
        }
        let removed = rewrite(self.session, &[Rewritten { public_key, before, after }]).await?;
        self.commit_eth().await?;
        Ok(removed)
    }

    /// Refuses keys everything, from now on and for ever.
    ///
    /// # Errors
    /// [`ServerError`]; it may be done.
    pub(super) async fn retire_eth(&mut self, public_keys: Vec<EthPublicKey>) -> Result<(), ServerError> {
        self.begin_eth(public_keys.iter().copied()).await?;
        let retired = EthStanding { retired: true, ..EthStanding::default() };
        let standings: Vec<_> = public_keys.into_iter().map(|public_key| (public_key, retired)).collect();
        put_standings(self.session, &standings).await?;
        self.commit_eth().await
    }

    /// Begins a transaction in which nobody else records anything for these keys.
    async fn begin_eth(&self, public_keys: impl Iterator<Item = EthPublicKey>) -> Result<(), ServerError> {
        let (client, statements) = (&self.session.client, &self.session.statements.eth);
        client.batch_execute(BEGIN).await?;
        client.execute(&statements.lock, &[&locks(public_keys)]).await?;
        check_timeline(&client.query_one(&statements.last, &[&self.asker.node]).await?)
    }

    async fn commit_eth(&mut self) -> Result<(), ServerError> {
        let client = &self.session.client;
        client.batch_execute(UNLIMITED).await?;
        client.batch_execute(COMMIT).await?;
        let flushed = client.query_one(&self.session.statements.flushed, &[]).await?;
        self.memory.advance(flushed.try_get(0)?);
        Ok(())
    }

    async fn record_eth(&mut self, plan: &EthPlan) -> Result<(), ServerError> {
        let (client, statements) = (&self.session.client, &self.session.statements);
        let attempt = plan.attempt.0.to_be_bytes().to_vec();
        let ours: [&(dyn ToSql + Sync); 2] = [&self.asker.node, &attempt];
        let (raised, added, noted, unlimited, committed, flushed) = futures::join!(
            put_standings(self.session, &plan.standings),
            add_records(self.session, &plan.records),
            client.execute(&statements.eth.put_attempt, &ours),
            client.batch_execute(UNLIMITED),
            client.batch_execute(COMMIT),
            client.query_one(&statements.flushed, &[]),
        );
        // The first failure tells the cause; after one, the commit rolls back.
        raised?;
        added?;
        noted?;
        unlimited?;
        committed?;
        self.memory.advance(flushed?.try_get(0)?);
        Ok(())
    }
}

/// Whether a row begins with word that the server is the one that the store was accepted on.
///
/// # Errors
/// [`ServerError::Passing`]; the next connection is told what an operator must do.
pub(super) fn check_timeline(last: &Row) -> Result<(), ServerError> {
    if last.try_get(0)? {
        return Ok(());
    }
    Err(ServerError::Passing("it is on another timeline than the one the store is on".to_owned()))
}

fn standing(known: &EthKnown) -> EthStanding {
    EthStanding { marks: known.history.marks, retired: known.retired }
}

fn recorded(wanted: &[EthWanted], judgements: &[EthJudgement]) -> Vec<EthWanted> {
    let new = wanted.iter().zip(judgements).filter(|(_, judgement)| **judgement == Ok(EthVerdict::Record));
    new.map(|(wanted, _)| *wanted).collect()
}

/// The locks of these keys, in the order in which every node takes them.
pub(super) fn locks(public_keys: impl Iterator<Item = EthPublicKey>) -> Vec<i32> {
    let locks: BTreeSet<i32> = public_keys.map(|public_key| i32::from(public_key[47])).collect();
    locks.into_iter().collect()
}
