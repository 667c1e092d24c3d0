//! Who may sign now, and who is still at it.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::SignerError;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Admission {
    Stopped,
    Open,
    Closed,
}

#[derive(Clone, Debug)]
struct State {
    admission: Admission,
    in_flight: usize,
    /// Ends the waiting for keys of those who are inside. Once cancelled, the next to open the gate makes a fresh one.
    cut: CancellationToken,
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
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    cut: CancellationToken,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.state.send_modify(|state| state.in_flight -= 1);
    }
}

impl Pass<'_> {
    /// Ends the waiting for keys of all who came in with this one.
    pub(crate) const fn token(&self) -> &CancellationToken {
        &self.cut
    }

    /// # Errors
    /// Which of the two has lost its patience, a stop or a close.
    pub(crate) fn cut(&self) -> Result<(), Shut> {
        if self.cut.is_cancelled() { Err(self.shut()) } else { Ok(()) }
    }

    fn shut(&self) -> Shut {
        match self.gate.state.borrow().admission {
            Admission::Closed => Shut::Closed,
            Admission::Stopped | Admission::Open => Shut::Stopped,
        }
    }

    /// What `work` gives, unless a stop or a close has lost its patience first; then `work` is dropped.
    ///
    /// # Errors
    /// Which of the two it was.
    pub(crate) async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Result<T, Shut> {
        let done = self.cut.run_until_cancelled(work).await;
        done.ok_or_else(|| self.shut())
    }
}

impl Gate {
    pub(crate) fn stopped() -> Self {
        let cut = CancellationToken::new();
        Self { state: watch::Sender::new(State { admission: Admission::Stopped, in_flight: 0, cut }) }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.borrow().admission == Admission::Open
    }

    /// # Errors
    /// Why not.
    pub(crate) fn enter(&self) -> Result<Pass<'_>, Shut> {
        let mut outcome = Err(Shut::Stopped);
        self.state.send_modify(|state| match state.admission {
            Admission::Open => {
                state.in_flight += 1;
                outcome = Ok(state.cut.clone());
            }
            Admission::Stopped => {}
            Admission::Closed => outcome = Err(Shut::Closed),
        });
        outcome.map(|cut| Pass { gate: self, cut })
    }

    /// # Errors
    /// [`Shut::Closed`].
    pub(crate) fn open(&self) -> Result<(), Shut> {
        self.set(Admission::Open)
    }

    /// Lets no one in any more, and waits until all are out (or somebody has opened it again). Whoever still waits for a
    /// key after `patience` is cut.
    pub(crate) async fn stop(&self, patience: Duration) {
        // A closed gate lets no one in either, and is left closed.
        let _ = self.set(Admission::Stopped);
        self.empty(patience, |state| state.in_flight == 0 || state.admission == Admission::Open).await;
    }

    /// Lets no one in ever again, and waits until all are out. Whoever still waits for a key after `patience` is cut.
    pub(crate) async fn close(&self, patience: Duration) {
        let _ = self.set(Admission::Closed);
        self.empty(patience, |state| state.in_flight == 0).await;
    }

    fn set(&self, admission: Admission) -> Result<(), Shut> {
        let mut outcome = Ok(());
        self.state.send_modify(|state| match state.admission {
            Admission::Closed => outcome = Err(Shut::Closed),
            Admission::Stopped | Admission::Open => {
                state.admission = admission;
                if admission == Admission::Open && state.cut.is_cancelled() {
                    state.cut = CancellationToken::new();
                }
            }
        });
        outcome
    }

    /// A span of the machine's time: whether a key hangs has nothing to do with slots.
    async fn empty(&self, patience: Duration, done: impl Fn(&State) -> bool) {
        let cut = self.state.borrow().cut.clone();
        let mut state = self.state.subscribe();
        if done(&state.borrow()) {
            return;
        }
        if tokio::time::timeout(patience, state.wait_for(done)).await.is_err() {
            // Nobody is waited for after this: a signing that its caller does not poll may never leave.
            cut.cancel();
        }
    }
}
