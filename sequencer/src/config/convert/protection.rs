//! The store that nodes with the same keys share.

use crate::config::SharedProtection;
use crate::config::reader::Reader;
use crate::roles::{Role, Roles};

const POSTGRES: &str = "validator.protection.postgres";
const NODE: &str = "validator.protection.node";

/// `None` where something is wrong; `Some(None)` where the node shares no store, or signs nothing.
pub(super) fn protection(r: &mut Reader<'_>, roles: Roles) -> Option<Option<SharedProtection>> {
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
