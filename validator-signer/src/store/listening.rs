//! A store that only listens yet, for another node that signs with its keys.

use fermata_primitives::Slot;

use super::SlashingProtection;
use super::failure::Failure;
use super::identity::{Identity, Listening};
use super::ledger::Ledger;
use crate::SignerError;

impl SlashingProtection {
    /// Signs nothing before `slot`, for any key. A later slot said before holds.
    ///
    /// # Errors
    /// [`SignerError::NoSpace`], [`SignerError::StoreFailed`], [`SignerError::Closed`]; what was said before holds.
    ///
    /// # Cancel safety
    /// Dropped after its first wait, it is done all the same.
    pub async fn listen_only_until(&self, slot: Slot) -> Result<(), SignerError> {
        self.on_ledger(move |ledger| ledger.listen_only_until(slot)).await
    }

    /// As [`Protection::listen_when_new`](crate::Protection::listen_when_new).
    ///
    /// # Errors
    /// As [`listen_only_until`](Self::listen_only_until).
    ///
    /// # Cancel safety
    /// As [`listen_only_until`](Self::listen_only_until).
    pub async fn listen_when_new(&self, slot: Slot) -> Result<Option<Slot>, SignerError> {
        self.on_ledger(move |ledger| ledger.listen_when_new(slot)).await
    }
}

impl Ledger {
    fn listen_only_until(&mut self, slot: Slot) -> Result<(), Failure> {
        self.listen(slot, |is_owed| is_owed)
    }

    fn listen_when_new(&mut self, slot: Slot) -> Result<Option<Slot>, Failure> {
        let txn = self.store.env.read_txn()?;
        let listening = Identity(self.store.identity).listening(&txn)?.map_err(Failure::damage)?;
        drop(txn);
        if listening.is_owed {
            self.listen(slot, |_| false)?;
        }
        Ok(*self.listen_only_until.borrow())
    }

    /// Listens until `slot` or, where that is later, until the slot that was said before; what is owed afterwards follows
    /// from what was.
    fn listen(&mut self, slot: Slot, owed: impl FnOnce(bool) -> bool) -> Result<(), Failure> {
        let identity = Identity(self.store.identity);
        let mut txn = self.begin()?;
        let Listening { until, is_owed } = identity.listening(&txn)?.map_err(Failure::damage)?;
        let until = until.max(Some(slot));
        identity.put_listening(&mut txn, Listening { until, is_owed: owed(is_owed) })?;
        self.commit(txn)?;
        self.listen_only_until.send_replace(until);
        Ok(())
    }
}
