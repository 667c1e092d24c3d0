//! How long a stop takes, at random moments, whatever hangs.
//!
//! `cargo bench --package fermata-e2e --bench stops` prints the distribution of each case, beside a baseline of the same
//! run: a loop that looks at a flag between two polls, as stops are commonly done. `BENCH_STOPS` says how many stops
//! of a whole node are measured in each case; 200 without it.

mod idle;
mod node;
mod signer;
mod times;

use anyhow::Result;

use self::times::print;

#[tokio::main]
async fn main() -> Result<()> {
    let baseline = idle::flag_between_polls(20).await;
    print("graceful stop of an idle engine", &idle::graceful(1_000).await?, &baseline);
    print("interrupt, a signer hangs", &signer::interrupt_while_it_hangs(1_000).await?, &baseline);
    let stops = fermata_e2e::number_in_env("BENCH_STOPS", 200)?;
    for (case, times) in node::interrupts(stops).await? {
        print(case, &times, &baseline);
    }
    Ok(())
}
