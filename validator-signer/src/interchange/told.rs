//! An export as a pure function: what a store has found of its keys in, the file out.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256, FixedBytes};
use fermata_primitives::{Slot, UnixTime};

use super::contents::SignerContents;
use super::ethereum::entry;
use super::rollup::VERSION;
use super::text::{Decimal, Hex};
use super::{
    DutyEntry, ExportKeys, ExportOptions, Extent, FORMAT_VERSION, Interchange, InterchangeError, MarksEntry, Metadata,
    RollupInterchange, Scope, SignerEntry,
};
use crate::eth::history::KeyHistory;
use crate::rules::Record;
use crate::{Domain, Duty, DutyKind, EthPublicKey, Marks};

/// What a store knows of the keys of an export, in its own terms.
#[derive(Default, Debug)]
pub(crate) struct Found {
    pub(crate) genesis: Option<B256>,
    pub(crate) public_keys: BTreeMap<EthPublicKey, KeyHistory>,
    /// The rollup keys that are asked for; `None`: all.
    chosen: Option<BTreeSet<Address>>,
    signers: BTreeMap<Address, SignerContents>,
}

/// The store that an export is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) domain: Domain,
    pub(crate) store_id: FixedBytes<16>,
}

impl Found {
    /// Nothing found yet; keys that are named are in the file whether anything is found of them or not.
    pub(crate) fn new(keys: &ExportKeys) -> Self {
        match keys {
            ExportKeys::All => Self::default(),
            ExportKeys::Chosen { signers, .. } => Self {
                chosen: Some(signers.iter().copied().collect()),
                signers: signers.iter().map(|&signer| (signer, SignerContents::default())).collect(),
                ..Self::default()
            },
        }
    }

    fn is_asked_for(&self, signer: Address) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen.contains(&signer))
    }

    /// Adds the marks of a key and kind, if the key is asked for.
    pub(crate) fn add_marks(&mut self, signer: Address, kind: DutyKind, marks: Marks) {
        // Marks that refuse nothing may stand for a room that something waits for.
        if marks != Marks::default() && self.is_asked_for(signer) {
            self.signers.entry(signer).or_default().add_marks(kind, marks);
        }
    }

    /// Adds a record, if its key is asked for.
    pub(crate) fn add_duty(&mut self, duty: Duty, record: Record) {
        if self.is_asked_for(duty.validator) {
            let contents = self.signers.entry(duty.validator).or_default();
            contents.duties.push((duty, record));
            contents.add_marks(duty.kind, Marks::signed(duty.slot));
        }
    }

    /// Says what holds for keys as a whole: which are retired, and up to which slot everything is refused to all. Once all
    /// else is found.
    pub(crate) fn finish(&mut self, floor: Option<Slot>, is_retired: impl Fn(Address) -> bool) {
        for (signer, contents) in &mut self.signers {
            contents.retired = is_retired(*signer);
            for (kind, floor) in DutyKind::MARKED.into_iter().filter_map(|kind| Some((kind, floor?))) {
                contents.add_marks(kind, Marks::below(floor));
            }
        }
    }

    /// The file.
    ///
    /// # Errors
    /// [`InterchangeError::NoGenesis`].
    pub(crate) fn file(
        &self,
        options: &ExportOptions,
        from: Origin,
        at: UnixTime,
    ) -> Result<Interchange, InterchangeError> {
        if self.genesis.is_none() && !self.public_keys.is_empty() {
            return Err(InterchangeError::NoGenesis);
        }
        let ExportOptions { keys, extent } = options;
        let data = self.public_keys.iter().map(|(&public_key, history)| match extent {
            Extent::Full => entry(public_key, history),
            Extent::Minified => entry(public_key, &history.minified()),
        });
        let signers = self.signers.iter().map(|(&signer, contents)| signer_entry(signer, contents, *extent)).collect();
        let scope = Scope {
            l1_chain_id: Decimal(from.domain.l1_chain_id),
            rollup_address: Hex(from.domain.rollup.into()),
            rollup_version: None,
            signers,
        };
        let rollup = RollupInterchange {
            version: VERSION.to_owned(),
            store_id: Hex(from.store_id.0),
            exported_at: Decimal(at.0.as_secs()),
            complete: *extent == Extent::Full && *keys == ExportKeys::All,
            scopes: vec![scope],
            sha256: Hex([0; 32]),
        };
        Ok(Interchange {
            metadata: Metadata {
                interchange_format_version: FORMAT_VERSION.to_owned(),
                genesis_validators_root: Hex(self.genesis.unwrap_or_default().0),
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
