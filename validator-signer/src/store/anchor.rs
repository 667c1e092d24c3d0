//! What is kept apart from a store, so that an older copy of the store is known for what it is.
//!
//! A store that is put back from a backup looks sound and has forgotten what was signed since. The anchor has not: it lies
//! elsewhere and says how far the store had come. It may lag behind the store, by as much as a second; it is never ahead.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use alloy::primitives::{Address, FixedBytes};
use fermata_primitives::Slot;
use serde::{Deserialize, Serialize};

use super::filesystem::sync_parent;
use super::scan::StoreSurvey;
use crate::eth::history::marks_after;
use crate::{EthDuty, EthMarks, EthPolicy, EthPublicKey, SignerError};

const SCHEMA: u32 = 2;

/// How far a store had come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Anchor {
    schema: u32,
    pub(super) store_id: FixedBytes<16>,
    /// Transactions committed to it.
    pub(super) commits: u64,
    /// The highest slot it had on record for each key.
    pub(super) signers: BTreeMap<Address, Slot>,
    /// From where on each of Ethereum's keys had signed nothing yet.
    #[serde(default)]
    pub(super) ethereum: BTreeMap<EthPublicKey, EthMarks>,
}

/// Read before all else: a newer anchor may have members this program does not know.
#[derive(Deserialize)]
struct SchemaOnly {
    schema: u32,
}

impl Anchor {
    pub(super) fn of(survey: &StoreSurvey) -> Self {
        Self {
            schema: SCHEMA,
            store_id: survey.store_id,
            commits: survey.commits,
            signers: survey.signers.clone(),
            ethereum: survey.ethereum.marks.clone(),
        }
    }

    /// With what `other` knows of any key.
    pub(super) fn with(mut self, other: Option<Self>) -> Self {
        let Some(Self { signers, ethereum, .. }) = other else { return self };
        for (signer, slot) in signers {
            self.raise(signer, slot);
        }
        for (public_key, marks) in ethereum {
            let known = self.ethereum.entry(public_key).or_default();
            *known = known.join(marks);
        }
        self
    }

    /// The highest slot it knows of any key.
    pub(super) fn highest(&self) -> Option<Slot> {
        self.signers.values().max().copied()
    }

    /// Takes over that `signer` came to `slot`.
    pub(super) fn raise(&mut self, signer: Address, slot: Slot) {
        let known = self.signers.entry(signer).or_insert(slot);
        *known = (*known).max(slot);
    }

    /// Takes over that an Ethereum key came to `duty`.
    pub(super) fn raise_eth(&mut self, public_key: EthPublicKey, duty: EthDuty) {
        let known = self.ethereum.entry(public_key).or_default();
        *known = marks_after(known, duty, EthPolicy::Watermark);
    }

