//! The client's side over HTTP.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, future, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::pause::pause;
use super::reply::{Ending, Piece, Reply};
use super::socket::{ResetOrder, Socket};
use super::way::{Exchange, Way};
use super::web_socket::{self, WebSocket};

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The connection fails: hyper drops it without another word.
pub(super) fn gone() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

/// A connection of a client.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) way: Arc<Way>,
    pub(super) reset: ResetOrder,
    /// What it has become.
    pub(super) upgraded: Mutex<Option<WebSocket>>,
}

/// Serves one connection until it ends, also what it becomes.
pub(super) async fn serve(socket: Socket, way: Arc<Way>, reset: ResetOrder) {
    let connection = Arc::new(Connection { way, reset, upgraded: Mutex::default() });
    let service = service_fn(|request| answer(request, Arc::clone(&connection)));
    let served = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
    // A connection that breaks is its two ends' affair.
    drop(served.with_upgrades().await);
    let upgraded = connection.upgraded.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(web_socket) = upgraded {
        web_socket.serve(&connection).await;
    }
}

async fn answer(request: Request<Incoming>, connection: Arc<Connection>) -> io::Result<Response<Body>> {
    let reset = connection.reset.clone();
    if web_socket::is_wanted(&request) {
        return web_socket::open(request, &connection).await;
    }
    if request.method() != Method::POST {
        return response(Reply::new(StatusCode::METHOD_NOT_ALLOWED.as_u16(), ""), reset);
    }
    let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    give_back(connection.way.exchange(body).await, reset).await
}

/// The answer of an exchange, or its failure.
pub(super) async fn give_back(exchange: Exchange, reset: ResetOrder) -> io::Result<Response<Body>> {
    match exchange {
        Exchange::Reply(reply) => response(reply, reset),
        Exchange::Broken(ending) => Err(broken(ending, &reset).await),
    }
}

/// Fails the connection; never ends where it hangs.
async fn broken(ending: Ending, reset: &ResetOrder) -> io::Error {
    match ending {
        Ending::Hang => future::pending().await,
        Ending::Reset => reset.give(),
        Ending::End => {}
    }
    gone()
}

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn response(reply: Reply, reset: ResetOrder) -> io::Result<Response<Body>> {
    let mut response = Response::builder()
        .status(reply.status)
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_LENGTH, reply.len());
    if let Some(after) = reply.retry_after {
        response = response.header(RETRY_AFTER, after.as_secs());
    }
    let body = StreamBody::new(frames(reply.pieces(), reset)).boxed_unsync();
    response.body(body).map_err(io::Error::other)
}

fn frames(pieces: Vec<Piece>, reset: ResetOrder) -> impl Stream<Item = io::Result<Frame<Bytes>>> + Send {
    stream::unfold((pieces.into_iter(), reset), |(mut pieces, reset)| async move {
        loop {
            match pieces.next()? {
                Piece::Bytes(bytes) => return Some((Ok(Frame::data(bytes)), (pieces, reset))),
                Piece::Pause(span) => pause(span).await,
                Piece::Broken(ending) => {
                    // What came before goes out first: hyper writes while the body makes it wait.
                    tokio::task::yield_now().await;
                    return Some((Err(broken(ending, &reset).await), (pieces, reset)));
                }
            }
        }
    })
}
