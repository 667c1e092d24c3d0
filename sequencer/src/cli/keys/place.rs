//! Which directory of keystores, and what opens it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use clap::Args;
use fermata_validator_signer::{Password, SignerError};

use super::or_standard_input;
use crate::catalogue::Reason;
use crate::cli::failure::Form;
use crate::cli::protection::failure;
use crate::cli::{Failure, NodeArgs};
use crate::config::{KeySource, NodeConfig};

/// Which directory of keystores.
#[derive(Args, Clone, Default, Debug)]
pub(super) struct PlaceArgs {
    /// The directory, instead of the configured validator.keystore_dir. Made where there is none.
    #[arg(long, value_name = "DIR", requires = "password_file")]
    dir: Option<PathBuf>,
    /// File whose first line opens its keystores; `-` is standard input.
    #[arg(long, value_name = "FILE", requires = "dir")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A directory that is there, and the password of its keystores.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) password: Password,
}

impl PlaceArgs {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }

    /// The directory, which is made, and its password. The configuration is asked only where they are not named.
    ///
    /// # Errors
    /// What is wrong with the configuration, or with the files.
    pub(super) fn find(&self) -> Result<Place, Failure> {
        let (dir, password_file) = match (&self.dir, &self.password_file) {
            (Some(dir), Some(password_file)) => (dir.clone(), or_standard_input(password_file)),
            (Some(_) | None, None) | (None, Some(_)) => self.configured()?,
        };
        let password = Password::from_file(&password_file).map_err(failure)?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|source| failure(SignerError::Io { action: "make", path: dir.clone(), source }))?;
        Ok(Place { dir, password })
    }

    fn configured(&self) -> Result<(PathBuf, PathBuf), Failure> {
        match NodeConfig::load(&self.node.sources())?.validator.keys {
            KeySource::Keystores { dir, password_file } => Ok((dir, password_file)),
            KeySource::NoKeys | KeySource::Mnemonic { .. } => Err(Failure {
                reason: Reason::ConfigInvalid,
                message: "the configuration names no directory of keystores".to_owned(),
                hint: Some("give --dir and --password-file, or set validator.keystore_dir".to_owned()),
            }),
        }
    }
}
