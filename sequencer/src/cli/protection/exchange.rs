//! `fermata protection import|export`: what keys signed, carried from store to store.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use alloy::primitives::B256;
use clap::Args;
use fermata_primitives::{Clock as _, SystemClock};
use fermata_validator_signer::{
    EthProtection, ExportKeys, ExportOptions, Extent, ImportOptions, ImportReport, Interchange, KeyChange, Scan,
    SignerError,
};
use serde_json::{Value, json};

use super::failure;
use super::keys::{Key, split};
use super::working::EitherArgs;
use crate::catalogue::Reason;
use crate::cli::verbs::tell;
use crate::cli::{Console, Failure};

/// What to import, and into which signing store.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// The interchange file; - reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take marks alone, above all that was signed. Nothing that was signed before can be repeated then.
    #[arg(long)]
    minify: bool,
    /// Root of the Ethereum chain of the file's keys: needed once for a store that does not know it yet.
    #[arg(long, value_name = "ROOT")]
    genesis_validators_root: Option<B256>,
    #[command(flatten)]
    pub(super) at: EitherArgs,
}

/// What to export, and from which signing store.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Where to write the interchange file; - writes standard output.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A key to export, by address or by BLS public key; may be repeated. Without any: all keys.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<Key>,
    /// Write marks alone, above all that was signed.
    #[arg(long)]
    minify: bool,
    /// Retire these keys first, for a hand-over: nothing is signed with them here any more.
    #[arg(long, requires = "keys")]
    retire: bool,
    /// Replace the file if it is there.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    pub(super) at: EitherArgs,
}

impl ImportArgs {
    pub(super) async fn run(&self, console: &mut Console, scan: &Scan) -> Result<(), Failure> {
        let file = Interchange::parse(&self.text()?).map_err(|refusal| failure(refusal.into()))?;
        let options = ImportOptions { extent: self.extent(), genesis_validators_root: self.genesis_validators_root };
        console.progress(format_args!("reading the store, then importing {} …", self.file.display()));
        let done = self.at.with_store(scan, async |store| store.import(&file, options).await).await;
        console.end_progress();
        tell(console, self.at.form(), &done?, |report| imported(&self.file, report))
    }

    fn text(&self) -> Result<Vec<u8>, Failure> {
        let mut text = Vec::new();
        let read = if is_standard(&self.file) {
            std::io::stdin().read_to_end(&mut text)
        } else {
            File::open(&self.file).and_then(|mut file| file.read_to_end(&mut text))
        };
        read.map(|_| text).map_err(|source| unusable("read", &self.file, source))
    }
}

impl ExportArgs {
    pub(super) async fn run(&self, console: &mut Console, scan: &Scan) -> Result<(), Failure> {
        if !is_standard(&self.file) && !self.overwrite && self.file.exists() {
            return Err(exists(&self.file));
        }
        console.progress("reading the store …");
        let done = self.at.with_store(scan, async |store| self.export(store).await).await;
        console.end_progress();
        let file = done?;
        if is_standard(&self.file) {
            console.say(file.to_text().trim_end());
            return Ok(());
        }
        write(&self.file, &file.to_text(), self.overwrite.into())?;
        tell(console, self.at.form(), &self.told(&file), |_| exported(&self.file, &file))
    }

    async fn export(&self, store: &dyn EthProtection) -> Result<Interchange, SignerError> {
        let (signers, public_keys) = split(&self.keys);
        if self.retire {
            for signer in &signers {
                store.change_key(*signer, KeyChange::Retire).await?;
            }
            store.retire_eth(&public_keys).await?;
        }
        let keys = if self.keys.is_empty() { ExportKeys::All } else { ExportKeys::Chosen { signers, public_keys } };
        store.export(ExportOptions { keys, extent: self.extent() }, SystemClock.now()).await
    }

    fn told(&self, file: &Interchange) -> Value {
        let (signers, duties) = counted(file);
        json!({ "file": self.file, "public_keys": file.data.len(), "signers": signers, "duties": duties, "retired": self.retire })
    }
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Present {
    Kept,
    Replaced,
}

impl From<bool> for Present {
    fn from(overwrite: bool) -> Self {
        if overwrite { Self::Replaced } else { Self::Kept }
    }
}

/// Writes a file that only its owner reads: whole and durable, or not at all.
fn write(path: &Path, text: &str, present: Present) -> Result<(), Failure> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".part-{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let done = write_draft(&draft, text).and_then(|()| match present {
        // Unlike a rename, a link never replaces.
        Present::Kept => fs::hard_link(&draft, path),
        Present::Replaced => fs::rename(&draft, path),
    });
    // Gone already where it was renamed; what is left of a failure is of no use.
    let _ = fs::remove_file(&draft);
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(path)),
        done => done.and_then(|()| sync_parent(path)).map_err(|source| unusable("write", path, source)),
    }
}

fn write_draft(draft: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_parent(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

impl ImportArgs {
    const fn extent(&self) -> Extent {
        if self.minify { Extent::Minified } else { Extent::Full }
    }
}

impl ExportArgs {
    const fn extent(&self) -> Extent {
        if self.minify { Extent::Minified } else { Extent::Full }
    }
}

fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn exists(path: &Path) -> Failure {
    Failure {
        reason: Reason::DataDirUnusable,
        message: format!("{} is there already", path.display()),
        hint: Some("name another file, or replace it with --overwrite".to_owned()),
    }
}

fn unusable(what: &str, path: &Path, source: std::io::Error) -> Failure {
    Failure {
        reason: Reason::DataDirUnusable,
        message: format!("cannot {what} {}: {source}", path.display()),
        hint: Some("check that its directory is there, and who may use it".to_owned()),
    }
}

/// Rollup keys and their duties.
fn counted(file: &Interchange) -> (usize, usize) {
    let scopes = file.rollup_interchange.iter().flat_map(|rollup| &rollup.scopes);
    let signers: Vec<_> = scopes.flat_map(|scope| &scope.signers).collect();
    (signers.len(), signers.iter().map(|entry| entry.duties.len()).sum())
}

fn exported(path: &Path, file: &Interchange) -> String {
    let (signers, duties) = counted(file);
    let mut text = format!(
        "wrote {}: {signers} rollup keys with {duties} duties, {} Ethereum keys",
        path.display(),
        file.data.len()
    );
    let scopes = file.rollup_interchange.iter().flat_map(|rollup| &rollup.scopes);
    let mut active = scopes.flat_map(|scope| &scope.signers).filter(|entry| !entry.retired);
    if active.next().is_some() {
        text.push_str(
            "\nkeys that are not retired may sign on here: what they sign from now on is not in this file (--retire hands \
             them over)",
        );
    }
    text
}

fn imported(path: &Path, report: &ImportReport) -> String {
    let ImportReport { public_keys, signers, added, conflicts, handed_over, still_active } = report;
    if public_keys + signers == 0 {
        return format!("{} has no keys: nothing was imported, and nothing is protected by it", path.display());
    }
    let mut text =
        format!("imported {}: {signers} rollup keys, {public_keys} Ethereum keys, {added} new records", path.display());
    for conflict in conflicts {
        let _ = write!(text, "\nconflict, refused to every payload from now on: {conflict}");
    }
    for signer in handed_over {
        let _ = write!(text, "\n{signer} was retired where it comes from");
    }
    for signer in still_active {
        let _ =
            write!(text, "\n{signer} still signed where it comes from: stop that node before this one signs with it");
    }
    text
}
