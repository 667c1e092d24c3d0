//! Who may sign now, and who is still at it.

use tokio::sync::watch;

use crate::SignerError;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Admission {
    Stopped,
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct State {
    admission: Admission,
    in_flight: usize,
}

/// Lets signings in while it is open, and knows when the last of them has left. Begins stopped.
#[derive(Debug)]
pub(crate) struct Gate {
    state: watch::Sender<State>,
}

/// Why nobody gets in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shut {
    Stopped,
    Closed,
}

impl From<Shut> for SignerError {
    fn from(shut: Shut) -> Self {
        match shut {
            Shut::Stopped => Self::Stopped,
            Shut::Closed => Self::Closed,
        }
    }
}

/// One signing inside the gate; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a>(&'a Gate);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.in_flight -= 1);
    }
}

impl Gate {
    pub(crate) fn stopped() -> Self {
        Self { state: watch::Sender::new(State { admission: Admission::Stopped, in_flight: 0 }) }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.borrow().admission == Admission::Open
    }

    /// # Errors
    /// Why not.
    pub(crate) fn enter(&self) -> Result<Pass<'_>, Shut> {
        let mut outcome = Ok(());
        self.state.send_modify(|state| match state.admission {
            Admission::Open => state.in_flight += 1,
            Admission::Stopped => outcome = Err(Shut::Stopped),
            Admission::Closed => outcome = Err(Shut::Closed),
        });
        outcome.map(|()| Pass(self))
    }

    /// # Errors
    /// [`Shut::Closed`].
    pub(crate) fn open(&self) -> Result<(), Shut> {
        self.set(Admission::Open)
    }

    /// Lets no one in any more, and waits until all are out (or somebody has opened it again).
    pub(crate) async fn stop(&self) {
        // A closed gate lets no one in either, and is left closed.
        let _ = self.set(Admission::Stopped);
        self.wait(|state| state.in_flight == 0 || state.admission == Admission::Open).await;
    }

    /// Lets no one in ever again, and waits until all are out.
    pub(crate) async fn close(&self) {
        let _ = self.set(Admission::Closed);
        self.wait(|state| state.in_flight == 0).await;
    }

    fn set(&self, admission: Admission) -> Result<(), Shut> {
        let mut outcome = Ok(());
        self.state.send_modify(|state| match state.admission {
            Admission::Closed => outcome = Err(Shut::Closed),
            Admission::Stopped | Admission::Open => state.admission = admission,
        });
        outcome
    }

    async fn wait(&self, done: impl FnMut(&State) -> bool) {
        // An error means that the sender is gone; it is borrowed here, so that cannot be.
        let _ = self.state.subscribe().wait_for(done).await;
    }
}
