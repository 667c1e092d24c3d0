//! The prover: its accounts, and who makes its proofs.

use super::DAY_MS;
use super::accounts::{KeyKeys, keys};
use crate::config::reader::Reader;
use crate::config::{ProofMaker, ProverConfig};

pub(super) fn prover(r: &mut Reader<'_>) -> Option<ProverConfig> {
    let keys = keys(
        r,
        &KeyKeys {
            keystore_dir: "prover.keystore_dir",
            password_file: "prover.password_file",
            mnemonic: "prover.mnemonic",
            derivation_path: "prover.derivation_path",
            first: "prover.first",
            count: "prover.count",
        },
    );
    let id = r.address("prover.id");
    let proofs = proofs(r);
    let poll_interval = r.millis("prover.poll_interval_ms", 10..=DAY_MS);
    let request_timeout = r.millis("prover.request_timeout_ms", 10..=DAY_MS);
    Some(ProverConfig {
        keys: keys?,
        id,
        proofs: proofs?,
        poll_interval: poll_interval?,
        request_timeout: request_timeout?,
    })
}

fn proofs(r: &mut Reader<'_>) -> Option<ProofMaker> {
    if !r.is_set("prover.proofs") {
        r.missing("prover.proofs", "write the URL of a prover service, or `mock` for a rollup with a mock verifier");
        return None;
    }
    if r.text("prover.proofs")? == "mock" {
        return Some(ProofMaker::Mock);
    }
    r.url("prover.proofs").map(ProofMaker::Service)
}
