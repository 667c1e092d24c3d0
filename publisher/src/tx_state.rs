//! The life of one recorded transaction, as a pure function.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a recorded transaction stands. The store holds it; [`next`] moves it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum L1TxState {
    /// Signed and recorded with a leased nonce; no answer to a broadcast is known.
    Leased,
    /// In a pool, or possibly in one.
    Live,
    /// Its deadline passed; a cancel with its nonce is to land in its place.
    Cancelling,
    /// In a block, not reverted.
    Included,
    /// In a block, reverted.
    Reverted,
    /// Its cancel is in a block: it can never land.
    Cancelled,
    /// A transaction unknown to us took its nonce.
    Superseded,
    /// Refused before any pool can have had it; its nonce is free.
    Rejected,
    /// Never handed to a transport; its nonce is free.
    Withdrawn,
}

impl L1TxState {
    /// True once nothing more can happen to it.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Leased | Self::Live | Self::Cancelling)
    }

    /// The word for it in status and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::Live => "live",
            Self::Cancelling => "cancelling",
            Self::Included => "included",
            Self::Reverted => "reverted",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// True when it is certain that it had no effect on L1, so that its dedup key may be used again.
    #[must_use]
    pub const fn had_no_effect(self) -> bool {
        matches!(self, Self::Reverted | Self::Cancelled | Self::Superseded | Self::Rejected | Self::Withdrawn)
    }

    /// True when its nonce was never used and is free again.
    #[must_use]
    pub const fn freed_its_nonce(self) -> bool {
        matches!(self, Self::Rejected | Self::Withdrawn)
    }
}

/// What can happen to a recorded transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum L1TxEvent {
    /// A node took it.
    Accepted,
    /// A broadcast ended without a verdict: it may or may not be in a pool.
    Ambiguous,
    /// A node definitely refused it.
    Refused,
    /// It will not be handed to a transport: it was interrupted before.
    Withdrawn,
    /// The L1 head reached its deadline, and no block holds it.
    DeadlinePassed,
    /// A block holds it, not reverted.
    Mined,
    /// A block holds it, reverted.
    MinedReverted,
    /// A block holds its cancel.
    CancelMined,
    /// The chain's nonce passed it, and no block holds any of its attempts.
    ForeignNonce,
    /// The publisher stops.
    Stopped,
}

/// A move that cannot happen: a bug in the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IllegalMove {
    /// Where the transaction stood.
    pub from: L1TxState,
    /// What was said to have happened.
    pub event: L1TxEvent,
}

impl fmt::Display for IllegalMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} cannot happen to a transaction that is {:?}", self.event, self.from)
    }
}

impl std::error::Error for IllegalMove {}

