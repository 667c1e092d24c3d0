//! What is asked of a publisher's store that no process uses.

use std::path::Path;

use fermata_primitives::{Clock as _, SystemClock};
use fermata_publisher::FsckReport;

use super::verbs::tell;
use super::{Console, Failure, Form, render};
use crate::catalogue::Reason;
use crate::error::SequencerError;

/// Tells what does not fit; a failure where something does not.
pub(super) fn check(console: &mut Console, dir: &Path) -> Result<(), Failure> {
    let report = fermata_publisher::fsck(dir).map_err(failure)?;
    let FsckReport { transactions, in_flight, findings } = report;
    for finding in &findings {
        console.say(finding);
    }
    if findings.is_empty() {
        console.say(format_args!("sound: {transactions} transactions, {in_flight} of them in flight"));
        return Ok(());
    }
    Err(Failure {
        reason: Reason::StoreDamaged,
        message: format!("{} things in {} do not fit", findings.len(), dir.display()),
        hint: Some("restore the store from a backup, or check on L1 what became of these and move it away".to_owned()),
    })
}

/// Tells what became of transactions, oldest first.
pub(super) fn tell_journal(console: &mut Console, form: Form, dir: &Path, most: usize) -> Result<(), Failure> {
    let entries = fermata_publisher::journal(dir, most).map_err(failure)?;
    let now = SystemClock.now();
    tell(console, form, &entries, |entries| render::publisher_journal(entries, now))
}

fn failure(error: fermata_publisher::Error) -> Failure {
    let error = SequencerError::Publisher(error);
    Failure::new(error.reason(), &error)
}
