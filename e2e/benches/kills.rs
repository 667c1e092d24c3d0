//! What becomes of a node that is killed at moments nobody chose.
//!
//! `cargo bench --profile dev --package fermata-e2e --bench kills` kills a node process two hundred times with SIGKILL and
//! fails where anything was signed twice, sent twice, sent too late or lost; else it prints how much was looked at. `KILLS` sets
//! another number, `SEED` other moments.

use anyhow::{Result, ensure};
use fermata_e2e::crash::{Ground, kill_at_random};
use fermata_e2e::number_in_env;

#[tokio::main]
async fn main() -> Result<()> {
    let (kills, seed) = (number_in_env("KILLS", 200)?, number_in_env("SEED", 1)?);
    let found = kill_at_random(Ground::begin(3).await?, kills, seed).await?;
    println!("{found}");
    ensure!(found.is_clean(), "{found:?}");
    Ok(())
}
