//! The chain's counters, each a type of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this; saturates at the end of the range.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The one before this; zero stays zero.
            #[must_use]
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// A proposer's window, counted from the rollup's genesis time.
    Slot
}
counter! {
    /// A run of slots with one committee.
    Epoch
}
counter! {
    /// The blocks of one slot, as attested and published; 0 is the genesis checkpoint.
    CheckpointNumber
}
counter! {
    /// An L1 block's timestamp, in seconds since the Unix epoch. Deadlines of L1 work are in this time.
    L1Timestamp
}

impl L1Timestamp {
    /// This many seconds later; saturates.
    #[must_use]
    pub const fn plus_secs(self, secs: u64) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// This many seconds earlier; saturates at zero.
    #[must_use]
    pub const fn minus_secs(self, secs: u64) -> Self {
        Self(self.0.saturating_sub(secs))
    }
}
