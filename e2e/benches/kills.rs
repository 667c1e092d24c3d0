//! What becomes of a node that is killed at moments nobody chose.
//!
//! `cargo bench --profile dev --package fermata-e2e --bench kills` kills a node process two hundred times with SIGKILL and
//! prints what it has signed twice, sent twice, sent too late and lost. `KILLS` sets another number, `SEED` other moments.

use anyhow::{Result, ensure};
use fermata_e2e::crash::{Ground, kill_at_random};

#[tokio::main]
async fn main() -> Result<()> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (kills, seed) = (number("KILLS").unwrap_or(200), number("SEED").unwrap_or(1));
    let found = kill_at_random(Ground::begin(3).await?, u32::try_from(kills)?, seed).await?;
    println!("{found}");
    ensure!(found.is_clean(), "{found:?}");
    Ok(())
}
