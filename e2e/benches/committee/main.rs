//! How long a committee takes to attest a checkpoint, and what it says to one another for it.
//!
//! `cargo bench --package fermata-e2e --bench committee` runs networks of several nodes in this process, one after the
//! other, on one machine, and before each, as its baseline, one node that has all the validators and no network: 1 x N.
//! Printed are the time from the proposal of a checkpoint to its quorum, and from the seal of its last block to the quorum
//! and to the broadcast of its L1 transaction, each with the median's ratio to the baseline's; and the messages and bytes
//! that all nodes together sent in a slot. Between seal and proposal lie the blobs' proofs; the broadcast waits for its
//! slot's window on L1 to open. `BENCH_SLOTS` says how many slots are measured in each; 10 without it.

mod network;
mod record;
mod table;

use anyhow::Result;

use self::network::{Network, measure};

/// Nodes, and validators of each.
const NETWORKS: [(u32, u32); 3] = [(4, 1), (3, 16), (4, 32)];

#[tokio::main]
async fn main() -> Result<()> {
    let slots = fermata_e2e::number_in_env("BENCH_SLOTS", 10)?;
    table::head();
    for (nodes, validators_each) in NETWORKS {
        let together = Network { nodes, validators: nodes * validators_each };
        let alone = Network { nodes: 1, ..together };
        let baseline = measure(alone, slots).await?;
        table::row(alone, &baseline, &baseline);
        table::row(together, &measure(together, slots).await?, &baseline);
    }
    Ok(())
}
