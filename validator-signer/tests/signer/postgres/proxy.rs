//! A way to the server that is cut where a test wants it cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// The message that commits, as it goes over the wire: a simple query, its length, its text.
const COMMIT: &[u8] = b"Q\x00\x00\x00\x0bCOMMIT\x00";
/// What the server says when it has: a completed command, its length, its tag.
const COMMITTED: &[u8] = b"C\x00\x00\x00\x0bCOMMIT\x00";

/// Where connections are cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// Before the server hears of the commit.
    BeforeCommit,
    /// After the server has committed, and before anybody hears of it.
    AfterCommit,
}

#[derive(Default)]
struct State {
    before_commit: AtomicU32,
    after_commit: AtomicU32,
    shut: AtomicBool,
    /// Commits that the server confirmed, heard of or not.
    committed: AtomicU32,
}

/// The proxy; it ends with its owner.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// A proxy in front of the server at `to`.
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let task = TaskTracker::new().spawn(serve(listener, to, Arc::clone(&state)));
        Self { port, state, task }
    }

    /// Cuts the next `times` commits.
    pub(crate) fn cut(&self, cut: Cut, times: u32) {
        match cut {
            Cut::BeforeCommit => &self.state.before_commit,
            Cut::AfterCommit => &self.state.after_commit,
        }
        .store(times, Ordering::SeqCst);
    }

    /// How many cuts of either kind have not happened yet.
    pub(crate) fn cuts_left(&self) -> u32 {
        self.state.before_commit.load(Ordering::SeqCst) + self.state.after_commit.load(Ordering::SeqCst)
    }

    pub(crate) fn committed(&self) -> u32 {
        self.state.committed.load(Ordering::SeqCst)
    }

    /// Lets no new connection through.
    pub(crate) fn shut(&self) {
        self.state.shut.store(true, Ordering::SeqCst);
    }

    /// Lets connections through again.
    pub(crate) fn open(&self) {
        self.state.shut.store(false, Ordering::SeqCst);
    }
}

async fn serve(listener: TcpListener, to: u16, state: Arc<State>) {
    let connections = TaskTracker::new();
    while let Ok((client, _)) = listener.accept().await {
        if state.shut.load(Ordering::SeqCst) {
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
        connections.spawn(carry(client, server, Arc::clone(&state)));
    }
}

/// Carries both ways until one is cut; then both are.
async fn carry(client: TcpStream, server: TcpStream, state: Arc<State>) {
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = forth(from_client, to_server, &state) => {}
        () = back(from_server, to_client, &state) => {}
    }
}

async fn forth(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..read];
        if contains(bytes, COMMIT) && take_one(&state.before_commit) {
            return;
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..read];
        if contains(bytes, COMMITTED) {
            state.committed.fetch_add(1, Ordering::SeqCst);
            if take_one(&state.after_commit) {
                return;
            }
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

fn contains(bytes: &[u8], message: &[u8]) -> bool {
    bytes.windows(message.len()).any(|window| window == message)
}

fn take_one(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}
