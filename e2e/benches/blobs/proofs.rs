//! Commitments and proofs, on all cores.

use std::thread::available_parallelism;

use alloy::eips::eip4844::Blob;
use anyhow::Result;
use fermata_e2e::Times;
use fermata_primitives::{Clock as _, SystemClock};
use fermata_publisher::PreparedBlobs;

use crate::ground::{Blocks, Ground, Publisher};

/// Blobs that one thread makes the proofs of.
const ALONE: u8 = 4;

/// A blob that is no other's: of the blobs that are alike the proofs would be too.
fn blob(number: u8) -> Blob {
    let mut blob = Blob::ZERO;
    blob.as_mut_slice().chunks_exact_mut(32).for_each(|element| element[31] = number);
    blob
}

/// Prints the proofs of all cores, as a part of what one thread makes on each of them.
pub(crate) async fn measure(many: usize) -> Result<()> {
    let ground = Ground::begin(Blocks::WhenTold).await?;
    let dir = tempfile::tempdir()?;
    let publisher = Publisher::open(&ground.anvil.url(), ground.blocks, dir.path(), Vec::new()).await?;
    // The first loads the trusted setup.
    PreparedBlobs::compute(vec![blob(0)])?;
    let mut alone = Times::default();
    for number in 1..=ALONE {
        alone.measure(async { PreparedBlobs::compute(vec![blob(number)]) }).await?;
    }
    let blobs = (0..many).map(|number| blob(u8::try_from(number % 251).unwrap_or_default())).collect();
    let began = SystemClock.monotonic();
    publisher.manager.prepare(blobs).await?;
    let together = many as f64 / (SystemClock.monotonic() - began).as_secs_f64();
    let cores = available_parallelism()?.get();
    let most = 1_000.0 * cores as f64 / alone.millis_at(500);
    println!(
        "proofs of {many} blobs: {together:.2} a second, {:.2} of {cores} cores at {:.0} ms a blob ({most:.2} a second)",
        together / most,
        alone.millis_at(500),
    );
    Ok(())
}
