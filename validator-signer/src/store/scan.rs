//! Reading all of a store: whatever is wrong is found before anything is signed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use alloy::primitives::{Address, FixedBytes};
use fermata_primitives::Slot;
use heed::RoTxn;
use serde::{Deserialize, Serialize};

use super::environment::{Environment, Table, damaged, unreadable};
use super::eth_tables::{decode_root, decode_standing, from_attestation_key, from_block_key};
use super::identity::Identity;
use super::manifest::Manifest;
use super::record::{Record, decode_payload, from_marks_key};
use crate::eth::history::marks_after;
use crate::{Domain, Duty, EthDuty, EthMarks, EthPolicy, EthPublicKey, Halt, KeyState, Marks, SignerError};

/// What is in a store, all of which was read and found sound.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoreSurvey {
    /// The store's own id, made with it.
    pub store_id: FixedBytes<16>,
    /// The rollup it protects keys for.
    pub domain: Domain,
    /// Transactions that were ever committed to it.
    pub commits: u64,
    /// The highest slot that is refused to every key, where the store was a restored copy once.
    pub floor: Option<Slot>,
    /// What it holds of each kind of duty that it holds any of.
    pub kinds: BTreeMap<String, KindSurvey>,
    /// The highest slot on record for each key.
    pub signers: BTreeMap<Address, Slot>,
    /// What is refused beyond the records.
    pub marks: Vec<MarksSurvey>,
    /// Keys that an operator has retired.
    pub retired: BTreeSet<Address>,
    /// Keys that are halted, each with what it was seen to sign elsewhere.
    pub halted: BTreeMap<Address, Halt>,
    /// The first slot that is signed, where it was to listen first.
    pub listen_only_until: Option<Slot>,
    /// Whether it was made, restored or imported into and has not listened since: the next node to open it does.
    pub owes_listening: bool,
    /// What it holds of Ethereum's keys.
    pub ethereum: EthSurvey,
}

/// Duties of Ethereum's keys in a store.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct EthSurvey {
    /// Keys that anything is known of.
    pub public_keys: u64,
    /// Blocks on record.
    pub blocks: u64,
    /// Attestations on record.
    pub attestations: u64,
    /// What is refused to every key, where the store was a restored copy once.
    pub floor: EthMarks,
    /// From where on each key has signed nothing yet.
    pub marks: BTreeMap<EthPublicKey, EthMarks>,
}

impl EthSurvey {
    /// Whether the store knows of all that `public_key` has spent: on record, or refused since its record may be gone.
    pub(super) fn covers(&self, public_key: &EthPublicKey, spent: EthMarks) -> bool {
        let known = self.marks.get(public_key).copied().unwrap_or_default().join(self.floor);
        known.join(spent) == known
    }

    fn take(&mut self, public_key: EthPublicKey, duty: EthDuty) {
        let known = self.marks.entry(public_key).or_default();
        *known = marks_after(known, duty, EthPolicy::Watermark);
    }
}

/// Duties of one kind in a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KindSurvey {
    /// Duties promised to one payload, of which no signature is known.
    pub pinned: u64,
    /// Duties with their signature.
    pub signed: u64,
    /// The highest slot among both.
    pub highest: Slot,
}

/// The marks of one key and kind of duty.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MarksSurvey {
    /// The key they bind.
    pub validator: Address,
    /// The kind of duty they bind.
    pub kind: String,
    /// The marks.
    #[serde(flatten)]
    pub marks: Marks,
}

impl StoreSurvey {
    /// The highest slot on record for any key.
    #[must_use]
    pub fn highest(&self) -> Option<Slot> {
        self.signers.values().max().copied()
    }

    /// The highest slot of `signer` that the store knows of: on record, or refused since its record may be gone.
    pub(super) fn covers(&self, signer: Address) -> Option<Slot> {
        let marks = self.marks.iter().filter(|marks| marks.validator == signer);
        let low = marks.filter_map(|marks| marks.marks.low).max();
        self.signers.get(&signer).copied().max(low).max(self.floor)
    }

    fn empty(environment: &Environment, manifest: &Manifest) -> Self {
        Self {
            store_id: manifest.store_id,
            domain: manifest.domain,
            commits: environment.commits(),
            floor: environment.floor,
            kinds: BTreeMap::new(),
            signers: BTreeMap::new(),
            marks: Vec::new(),
            retired: BTreeSet::new(),
            halted: BTreeMap::new(),
            listen_only_until: None,
            owes_listening: false,
            ethereum: EthSurvey::default(),
        }
    }

