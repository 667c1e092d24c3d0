//! A way between a node and its L1 that can fall silent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use fermata_primitives::{Clock as _, SystemClock};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// What becomes of what comes by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Traffic {
    /// It goes through.
    Passes,
    /// It is taken and never answered, as by an endpoint that hangs; connections are accepted all the same.
    Vanishes,
    /// All goes through but transactions that are broadcast: those vanish, with what comes after them on their connection.
    WithoutBroadcasts,
}

/// A TCP proxy in front of an L1 endpoint that counts the requests. Dropped, it closes every connection.
#[derive(Debug)]
pub struct L1Proxy {
    url: String,
    traffic: watch::Sender<Traffic>,
    seen: Arc<Seen>,
    _ended: DropGuard,
}

/// What has come by.
#[derive(Debug, Default)]
struct Seen {
    requests: AtomicU64,
    broadcasts: Mutex<Vec<Duration>>,
}

impl Seen {
    /// Requests are small: each begins a segment, and names its method near its beginning.
    ///
    /// Says how many transactions are broadcast with these.
    fn look(&self, bytes: &[u8]) -> usize {
        let count = |word: &[u8]| bytes.windows(word.len()).filter(|window| *window == word).count();
        let broadcasts = count(b"eth_sendRawTransaction");
        self.requests.fetch_add(count(b"POST ") as u64, Ordering::SeqCst);
        self.broadcasts().extend(std::iter::repeat_n(SystemClock.monotonic(), broadcasts));
        broadcasts
    }

    fn broadcasts(&self) -> MutexGuard<'_, Vec<Duration>> {
        self.broadcasts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a connection needs to know.
#[derive(Clone)]
struct Way {
    there: String,
    traffic: watch::Receiver<Traffic>,
    seen: Arc<Seen>,
}

impl L1Proxy {
    /// A proxy in front of the endpoint at `url`, through which everything goes at first.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(url: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let here = format!("http://{}", listener.local_addr()?);
        let (traffic, ended) = (watch::Sender::new(Traffic::Passes), CancellationToken::new());
        let seen = Arc::<Seen>::default();
        let there = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let way = Way { there, traffic: traffic.subscribe(), seen: Arc::clone(&seen) };
        TaskTracker::new().spawn(ended.clone().run_until_cancelled_owned(accept(listener, way, ended.clone())));
        Ok(Self { url: here, traffic, seen, _ended: ended.drop_guard() })
    }

    /// What a node is given as its L1.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, also for the connections there are. One that has lost something stays silent.
    pub fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }

    /// How many requests have come by.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// When transactions were broadcast, on the monotonic clock of [`SystemClock`], in order.
    #[must_use]
    pub fn broadcasts(&self) -> Vec<Duration> {
        self.seen.broadcasts().clone()
    }
}

async fn accept(listener: TcpListener, way: Way, ended: CancellationToken) {
    let connections = TaskTracker::new();
    while let Ok((client, _)) = listener.accept().await {
        let way = way.clone();
        // A connection that breaks is its two ends' affair.
        connections.spawn(ended.clone().run_until_cancelled_owned(async move { drop(way.connect(client).await) }));
    }
}

impl Way {
    async fn connect(self, mut client: TcpStream) -> Result<()> {
        let mut server = TcpStream::connect(&self.there).await?;
        let ((client_in, client_out), (server_in, server_out)) = (client.split(), server.split());
        tokio::try_join!(
            self.carry(client_in, server_out, |bytes| self.seen.look(bytes)),
            self.carry(server_in, client_out, |_| 0),
        )?;
        Ok(())
    }

    async fn carry(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        look: impl Fn(&[u8]) -> usize,
    ) -> Result<()> {
        let mut bytes = vec![0; 1 << 16];
        let mut is_silent = false;
        loop {
            let read = from.read(&mut bytes).await?;
            if read == 0 {
                bail!("one end is gone");
            }
            let broadcasts = look(&bytes[..read]);
            is_silent |= match *self.traffic.borrow() {
                Traffic::Passes => false,
                Traffic::Vanishes => true,
                Traffic::WithoutBroadcasts => broadcasts > 0,
            };
            if !is_silent {
                to.write_all(&bytes[..read]).await?;
            }
        }
    }
}
