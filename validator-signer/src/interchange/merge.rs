//! An import as a pure function: what a file says and what is on record of it in, what is to be written out.
//!
//! No I/O: a store loads what the file speaks of ([`OnRecord`]), has it merged, and writes the outcome, all in one
//! transaction. So every store takes a file in alike. Merging only ever refuses more; it minds neither the order of files
//! nor a file that comes twice.

use std::collections::{BTreeMap, HashMap};

use alloy::primitives::{Address, B256};

use super::contents::{Contents, SignerContents, join};
use super::{ImportConflict, ImportReport, InterchangeError};
use crate::eth::history::{Disagreement, KeyHistory};
use crate::rules::Record;
use crate::{Duty, DutyKind, EthPublicKey, Marks};

/// What is on record of all that a file speaks of, before it is imported. What is not in a map is not on record.
#[derive(Clone, Default, Debug)]
pub(crate) struct OnRecord {
    /// The chain of the store's Ethereum keys.
    pub(crate) genesis: Option<B256>,
    pub(crate) public_keys: BTreeMap<EthPublicKey, KeyHistory>,
    /// By key and marked kind.
    pub(crate) marks: BTreeMap<(Address, DutyKind), Marks>,
    pub(crate) duties: HashMap<Duty, Record>,
}

/// A key's history before and after.
#[derive(Clone, Debug)]
pub(crate) struct Rewritten {
    pub(crate) public_key: EthPublicKey,
    pub(crate) before: KeyHistory,
    pub(crate) after: KeyHistory,
}

/// What an import writes, and tells.
#[derive(Clone, Default, Debug)]
pub(crate) struct Merged {
    /// The chain, where the store did not know it.
    pub(crate) genesis: Option<B256>,
    pub(crate) public_keys: Vec<Rewritten>,
    pub(crate) marks: BTreeMap<(Address, DutyKind), Marks>,
    /// Every duty of the file: what is on record of it from now on.
    pub(crate) duties: BTreeMap<[u8; crate::duty::KEY_LEN], (Duty, Record)>,
    /// The duties of which the file has the payload that was on record too: another store gave leave for them as well, so
    /// that a reservation of this one can be cancelled no more.
    pub(crate) shared: Vec<Duty>,
    pub(crate) report: ImportReport,
}

impl Contents {
    /// Merges the file into what is `known` of all it speaks of. `given` is the chain that the import was told.
    ///
    /// # Errors
    /// [`InterchangeError`] of the chain; nothing is to be written then.
    pub(crate) fn merge(&self, known: &OnRecord, given: Option<B256>) -> Result<Merged, InterchangeError> {
        let genesis = chain_of(known.genesis, given, self.genesis)?;
        let mut merged = Merged { genesis: genesis.filter(|_| known.genesis.is_none()), ..Merged::default() };
        for (&public_key, theirs) in &self.public_keys {
            merged.public_key(public_key, known.public_keys.get(&public_key), theirs);
        }
        for (&signer, told) in &self.signers {
            merged.signer(signer, told, known);
        }
        Ok(merged)
    }
}

impl Merged {
    fn public_key(&mut self, public_key: EthPublicKey, ours: Option<&KeyHistory>, theirs: &KeyHistory) {
        let before = ours.cloned().unwrap_or_default();
        let mut after = before.clone();
        for Disagreement { duty, ours, theirs } in after.join(theirs) {
            self.report.conflicts.push(ImportConflict::Ethereum { public_key, duty, ours, theirs });
        }
        self.report.public_keys += 1;
        self.report.added += after.blocks.keys().filter(|block| !before.blocks.contains_key(block)).count();
        self.report.added += after.attestations.keys().filter(|vote| !before.attestations.contains_key(vote)).count();
        self.public_keys.push(Rewritten { public_key, before, after });
    }

    fn signer(&mut self, signer: Address, told: &SignerContents, known: &OnRecord) {
        for (&kind, &theirs) in &told.marks {
            let ours = known.marks.get(&(signer, kind)).copied().unwrap_or_default();
            self.marks.insert((signer, kind), ours.merge(theirs));
        }
        for &(duty, theirs) in &told.duties {
            self.duty(duty, theirs, known);
        }
        self.report.signers += 1;
        let tell = if told.retired { &mut self.report.handed_over } else { &mut self.report.still_active };
        tell.push(signer);
    }

