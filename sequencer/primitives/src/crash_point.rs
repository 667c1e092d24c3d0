//! Named steps between two durable effects, at which a test may kill the process.
//!
//! `crash_point!("publisher.after_commit")` is nothing unless the crate that holds it was built with its feature
//! `crash-points`. Then the environment variable `FERMATA_CRASH_POINT=<tag>[:<n>]` aborts the process the `n`-th time
//! (the first, where `n` is left out) the step is reached.

/// Every tag there is. A test keeps this list and the call sites equal.
pub const CRASH_POINTS: &[&str] = &[
    "publisher.after_record",
    "publisher.after_broadcast",
    "publisher.after_outcome",
    "signer.after_pin",
    "signer.after_sign",
    "sequencer.after_signing_store",
    "sequencer.after_block_proposal",
    "sequencer.after_build",
    "sequencer.after_proposal",
    "sequencer.after_attest",
    "sequencer.after_desired_state",
];

/// Marks a step between two durable effects; see the module `crash_point`.
#[macro_export]
macro_rules! crash_point {
    ($tag:literal) => {{
        #[cfg(feature = "crash-points")]
        $crate::reach($tag);
    }};
}

/// Aborts the process when `tag` is armed and this is the hit that was asked for.
#[cfg(feature = "crash-points")]
pub fn reach(tag: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static HITS: AtomicU64 = AtomicU64::new(0);
    debug_assert!(CRASH_POINTS.contains(&tag), "the crash point {tag} is not in CRASH_POINTS");
    let Ok(armed) = std::env::var("FERMATA_CRASH_POINT") else { return };
    let (armed_tag, hit) = armed.split_once(':').map_or((armed.as_str(), 1), |(t, n)| (t, n.parse().unwrap_or(1)));
    if armed_tag == tag && HITS.fetch_add(1, Ordering::SeqCst) + 1 == hit {
        eprintln!("crash point {tag} (hit {hit}): aborting");
        std::process::abort();
    }
}
