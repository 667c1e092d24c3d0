//! A way between a node and its L1 on which things go wrong.
//!
//! An [`L1Proxy`] stands before an L1 endpoint, speaks HTTP and WebSocket on one port, and understands the JSON-RPC that comes by.
//! A [`Rule`] says which calls meet which [`Fault`], and how often.
//!
//! With [`L1ProxyOptions::mempool`] it also judges what is broadcast as the pool of a real client would.

mod door;
mod effect;
mod fault;
mod http;
mod json_rpc;
mod log;
mod pause;
mod reply;
mod rule;
mod rule_book;
mod screen;
mod socket;
mod upstream;
mod way;
mod web_socket;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::fault::{CutAt, Fault, Rewrite};
pub use self::json_rpc::Call;
pub use self::log::{Fate, LoggedCall};
pub use self::rule::{BROADCAST, HANDSHAKE, Rule, Stage};

use self::door::{Door, Doorkeeper};
use self::screen::Screen;
use self::upstream::Upstream;
use self::way::Way;
use crate::PoolRules;

/// How a proxy is to be.
#[derive(Clone, Debug, Default)]
pub struct L1ProxyOptions {
    /// What chances and jitters are drawn from: the same seed, rules and calls are the same faults.
    pub seed: u64,
    /// By whose rules broadcasts are judged before they reach L1; without, L1 judges alone. L1 must answer batches.
    pub mempool: Option<PoolRules>,
}

/// A proxy in front of an L1 endpoint.
///
/// Dropped, it closes every connection and frees its port soon; [`L1Proxy::close`] says when that is done.
///
/// A [`Rule`] says which calls meet which [`Fault`], and how often:
///
/// ```no_run
/// # async fn story(url: &str) -> anyhow::Result<()> {
/// use std::time::Duration;
/// use fermata_e2e::{BROADCAST, CutAt, Fault, L1Proxy, Rule, Stage};
///
/// let l1 = L1Proxy::start(url).await?;
/// // The next two broadcasts reach L1, and nobody hears of it.
/// l1.set([Rule::on(BROADCAST, Fault::Hang(CutAt::Answer(0))).next(2)]);
/// l1.wait_for(BROADCAST, 2).await?;
/// // One after the other, each for some calls; then all goes through again.
/// let busy = Fault::RateLimit { retry_after: Duration::from_secs(1) };
/// l1.play([Stage::of([Rule::all(Fault::Garbage)]).for_calls(5), Stage::of([Rule::all(busy)]).for_calls(5)]);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct L1Proxy {
    url: String,
    way: Arc<Way>,
    door: watch::Receiver<Door>,
    tasks: TaskTracker,
    _ended: DropGuard,
}

impl L1Proxy {
    /// A proxy in front of the endpoint at `url`, through which everything goes at first.
    ///
    /// # Errors
    /// No port is free, or the URL is none.
    pub async fn start(url: &str) -> Result<Self> {
        Self::start_with(url, L1ProxyOptions::default()).await
    }

