//! A backend that has come back gets what it lacks.

use alloy::primitives::B256;

use crate::desk::Desk;
use crate::desk::sending::Sending;
use crate::l1::Reach;
use crate::machine::tx::Tx;

impl Desk {
    /// Hands each backend what it lacks of the transactions in flight, the oldest nonce first. What comes of it tells of the
    /// backend, and changes nothing of a transaction that another has.
    pub(super) fn catch_up(&self) {
        let carried = self.carried();
        let hashes: Vec<B256> = carried.iter().filter_map(|tx| last_hash(tx)).collect();
        for (place, lacking) in self.core.l1.behind(&hashes) {
            let lacks = |tx: &&&Tx| last_hash(tx).is_some_and(|hash| lacking.contains(&hash));
            let missing: Vec<Sending> =
                carried.iter().filter(lacks).filter_map(|tx| self.sending_of(tx, Reach::Only(place))).collect();
            self.spawn_silent(async move {
                for sending in missing {
                    sending.repeat().await;
                }
            });
        }
    }

    /// What is in flight and was answered for, by account and nonce.
    fn carried(&self) -> Vec<&Tx> {
        let txs = self.machine.txs.values();
        let mut carried: Vec<_> = txs.filter(|tx| !tx.state().is_settled() && tx.seen.in_pool).collect();
        carried.retain(|tx| tx.seen.sending.is_none());
        carried.sort_by_key(|tx| (tx.stored.intent.account, tx.stored.intent.nonce));
        carried
    }

    /// The last attempt, to be handed over once more.
    fn sending_of(&self, tx: &Tx, reach: Reach) -> Option<Sending> {
        let number = tx.stored.attempts.len().checked_sub(1)?;
        Some(Sending { reach, is_first: false, ..self.sending(tx, number)? })
    }
}

fn last_hash(tx: &Tx) -> Option<B256> {
    tx.stored.attempts.last().map(|attempt| attempt.hash)
}
