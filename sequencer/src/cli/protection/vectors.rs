//! `fermata protection vectors`: test vectors against this program's own stores.

use std::path::PathBuf;

use clap::Args;
use fermata_validator_signer::{
    DatabaseUrl, LmdbBackend, PostgresBackend, PostgresOptions, VectorBackend, VectorOutcome, run_vectors,
};
use serde_json::json;

use super::failure;
use super::scratch::Scratch;
use crate::catalogue::Reason;
use crate::cli::failure::Form;
use crate::cli::{Console, Failure};

/// Which vectors to run.
#[derive(Args, Clone, Debug)]
pub struct VectorsArgs {
    /// The directory with the files.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Run them against stores in this database, as postgres://user:password@host/database, each in a schema that is dropped
    /// afterwards. Others on this machine may read the command line: name a database for tests.
    #[arg(long, value_name = "URL")]
    database: Option<DatabaseUrl>,
    /// Certificates that vouch for the database's server; without any, those that the machine trusts.
    #[arg(long, value_name = "FILE", requires = "database")]
    ca_file: Option<PathBuf>,
    /// Print JSON, a line an outcome.
    #[arg(long)]
    json: bool,
}

impl VectorsArgs {
    pub(super) const fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Human }
    }

    pub(super) async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let scratch = Scratch::make("vectors")?;
        let (backend, mut total) = (self.backend(&scratch), Total::default());
        let ran = run_vectors(&self.dir, &*backend, |outcome| {
            total.count(&outcome);
            self.tell(console, &outcome);
        });
        ran.await.map_err(failure)?;
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

    fn backend(&self, scratch: &Scratch) -> Box<dyn VectorBackend> {
        let Some(database) = &self.database else { return Box::new(LmdbBackend::new(scratch.0.clone())) };
        let options = PostgresOptions {
            schema: "fermata_vectors".to_owned(),
            ca_file: self.ca_file.clone(),
            ..PostgresOptions::new("fermata protection vectors")
        };
        Box::new(PostgresBackend::new(database.clone(), options))
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
