//! The anvil of a dev chain: its own, or one that was lent to it.

use std::sync::Arc;

use crate::{Anvil, LeasedAnvil, Result};

/// The anvil of a dev chain.
#[derive(Debug)]
pub enum L1Process {
    /// Started for it; ends with it.
    Own(Box<Anvil>),
    /// Lent to it by the process's pool; goes back.
    Leased(Arc<LeasedAnvil>),
}

impl L1Process {
    /// Where it is reached.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Own(anvil) => anvil.url(),
            Self::Leased(anvil) => anvil.url(),
        }
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Own(anvil) => anvil.pid(),
            Self::Leased(anvil) => anvil.pid(),
        }
    }

    /// The one that was lent, where it was.
    #[must_use]
    pub const fn leased(&self) -> Option<&Arc<LeasedAnvil>> {
        match self {
            Self::Own(_) => None,
            Self::Leased(anvil) => Some(anvil),
        }
    }

    /// Ends it gracefully, or gives it back.
    ///
    /// # Errors
    /// Those of [`Anvil::stop`].
    pub async fn stop(self) -> Result<()> {
        match self {
            Self::Own(anvil) => anvil.stop().await.map(drop),
            Self::Leased(anvil) => {
                drop(anvil);
                Ok(())
            }
        }
    }
}
