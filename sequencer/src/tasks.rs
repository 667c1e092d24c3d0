//! Where the tasks of the engine and its runs are spawned, and counted.
//!
//! They run on tokio. A test may have every interleaving of them chosen by a scheduler of its own instead.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// The tasks of one owner. Clones count the same tasks.
#[derive(Clone, Debug, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    /// Runs `future` to its end, or until it is aborted.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        #[cfg(test)]
        if explored::is_on() {
            let task = crate::inside::outside_run(|| shuttle::future::spawn(self.0.track_future(future)));
            return Task(Handle::Explored(task));
        }
        Task(Handle::Tokio(self.0.spawn(future)))
    }

    /// How many are alive.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is alive.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Resolves once none is alive, also none that was spawned meanwhile.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn settle(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

/// A task. Dropped, it runs on: its owner counts it. Awaited, it gives what it returned, or `None` where it panicked or was
/// aborted.
#[derive(Debug)]
pub struct Task<T>(Handle<T>);

#[derive(Debug)]
enum Handle<T> {
    Tokio(JoinHandle<T>),
    #[cfg(test)]
    Explored(shuttle::future::JoinHandle<T>),
}

impl<T> Task<T> {
    /// Ends it at its next wait.
    pub fn abort(&self) {
        match &self.0 {
            Handle::Tokio(task) => task.abort(),
            #[cfg(test)]
            Handle::Explored(task) => task.abort(),
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Handle::Tokio(task) => task.is_finished(),
            #[cfg(test)]
            Handle::Explored(task) => task.is_finished(),
        }
    }
}

impl<T> Future for Task<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        match &mut self.0 {
            Handle::Tokio(task) => Pin::new(task).poll(context).map(Result::ok),
            #[cfg(test)]
            Handle::Explored(task) => Pin::new(task).poll(context).map(Result::ok),
        }
    }
}

/// A scheduler that chooses at random which task goes on at each wait.
#[cfg(test)]
pub(crate) mod explored {
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn is_on() -> bool {
        ON.get()
    }

    /// Runs `scenario` under `schedules` interleavings, half of them quite random, half with few and well-aimed switches.
    pub(crate) fn explore<F>(schedules: usize, scenario: fn() -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let run = move || {
            ON.set(true);
            shuttle::future::block_on(scenario());
            ON.set(false);
        };
        shuttle::check_random(run, schedules / 2);
        shuttle::check_pct(run, schedules / 2, 3);
    }
}
