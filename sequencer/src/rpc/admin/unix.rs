//! The door that needs no token: a socket in the data directory that its owner alone can open.

use hyper::body::Incoming;
use jsonrpsee::core::BoxError;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse, StopHandle, serve_with_graceful_shutdown};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};

/// Takes connections until `stop` says so, and answers those that are open: each by a service of its own, as a task of
/// `tasks`.
pub(super) async fn accept<S>(
    listener: UnixListener,
    service: impl Fn() -> S + Send,
    stop: StopHandle,
    tasks: TaskTracker,
) where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    let stopped = stop.clone().shutdown();
    futures::pin_mut!(stopped);
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if is_ours(&stream) => {
                let service = service().map_request(|request: HttpRequest<Incoming>| request.map(HttpBody::new));
                let serving = serve_with_graceful_shutdown(stream, service, stop.clone().shutdown());
                tasks.spawn(async move {
                    if let Err(error) = serving.await {
                        tracing::debug!(%error, "a caller on the admin socket was cut off");
                    }
                });
            }
            Ok(_) => tracing::warn!(target: "audit", "a foreign user called the admin socket and was refused"),
            Err(error) => tracing::warn!(%error, "the admin socket could not take a connection"),
        }
    }
}

/// Whether the caller runs as the user of this process, or as root: a mode that was widened opens the door to nobody.
fn is_ours(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|caller| caller.uid() == ours || caller.uid() == 0)
}
