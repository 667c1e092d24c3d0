//! The engine's own thread: it executes and writes, one thing after the other, off the async runtime.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::engine::Engine;
use super::reader::ChainReader;
use crate::{ExecutionError, Result};

type Work = Box<dyn FnOnce(&Engine) + Send>;

/// Work that panics ends alone: who asked for it hears that it was not done, and its write, if it had begun one, is undone.
fn contained(work: Work, engine: &Engine) {
    if std::panic::catch_unwind(AssertUnwindSafe(|| work(engine))).is_err() {
        tracing::error!("execution panicked; the engine goes on with what is asked next");
    }
}

/// A handle to the thread. When it is dropped the thread ends after the work it is busy with; nobody waits for it.
#[derive(Debug)]
pub(super) struct Worker {
    /// `None` once closed.
    work: Mutex<Option<mpsc::Sender<Work>>>,
}

impl Worker {
    /// Starts the thread; `open` runs on it, because it waits for the disk.
    pub(super) async fn start(open: impl FnOnce() -> Result<Engine> + Send + 'static) -> Result<(Self, ChainReader)> {
        let (work, queue) = mpsc::channel::<Work>();
        let (opened, is_open) = oneshot::channel();
        let body = move || match open() {
            Ok(engine) => {
                // Whoever asked may be gone; then the queue is closed as well and the loop ends at once.
                let _ = opened.send(Ok(engine.reader().clone()));
                queue.iter().for_each(|work| contained(work, &engine));
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        };
        let named = thread::Builder::new().name("execution".to_owned());
        named.spawn(body).map_err(|source| ExecutionError::Thread { source })?;
        let reader = is_open.await.map_err(|_| ExecutionError::WorkerGone)??;
        Ok((Self { work: Mutex::new(Some(work)) }, reader))
    }

    /// Queues `work` at once and resolves with its result. Dropping the future does not take the work back.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let (answer, answered) = oneshot::channel();
        let queued = self.queue(Box::new(move |engine| {
            // Nobody waits any more: the work was done all the same.
            let _ = answer.send(work(engine));
        }));
        async move {
            queued?;
            answered.await.map_err(|_| ExecutionError::WorkerGone)?
        }
        .boxed()
    }

    /// Errs once closed.
    pub(super) fn check_open(&self) -> Result<()> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if work.is_some() { Ok(()) } else { Err(ExecutionError::Closed) }
    }

    /// Lets queued work end, then closes the store. Nothing is queued after it.
    pub(super) fn close(&self) -> impl Future<Output = Result<()>> + use<> {
        let (answer, answered) = oneshot::channel();
        let last = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let queued = last.map(|work| {
            work.send(Box::new(move |engine| {
                engine.close();
                let _ = answer.send(());
            }))
        });
        async move {
            match queued {
                None => Ok(()),
                Some(Err(_)) => Err(ExecutionError::WorkerGone),
                Some(Ok(())) => answered.await.map_err(|_| ExecutionError::WorkerGone),
            }
        }
    }

    fn queue(&self, work: Work) -> Result<()> {
        let open = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.as_ref().ok_or(ExecutionError::Closed)?;
        open.send(work).map_err(|_| ExecutionError::WorkerGone)
    }
}
