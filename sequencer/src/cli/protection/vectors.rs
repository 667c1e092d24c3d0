//! `fermata protection vectors`: test vectors against this program's own store.

use std::path::{Path, PathBuf};

use clap::Args;
use fermata_validator_signer::{LmdbBackend, VectorOutcome, run_vectors};
use serde_json::json;

use super::failure;
use crate::catalogue::Reason;
use crate::cli::failure::Form;
use crate::cli::{Console, Failure};

/// Which vectors to run.
#[derive(Args, Clone, Debug)]
pub struct VectorsArgs {
    /// The directory with the files.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print JSON, a line an outcome.
    #[arg(long)]
    json: bool,
}

impl VectorsArgs {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }

    pub(super) fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let scratch = Scratch::make()?;
        let mut total = Total::default();
        let backend = LmdbBackend::new(scratch.0.clone());
        let ran = futures::executor::block_on(run_vectors(&self.dir, &backend, |outcome| {
            total.count(&outcome);
            self.tell(console, &outcome);
        }));
        ran.map_err(failure)?;
        let Total { passed, failed, signings } = total;
        match self.form() {
            Form::Human => console.say(format_args!("{passed} passed, {failed} failed, {signings} signings")),
            Form::Json => console.say(json!({ "passed": passed, "failed": failed, "signings": signings })),
        }
        if failed == 0 {
            return Ok(());
        }
        Err(Failure {
            reason: Reason::CheckFailed,
            message: format!("{failed} of {} runs did not go as their file expects", passed + failed),
            hint: Some("the lines above name each; do not sign with a build that fails a sound vector".to_owned()),
        })
    }

    fn tell(&self, console: &mut Console, outcome: &VectorOutcome) {
        let VectorOutcome { file, course, faults, .. } = outcome;
        let name = file.file_stem().unwrap_or_default().display();
        match (self.form(), outcome.passed()) {
            (Form::Json, true | false) => console.say(json!(outcome)),
            (Form::Human, true) => console.say(format_args!("passed {name} ({course})")),
            (Form::Human, false) => {
                console.say(format_args!("FAILED {name} ({course})"));
                for fault in faults {
                    console.say(format_args!("       {fault}"));
                }
            }
        }
    }
}

#[derive(Default)]
struct Total {
    passed: usize,
    failed: usize,
    signings: usize,
}

impl Total {
    fn count(&mut self, outcome: &VectorOutcome) {
        *if outcome.passed() { &mut self.passed } else { &mut self.failed } += 1;
        self.signings += outcome.signings;
    }
}

/// A directory that goes when this does.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("fermata-vectors-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|source| unusable(&path, &source))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The system clears what is left there.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn unusable(path: &Path, source: &std::io::Error) -> Failure {
    Failure {
        reason: Reason::DataDirUnusable,
        message: format!("cannot make {}: {source}", path.display()),
        hint: Some("set TMPDIR to a directory that can be written".to_owned()),
    }
}
