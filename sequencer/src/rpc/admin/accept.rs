//! Taking connections at a door: the listener, and the socket in the data directory that its owner alone can open.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::SharedClock;
use hyper::body::Incoming;
use jsonrpsee::core::BoxError;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse, StopHandle, serve_with_graceful_shutdown};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};

/// Connections of one door that are open at once. The next ones wait before the door, without a file of this process.
const MAX_OPEN: usize = 256;
/// After a connection that could not be taken: where there are no files left, the next cannot be taken either.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come in.
pub(super) trait Entrance: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection; `None` where it was refused.
    ///
    /// # Cancel safety
    /// Dropped, no connection is lost.
    fn next(&self) -> impl Future<Output = io::Result<Option<Self::Stream>>> + Send;
}

impl Entrance for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<Option<TcpStream>> {
        let (stream, _) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok(Some(stream))
    }
}

impl Entrance for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<Option<UnixStream>> {
        let (stream, _) = self.accept().await?;
        if is_ours(&stream) {
            return Ok(Some(stream));
        }
        tracing::warn!(target: "audit", "a foreign user called the admin socket and was refused");
        Ok(None)
    }
}

/// Whether the caller runs as the user of this process, or as root: a mode that was widened opens the door to nobody.
fn is_ours(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|caller| caller.uid() == ours || caller.uid() == 0)
}

/// What taking connections needs besides the door.
#[derive(Clone, Debug)]
pub(super) struct Taking {
    pub(super) stop: StopHandle,
    pub(super) tasks: TaskTracker,
    pub(super) clock: SharedClock,
}

/// Takes connections until it is stopped, and answers those that are open: each by a service of its own, as a task.
pub(super) async fn accept<S>(entrance: impl Entrance, service: impl Fn() -> S + Send, taking: Taking)
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    let Taking { stop, tasks, clock } = taking;
    let places = Arc::new(Semaphore::new(MAX_OPEN));
    let stopped = stop.clone().shutdown();
    futures::pin_mut!(stopped);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
            (place, entrance.next().await)
        };
        let (place, taken) = tokio::select! {
            () = &mut stopped => return,
            next = next => next,
        };
        match taken {
            Ok(Some(stream)) => {
                let service = service().map_request(|request: HttpRequest<Incoming>| request.map(HttpBody::new));
                let serving = serve_with_graceful_shutdown(stream, service, stop.clone().shutdown());
                tasks.spawn(async move {
                    if let Err(error) = serving.await {
                        tracing::debug!(%error, "an admin caller was cut off");
                    }
                    drop(place);
                });
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection of an admin caller could not be taken");
                tokio::select! {
                    () = &mut stopped => return,
                    () = clock.sleep(PAUSE) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use fermata_primitives::{ManualClock, UnixTime};
    use jsonrpsee::server::stop_channel;
    use tokio::io::DuplexStream;
    use tokio::sync::watch;

    use super::*;

    /// Gives what a test says, as often as it is asked.
    struct Fake {
        gives: fn() -> io::Result<DuplexStream>,
        asked: watch::Sender<usize>,
    }

    /// The callers' ends, which keep the connections open.
    static CALLERS: Mutex<Vec<DuplexStream>> = Mutex::new(Vec::new());

    impl Entrance for Fake {
        type Stream = DuplexStream;

        async fn next(&self) -> io::Result<Option<DuplexStream>> {
            self.asked.send_modify(|asked| *asked += 1);
            (self.gives)().map(Some)
        }
    }

    fn open() -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(64);
        CALLERS.lock().unwrap().push(theirs);
        Ok(ours)
    }

    fn out_of_files() -> io::Result<DuplexStream> {
        Err(io::Error::other("too many open files"))
    }

    fn no_service() -> impl Service<HttpRequest, Response = HttpResponse, Error = BoxError, Future: Send> + Clone + Send
    {
        tower::service_fn(|_: HttpRequest| async { Ok(HttpResponse::new(HttpBody::empty())) })
    }

    /// Polls as often as anything could need.
    async fn settle() {
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_door_out_of_files_rests_before_it_tries_again() {
        let (stop, handle) = stop_channel();
        let (tasks, clock) = (TaskTracker::new(), Arc::new(ManualClock::new(UnixTime::default())));
        let (asked, mut heard) = watch::channel(0);
        let taking = Taking { stop, tasks: tasks.clone(), clock: clock.clone() };
        tasks.spawn(accept(Fake { gives: out_of_files, asked }, no_service, taking));
        settle().await;
        assert_eq!(*heard.borrow(), 1, "it rests");
        clock.advance(PAUSE);
        heard.wait_for(|asked| *asked == 2).await.expect("it goes on");
        handle.stop().expect("it runs");
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_door_holds_no_more_connections_than_it_has_places() {
        let (stop, handle) = stop_channel();
        let (tasks, clock) = (TaskTracker::new(), Arc::new(ManualClock::new(UnixTime::default())));
        let (asked, mut heard) = watch::channel(0);
        let taking = Taking { stop, tasks: tasks.clone(), clock };
        tasks.spawn(accept(Fake { gives: open, asked }, no_service, taking));
        heard.wait_for(|asked| *asked == MAX_OPEN).await.expect("it takes");
        settle().await;
        assert_eq!(*heard.borrow(), MAX_OPEN);
        CALLERS.lock().unwrap().pop();
        heard.wait_for(|asked| *asked == MAX_OPEN + 1).await.expect("a place is free");
        handle.stop().expect("it runs");
        CALLERS.lock().unwrap().clear();
        tasks.close();
        tasks.wait().await;
    }
}
