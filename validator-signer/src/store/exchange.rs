//! Records in and out of the store, whole files at a time.

use alloy::primitives::{Address, B256};
use fermata_primitives::{UnixTime, crash_point};
use heed::{RoTxn, RwTxn};

use super::SlashingProtection;
use super::failure::Failure;
use super::identity::Identity;
use super::ledger::Ledger;
use super::record::{Record, from_marks_key, marks_key};
use crate::interchange::{
    Contents, ExportKeys, ExportOptions, Found, ImportOptions, ImportReport, Interchange, InterchangeError, Merged,
    OnRecord, Origin, Rewritten,
};
use crate::{Duty, Marks, SignerError};

const GENESIS_KEY: &[u8] = b"genesis-validators-root";

impl SlashingProtection {
    /// Takes in all of `file`, in one durable transaction: afterwards the store refuses whatever it or the file refused.
    /// Marks only rise; of two payloads for one duty neither can be signed any more.
    ///
    /// A store that keeps watermarks alone takes them alone from the Ethereum members.
    ///
    /// # Errors
    /// [`SignerError::Interchange`] and [`SignerError::NoSpace`]: nothing has changed. [`SignerError::StoreFailed`],
    /// [`SignerError::Closed`].
    ///
    /// # Cancel safety
    /// Dropped: the import happens whole or not at all.
    pub async fn import(&self, file: &Interchange, options: ImportOptions) -> Result<ImportReport, SignerError> {
        let contents = Contents::of(file, self.domain, options.extents(self.eth.policy))?;
        let given = options.genesis_validators_root;
        Ok(self.on_ledger(move |ledger| ledger.import(&contents, given)).await??)
    }

    /// Tells the store, once and for all, which chain its Ethereum keys sign for. The same again is no change.
    ///
    /// # Errors
    /// [`SignerError::Interchange`]: it knows another one. [`SignerError::NoSpace`], [`SignerError::StoreFailed`],
    /// [`SignerError::Closed`].
    ///
    /// # Cancel safety
    /// Dropped: the chain is told all the same.
    pub async fn bind_chain(&self, genesis_validators_root: B256) -> Result<(), SignerError> {
        let nothing = Contents::default();
        let bound = self.on_ledger(move |ledger| ledger.import(&nothing, Some(genesis_validators_root))).await?;
        Ok(bound.map(drop)?)
    }

    /// What the store knows, as a file that another store imports. Signing waits meanwhile.
    ///
    /// For a hand-over retire the keys first: what is signed after an export is not in it.
    ///
    /// # Errors
    /// [`SignerError::Interchange`]: there are Ethereum keys, and nobody told for which chain.
    /// [`SignerError::StoreFailed`], [`SignerError::Closed`].
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    pub async fn export(&self, options: ExportOptions, exported_at: UnixTime) -> Result<Interchange, SignerError> {
        let keys = options.keys.clone();
        let found = self
            .on_thread(move |writer| {
                writer.write_signatures()?;
                writer.on_ledger(|ledger| ledger.export(&keys))
            })
            .await?;
        let from = Origin { domain: self.domain, store_id: self.store_id };
        Ok(found.file(&options, from, exported_at)?)
    }
}

impl Ledger {
    fn import(
        &mut self,
        contents: &Contents,
        given: Option<B256>,
    ) -> Result<Result<ImportReport, InterchangeError>, Failure> {
        let mut txn = self.begin()?;
        let merged = match contents.merge(&self.on_record(&txn, contents)?, given) {
            Ok(merged) => merged,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.write_merged(&mut txn, &merged)?;
        if !contents.signers.is_empty() {
            Identity(self.store.identity).owe_listening(&mut txn)?;
        }
        crash_point!("signer.before_import", |error| Failure::from(heed::Error::Io(error)));
        self.commit(txn)?;
        crash_point!("signer.after_import");
        self.resumed.extend(merged.shared);
        Ok(Ok(merged.report))
    }

    /// What is known of all that a file speaks of.
    fn on_record(&self, txn: &RoTxn<'_>, contents: &Contents) -> Result<OnRecord, Failure> {
        let mut known = OnRecord { genesis: self.genesis(txn)?, ..OnRecord::default() };
        for &public_key in contents.public_keys.keys() {
            known.public_keys.insert(public_key, self.store.eth.history(txn, public_key)?);
        }
        for (&signer, told) in &contents.signers {
            for &kind in told.marks.keys() {
                known.marks.insert((signer, kind), self.marks(txn, &marks_key(signer, kind))?);
            }
            for &(duty, _) in &told.duties {
                known.duties.extend(self.record(txn, duty)?.map(|record| (duty, record)));
            }
        }
        Ok(known)
    }

    fn write_merged(&self, txn: &mut RwTxn<'_>, merged: &Merged) -> Result<(), Failure> {
        if let Some(genesis) = merged.genesis {
            self.store.identity.put(txn, GENESIS_KEY, genesis.as_slice())?;
        }
        for Rewritten { public_key, before, after } in &merged.public_keys {
            self.store.eth.replace(txn, *public_key, (before, after))?;
        }
        for (&(signer, kind), &marks) in &merged.marks {
            self.add_marks(txn, &marks_key(signer, kind), marks)?;
        }
        for &(duty, record) in merged.duties.values() {
            self.put(txn, duty, record)?;
        }
        Ok(())
    }

    fn export(&self, keys: &ExportKeys) -> Result<Found, Failure> {
        let txn = self.store.env.read_txn()?;
        let mut found = Found::new(keys);
        self.find_signers(&txn, &mut found)?;
        let public_keys = match keys {
            ExportKeys::All => self.store.eth.public_keys(&txn)?,
            ExportKeys::Chosen { public_keys, .. } => public_keys.clone(),
        };
        for public_key in public_keys {
            found.public_keys.insert(public_key, self.store.eth.history(&txn, public_key)?);
        }
        found.genesis = self.genesis(&txn)?;
        let states = self.keys.borrow();
        let is_retired = |signer: Address| states.get(&signer).is_some_and(|state| state.retired);
        found.finish(self.store.floor, is_retired);
        Ok(found)
    }

    /// What is known of the rollup's keys.
    fn find_signers(&self, txn: &RoTxn<'_>, found: &mut Found) -> Result<(), Failure> {
        for row in self.store.marks.iter(txn)? {
            let (key, bytes) = row?;
            let (signer, kind) =
                from_marks_key(key).ok_or_else(|| Failure::damage("marks have a key that none have"))?;
            found.add_marks(signer, kind, Marks::decode(key, bytes).map_err(Failure::damage)?);
        }
        for row in self.store.duties.iter(txn)? {
            let (key, bytes) = row?;
            let duty = Duty::from_key(key).ok_or_else(|| Failure::damage("a record has a key that no duty has"))?;
            found.add_duty(duty, Record::decode(key, bytes).map_err(Failure::damage)?);
        }
        Ok(())
    }

    fn genesis(&self, txn: &RoTxn<'_>) -> Result<Option<B256>, Failure> {
        let bytes = self.store.identity.get(txn, GENESIS_KEY)?;
        bytes
            .map(|bytes| B256::try_from(bytes).map_err(|_| Failure::damage("the root of the chain has a wrong length")))
            .transpose()
    }
}
