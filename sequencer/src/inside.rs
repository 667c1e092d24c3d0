//! Knows whether the caller runs inside a run.
//!
//! A verb that is called from inside a tick, a tracked request or an event handler of the run must not wait for the
//! drain: the drain waits for the caller. Such a verb is accepted and answered at once.

use std::future::Future;

tokio::task_local! {
    static INSIDE: bool;
}

/// Marks all that `future` does as done inside a run.
pub(crate) fn inside_run<F: Future>(future: F) -> impl Future<Output = F::Output> {
    INSIDE.scope(true, future)
}

/// Whether the current task is part of a run.
pub(crate) fn is_inside_run() -> bool {
    INSIDE.try_with(|inside| *inside).unwrap_or(false)
}

/// Does `work`, during which a test's scheduler may go on with another task, as outside.
#[cfg(test)]
pub(crate) fn outside_run<T>(work: impl FnOnce() -> T) -> T {
    INSIDE.sync_scope(false, work)
}
