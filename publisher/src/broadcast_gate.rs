//! The one place where it is decided whether bytes may go out for a caller who may interrupt.

use std::sync::{Mutex, PoisonError};

use alloy::primitives::B256;

/// Orders an interrupt and a broadcast: whichever comes first is known to the other, so that a caller who was told that
/// nothing was sent can rely on it.
#[derive(Debug, Default)]
pub(crate) struct BroadcastGate(Mutex<Gate>);

#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    sent: Option<B256>,
}

impl BroadcastGate {
    /// Asks to hand the transaction to a transport; from here on it counts as sent. False once the gate is closed.
    pub(crate) fn pass(&self, hash: B256) -> bool {
        let mut gate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !gate.closed {
            gate.sent = Some(hash);
        }
        !gate.closed
    }

    /// What passed last was definitely refused: it does not count as sent.
    pub(crate) fn refused(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).sent = None;
    }

    /// Closes the gate for good; tells what has passed before.
    pub(crate) fn close(&self) -> Option<B256> {
        let mut gate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gate.closed = true;
        gate.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_an_interrupt_nothing_passes_and_what_passed_before_is_told() {
        let gate = BroadcastGate::default();
        assert!(gate.pass(B256::repeat_byte(1)));
        assert_eq!(gate.close(), Some(B256::repeat_byte(1)));
        assert!(!gate.pass(B256::repeat_byte(2)));
        assert_eq!(gate.close(), Some(B256::repeat_byte(1)));
    }

    #[test]
    fn what_was_definitely_refused_does_not_count_as_sent() {
        let gate = BroadcastGate::default();
        assert!(gate.pass(B256::repeat_byte(1)));
        gate.refused();
        assert_eq!(gate.close(), None);
    }
}
