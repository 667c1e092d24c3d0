//! Where a configuration's values came from.

use std::fmt;
use std::sync::Arc;

use super::RawConfig;

/// The layers that a configuration was made from. Two configurations are equal whatever their provenance, and it is not
/// shown by accident: it holds secrets.
#[derive(Clone)]
pub struct Provenance(Arc<RawConfig>);

impl Provenance {
    pub(super) fn new(raw: RawConfig) -> Self {
        Self(Arc::new(raw))
    }

    /// The merged layers.
    #[must_use]
    pub fn raw(&self) -> &RawConfig {
        &self.0
    }
}

impl PartialEq for Provenance {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Provenance {}

impl fmt::Debug for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provenance")
    }
}
