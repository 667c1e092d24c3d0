//! The least that durability costs here: one flush of a few hundred bytes in a file whose blocks are there.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::samples::{Effort, Samples, Until};

const PREPARED: u64 = 8 << 20;
const WRITTEN: usize = 256;

/// One caller that writes and flushes, and waits for it.
pub(crate) fn fdatasync(effort: Effort) -> Samples {
    let file = tempfile::tempfile().expect("a file can be made");
    prepare(&file);
    let mut samples = Samples::default();
    let until = Until::of(effort);
    let piece = [7; WRITTEN];
    let mut at = 0;
    while let Some(begin) = until.goes_on() {
        file.write_all_at(&piece, at).expect("the blocks are there");
        file.sync_data().expect("the disk takes it");
        samples.note(begin, 1);
        at = (at + WRITTEN as u64) % (PREPARED - WRITTEN as u64);
    }
    samples.end(until)
}

fn prepare(file: &File) {
    let zeros = vec![0; PREPARED as usize];
    file.write_all_at(&zeros, 0).expect("there is room");
    file.sync_all().expect("the disk takes it");
}
