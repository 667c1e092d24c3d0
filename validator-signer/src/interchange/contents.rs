//! What a file says, checked against the store it is for.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};

use super::rollup::SignerEntry;
use super::{Extent, ImportOptions, Interchange, InterchangeError};
use crate::eth::history::KeyHistory;
use crate::rules::Record;
use crate::{Domain, Duty, DutyKind, EthPolicy, EthPublicKey, Marks};

/// What a file says, in the store's own terms.
#[derive(Default, Debug)]
pub(crate) struct Contents {
    /// The chain of the Ethereum keys; `None` where the file tells of a rollup's keys alone and names no chain.
    pub(crate) genesis: Option<B256>,
    pub(crate) public_keys: BTreeMap<EthPublicKey, KeyHistory>,
    pub(crate) signers: BTreeMap<Address, SignerContents>,
}

/// How much is taken of each kind of key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extents {
    pub(crate) signers: Extent,
    pub(crate) public_keys: Extent,
}

impl ImportOptions {
    /// How much a store of this policy takes of each kind of key.
    pub(crate) const fn extents(&self, policy: EthPolicy) -> Extents {
        let public_keys = match policy {
            EthPolicy::FullHistory => self.extent,
            EthPolicy::Watermark => Extent::Minified,
        };
        Extents { signers: self.extent, public_keys }
    }
}

/// What a file says of a rollup's key.
#[derive(Default, Debug)]
pub(crate) struct SignerContents {
    /// Whether the store that wrote the file refuses the key everything.
    pub(crate) retired: bool,
    pub(crate) marks: BTreeMap<DutyKind, Marks>,
    pub(crate) duties: Vec<(Duty, Record)>,
}

impl Contents {
    /// Checks all of `file`, so that nothing of it can be refused any more.
    ///
    /// # Errors
    /// [`InterchangeError`], but for those of the chain's root.
    pub(crate) fn of(file: &Interchange, wanted: Domain, extents: Extents) -> Result<Self, InterchangeError> {
        let root = B256::from(file.metadata.genesis_validators_root.0);
        let tells_of_a_chain = !file.data.is_empty() || !root.is_zero() || file.rollup_interchange.is_none();
        let genesis = tells_of_a_chain.then_some(root);
        let mut public_keys: BTreeMap<_, KeyHistory> = BTreeMap::new();
        for entry in &file.data {
            let _ = public_keys.entry(entry.public_key()).or_default().join(&entry.history(extents.public_keys)?);
        }
        let mut signers: BTreeMap<_, SignerContents> = BTreeMap::new();
        for scope in file.rollup_interchange.iter().flat_map(|rollup| &rollup.scopes) {
            let found = scope.domain();
            if found != wanted {
                return Err(InterchangeError::OtherScope { found, wanted });
            }
            for entry in &scope.signers {
                signers.entry(Address::from(entry.signer.0)).or_default().take_in(entry, extents.signers)?;
            }
        }
        Ok(Self { genesis, public_keys, signers })
    }
}

impl SignerContents {
    fn take_in(&mut self, entry: &SignerEntry, extent: Extent) -> Result<(), InterchangeError> {
        let validator = Address::from(entry.signer.0);
        self.retired |= entry.retired;
        for entry in &entry.marks {
            let (kind, marks) = entry.marks();
            self.add_marks(kind, marks);
        }
        for entry in &entry.duties {
            let (duty, record) = entry.record(validator)?;
            // A store that only goes forward asks the marks alone.
            self.add_marks(duty.kind, Marks::signed(duty.slot));
            match extent {
                Extent::Full => self.duties.push((duty, record)),
                Extent::Minified => {}
            }
        }
        if extent == Extent::Minified {
            for marks in self.marks.values_mut() {
                marks.low = marks.low.max(marks.max_signed);
            }
        }
        Ok(())
    }

    pub(super) fn add_marks(&mut self, kind: DutyKind, marks: Marks) {
        let known = self.marks.entry(kind.marked()).or_default();
        *known = known.merge(marks);
    }
}

/// What two stores know of one duty: the stronger state where they agree, and otherwise a digest that is not known, which
/// refuses every payload.
pub(super) fn join(ours: Record, theirs: Record) -> Record {
    if ours.digest == theirs.digest {
        Record { digest: ours.digest, signature: ours.signature.or(theirs.signature) }
    } else {
        Record::pinned(B256::ZERO)
    }
}
