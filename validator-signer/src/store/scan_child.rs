//! Reading all of a store in a process of its own: a damaged page of a mapped file can end the process that reads it.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::StoreOptions;
use super::environment::{DATA_FILE, Environment};
use super::manifest::Manifest;
use super::scan::{StoreSurvey, survey};
use crate::SignerError;

/// What the line begins with in which the child answers; whatever else its program prints is no answer.
const ANSWER: &str = "signing-store-scan: ";

/// Who reads all of a store before it is used.
#[derive(Clone, Default, Debug)]
pub enum Scan {
    /// This process. A damaged page may end it: for tests, and for tools that do nothing else.
    #[default]
    InProcess,
    /// A process of this command, which calls [`answer_scan`]. If it is ended by a damaged page, that is all that is.
    Child {
        /// The program.
        program: PathBuf,
        /// Its arguments. The directory is not among them: it is told on standard input.
        args: Vec<OsString>,
    },
}

/// What the child found.
#[derive(Serialize, Deserialize)]
enum Answer {
    Sound(Box<StoreSurvey>),
    Damaged {
        path: PathBuf,
        what: String,
    },
    /// It could not look.
    Failed(String),
}

/// Reads the store whose directory standard input names, and answers on standard output: what the command of
/// [`Scan::Child`] does. The store must be held by the process that asks.
///
/// # Errors
/// Standard input or output; whoever asks then takes the scan for failed.
pub fn answer_scan() -> std::io::Result<()> {
    let mut dir = Vec::new();
    std::io::stdin().read_to_end(&mut dir)?;
    let dir = PathBuf::from(OsString::from_vec(dir));
    let answer = match read_all(&dir) {
        Ok(survey) => Answer::Sound(Box::new(survey)),
        Err(SignerError::Damaged { path, what }) => Answer::Damaged { path, what },
        Err(error) => Answer::Failed(error.to_string()),
    };
    let line = serde_json::to_string(&answer)?;
    let mut out = std::io::stdout().lock();
    // On a line of its own, whatever was printed before.
    writeln!(out, "\n{ANSWER}{line}")?;
    out.flush()
}

fn read_all(dir: &Path) -> Result<StoreSurvey, SignerError> {
    let manifest = Manifest::read(dir)?;
    let environment = Environment::open(dir, &manifest, StoreOptions::default().map_bytes)?;
    survey(dir, &environment, &manifest)
}

/// Has the store in `dir`, which this process holds and has not opened, read by a process of that command.
///
/// # Errors
/// [`SignerError::Damaged`], also when reading has ended the child; [`SignerError::Io`] when it could not look.
pub(super) fn scan_by(program: &Path, args: &[OsString], dir: &Path) -> Result<StoreSurvey, SignerError> {
    let io = |source| SignerError::Io { action: "run the reader of", path: dir.to_owned(), source };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(io)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that is gone already has its status looked at below.
        let _ = stdin.write_all(dir.as_os_str().as_bytes());
    }
    let lines = child.stdout.take().map(|out| BufReader::new(out).lines());
    let answer = lines.into_iter().flatten().map_while(Result::ok).find_map(|line| {
        let answer = line.strip_prefix(ANSWER)?;
        serde_json::from_str(answer).ok()
    });
    let status = child.wait().map_err(io)?;
    match answer {
        Some(Answer::Sound(survey)) => Ok(*survey),
        Some(Answer::Damaged { path, what }) => Err(SignerError::Damaged { path, what }),
        Some(Answer::Failed(what)) => Err(io(std::io::Error::other(what))),
        None => Err(match status.signal() {
            Some(signal) => {
                let what = format!("reading it ended the reader with signal {signal}");
                SignerError::Damaged { path: dir.join(DATA_FILE), what }
            }
            None => io(std::io::Error::other(format!("{} gave no answer, {status}", program.display()))),
        }),
    }
}
