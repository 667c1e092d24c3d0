//! Records in and out of the store, whole files at a time.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256};
use fermata_primitives::UnixTime;
use heed::{RoTxn, RwTxn};

use super::SlashingProtection;
use super::failure::Failure;
use super::ledger::Ledger;
use super::record::{Record, from_marks_key, marks_key};
use crate::eth::history::{Disagreement, KeyHistory};
use crate::interchange::{
    Contents, Decimal, DutyEntry, ExportKeys, ExportOptions, Extent, Extents, FORMAT_VERSION, Hex, ImportConflict,
    ImportOptions, ImportReport, Interchange, InterchangeError, MarksEntry, Metadata, ROLLUP_VERSION,
    RollupInterchange, Scope, SignerContents, SignerEntry, entry, join,
};
use crate::{Duty, DutyKind, EthPolicy, EthPublicKey, Marks, SignerError};

const GENESIS_KEY: &[u8] = b"genesis-validators-root";

/// What is exported, in the store's own terms.
struct Found {
    genesis: Option<B256>,
    public_keys: BTreeMap<EthPublicKey, KeyHistory>,
    signers: BTreeMap<Address, SignerContents>,
}

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
        let ImportOptions { extent, genesis_validators_root } = options;
        let public_keys = match self.eth.policy {
            EthPolicy::FullHistory => extent,
            EthPolicy::Watermark => Extent::Minified,
        };
        let contents = Contents::of(file, self.domain, Extents { signers: extent, public_keys })?;
        Ok(self.on_ledger(move |ledger| ledger.import(&contents, genesis_validators_root)).await??)
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
        let nothing = Contents { genesis: None, public_keys: BTreeMap::new(), signers: BTreeMap::new() };
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
        let ExportOptions { keys, extent } = options;
        let complete = extent == Extent::Full && keys == ExportKeys::All;
        let found = self
            .on_thread(move |writer| {
                writer.write_signatures()?;
                writer.on_ledger(|ledger| ledger.export(&keys))
            })
            .await?;
        if found.genesis.is_none() && !found.public_keys.is_empty() {
            return Err(InterchangeError::NoGenesis.into());
        }
        let data = found.public_keys.iter().map(|(&public_key, history)| match extent {
            Extent::Full => entry(public_key, history),
            Extent::Minified => entry(public_key, &history.minified()),
        });
        let signers = found.signers.iter().map(|(&signer, contents)| signer_entry(signer, contents, extent)).collect();
        let scope = Scope {
            l1_chain_id: Decimal(self.domain.l1_chain_id),
            rollup_address: Hex(self.domain.rollup.into()),
            rollup_version: None,
            signers,
        };
        let rollup = RollupInterchange {
            version: ROLLUP_VERSION.to_owned(),
            store_id: Hex(self.store_id.0),
            exported_at: Decimal(exported_at.0.as_secs()),
            complete,
            scopes: vec![scope],
            sha256: Hex([0; 32]),
        };
        Ok(Interchange {
            metadata: Metadata {
                interchange_format_version: FORMAT_VERSION.to_owned(),
                genesis_validators_root: Hex(found.genesis.unwrap_or_default().0),
            },
            data: data.collect(),
            rollup_interchange: Some(rollup.summed()),
        })
    }
}

fn signer_entry(signer: Address, contents: &SignerContents, extent: Extent) -> SignerEntry {
    let marks = contents.marks.iter().map(|(&kind, &marks)| match extent {
        Extent::Full => MarksEntry::of(kind, marks),
        Extent::Minified => MarksEntry::of(kind, Marks { low: marks.low.max(marks.max_signed), ..marks }),
    });
    let duties = match extent {
        Extent::Full => contents.duties.iter().map(|(duty, record)| DutyEntry::of(*duty, record)).collect(),
        Extent::Minified => Vec::new(),
    };
    SignerEntry { signer: Hex(signer.into()), retired: contents.retired, marks: marks.collect(), duties }
}

