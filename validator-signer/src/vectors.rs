//! Test vectors in the public format of EIP-3076: imports and signings, and what a sound store answers to them.
//!
//! ```text
//! directory of files -> each file in every course -> a store of its own -> faults
//! ```

mod backend;
mod course;
mod format;
mod lmdb;
#[cfg(feature = "postgres")]
mod postgres;
mod run;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use backend::{VectorBackend, VectorStore};
pub use course::{Course, Passage, Treatment};
pub use format::VectorFile;
pub use lmdb::LmdbBackend;
#[cfg(feature = "postgres")]
pub use postgres::PostgresBackend;

use crate::SignerError;

/// How one file fared in one course.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct VectorOutcome {
    /// The file.
    pub file: PathBuf,
    /// How it was run.
    pub course: Course,
    /// Signings that were asked for.
    pub signings: usize,
    /// Repeats of data without a root that were refused, though a store that takes such data for known would allow them.
    pub refused_on_purpose: usize,
    /// Whether the rest was left out, because slashable data was not imported.
    pub cut_short: bool,
    /// What was not as the file expects; empty where the file passed.
    pub faults: Vec<String>,
}

impl VectorOutcome {
    /// Whether all was as the file expects.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Runs every `*.json` file of `dir` in every course, each in a store of its own, and tells each outcome as it comes.
///
/// A file that is no vector is an outcome with that fault.
///
/// # Errors
/// [`SignerError::NoVectors`] and [`SignerError::Io`] of the directory.
///
/// # Cancel safety
/// Dropped: the stores of the file at hand stay where the backend made them.
pub async fn run_vectors(
    dir: &Path,
    backend: &dyn VectorBackend,
    mut told: impl FnMut(VectorOutcome),
) -> Result<(), SignerError> {
    for file in vector_files(dir)? {
        let text =
            std::fs::read(&file).map_err(|source| SignerError::Io { action: "read", path: file.clone(), source });
        let vector = VectorFile::parse(&text?);
        for course in Course::ALL {
            let outcome = VectorOutcome {
                file: file.clone(),
                course,
                signings: 0,
                refused_on_purpose: 0,
                cut_short: false,
                faults: Vec::new(),
            };
            told(match &vector {
                Ok(vector) => run::run(vector, backend, outcome).await,
                Err(what) => VectorOutcome { faults: vec![format!("not a vector file: {what}")], ..outcome },
            });
        }
    }
    Ok(())
}

fn vector_files(dir: &Path) -> Result<Vec<PathBuf>, SignerError> {
    let io = |source| SignerError::Io { action: "list", path: dir.to_owned(), source };
    let entries = std::fs::read_dir(dir).map_err(io)?;
    let paths: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(io)?;
    let mut files: Vec<_> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    if files.is_empty() { Err(SignerError::NoVectors { path: dir.to_owned() }) } else { Ok(files) }
}
