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
    /// True once it came to an end; one that is in a block may be live again when its block is removed.
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
    /// A block holds its cancel, or for good another of ours with its nonce.
    CancelMined,
    /// A block holds another of ours with its nonce.
    NonceLost,
    /// The chain's nonce passed it, and no block holds any of its attempts.
    ForeignNonce,
    /// A block held it or its cancel, and is no part of the chain any more.
    Removed,
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
/// | | Leased | Live | Cancelling | Included, Reverted | Cancelled | settled otherwise |
/// |---|---|---|---|---|---|---|
/// | Accepted | Live | same | same | illegal | illegal | illegal |
/// | Ambiguous | Live | same | same | illegal | illegal | illegal |
/// | Refused | Rejected | same | same | illegal | illegal | illegal |
/// | Withdrawn | Withdrawn | illegal | illegal | illegal | illegal | illegal |
/// | DeadlinePassed | Cancelling | Cancelling | same | illegal | illegal | illegal |
/// | Mined | Included | Included | Included | illegal | illegal | illegal |
/// | MinedReverted | Reverted | Reverted | Reverted | illegal | illegal | illegal |
/// | CancelMined | Cancelled | Cancelled | Cancelled | illegal | illegal | illegal |
/// | NonceLost | Cancelling | Cancelling | same | illegal | illegal | illegal |
/// | ForeignNonce | Superseded | Superseded | Superseded | illegal | illegal | illegal |
/// | Removed | illegal | illegal | illegal | Live | Cancelling | illegal |
/// | Stopped | same | same | same | same | same | same |
///
/// A cancel that was removed with its block can land again while its transaction counts as live. A refusal frees a nonce only in `Leased`: once a pool may have the transaction, a later refusal proves nothing.
///
/// # Errors
/// [`IllegalMove`] for the pairs above; the transaction stays as it is.
pub const fn next(from: L1TxState, event: L1TxEvent) -> Result<L1TxState, IllegalMove> {
    match from {
        L1TxState::Leased | L1TxState::Live | L1TxState::Cancelling => next_in_flight(from, event),
        L1TxState::Included | L1TxState::Reverted | L1TxState::Cancelled => next_in_block(from, event),
        L1TxState::Superseded | L1TxState::Rejected | L1TxState::Withdrawn => match event {
            L1TxEvent::Stopped => Ok(from),
            L1TxEvent::Accepted
            | L1TxEvent::Ambiguous
            | L1TxEvent::Refused
            | L1TxEvent::Withdrawn
            | L1TxEvent::DeadlinePassed
            | L1TxEvent::Mined
            | L1TxEvent::MinedReverted
            | L1TxEvent::CancelMined
            | L1TxEvent::NonceLost
            | L1TxEvent::ForeignNonce
            | L1TxEvent::Removed => Err(IllegalMove { from, event }),
        },
    }
}

const fn next_in_flight(from: L1TxState, event: L1TxEvent) -> Result<L1TxState, IllegalMove> {
    let is_leased = matches!(from, L1TxState::Leased);
    match event {
        L1TxEvent::Accepted | L1TxEvent::Ambiguous if is_leased => Ok(L1TxState::Live),
        L1TxEvent::Refused if is_leased => Ok(L1TxState::Rejected),
        L1TxEvent::Withdrawn if is_leased => Ok(L1TxState::Withdrawn),
        L1TxEvent::Accepted | L1TxEvent::Ambiguous | L1TxEvent::Refused | L1TxEvent::Stopped => Ok(from),
        L1TxEvent::DeadlinePassed | L1TxEvent::NonceLost => Ok(L1TxState::Cancelling),
        L1TxEvent::Mined => Ok(L1TxState::Included),
        L1TxEvent::MinedReverted => Ok(L1TxState::Reverted),
        L1TxEvent::CancelMined => Ok(L1TxState::Cancelled),
        L1TxEvent::ForeignNonce => Ok(L1TxState::Superseded),
        L1TxEvent::Withdrawn | L1TxEvent::Removed => Err(IllegalMove { from, event }),
    }
}

