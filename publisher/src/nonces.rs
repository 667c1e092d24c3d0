//! The nonces of one account.

use std::collections::BTreeSet;

/// Which nonces of one account are leased, and which comes next.
/// Our ledger is the source; what the chain says only raises it, because a lagging node may say too little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonceLedger {
    next: u64,
    leased: BTreeSet<u64>,
}

/// A nonce in the middle cannot be freed: it would leave a hole below a live one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("nonce {nonce} cannot be freed: {next} comes next, so it is not the last one leased; cancel it instead")]
pub struct NotTheTail {
    /// The nonce.
    pub nonce: u64,
    /// The nonce that comes next.
    pub next: u64,
}

impl NonceLedger {
    /// A ledger at start: the highest of what the chain says and what was stored comes next.
    #[must_use]
    pub fn at_start(chain: u64, stored: u64) -> Self {
        Self { next: chain.max(stored), leased: BTreeSet::new() }
    }

    /// The nonce that comes next.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Takes the next nonce.
    pub fn lease(&mut self) -> u64 {
        let nonce = self.next;
        self.leased.insert(nonce);
        self.next += 1;
        nonce
    }

    /// Marks a nonce of an unsettled record as leased.
    pub fn resume(&mut self, nonce: u64) {
        self.leased.insert(nonce);
        self.next = self.next.max(nonce + 1);
    }

    /// Gives back a nonce whose transaction was definitely rejected.
    ///
    /// # Errors
    /// [`NotTheTail`] when a later one is leased; the nonce stays leased.
    pub fn free(&mut self, nonce: u64) -> Result<(), NotTheTail> {
        if nonce + 1 != self.next || !self.leased.remove(&nonce) {
            return Err(NotTheTail { nonce, next: self.next });
        }
        self.next = nonce;
        Ok(())
    }

    /// A nonce was used on L1.
    pub fn settle(&mut self, nonce: u64) {
        self.leased.remove(&nonce);
        self.next = self.next.max(nonce + 1);
    }

    /// The chain counts this many transactions: no nonce below comes next any more.
    pub fn raise_floor(&mut self, chain: u64) {
        self.next = self.next.max(chain);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn at_start_the_highest_of_chain_and_store_comes_next() {
        assert_eq!(NonceLedger::at_start(7, 5).lease(), 7);
        assert_eq!(NonceLedger::at_start(5, 7).lease(), 7);
    }

    #[test]
    fn a_freed_nonce_is_used_again_and_a_settled_one_is_not() {
        let mut ledger = NonceLedger::at_start(3, 0);
        let nonce = ledger.lease();
        ledger.free(nonce).unwrap();
        assert_eq!(ledger.lease(), 3);
        ledger.settle(3);
        assert_eq!(ledger.lease(), 4);
    }

    #[test]
    fn a_nonce_below_a_leased_one_is_not_freed() {
        let mut ledger = NonceLedger::at_start(0, 0);
        let (first, second) = (ledger.lease(), ledger.lease());
        assert_eq!(ledger.free(first), Err(NotTheTail { nonce: 0, next: 2 }));
        ledger.free(second).unwrap();
        ledger.free(first).unwrap();
    }

    #[test]
    fn a_nonce_that_was_never_leased_is_not_freed() {
        let mut ledger = NonceLedger::at_start(4, 0);
        assert!(ledger.free(3).is_err());
        assert_eq!(ledger.next(), 4);
    }

    #[test]
    fn a_lagging_chain_never_lowers_the_ledger() {
        let mut ledger = NonceLedger::at_start(9, 0);
        ledger.raise_floor(4);
        assert_eq!(ledger.next(), 9);
        ledger.raise_floor(11);
        assert_eq!(ledger.next(), 11);
    }

    proptest! {
        #[test]
        fn a_nonce_that_is_leased_or_settled_is_never_leased_again(steps in prop::collection::vec(0u8..4, 1..200)) {
            let mut ledger = NonceLedger::at_start(0, 0);
            let mut held: Vec<u64> = Vec::new();
            let mut spent = BTreeSet::new();
            for step in steps {
                match step {
                    0 | 1 => {
                        let nonce = ledger.lease();
                        prop_assert!(!held.contains(&nonce) && !spent.contains(&nonce));
                        held.push(nonce);
                    }
                    2 => if let Some(&nonce) = held.last() && ledger.free(nonce).is_ok() { held.pop(); },
                    _ => if !held.is_empty() { let nonce = held.remove(0); ledger.settle(nonce); spent.insert(nonce); },
                }
            }
        }
    }
}
