//! The tables and their records. Records are JSON, so that an operator can read them.

use heed::byteorder::BE;
use heed::types::{Bytes, Str, U64};
use heed::{Database, Env, RoTxn, RwTxn, WithoutTls};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{JOURNAL_LENGTH, JournalEntry, NodeStoreError, Result};
use crate::data_dir::{Scope, TokenHash};
use crate::engine::Wish;
use crate::evidence::Equivocation;

const SCHEMA: &str = "schema";
const WISH: &str = "desired_state";
const SIGNING_STORE: &str = "signing_store_made";
const EQUIVOCATIONS: &str = "equivocations";

/// The fact that holds the hash of a scope's token.
const fn token_fact(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read_token_sha256",
        Scope::Operate => "operate_token_sha256",
        Scope::Danger => "admin_token_sha256",
    }
}

/// The tables of the node store.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    /// Single records by name.
    facts: Database<Str, Bytes>,
    /// Verbs by their number.
    journal: Database<U64<BE>, Bytes>,
}

impl Tables {
    /// Makes the tables that are not there.
    pub(super) fn create(env: &Env<WithoutTls>, txn: &mut RwTxn<'_>) -> Result<Self> {
        Ok(Self {
            facts: env.create_database(txn, Some("facts"))?,
            journal: env.create_database(txn, Some("journal"))?,
        })
    }

    /// The tables as they are; `None` where one is missing.
    pub(super) fn find(env: &Env<WithoutTls>, txn: &RoTxn<'_>) -> Result<Option<Self>> {
        let facts = env.open_database(txn, Some("facts"))?;
        let journal = env.open_database(txn, Some("journal"))?;
        Ok(facts.zip(journal).map(|(facts, journal)| Self { facts, journal }))
    }

    pub(super) fn schema(&self, txn: &RoTxn<'_>) -> Result<Option<u32>> {
        self.fact(txn, SCHEMA)
    }

    pub(super) fn put_schema(&self, txn: &mut RwTxn<'_>, schema: u32) -> Result<()> {
        self.put_fact(txn, SCHEMA, &schema)
    }

    pub(super) fn wish(&self, txn: &RoTxn<'_>) -> Result<Option<Wish>> {
        self.fact(txn, WISH)
    }

    pub(super) fn put_wish(&self, txn: &mut RwTxn<'_>, wish: &Wish) -> Result<()> {
        self.put_fact(txn, WISH, wish)
    }

    pub(super) fn signing_store_was_made(&self, txn: &RoTxn<'_>) -> Result<bool> {
        Ok(self.fact(txn, SIGNING_STORE)?.unwrap_or(false))
    }

    pub(super) fn put_signing_store(&self, txn: &mut RwTxn<'_>) -> Result<()> {
        self.put_fact(txn, SIGNING_STORE, &true)
    }

    pub(super) fn equivocations(&self, txn: &RoTxn<'_>) -> Result<Vec<Equivocation>> {
        Ok(self.fact(txn, EQUIVOCATIONS)?.unwrap_or_default())
    }

    pub(super) fn put_equivocations(&self, txn: &mut RwTxn<'_>, seen: &[Equivocation]) -> Result<()> {
        self.put_fact(txn, EQUIVOCATIONS, &seen)
    }

    pub(super) fn token_hash(&self, txn: &RoTxn<'_>, scope: Scope) -> Result<Option<TokenHash>> {
        Ok(self.fact(txn, token_fact(scope))?.map(TokenHash))
    }

    pub(super) fn put_token_hash(&self, txn: &mut RwTxn<'_>, scope: Scope, hash: TokenHash) -> Result<()> {
        self.put_fact(txn, token_fact(scope), &hash.0)
    }

    pub(super) fn append(&self, txn: &mut RwTxn<'_>, entry: &JournalEntry) -> Result<()> {
        let next = self.journal.last(txn)?.map_or(0, |(number, _)| number + 1);
        self.journal.put(txn, &next, &encode(entry))?;
        if let Some(end) = (next + 1).checked_sub(JOURNAL_LENGTH) {
            self.journal.delete_range(txn, &(..end))?;
        }
        Ok(())
    }

    pub(super) fn journal(&self, txn: &RoTxn<'_>, most: usize) -> Result<Vec<JournalEntry>> {
        let newest = self.journal.rev_iter(txn)?.take(most);
        newest
            .map(|row| row.map_err(Into::into).and_then(|(number, bytes)| decode(&format!("verb {number}"), bytes)))
            .collect()
    }

    fn fact<T: DeserializeOwned>(&self, txn: &RoTxn<'_>, name: &str) -> Result<Option<T>> {
        self.facts.get(txn, name)?.map(|bytes| decode(name, bytes)).transpose()
    }

    fn put_fact<T: Serialize>(&self, txn: &mut RwTxn<'_>, name: &str, fact: &T) -> Result<()> {
        Ok(self.facts.put(txn, name, &encode(fact))?)
    }
}

fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are plain data, which always serialises")
}

fn decode<T: DeserializeOwned>(record: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| NodeStoreError::BadRecord { record: record.to_owned(), source })
}