    fn count(&mut self, duty: Duty, record: &Record) {
        let fresh = KindSurvey { pinned: 0, signed: 0, highest: duty.slot };
        let kind = match self.kinds.get_mut(duty.kind.word()) {
            Some(kind) => kind,
            None => self.kinds.entry(duty.kind.word().to_owned()).or_insert(fresh),
        };
        match record.signature {
            None => kind.pinned += 1,
            Some(_) => kind.signed += 1,
        }
        kind.highest = kind.highest.max(duty.slot);
        let signer = self.signers.entry(duty.validator).or_insert(duty.slot);
        *signer = (*signer).max(duty.slot);
    }
}

/// Reads every page, record and mark of the store in `dir`.
///
/// # Errors
/// [`SignerError::Damaged`] names what is wrong; [`SignerError::Database`].
pub(super) fn survey(dir: &Path, environment: &Environment, manifest: &Manifest) -> Result<StoreSurvey, SignerError> {
    let mut survey = StoreSurvey::empty(environment, manifest);
    environment.walk_pages().map_err(|error| unreadable(dir, error))?;
    let txn = environment.env.read_txn().map_err(|error| unreadable(dir, error))?;
    each_row(dir, &txn, environment.duties, |key, value| {
        let duty = Duty::from_key(key).ok_or("a record has a key that no duty has")?;
        survey.count(duty, &Record::decode(key, value)?);
        Ok(())
    })?;
    each_row(dir, &txn, environment.marks, |key, value| {
        let (validator, kind) = from_marks_key(key).ok_or("marks have a key that none have")?;
        survey.marks.push(MarksSurvey { validator, kind: kind.word().to_owned(), marks: Marks::decode(key, value)? });
        Ok(())
    })?;
    each_row(dir, &txn, environment.keys, |key, value| {
        let validator = Address::try_from(key).map_err(|_| "a key's state has no address")?;
        let KeyState { retired, halt } = KeyState::decode(key, value)?;
        survey.retired.extend(retired.then_some(validator));
        survey.halted.extend(halt.map(|halt| (validator, halt)));
        Ok(())
    })?;
    each_row(dir, &txn, environment.payloads, |key, value| decode_payload(key, value).map(drop))?;
    let listening = Identity(environment.identity).listening(&txn).map_err(|error| unreadable(dir, error))?;
    let listening = listening.map_err(|what| damaged(dir, what))?;
    (survey.listen_only_until, survey.owes_listening) = (listening.until, listening.is_owed);
    drop(txn);
    survey.ethereum = survey_eth(dir, environment)?;
    Ok(survey)
}

/// Reads the rows of Ethereum's keys.
///
/// # Errors
/// As [`survey`].
pub(super) fn survey_eth(dir: &Path, environment: &Environment) -> Result<EthSurvey, SignerError> {
    let txn = environment.env.read_txn().map_err(|error| unreadable(dir, error))?;
    let mut found = EthSurvey { floor: environment.eth.floor, ..EthSurvey::default() };
    each_row(dir, &txn, environment.eth.keys, |key, value| {
        found.public_keys += 1;
        let public_key = EthPublicKey::try_from(key).map_err(|_| "an Ethereum key has a wrong length")?;
        found.marks.insert(public_key, decode_standing(key, value)?.marks);
        Ok(())
    })?;
    each_row(dir, &txn, environment.eth.blocks, |key, value| {
        found.blocks += 1;
        let (public_key, block) = from_block_key(key)?;
        found.take(public_key, EthDuty::Block(block));
        decode_root(key, value).map(drop)
    })?;
    each_row(dir, &txn, environment.eth.attestations, |key, value| {
        found.attestations += 1;
        let (public_key, vote) = from_attestation_key(key)?;
        found.take(public_key, EthDuty::Attestation(vote));
        decode_root(key, value).map(drop)
    })?;
    Ok(found)
}

/// Reads a whole table: rows ascend, there are as many as the table says, and each is what it should be.
fn each_row(
    dir: &Path,
    txn: &RoTxn<'_>,
    table: Table,
    mut check: impl FnMut(&[u8], &[u8]) -> Result<(), &'static str>,
) -> Result<(), SignerError> {
    let mut rows = 0;
    let mut last: Option<&[u8]> = None;
    for row in table.iter(txn).map_err(|error| unreadable(dir, error))? {
        let (key, value) = row.map_err(|error| unreadable(dir, error))?;
        if last.is_some_and(|last| last >= key) {
            return Err(damaged(dir, "its rows are out of order"));
        }
        check(key, value).map_err(|what| damaged(dir, what))?;
        last = Some(key);
        rows += 1;
    }
    let expected = table.len(txn).map_err(|error| unreadable(dir, error))?;
    if rows != expected {
        return Err(damaged(dir, &format!("{rows} rows can be read of {expected}")));
    }
    Ok(())
}
