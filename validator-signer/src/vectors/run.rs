//! One vector in one course.

use std::collections::BTreeSet;

use alloy::primitives::B256;
use fermata_primitives::{L1Timestamp, UnixTime};

use super::backend::{VectorBackend, VectorStore};
use super::course::{Passage, Treatment};
use super::format::{Signing, Step};
use super::{VectorFile, VectorOutcome};
use crate::{EthNotSafe, EthPublicKey, EthReason, ExportOptions, Extent, ImportOptions, Interchange, SignerError};

/// Goes through all steps, and notes what is not as the file expects.
pub(super) async fn run(file: &VectorFile, backend: &dyn VectorBackend, outcome: VectorOutcome) -> VectorOutcome {
    let root = file.genesis_validators_root.0.into();
    let mut run = Run { root, outcome, imported: BTreeSet::new(), knows_all: true };
    if let Err(error) = run.steps(&file.steps, backend).await {
        run.fault(format!("the store failed: {error}"));
    }
    run.outcome
}

/// A vector under way.
struct Run {
    /// The chain.
    root: B256,
    outcome: VectorOutcome,
    /// Keys of the imports so far.
    imported: BTreeSet<EthPublicKey>,
    /// Whether a full history lacks nothing. A second import of a key comes from another client: what that one signed
    /// below its own lowest record is not in its file. What is slashable together may be refused altogether.
    knows_all: bool,
}

/// Whether the vector goes on.
enum Next {
    Signings,
    End,
}

impl Run {
    async fn steps(&mut self, steps: &[Step], backend: &dyn VectorBackend) -> Result<(), SignerError> {
        let mut store = backend.fresh(self.outcome.course.treatment.policy()).await?;
        for (number, step) in (1..).zip(steps) {
            match self.import(&*store, number, step).await? {
                Next::Signings => self.sign(&*store, number, step).await?,
                Next::End => break,
            }
            match self.outcome.course.passage {
                Passage::AsIs => {}
                Passage::RoundTrip => store = self.pass_on(store, backend).await?,
            }
        }
        store.discard().await;
        Ok(())
    }

    async fn import(&mut self, store: &dyn VectorStore, number: usize, step: &Step) -> Result<Next, SignerError> {
        let text = step.interchange.to_string();
        let options =
            ImportOptions { extent: self.outcome.course.treatment.extent(), genesis_validators_root: Some(self.root) };
        let done = match Interchange::parse(text.as_bytes()) {
            Ok(file) => {
                self.note(&file, step);
                store.protection().import(&file, options).await.map(drop)
            }
            Err(refusal) => Err(refusal.into()),
        };
        match (done, step.should_succeed) {
            (Ok(()), true) => Ok(Next::Signings),
            (Ok(()), false) => {
                self.fault(format!("step {number}: the import should be refused"));
                Ok(Next::Signings)
            }
            (Err(SignerError::Interchange(_)), false) => Ok(Next::Signings),
            (Err(SignerError::Interchange(_)), true) if step.contains_slashable_data => {
                self.outcome.cut_short = true;
                Ok(Next::End)
            }
            (Err(SignerError::Interchange(refusal)), true) => {
                self.fault(format!("step {number}: the import should not be refused: {refusal}"));
                Ok(Next::End)
            }
            (Err(error), true | false) => Err(error),
        }
    }

    fn note(&mut self, file: &Interchange, step: &Step) {
        let keys: Vec<EthPublicKey> = file.data.iter().map(|entry| entry.pubkey.0.into()).collect();
        self.knows_all &= !step.contains_slashable_data;
        self.knows_all &= keys.iter().all(|key| !self.imported.contains(key));
        self.imported.extend(keys);
    }

    async fn sign(&mut self, store: &dyn VectorStore, number: usize, step: &Step) -> Result<(), SignerError> {
        for signing in step.signings() {
            let answer = match store.protection().reserve_eth(signing.public_key, signing.duty, signing.root).await {
                Ok(_) => Ok(()),
                Err(SignerError::EthNotSafe(refusal)) => Err(*refusal),
                Err(error) => return Err(error),
            };
            self.outcome.signings += 1;
            self.judge(number, signing, answer);
        }
        Ok(())
    }

    fn judge(&mut self, number: usize, signing: Signing, answer: Result<(), EthNotSafe>) {
        let Signing { duty, root, minimal, complete, .. } = signing;
        let wanted = match self.outcome.course.treatment {
            Treatment::Full if self.knows_all => complete,
            Treatment::Watermark | Treatment::Minified | Treatment::Full => minimal,
        };
        match answer {
            Ok(()) if !complete => self.fault(format!("step {number}: {duty} should be refused")),
            Err(refusal) if wanted && is_unknown_repeat(root, refusal.reason) => self.outcome.refused_on_purpose += 1,
            Err(refusal) if wanted => self.fault(format!("step {number}: should be signed, but {refusal}")),
            Ok(()) | Err(_) => {}
        }
    }

    /// All that the store knows goes into a new one.
    async fn pass_on(
        &mut self,
        store: Box<dyn VectorStore>,
        backend: &dyn VectorBackend,
    ) -> Result<Box<dyn VectorStore>, SignerError> {
        // No vector looks at the time of an export.
        let exported_at = UnixTime::from(L1Timestamp(0));
        let text = store.protection().export(ExportOptions::default(), exported_at).await?.to_text();
        store.discard().await;
        let file = Interchange::parse(text.as_bytes())?;
        let next = backend.fresh(self.outcome.course.treatment.policy()).await?;
        let options = ImportOptions { extent: Extent::Full, genesis_validators_root: Some(self.root) };
        next.protection().import(&file, options).await?;
        Ok(next)
    }

    fn fault(&mut self, what: String) {
        self.outcome.faults.push(what);
    }
}

/// Data whose root is not known equals nothing, itself included.
fn is_unknown_repeat(root: B256, reason: EthReason) -> bool {
    root.is_zero() && matches!(reason, EthReason::AnotherBlock { .. } | EthReason::AnotherVote { .. })
}
