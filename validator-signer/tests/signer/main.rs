//! What the crate promises, one story a module.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod answers;
mod children;
mod elsewhere;
mod ethereum;
mod fake_signer;
mod full_disk;
mod homes;
mod interchange;
mod joining;
mod key_ring;
mod keystores;
mod kills;
mod lifecycle;
mod listening;
mod model;
mod never_twice;
mod opening;
mod pages;
mod postgres;
mod processes;
mod remote;
mod remote_tls;
mod restored;
mod room;
mod silent_keys;
mod support;
mod vectors;