    /// A file may say something of a duty more than once.
    fn duty(&mut self, duty: Duty, theirs: Record, known: &OnRecord) {
        let said_before = self.duties.get(&duty.key()).map(|&(_, record)| record);
        let record = match said_before.or_else(|| known.duties.get(&duty).copied()) {
            None => {
                self.report.added += 1;
                theirs
            }
            Some(ours) => {
                if ours.digest == theirs.digest {
                    self.shared.push(duty);
                } else if !ours.digest.is_zero() && !theirs.digest.is_zero() {
                    let (ours, theirs) = (ours.digest, theirs.digest);
                    self.report.conflicts.push(ImportConflict::Rollup { duty, ours, theirs });
                }
                join(ours, theirs)
            }
        };
        self.duties.insert(duty.key(), (duty, record));
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

#[cfg(test)]
mod tests {
    use alloy::primitives::Signature;
    use fermata_primitives::Slot;

    use super::*;

    const SIGNER: Address = Address::repeat_byte(1);
    const DUTY: Duty = Duty { validator: SIGNER, slot: Slot(7), kind: DutyKind::Attestation };
    const A: B256 = B256::repeat_byte(0xaa);
    const B: B256 = B256::repeat_byte(0xbb);
    const UNKNOWN: B256 = B256::ZERO;

    fn signed(digest: B256) -> Record {
        Record { digest, signature: Some(Signature::test_signature()) }
    }

    fn file(duties: Vec<(Duty, Record)>, marks: Marks) -> Contents {
        let marks = BTreeMap::from([(DutyKind::Attestation, marks)]);
        let told = SignerContents { retired: false, marks, duties };
        Contents { signers: BTreeMap::from([(SIGNER, told)]), ..Contents::default() }
    }

    #[test]
    fn of_what_is_on_record_and_what_a_file_says_the_stronger_is_kept_and_of_two_payloads_neither() {
        let pinned = Record::pinned;
        // On record, what the file says in its order, kept, new, conflicts, shared.
        let table = [
            ("nothing on record", None, vec![pinned(A)], pinned(A), (1, 0, 0)),
            ("said twice", None, vec![pinned(A), pinned(A)], pinned(A), (1, 0, 1)),
            ("two payloads in the file", None, vec![pinned(A), signed(B)], pinned(UNKNOWN), (1, 1, 0)),
            ("the same payload", Some(pinned(A)), vec![pinned(A)], pinned(A), (0, 0, 1)),
            ("signed there", Some(pinned(A)), vec![signed(A)], signed(A), (0, 0, 1)),
            ("signed here", Some(signed(A)), vec![pinned(A)], signed(A), (0, 0, 1)),
            ("another payload", Some(signed(A)), vec![signed(B)], pinned(UNKNOWN), (0, 1, 0)),
            ("unknown there", Some(signed(A)), vec![pinned(UNKNOWN)], pinned(UNKNOWN), (0, 0, 0)),
            ("unknown here", Some(pinned(UNKNOWN)), vec![signed(A)], pinned(UNKNOWN), (0, 0, 0)),
        ];
        for (case, ours, theirs, kept, counts) in table {
            let known = OnRecord { duties: ours.map(|ours| (DUTY, ours)).into_iter().collect(), ..OnRecord::default() };
            let file = file(theirs.into_iter().map(|record| (DUTY, record)).collect(), Marks::default());
            let merged = file.merge(&known, None).unwrap();
            assert_eq!(merged.duties.values().collect::<Vec<_>>(), [&(DUTY, kept)], "{case}");
            let found = (merged.report.added, merged.report.conflicts.len(), merged.shared.len());
            assert_eq!(found, counts, "{case}");
        }
    }

    #[test]
    fn marks_only_come_to_refuse_more() {
        let ours = Marks { low: Some(Slot(5)), high: Some(Slot(9)), max_signed: None };
        let theirs = Marks { low: Some(Slot(3)), high: Some(Slot(20)), max_signed: Some(Slot(4)) };
        let at = (SIGNER, DutyKind::Attestation);
        let known = OnRecord { marks: BTreeMap::from([(at, ours)]), ..OnRecord::default() };
        let merged = file(Vec::new(), theirs).merge(&known, None).unwrap();
        assert_eq!(merged.marks, BTreeMap::from([(at, Marks { max_signed: Some(Slot(4)), ..ours })]));
    }

    #[test]
    fn a_store_learns_its_chain_once_and_takes_no_file_of_another() {
        let unknown = InterchangeError::UnknownGenesis { found: A };
        let other = |found| Err(InterchangeError::OtherGenesis { found, wanted: A });
        let table = [
            // Known, given, in the file; what is to be written.
            (None, None, None, Ok(None)),
            (None, Some(A), None, Ok(Some(A))),
            (None, Some(A), Some(A), Ok(Some(A))),
            (None, None, Some(A), Err(unknown)),
            (None, Some(A), Some(B), other(B)),
            (Some(A), None, Some(A), Ok(None)),
            (Some(A), Some(A), None, Ok(None)),
            (Some(A), None, Some(B), other(B)),
            (Some(A), Some(B), None, other(B)),
        ];
        for (known, given, found, expected) in table {
            let file = Contents { genesis: found, ..Contents::default() };
            let merged = file.merge(&OnRecord { genesis: known, ..OnRecord::default() }, given);
            assert_eq!(merged.map(|merged| merged.genesis), expected, "{known:?}, {given:?}, {found:?}");
        }
    }
}
