//! An anvil that is lent to one test.

use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy::providers::DynProvider;

use super::{AnvilPool, WarmAnvil};
use crate::door::{Door, DoorHandle, Shut};
use crate::{AnvilConfig, AnvilError, Result, connect};

/// An anvil lent by an [`AnvilPool`]. Dropped, nobody reaches it by this lease's address any more, and it goes back.
#[derive(Debug)]
pub struct LeasedAnvil {
    pub(super) pool: AnvilPool,
    /// Taken when the lease ends.
    held: Mutex<Option<Held>>,
    url: String,
    staff_url: String,
    door: DoorHandle,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) warm: WarmAnvil,
    /// For everybody, and for the owner of the clock, who goes in and out also while the first is shut.
    pub(super) doors: [Door; 2],
    /// While it is frozen: it takes a moment to, and answers nobody from the first.
    pub(super) frozen: Option<Shut>,
}

impl LeasedAnvil {
    pub(super) async fn open(pool: AnvilPool, warm: WarmAnvil) -> Result<Self> {
        let open = || async { Door::open(warm.address()).await.map_err(AnvilError::process("open a port to anvil")) };
        let doors = [open().await?, open().await?];
        let [url, staff_url] = [&doors[0], &doors[1]].map(|door| format!("http://{}", door.address()));
        let door = doors[0].handle();
        Ok(Self { pool, held: Mutex::new(Some(Held { warm, doors, frozen: None })), url, staff_url, door })
    }

    /// Where it is reached, for as long as this lease lasts; also after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// A provider for it.
    ///
    /// # Errors
    /// None that one should meet: the address is its own.
    pub fn provider(&self) -> Result<DynProvider> {
        connect(&self.url)
    }

    /// A provider for the owner of its clock, which works also while nobody else is let in.
    pub(crate) fn staff_provider(&self) -> Result<DynProvider> {
        connect(&self.staff_url)
    }

    /// To keep everybody else out for a moment.
    pub(crate) fn door(&self) -> DoorHandle {
        self.door.clone()
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.held().as_ref().and_then(|held| held.warm.anvil().pid())
    }

    /// Stops the process where it stands: the cheapest form of "the L1 does not answer".
    ///
    /// # Errors
    /// [`AnvilError::Process`] when it has ended.
    pub fn freeze(&self) -> Result<()> {
        let barred = self.door.bar();
        self.with(|held| {
            held.warm.anvil_mut().freeze()?;
            held.frozen = Some(barred);
            Ok(())
        })
    }

    /// Lets a frozen process go on.
    ///
    /// # Errors
    /// [`AnvilError::Process`] when it has ended.
    pub fn thaw(&self) -> Result<()> {
        self.with(|held| {
            held.frozen = None;
            held.warm.anvil_mut().thaw()
        })
    }

    /// An error that tells how it ended, if it has.
    ///
    /// # Errors
    /// [`AnvilError::Ended`], with its last words.
    pub fn alive(&self) -> Result<()> {
        self.with(|held| held.warm.anvil_mut().obituary().map_or(Ok(()), Err))
    }

    pub(super) fn config(&self) -> AnvilConfig {
        self.with(|held| held.warm.config().clone())
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        act(self.held().as_mut().expect("it is taken only when the lease is dropped"))
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LeasedAnvil {
    fn drop(&mut self) {
        let held = self.held().take();
        if let Some(Held { warm, doors, .. }) = held {
            self.pool.take_back(warm, doors);
        }
    }
}