    /// The anchor at `path`; `None` where there is none.
    ///
    /// # Errors
    /// [`SignerError::Damaged`], [`SignerError::NewerSchema`], [`SignerError::Io`].
    pub(super) fn read(path: &Path) -> Result<Option<Self>, SignerError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SignerError::Io { action: "read", path: path.to_owned(), source }),
        };
        let damaged =
            |error: serde_json::Error| SignerError::Damaged { path: path.to_owned(), what: error.to_string() };
        let SchemaOnly { schema: found } = serde_json::from_slice(&text).map_err(damaged)?;
        if found > SCHEMA {
            return Err(SignerError::NewerSchema { path: path.to_owned(), found, known: SCHEMA });
        }
        serde_json::from_slice(&text).map(Some).map_err(damaged)
    }

    /// Replaces the anchor at `path`, durably and in one step.
    ///
    /// # Errors
    /// [`SignerError::Io`]; the former one is still there.
    pub(super) fn write(&self, path: &Path) -> Result<(), SignerError> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let write = || {
            let mut file = File::create(&draft)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&draft, path)
        };
        write().map_err(|source| SignerError::Io { action: "write", path: path.to_owned(), source })?;
        sync_parent(path)
    }

    /// What a store must have forgotten that is less far than this; `None` where it is as far.
    pub(super) fn missing_in(&self, survey: &StoreSurvey) -> Option<String> {
        let highest = self.highest().map_or_else(String::new, |slot| format!(", and signed up to slot {slot}"));
        if self.store_id != survey.store_id {
            return Some(format!(
                "it is store {}, and the anchor is of store {}{highest}",
                survey.store_id, self.store_id
            ));
        }
        if let Some(behind) = self.commits.checked_sub(survey.commits).filter(|behind| *behind > 0) {
            return Some(format!("it is {behind} commits behind the anchor's {}{highest}", self.commits));
        }
        let mut signers = self.signers.iter();
        let ahead = signers.find(|(signer, slot)| survey.covers(**signer).is_none_or(|known| known < **slot));
        if let Some((signer, slot)) = ahead {
            return Some(format!("the anchor knows that {signer} signed in slot {slot}, and the store does not"));
        }
        let ahead = self.ethereum.iter().find(|(public_key, spent)| !survey.ethereum.covers(public_key, **spent));
        ahead.map(|(public_key, _)| {
            format!("the anchor knows more of what the Ethereum key {public_key} signed than the store does")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fermata_primitives::Epoch;

    use super::*;
    use crate::eth::rules::attestation;
    use crate::store::scan::MarksSurvey;
    use crate::{Domain, EthBlock, EthLast, EthSurvey, Marks};

    fn survey(commits: u64, slots: &[(u8, u64)]) -> StoreSurvey {
        StoreSurvey {
            store_id: FixedBytes::repeat_byte(1),
            domain: Domain { l1_chain_id: 1, rollup: Address::ZERO },
            commits,
            ethereum: EthSurvey::default(),
            floor: None,
            kinds: BTreeMap::new(),
            signers: slots.iter().map(|&(signer, slot)| (Address::repeat_byte(signer), Slot(slot))).collect(),
            marks: Vec::new(),
            retired: BTreeSet::new(),
            halted: BTreeMap::new(),
            listen_only_until: None,
            owes_listening: false,
        }
    }

    #[test]
    fn a_store_that_is_as_far_or_further_has_forgotten_nothing() {
        let anchor = Anchor::of(&survey(7, &[(1, 30), (2, 31)]));
        assert_eq!(anchor.missing_in(&survey(7, &[(1, 30), (2, 31)])), None);
        assert_eq!(anchor.missing_in(&survey(9, &[(1, 33), (2, 31), (3, 33)])), None);
    }

    #[test]
    fn a_store_that_is_behind_or_another_one_has() {
        let anchor = Anchor::of(&survey(7, &[(1, 30)]));
        let behind = anchor.missing_in(&survey(5, &[(1, 30)])).unwrap();
        assert_eq!(behind, "it is 2 commits behind the anchor's 7, and signed up to slot 30");
        let other = StoreSurvey { store_id: FixedBytes::repeat_byte(2), ..survey(7, &[(1, 30)]) };
        assert!(anchor.missing_in(&other).unwrap().contains("the anchor is of store 0x0101"));
    }

    #[test]
    fn an_old_copy_that_was_used_until_it_had_as_many_commits_is_told_by_a_slot_it_does_not_know() {
        let anchor = Anchor::of(&survey(7, &[(1, 30), (2, 31)]));
        assert!(anchor.missing_in(&survey(8, &[(1, 30), (2, 29)])).unwrap().contains("in slot 31"));
        assert!(anchor.missing_in(&survey(8, &[(1, 30)])).unwrap().contains("in slot 31"));
    }

    #[test]
    fn what_the_store_does_not_know_of_an_ethereum_key_is_missing_unless_it_is_refused_to_every_key() {
        let key = EthPublicKey::repeat_byte(9);
        let duties = [EthDuty::Block(EthBlock { slot: Slot(7) }), EthDuty::Attestation(attestation(5, 6))];
        let mut anchor = Anchor::of(&survey(7, &[]));
        for duty in duties {
            anchor.raise_eth(key, duty);
        }
        let knows = |slot, source, target| {
            let attestation = Some(attestation(source, target));
            let ethereum = EthSurvey {
                marks: BTreeMap::from([(key, EthMarks { block: Some(Slot(slot)), attestation })]),
                ..EthSurvey::default()
            };
            StoreSurvey { ethereum, ..survey(8, &[]) }
        };
        assert_eq!(anchor.missing_in(&knows(8, 5, 7)), None);
        for behind in [survey(8, &[]), knows(7, 5, 7), knows(8, 4, 7), knows(8, 5, 6)] {
            assert!(anchor.missing_in(&behind).unwrap().contains(&key.to_string()));
        }
        let floor = EthMarks::after(EthLast { slot: Slot(7), target: Epoch(6) });
        let ethereum = EthSurvey { floor, ..EthSurvey::default() };
        assert_eq!(anchor.missing_in(&StoreSurvey { ethereum, ..survey(8, &[]) }), None);
    }

    #[test]
    fn an_anchor_from_before_it_knew_of_ethereum_keys_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor");
        let id = FixedBytes::<16>::repeat_byte(1);
        fs::write(&path, format!("{{\"schema\":1,\"store_id\":\"{id}\",\"commits\":7,\"signers\":{{}}}}")).unwrap();
        let anchor = Anchor::read(&path).unwrap().unwrap();
        assert_eq!((anchor.commits, anchor.ethereum.len()), (7, 0));
    }

    #[test]
    fn what_was_pruned_under_a_mark_or_lies_below_the_floor_is_not_forgotten() {
        let anchor = Anchor::of(&survey(7, &[(1, 30)]));
        let kind = "attestation".to_owned();
        let mark = MarksSurvey { validator: Address::repeat_byte(1), kind, marks: Marks::below(Slot(30)) };
        assert_eq!(anchor.missing_in(&StoreSurvey { marks: vec![mark], ..survey(8, &[]) }), None);
        assert_eq!(anchor.missing_in(&StoreSurvey { floor: Some(Slot(30)), ..survey(8, &[]) }), None);
        assert!(anchor.missing_in(&StoreSurvey { floor: Some(Slot(29)), ..survey(8, &[]) }).is_some());
    }

    #[test]
    fn an_anchor_is_read_back_as_it_was_written_and_a_newer_or_broken_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor");
        assert_eq!(Anchor::read(&path).unwrap(), None);
        let anchor = Anchor::of(&survey(7, &[(1, 30)]));
        anchor.write(&path).unwrap();
        assert_eq!(Anchor::read(&path).unwrap(), Some(anchor));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
        fs::write(&path, b"{\"schema\":3,\"chain\":[]}").unwrap();
        assert!(matches!(Anchor::read(&path), Err(SignerError::NewerSchema { found: 3, .. })));
        fs::write(&path, b"").unwrap();
        assert!(matches!(Anchor::read(&path), Err(SignerError::Damaged { .. })));
    }
}
