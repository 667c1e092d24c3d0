//! Warm anvils for tests: one serves one test at a time, and the next when it is as new.
//!
//! Anvil listens after a few hundredths of a second, and takes seconds of a core for its first blob. So an anvil that has
//! served is reset and kept. It is reached through a [`Door`] that is its lease's alone: what a test left running cannot
//! disturb the next one. The anvils, their pipes and their doors live on a runtime of the pool's own, since each test's
//! runtime ends with it; the anvils end with the process, like every [`Anvil`].

mod lease;
mod restart;
mod warm;

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use fermata_primitives::{SharedClock, SystemClock};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

pub use self::lease::LeasedAnvil;
pub use self::restart::RestartL1;
use self::warm::WarmAnvil;
use crate::{AnvilConfig, Result};

/// The warm anvils of a process; clones share them.
#[derive(Clone, Debug)]
pub struct AnvilPool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    runtime: Handle,
    tasks: TaskTracker,
    idle: Mutex<Vec<WarmAnvil>>,
    /// How many are being made as new.
    returning: watch::Sender<usize>,
    /// As many as there are tests at a time.
    keep: usize,
}

impl AnvilPool {
    /// The pool of this process. It keeps as many idle anvils as the test harness runs tests at a time.
    #[must_use]
    pub fn of_this_process() -> &'static Self {
        static POOL: OnceLock<AnvilPool> = OnceLock::new();
        POOL.get_or_init(|| Self::new(tests_at_a_time()))
    }

    /// A pool that keeps at most so many idle anvils.
    fn new(keep: usize) -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime needs only a few files");
            tell.send(runtime.handle().clone()).expect("the pool waits for its runtime");
            runtime.block_on(std::future::pending::<()>());
        };
        std::thread::Builder::new().name("anvils".to_owned()).spawn(run).expect("the system grants a thread");
        let runtime = told.recv().expect("the runtime was built");
        let shared = Shared {
            runtime,
            tasks: TaskTracker::new(),
            idle: Mutex::default(),
            returning: watch::Sender::new(0),
            keep,
        };
        Self { shared: Arc::new(shared) }
    }

    /// An anvil for the caller alone, warm, with nothing on its chain: an idle one that was started like this, else a
    /// new one, which takes some seconds. When the lease is dropped, the anvil is reset and kept for the next.
    ///
    /// # Errors
    /// Those of [`crate::Anvil::start`].
    ///
    /// # Cancel safety
    /// Dropped early, an anvil that was being started is thrown away.
    pub async fn lease(&self, config: &AnvilConfig) -> Result<LeasedAnvil> {
        let (pool, warm) = (self.clone(), self.warm(config).await?);
        self.run(LeasedAnvil::open(pool, warm)).await
    }

    /// An idle anvil, else a new one.
    async fn warm(&self, config: &AnvilConfig) -> Result<WarmAnvil> {
        match self.next_idle(config).await {
            Some(warm) => Ok(warm),
            None => self.run(WarmAnvil::start(config.clone(), clock())).await,
        }
    }

    /// Runs on the pool's runtime, so that what it makes outlives the caller's.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let task = self.shared.tasks.spawn_on(work, &self.shared.runtime);
        task.await.expect("the pool's runtime never ends and its work does not panic")
    }

    /// An idle anvil; waits for those that are being made as new, which is quicker than starting one.
    async fn next_idle(&self, config: &AnvilConfig) -> Option<WarmAnvil> {
        let mut returning = self.shared.returning.subscribe();
        loop {
            let under_way = *returning.borrow_and_update();
            let idle = self.take_idle(config);
            if idle.is_some() || under_way == 0 || returning.changed().await.is_err() {
                return idle;
            }
        }
    }

    fn take_idle(&self, config: &AnvilConfig) -> Option<WarmAnvil> {
        let mut idle = self.idle();
        let fitting = idle.iter().position(|warm| warm.is_of(config))?;
        Some(idle.swap_remove(fitting))
    }

    /// Makes an anvil as new, once nobody can reach it any more, and keeps it. One that cannot be is thrown away, and where
    /// there is one too many, the one that was idle for longest.
    fn take_back(&self, mut warm: WarmAnvil, doors: [crate::door::Door; 2]) {
        let pool = self.clone();
        let returning = Returning::of(self.shared.clone());
        self.shared.tasks.spawn_on(
            async move {
                warm.thaw();
                for door in doors {
                    door.close().await;
                }
                match warm.reset().await {
                    Ok(()) => pool.keep(warm),
                    Err(error) => tracing::debug!(%error, "an anvil cannot serve again and is thrown away"),
                }
                drop(returning);
            },
            &self.shared.runtime,
        );
    }

    fn keep(&self, warm: WarmAnvil) {
        let mut idle = self.idle();
        if idle.len() == self.shared.keep {
            // The one that was idle for longest: another kind of anvil is asked for now.
            idle.remove(0);
        }
        idle.push(warm);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<WarmAnvil>> {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is being made as new, and is told to be no more however that ends.
struct Returning {
    shared: Arc<Shared>,
}

impl Returning {
    fn of(shared: Arc<Shared>) -> Self {
        shared.returning.send_modify(|returning| *returning += 1);
        Self { shared }
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        self.shared.returning.send_modify(|returning| *returning -= 1);
    }
}

/// The clock by which anvils start and end: the machine's, since a process is waited for.
fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

/// How many tests the harness runs at a time, as far as its environment says.
fn tests_at_a_time() -> usize {
    let told = std::env::var("RUST_TEST_THREADS").ok().and_then(|threads| threads.parse().ok());
    told.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1).max(1)
}