const fn next_in_block(from: L1TxState, event: L1TxEvent) -> Result<L1TxState, IllegalMove> {
    match event {
        L1TxEvent::Stopped => Ok(from),
        L1TxEvent::Removed if matches!(from, L1TxState::Cancelled) => Ok(L1TxState::Cancelling),
        L1TxEvent::Removed => Ok(L1TxState::Live),
        L1TxEvent::Accepted
        | L1TxEvent::Ambiguous
        | L1TxEvent::Refused
        | L1TxEvent::Withdrawn
        | L1TxEvent::DeadlinePassed
        | L1TxEvent::Mined
        | L1TxEvent::MinedReverted
        | L1TxEvent::CancelMined
        | L1TxEvent::NonceLost
        | L1TxEvent::ForeignNonce => Err(IllegalMove { from, event }),
    }
}

#[cfg(test)]
mod tests {
    use super::L1TxEvent as E;
    use super::L1TxState as S;
    use super::*;

    const EVENTS: [E; 12] = [
        E::Accepted,
        E::Ambiguous,
        E::Refused,
        E::Withdrawn,
        E::DeadlinePassed,
        E::Mined,
        E::MinedReverted,
        E::CancelMined,
        E::NonceLost,
        E::ForeignNonce,
        E::Removed,
        E::Stopped,
    ];
    const IN_FLIGHT: [S; 3] = [S::Leased, S::Live, S::Cancelling];

    /// The doc's table: its columns are states, its rows events, in the order of `EVENTS`; `None` is illegal.
    #[rustfmt::skip]
    const TABLE: [(S, [Option<S>; 12]); 9] = [
        (S::Leased, [Some(S::Live), Some(S::Live), Some(S::Rejected), Some(S::Withdrawn), Some(S::Cancelling), Some(S::Included), Some(S::Reverted), Some(S::Cancelled), Some(S::Cancelling), Some(S::Superseded), None, Some(S::Leased)]),
        (S::Live, [Some(S::Live), Some(S::Live), Some(S::Live), None, Some(S::Cancelling), Some(S::Included), Some(S::Reverted), Some(S::Cancelled), Some(S::Cancelling), Some(S::Superseded), None, Some(S::Live)]),
        (S::Cancelling, [Some(S::Cancelling), Some(S::Cancelling), Some(S::Cancelling), None, Some(S::Cancelling), Some(S::Included), Some(S::Reverted), Some(S::Cancelled), Some(S::Cancelling), Some(S::Superseded), None, Some(S::Cancelling)]),
        (S::Included, [None, None, None, None, None, None, None, None, None, None, Some(S::Live), Some(S::Included)]),
        (S::Reverted, [None, None, None, None, None, None, None, None, None, None, Some(S::Live), Some(S::Reverted)]),
        (S::Cancelled, [None, None, None, None, None, None, None, None, None, None, Some(S::Cancelling), Some(S::Cancelled)]),
        (S::Superseded, [None, None, None, None, None, None, None, None, None, None, None, Some(S::Superseded)]),
        (S::Rejected, [None, None, None, None, None, None, None, None, None, None, None, Some(S::Rejected)]),
        (S::Withdrawn, [None, None, None, None, None, None, None, None, None, None, None, Some(S::Withdrawn)]),
    ];

    #[test]
    fn every_pair_of_state_and_event_is_as_the_table_says() {
        for (from, row) in TABLE {
            assert_eq!(from.is_settled(), !IN_FLIGHT.contains(&from));
            for (event, expected) in EVENTS.into_iter().zip(row) {
                assert_eq!(next(from, event).ok(), expected, "{from:?} {event:?}");
            }
        }
    }

    #[test]
    fn a_stop_judges_nothing() {
        for (from, _) in TABLE {
            assert_eq!(next(from, E::Stopped), Ok(from));
        }
    }

    #[test]
    fn a_nonce_is_freed_only_where_nothing_can_have_been_sent() {
        for from in IN_FLIGHT {
            for event in EVENTS {
                let freed = next(from, event).is_ok_and(S::freed_its_nonce);
                assert_eq!(freed, from == S::Leased && matches!(event, E::Refused | E::Withdrawn));
            }
        }
    }
}
