//! What stands between a store on disk and its use: the lock, the look at all of it, the anchor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fermata_primitives::Slot;
use heed::Error as LmdbError;

use super::StoreOptions;
use super::anchor::Anchor;
use super::environment::{DATA_FILE, Environment};
use super::failure::Failure;
use super::filesystem::expect_local;
use super::keeper::{Keeper, Kept};
use super::lock::OwnerLock;
use super::manifest::Manifest;
use super::scan::{StoreSurvey, survey, survey_eth};
use super::scan_child::{Scan, scan_by};
use crate::eth::history::KeyHistory;
use crate::eth::restored::refuse_lost;
use crate::{Domain, EthLast, EthMarks, EthPublicKey, SignerError};

/// What is done against damage and restored copies when a store is used.
#[derive(Clone, Default, Debug)]
pub struct Sentinel {
    /// Who reads all of the store first.
    pub scan: Scan,
    /// The file, outside the store's directory, that says how far the store had come: `None` keeps none. A copy of the store
    /// that is put back is [`SignerError::Stale`] then. It is made where the store never had one, and missed where it had.
    pub anchor: Option<PathBuf>,
}

/// A store that was looked at and is ours.
pub(super) struct Opened {
    pub(super) environment: Environment,
    pub(super) keeper: Keeper,
    pub(super) lock: OwnerLock,
}

impl Opened {
    pub(super) fn open(dir: &Path, domain: Domain, options: &StoreOptions) -> Result<Self, SignerError> {
        let lock = hold(dir, &options.holder)?;
        let manifest = Manifest::read_for(dir, domain)?;
        let (environment, survey) = read(dir, &manifest, &options.sentinel.scan, options.map_bytes)?;
        let kept = match &options.sentinel.anchor {
            None => None,
            Some(path) => Some(take_up_anchor(dir, path, &environment, survey)?),
        };
        Ok(Self { keeper: Keeper::begin(dir, kept)?, environment, lock })
    }
}

pub(super) fn verify(dir: &Path, sentinel: &Sentinel) -> Result<StoreSurvey, SignerError> {
    let _lock = hold(dir, "a look at it")?;
    let manifest = Manifest::read(dir)?;
    let (environment, survey) = read(dir, &manifest, &sentinel.scan, StoreOptions::default().map_bytes)?;
    let checked = match &sentinel.anchor {
        None => Ok(()),
        Some(path) => check_anchor(dir, path, &environment, &survey).map(drop),
    };
    environment.close();
    checked.map(|()| survey)
}

pub(super) fn accept_restored(
    dir: &Path,
    sentinel: &Sentinel,
    low: Slot,
    ethereum: Option<EthLast>,
) -> Result<StoreSurvey, SignerError> {
    let _lock = hold(dir, "accept-restored")?;
    let manifest = Manifest::read(dir)?;
    let (mut environment, before) = read(dir, &manifest, &sentinel.scan, StoreOptions::default().map_bytes)?;
    let lost = sentinel.anchor.as_deref().map(Anchor::read).transpose()?.flatten();
    let known = before.highest().max(lost.as_ref().and_then(Anchor::highest));
    if let Some(known) = known.filter(|known| low < *known) {
        return Err(SignerError::LowMarkTooLow { low, known });
    }
    let failed = |failure: Failure| failure.of_store(dir);
    let none = BTreeMap::new();
    let spent = lost.as_ref().map_or(&none, |lost| &lost.ethereum);
    let changes = refuse_lost(eth_histories(&environment).map_err(failed)?, spent, ethereum)?;
    let eth_floor = ethereum.map(EthMarks::after).unwrap_or_default();
    environment.raise_floor((low, eth_floor), &changes).map_err(failed)?;
    if sentinel.anchor.is_some() {
        environment.put_anchored().map_err(|source| unwritable(dir, source))?;
    }
    let ethereum = survey_eth(dir, &environment)?;
    let (commits, floor) = (environment.commits(), environment.floor);
    let survey = StoreSurvey { commits, floor, ethereum, owes_listening: true, ..before };
    environment.close();
    if let Some(path) = &sentinel.anchor {
        Anchor::of(&survey).with(lost).write(path)?;
    }
    Ok(survey)
}

fn eth_histories(environment: &Environment) -> Result<Vec<(EthPublicKey, KeyHistory)>, Failure> {
    let txn = environment.env.read_txn()?;
    environment.eth.histories(&txn)
}

/// The rollup that the store is for; nothing else of it is looked at.
pub(super) fn domain_at(dir: &Path) -> Result<Domain, SignerError> {
    expect_store(dir)?;
    Ok(Manifest::read(dir)?.domain)
}

fn expect_store(dir: &Path) -> Result<(), SignerError> {
    if Manifest::path(dir).exists() || dir.join(DATA_FILE).exists() {
        Ok(())
    } else {
        Err(SignerError::NotInitialised { path: dir.to_owned() })
    }
}

fn hold(dir: &Path, holder: &str) -> Result<OwnerLock, SignerError> {
    expect_store(dir)?;
    expect_local(dir)?;
    OwnerLock::take(dir, holder)
}

/// Opens the store, all of it read by whoever is to read it.
fn read(
    dir: &Path,
    manifest: &Manifest,
    scan: &Scan,
    map_bytes: usize,
) -> Result<(Environment, StoreSurvey), SignerError> {
    match scan {
        Scan::InProcess => {
            let environment = Environment::open(dir, manifest, map_bytes)?;
            let survey = survey(dir, &environment, manifest)?;
            Ok((environment, survey))
        }
        Scan::Child { program, args } => {
            let survey = scan_by(program, args, dir)?;
            Ok((Environment::open(dir, manifest, map_bytes)?, survey))
        }
    }
}

/// The anchor to go on with: it is on disk, and the store knows that it has one.
fn take_up_anchor(
    dir: &Path,
    path: &Path,
    environment: &Environment,
    mut survey: StoreSurvey,
) -> Result<Kept, SignerError> {
    let found = check_anchor(dir, path, environment, &survey)?;
    let is_anchored = environment.is_anchored().map_err(|source| unwritable(dir, source))?;
    if !is_anchored {
        Anchor::of(&survey).write(path)?;
        environment.put_anchored().map_err(|source| unwritable(dir, source))?;
        survey.commits = environment.commits();
    }
    let anchor = Anchor::of(&survey).with(found);
    anchor.write(path)?;
    Ok(Kept { path: path.to_owned(), anchor })
}

/// # Errors
/// [`SignerError::Stale`] where the anchor knows more than the store, or is missing though there was one.
fn check_anchor(
    dir: &Path,
    path: &Path,
    environment: &Environment,
    survey: &StoreSurvey,
) -> Result<Option<Anchor>, SignerError> {
    let stale = |what| SignerError::Stale { path: dir.to_owned(), anchor: path.to_owned(), what };
    let Some(anchor) = Anchor::read(path)? else {
        let is_anchored = environment.is_anchored().map_err(|source| unwritable(dir, source))?;
        return if is_anchored { Err(stale("its anchor is missing".to_owned())) } else { Ok(None) };
    };
    anchor.missing_in(survey).map_or(Ok(Some(anchor)), |what| Err(stale(what)))
}

fn unwritable(dir: &Path, source: LmdbError) -> SignerError {
    SignerError::Database { path: dir.join(DATA_FILE), source }
}