    /// As [`L1Proxy::start`], with options.
    ///
    /// # Errors
    /// As [`L1Proxy::start`].
    pub async fn start_with(url: &str, options: L1ProxyOptions) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the proxy needs a free port")?;
        let here = format!("http://{}", listener.local_addr()?);
        let way = Arc::new(Way::new(Upstream::new(url)?, options.seed, options.mempool.map(Screen::new)));
        let (is, tasks, ended) = (watch::Sender::new(Door::Open), TaskTracker::new(), CancellationToken::new());
        let door = is.subscribe();
        let keeper =
            Doorkeeper { wanted: way.door(), is, way: Arc::clone(&way), tasks: tasks.clone(), ended: ended.clone() };
        tasks.spawn(ended.clone().run_until_cancelled_owned(keeper.keep(listener)));
        Ok(Self { url: here, way, door, tasks, _ended: ended.drop_guard() })
    }

    /// What a node is given as its L1, for HTTP.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a node is given as its L1, for WebSocket.
    #[must_use]
    pub fn ws_url(&self) -> String {
        self.url.replacen("http", "ws", 1)
    }

    /// These rules are in force from now on, also for the connections there are, and no others; a script ends. The first rule
    /// that is about a call and fires decides.
    ///
    /// What hangs stays so. Only [`Fault::Refuse`] and its end take a moment: see [`L1Proxy::port_follows`].
    pub fn set(&self, rules: impl IntoIterator<Item = Rule>) {
        let rules = rules.into_iter().collect();
        self.way.with_book(|book| book.set(rules));
    }

    /// All goes through from now on.
    pub fn clear(&self) {
        self.set([]);
    }

    /// This script begins now: stage after stage; after the last all goes through.
    pub fn play(&self, script: impl IntoIterator<Item = Stage>) {
        let script = script.into_iter().collect();
        self.way.with_book(|book| book.play(script));
    }

    /// The script's next stage begins now; the end, after the last.
    pub fn next_stage(&self) {
        self.way.with_book(|book| book.next_stage());
    }

    /// Waits until as many stages of the script have begun, the end after the last included.
    ///
    /// # Errors
    /// They have not within a minute.
    pub async fn wait_for_stage(&self, nth: usize) -> Result<()> {
        let mut stages = self.way.stages();
        let waiting = tokio::time::timeout(log::PATIENCE, stages.wait_for(|begun| *begun >= nth));
        waiting.await.with_context(|| format!("stage {nth} has not begun: {}", self.way.log.last_words()))??;
        Ok(())
    }

    /// Waits until the port is closed, or open, as the rules in force want it.
    ///
    /// # Errors
    /// It does not within a minute, or somebody else has taken it.
    pub async fn port_follows(&self) -> Result<()> {
        let (mut is, wanted) = (self.door.clone(), self.way.door());
        let waiting = tokio::time::timeout(log::PATIENCE, is.wait_for(|door| *door == *wanted.borrow()));
        waiting.await.context("the port does not follow the rules")?.context("the port is gone")?;
        Ok(())
    }

    /// How many calls have come by: each of a batch counts, and each notification of a WebSocket.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.way.log.count(|_| true) as u64
    }

    /// How many calls of this method have come by.
    #[must_use]
    pub fn seen(&self, method: &str) -> usize {
        self.way.log.count(|call| call.method == method)
    }

    /// All calls that have come by, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<LoggedCall> {
        self.way.log.calls()
    }

    /// When transactions were broadcast, on the monotonic clock of [`SystemClock`](fermata_primitives::SystemClock), in order.
    #[must_use]
    pub fn broadcasts(&self) -> Vec<Duration> {
        self.calls().into_iter().filter(|call| call.method == BROADCAST).map(|call| call.at).collect()
    }

    /// What the strict mempool has rejected, in its words, in order.
    #[must_use]
    pub fn rejections(&self) -> Vec<String> {
        let rejection = |call: LoggedCall| if let Fate::Rejected(message) = call.fate { Some(message) } else { None };
        self.calls().into_iter().filter_map(rejection).collect()
    }

    /// Waits until as many calls of this method have come by since the proxy began: [`L1Proxy::seen`] and some more.
    ///
    /// # Errors
    /// They have not within a minute; the error tells what came instead.
    pub async fn wait_for(&self, method: &str, many: usize) -> Result<()> {
        self.wait_until(method, many, |call| call.method == method).await
    }

    /// Waits until `wanted` takes as many of the calls since the proxy began; `what` is for the error.
    ///
    /// # Errors
    /// As [`L1Proxy::wait_for`].
    pub async fn wait_until(&self, what: &str, many: usize, wanted: impl Fn(&LoggedCall) -> bool) -> Result<()> {
        self.way.log.wait(what, many, wanted).await
    }

    /// Closes every connection and the port; both are gone when this returns.
    pub async fn close(self) {
        let Self { tasks, _ended: ended, .. } = self;
        drop(ended);
        tasks.close();
        tasks.wait().await;
    }
}