/// The state after `event`.
///
/// | | Leased | Live | Cancelling | settled |
/// |---|---|---|---|---|
/// | Accepted | Live | same | same | illegal |
/// | Ambiguous | Live | same | same | illegal |
/// | Refused | Rejected | same | same | illegal |
/// | Withdrawn | Withdrawn | illegal | illegal | illegal |
/// | DeadlinePassed | Cancelling | Cancelling | same | illegal |
/// | Mined | Included | Included | Included | illegal |
/// | MinedReverted | Reverted | Reverted | Reverted | illegal |
/// | CancelMined | illegal | illegal | Cancelled | illegal |
/// | ForeignNonce | Superseded | Superseded | Superseded | illegal |
/// | Stopped | same | same | same | same |
///
/// A refusal frees a nonce only in `Leased`: once a pool may have the transaction, a later refusal proves nothing.
///
/// # Errors
/// [`IllegalMove`] for the pairs above; the transaction stays as it is.
pub const fn next(from: L1TxState, event: L1TxEvent) -> Result<L1TxState, IllegalMove> {
    match from {
        L1TxState::Leased => match event {
            L1TxEvent::Accepted | L1TxEvent::Ambiguous => Ok(L1TxState::Live),
            L1TxEvent::Refused => Ok(L1TxState::Rejected),
            L1TxEvent::Withdrawn => Ok(L1TxState::Withdrawn),
            L1TxEvent::DeadlinePassed => Ok(L1TxState::Cancelling),
            L1TxEvent::Mined => Ok(L1TxState::Included),
            L1TxEvent::MinedReverted => Ok(L1TxState::Reverted),
            L1TxEvent::CancelMined => Err(IllegalMove { from, event }),
            L1TxEvent::ForeignNonce => Ok(L1TxState::Superseded),
            L1TxEvent::Stopped => Ok(from),
        },
        L1TxState::Live => match event {
            L1TxEvent::Accepted | L1TxEvent::Ambiguous | L1TxEvent::Refused | L1TxEvent::Stopped => Ok(from),
            L1TxEvent::DeadlinePassed => Ok(L1TxState::Cancelling),
            L1TxEvent::Mined => Ok(L1TxState::Included),
            L1TxEvent::MinedReverted => Ok(L1TxState::Reverted),
            L1TxEvent::ForeignNonce => Ok(L1TxState::Superseded),
            L1TxEvent::Withdrawn | L1TxEvent::CancelMined => Err(IllegalMove { from, event }),
        },
        L1TxState::Cancelling => match event {
            L1TxEvent::Accepted
            | L1TxEvent::Ambiguous
            | L1TxEvent::Refused
            | L1TxEvent::DeadlinePassed
            | L1TxEvent::Stopped => Ok(from),
            L1TxEvent::Mined => Ok(L1TxState::Included),
            L1TxEvent::MinedReverted => Ok(L1TxState::Reverted),
            L1TxEvent::CancelMined => Ok(L1TxState::Cancelled),
            L1TxEvent::ForeignNonce => Ok(L1TxState::Superseded),
            L1TxEvent::Withdrawn => Err(IllegalMove { from, event }),
        },
        L1TxState::Included
        | L1TxState::Reverted
        | L1TxState::Cancelled
        | L1TxState::Superseded
        | L1TxState::Rejected
        | L1TxState::Withdrawn => match event {
            L1TxEvent::Stopped => Ok(from),
            L1TxEvent::Accepted
            | L1TxEvent::Ambiguous
            | L1TxEvent::Refused
            | L1TxEvent::Withdrawn
            | L1TxEvent::DeadlinePassed
            | L1TxEvent::Mined
            | L1TxEvent::MinedReverted
            | L1TxEvent::CancelMined
            | L1TxEvent::ForeignNonce => Err(IllegalMove { from, event }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::L1TxEvent as E;
    use super::L1TxState as S;
    use super::*;

    const EVENTS: [E; 10] = [
        E::Accepted,
        E::Ambiguous,
        E::Refused,
        E::Withdrawn,
        E::DeadlinePassed,
        E::Mined,
        E::MinedReverted,
        E::CancelMined,
        E::ForeignNonce,
        E::Stopped,
    ];
    const SETTLED: [S; 6] = [S::Included, S::Reverted, S::Cancelled, S::Superseded, S::Rejected, S::Withdrawn];

    /// The doc's table, a row a state, in the order of `EVENTS`; `None` is illegal.
    const TABLE: [(S, [Option<S>; 10]); 3] = [
        (
            S::Leased,
            [
                Some(S::Live),
                Some(S::Live),
                Some(S::Rejected),
                Some(S::Withdrawn),
                Some(S::Cancelling),
                Some(S::Included),
                Some(S::Reverted),
                None,
                Some(S::Superseded),
                Some(S::Leased),
            ],
        ),
        (
            S::Live,
            [
                Some(S::Live),
                Some(S::Live),
                Some(S::Live),
                None,
                Some(S::Cancelling),
                Some(S::Included),
                Some(S::Reverted),
                None,
                Some(S::Superseded),
                Some(S::Live),
            ],
        ),
        (
            S::Cancelling,
            [
                Some(S::Cancelling),
                Some(S::Cancelling),
                Some(S::Cancelling),
                None,
                Some(S::Cancelling),
                Some(S::Included),
                Some(S::Reverted),
                Some(S::Cancelled),
                Some(S::Superseded),
                Some(S::Cancelling),
            ],
        ),
    ];

    #[test]
    fn every_pair_of_state_and_event_is_as_the_table_says() {
        for (from, row) in TABLE {
            assert!(!from.is_settled());
            for (event, expected) in EVENTS.into_iter().zip(row) {
                assert_eq!(next(from, event).ok(), expected, "{from:?} {event:?}");
            }
        }
        for from in SETTLED {
            assert!(from.is_settled());
            for event in EVENTS {
                let expected = (event == E::Stopped).then_some(from);
                assert_eq!(next(from, event).ok(), expected, "{from:?} {event:?}");
            }
        }
    }

    #[test]
    fn a_stop_judges_nothing() {
        for from in TABLE.map(|(state, _)| state).into_iter().chain(SETTLED) {
            assert_eq!(next(from, E::Stopped), Ok(from));
        }
    }

    #[test]
    fn a_nonce_is_freed_only_where_nothing_can_have_been_sent() {
        for from in TABLE.map(|(state, _)| state) {
            for event in EVENTS {
                let freed = next(from, event).is_ok_and(S::freed_its_nonce);
                assert_eq!(freed, from == S::Leased && matches!(event, E::Refused | E::Withdrawn));
            }
        }
    }
}