impl Ledger {
    fn import(
        &mut self,
        contents: &Contents,
        given: Option<B256>,
    ) -> Result<Result<ImportReport, InterchangeError>, Failure> {
        let mut txn = self.begin()?;
        let known = self.genesis(&txn)?;
        let genesis = match chain_of(known, given, contents.genesis) {
            Ok(genesis) => genesis,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(genesis) = genesis.filter(|genesis| known != Some(*genesis)) {
            self.store.identity.put(&mut txn, GENESIS_KEY, genesis.as_slice())?;
        }
        let (mut report, mut shared) = (ImportReport::default(), Vec::new());
        for (&public_key, history) in &contents.public_keys {
            self.import_public_key(&mut txn, (public_key, history), &mut report)?;
        }
        for (&signer, told) in &contents.signers {
            shared.extend(self.import_signer(&mut txn, (signer, told), &mut report)?);
        }
        self.commit(txn)?;
        // Another store gave leave for them too: a reservation of this one can be cancelled no more.
        self.resumed.extend(shared);
        Ok(Ok(report))
    }

    fn import_public_key(
        &self,
        txn: &mut RwTxn<'_>,
        (public_key, theirs): (EthPublicKey, &KeyHistory),
        report: &mut ImportReport,
    ) -> Result<(), Failure> {
        let ours = self.store.eth.history(txn, public_key)?;
        let mut both = ours.clone();
        for Disagreement { duty, ours, theirs } in both.join(theirs) {
            report.conflicts.push(ImportConflict::Ethereum { public_key, duty, ours, theirs });
        }
        self.store.eth.replace(txn, public_key, (&ours, &both))?;
        report.public_keys += 1;
        report.added += both.blocks.keys().filter(|block| !ours.blocks.contains_key(block)).count();
        report.added += both.attestations.keys().filter(|vote| !ours.attestations.contains_key(vote)).count();
        Ok(())
    }

    /// Gives the duties of which the file has the payload that is pinned here too.
    fn import_signer(
        &self,
        txn: &mut RwTxn<'_>,
        (signer, told): (Address, &SignerContents),
        report: &mut ImportReport,
    ) -> Result<Vec<Duty>, Failure> {
        let mut shared = Vec::new();
        for (&kind, &marks) in &told.marks {
            self.add_marks(txn, &marks_key(signer, kind), marks)?;
        }
        for &(duty, theirs) in &told.duties {
            let Some(ours) = self.record(txn, duty)? else {
                report.added += 1;
                self.put(txn, duty, theirs)?;
                continue;
            };
            if ours.digest == theirs.digest {
                shared.push(duty);
            } else if !ours.digest.is_zero() && !theirs.digest.is_zero() {
                let (ours, theirs) = (ours.digest, theirs.digest);
                report.conflicts.push(ImportConflict::Rollup { duty, ours, theirs });
            }
            self.put(txn, duty, join(ours, theirs))?;
        }
        report.signers += 1;
        let tell = if told.retired { &mut report.handed_over } else { &mut report.still_active };
        tell.push(signer);
        Ok(shared)
    }

    fn export(&self, keys: &ExportKeys) -> Result<Found, Failure> {
        let txn = self.store.env.read_txn()?;
        let (mut signers, public_keys) = match keys {
            ExportKeys::All => (self.signers(&txn, None)?, self.store.eth.public_keys(&txn)?),
            ExportKeys::Chosen { signers, public_keys } => {
                let chosen = signers.iter().copied().collect();
                (self.signers(&txn, Some(&chosen))?, public_keys.clone())
            }
        };
        for (signer, contents) in &mut signers {
            contents.retired = self.keys.borrow().get(signer).is_some_and(|state| state.retired);
            if let Some(floor) = self.store.floor {
                for kind in DutyKind::MARKED {
                    let marks = contents.marks.entry(kind).or_default();
                    *marks = marks.merge(Marks::below(floor));
                }
            }
            for (duty, _) in &contents.duties {
                let marks = contents.marks.entry(duty.kind.marked()).or_default();
                *marks = marks.merge(Marks::signed(duty.slot));
            }
        }
        let histories = public_keys.into_iter().map(|key| Ok((key, self.store.eth.history(&txn, key)?)));
        let public_keys = histories.collect::<Result<_, Failure>>()?;
        Ok(Found { genesis: self.genesis(&txn)?, public_keys, signers })
    }

    /// What is known of each key, or of the chosen ones.
    fn signers(
        &self,
        txn: &RoTxn<'_>,
        chosen: Option<&BTreeSet<Address>>,
    ) -> Result<BTreeMap<Address, SignerContents>, Failure> {
        let wanted = |signer: &Address| chosen.is_none_or(|chosen| chosen.contains(signer));
        let named = chosen.into_iter().flatten().map(|&signer| (signer, SignerContents::default()));
        let mut signers: BTreeMap<_, SignerContents> = named.collect();
        for row in self.store.marks.iter(txn)? {
            let (key, bytes) = row?;
            let (signer, kind) =
                from_marks_key(key).ok_or_else(|| Failure::damage("marks have a key that none have"))?;
            if wanted(&signer) {
                let marks = Marks::decode(key, bytes).map_err(Failure::damage)?;
                signers.entry(signer).or_default().marks.insert(kind, marks);
            }
        }
        for row in self.store.duties.iter(txn)? {
            let (key, bytes) = row?;
            let duty = Duty::from_key(key).ok_or_else(|| Failure::damage("a record has a key that no duty has"))?;
            if wanted(&duty.validator) {
                let record = Record::decode(key, bytes).map_err(Failure::damage)?;
                signers.entry(duty.validator).or_default().duties.push((duty, record));
            }
        }
        Ok(signers)
    }

    fn genesis(&self, txn: &RoTxn<'_>) -> Result<Option<B256>, Failure> {
        let bytes = self.store.identity.get(txn, GENESIS_KEY)?;
        bytes
            .map(|bytes| B256::try_from(bytes).map_err(|_| Failure::damage("the root of the chain has a wrong length")))
            .transpose()
    }
}

/// The chain of the store's Ethereum keys after the import of a file for the chain `found`.
fn chain_of(known: Option<B256>, given: Option<B256>, found: Option<B256>) -> Result<Option<B256>, InterchangeError> {
    match (known.or(given), found) {
        (None, None) => Ok(None),
        (None, Some(found)) => Err(InterchangeError::UnknownGenesis { found }),
        (Some(wanted), _) => match [given, found].into_iter().flatten().find(|root| *root != wanted) {
            Some(found) => Err(InterchangeError::OtherGenesis { found, wanted }),
            None => Ok(Some(wanted)),
        },
    }
}
