//! `fermata keys`: the validators' keys on disk, and those that a running node signs with.

mod list;
mod place;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use clap::{Args, Subcommand};
use fermata_validator_signer::{
    CreatedKey, KeyChanges, Password, Scan, SignerError, create_keystore, import_keystore, import_private_key,
};
use serde_json::json;
use zeroize::Zeroizing;

use self::list::ListArgs;
use self::place::PlaceArgs;
use super::failure::Form;
use super::protection::failure;
use super::verbs::{CommonArgs, tell, whoami};
use super::{Console, Failure};
use crate::rpc::admin::AuthorParams;

/// What to do with keys.
#[derive(Subcommand, Clone, Debug)]
pub enum KeysCommand {
    /// Make random keys, each an encrypted V3 file of mode 0600.
    #[command(after_help = "Examples:\n  \
        fermata keys new --config fermata.toml\n  \
        fermata keys new --dir keys --password-file keys.password --count 4\n\n\
        One password opens all keys of a directory; a running node takes new ones with `fermata keys reload`.")]
    New(NewArgs),
    /// List the keys that a node would sign with: where each comes from, whether it is retired, halted or handed over, and
    /// the last slot it signed for.
    #[command(after_help = "Examples:\n  \
        fermata keys list --config fermata.toml\n  \
        fermata keys list --config fermata.toml --json | jq '.keys[].address'\n\n\
        State and last slot are known where no process has the signing store open.")]
    List(ListArgs),
    /// Take a private key in hex, or the key of another V3 file, into the directory. No file is ever replaced.
    #[command(after_help = "Examples:\n  \
        fermata keys import --private-key-file key.hex --config fermata.toml\n  \
        vault read -field=key validator | fermata keys import --private-key-file - --dir keys --password-file keys.password\n  \
        fermata keys import --keystore old.json --keystore-password-file old.password --config fermata.toml\n\n\
        A key that has signed elsewhere needs its history as well, or it may sign twice.")]
    Import(ImportArgs),
    /// Have a running node read its keys anew; if one cannot be read, it keeps those it has.
    #[command(after_help = "Example:\n  fermata keys reload --reason 'four more validators'\n\n\
        Exit codes: 36 a password is wrong, 37 a key cannot be read, 42 the remote signer does not answer.")]
    Reload(ReloadArgs),
}

/// Which keys to make.
#[derive(Args, Clone, Debug)]
pub struct NewArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// How many.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    count: u32,
}

/// Which key to take.
#[derive(Args, Clone, Debug)]
#[group(id = "key", required = true, multiple = false, args = ["private_key_file", "keystore"])]
pub struct ImportArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// File with the private key in hex; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// An encrypted V3 file.
    #[arg(long, value_name = "FILE", requires = "keystore_password_file")]
    keystore: Option<PathBuf>,
    /// File whose first line opens it; `-` is standard input.
    #[arg(long, value_name = "FILE", requires = "keystore")]
    keystore_password_file: Option<PathBuf>,
}

/// Which node.
#[derive(Args, Clone, Debug)]
pub struct ReloadArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Why, for the next person who wonders.
    #[arg(long)]
    reason: Option<String>,
}

impl KeysCommand {
    /// Does it, and gives the exit code. `scan` reads a signing store.
    pub async fn run(&self, console: &mut Console, scan: &Scan) -> u8 {
        let (form, done) = match self {
            Self::New(args) => (args.place.form(), args.run(console)),
            Self::List(args) => (args.form(), args.run(console, scan).await),
            Self::Import(args) => (args.place.form(), args.run(console)),
            Self::Reload(args) => (args.common.form(), args.run(console).await),
        };
        done.map_or_else(|failure| failure.end(console, form), |()| 0)
    }
}

impl NewArgs {
    fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let place = self.place.find()?;
        for _ in 0..self.count {
            told(console, self.place.form(), create_keystore(&place.dir, &place.password))?;
        }
        Ok(())
    }
}

impl ImportArgs {
    fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let place = self.place.find()?;
        let imported = match (&self.private_key_file, &self.keystore, &self.keystore_password_file) {
            (Some(file), _, _) => import_private_key(&place.dir, &read(file).map_err(failure)?, &place.password),
            (None, Some(keystore), Some(password_file)) => {
                let its_password = Password::from_file(&or_standard_input(password_file)).map_err(failure)?;
                import_keystore(&place.dir, keystore, &its_password, &place.password)
            }
            (None, _, _) => unreachable!("the arguments name one of them"),
        };
        told(console, self.place.form(), imported)
    }
}

impl ReloadArgs {
    async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let params = AuthorParams { reason: self.reason.clone(), by: Some(whoami()) };
        let changes: KeyChanges = self.common.target.client()?.call("admin_reloadKeys", (params,)).await?;
        tell(console, self.common.form(), &changes, reloaded)
    }
}

fn told(console: &mut Console, form: Form, created: Result<CreatedKey, SignerError>) -> Result<(), Failure> {
    let CreatedKey { address, path } = created.map_err(failure)?;
    tell(console, form, &json!({ "address": address, "path": path }), |_| format!("{address} in {}", path.display()))
}

fn reloaded(changes: &KeyChanges) -> String {
    let KeyChanges { added, removed, unchanged } = changes;
    let line = |sign: char| move |address: &Address| format!("{sign} {address}\n");
    let lines: String = added.iter().map(line('+')).chain(removed.iter().map(line('-'))).collect();
    format!("{lines}{} keys as before", unchanged.len())
}

/// A secret out of a file, in memory that is wiped.
fn read(file: &Path) -> Result<Zeroizing<String>, SignerError> {
    let path = or_standard_input(file);
    let text = fs::read_to_string(&path).map(Zeroizing::new);
    text.map_err(|source| SignerError::Io { action: "read", path, source })
}

fn or_standard_input(file: &Path) -> PathBuf {
    if file == Path::new("-") { PathBuf::from("/dev/stdin") } else { file.to_owned() }
}
