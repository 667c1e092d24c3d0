//! What keeps the keys from signing twice.

use std::collections::BTreeSet;
use std::path::Path;

use fermata_validator_signer::DutyKind;

use crate::config::reader::Reader;
use crate::config::{ProtectionConfig, SharedProtection};
use crate::data_dir::signer_anchor;
use crate::roles::{Role, Roles};

const STRICT: &str = "validator.protection.strict";
const POSTGRES: &str = "validator.protection.postgres";
const NODE: &str = "validator.protection.node";

/// More slots than anybody waits for.
const MOST_LISTENING: u64 = 10_000;

pub(super) fn protection(r: &mut Reader<'_>, data_dir: Option<&Path>, roles: Roles) -> Option<ProtectionConfig> {
    let anchor = r.path("validator.protection.anchor").or_else(|| data_dir.map(signer_anchor));
    let listen_only_slots = r.integer("validator.protection.listen_only_slots", 0..=MOST_LISTENING);
    let (strict, shared) = (strict(r), shared(r, roles));
    Some(ProtectionConfig { anchor: anchor?, listen_only_slots: listen_only_slots?, strict: strict?, shared: shared? })
}

fn strict(r: &mut Reader<'_>) -> Option<BTreeSet<DutyKind>> {
    let words = r.list(STRICT)?;
    let kind = |word: &String| DutyKind::MARKED.into_iter().find(|kind| kind.word() == word);
    let kinds: Option<BTreeSet<_>> = words.iter().map(kind).collect();
    if kinds.is_none() {
        let known = DutyKind::MARKED.map(|kind| format!("`{}`", kind.word())).join(", ");
        r.invalid(STRICT, "names a kind of duty that there is not", format!("write any of {known}"));
    }
    kinds
}

/// `None` where something is wrong; `Some(None)` where the node shares no store, or signs nothing.
fn shared(r: &mut Reader<'_>, roles: Roles) -> Option<Option<SharedProtection>> {
    let signs = roles.has(Role::Sequencer) || roles.has(Role::Validator);
    if !signs || !r.is_set(POSTGRES) {
        return Some(None);
    }
    let remedy = "write it like postgres://user:password@host/database";
    // The text may hold a password, which no message repeats.
    let database = r.text(POSTGRES).and_then(|text| text.parse().ok());
    if database.is_none() {
        r.invalid(POSTGRES, "is no address of a PostgreSQL database", remedy);
    }
    if !r.is_set(NODE) {
        r.missing(NODE, "name this node, unlike every other node with the same keys");
    }
    let (schema, node) = (r.text("validator.protection.schema"), r.text(NODE));
    let ca_file = r.path("validator.protection.ca_file");
    let takeover_after = r.millis("validator.protection.takeover_ms", 100..=60_000);
    Some(Some(SharedProtection {
        database: database?,
        schema: schema?,
        node: node?,
        ca_file,
        takeover_after: takeover_after?,
    }))
}
