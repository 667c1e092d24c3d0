//! The client's side over WebSocket.
//!
//! Calls go to L1 over HTTP, as those of HTTP clients do, and come back in the order in which they are answered. Subscriptions,
//! and what L1 tells by them, go over a WebSocket of their own to L1, which lives and dies with the client's.

use std::io;
use std::ops::ControlFlow;
use std::sync::PoisonError;

use futures::stream::{FuturesOrdered, FuturesUnordered};
use futures::{SinkExt as _, StreamExt as _};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::http::{Body, Connection, empty, give_back, gone};
use super::json_rpc::{Call, Calls, Form};
use super::pause::pause;
use super::reply::{Ending, Piece, Reply};
use super::rule::HANDSHAKE;
use super::socket::ResetOrder;
use super::upstream::L1Socket;
use super::way::{Exchange, Passage, Way};

type ClientSocket = WebSocketStream<TokioIo<Upgraded>>;

/// Whether the connection goes on.
type Flow = ControlFlow<()>;

pub(super) fn is_wanted(request: &Request<Incoming>) -> bool {
    request.headers().get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// What a connection becomes by a handshake.
#[derive(Debug)]
pub(super) struct WebSocket {
    upgrade: OnUpgrade,
    l1: L1Socket,
}

/// Answers the handshake, once L1 has answered one.
pub(super) async fn open(mut request: Request<Incoming>, connection: &Connection) -> io::Result<Response<Body>> {
    let handshake = Calls { list: vec![Call::named(HANDSHAKE)], form: Form::Single };
    match connection.way.lets_pass(&handshake).await {
        Passage::Open => {}
        Passage::Closed(exchange) | Passage::Parted { answers: exchange, .. } => {
            return give_back(exchange, connection.reset.clone()).await;
        }
    }
    let l1 = connection.way.l1.web_socket().await.map_err(|_| gone())?;
    let accept = request.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let web_socket = WebSocket { upgrade: hyper::upgrade::on(&mut request), l1 };
    *connection.upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(web_socket);
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_ACCEPT, accept.ok_or_else(gone)?)
        .body(empty())
        .map_err(io::Error::other)
}

impl WebSocket {
    /// Until one end goes. The other goes with it.
    pub(super) async fn serve(self, connection: &Connection) {
        let Ok(upgraded) = self.upgrade.await else { return };
        let client = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let bridge = Bridge { client, l1: self.l1, reset: connection.reset.clone() };
        bridge.run(&connection.way).await;
    }
}

/// The two sockets of a client.
struct Bridge {
    client: ClientSocket,
    l1: L1Socket,
    reset: ResetOrder,
}

impl Bridge {
    async fn run(mut self, way: &Way) {
        let (mut answers, mut told) = (FuturesUnordered::new(), FuturesOrdered::new());
        loop {
            let exchange = tokio::select! {
                message = self.client.next() => match message {
                    Some(Ok(Message::Text(text))) => match subscription(&text) {
                        None => {
                            answers.push(way.exchange(text.into()));
                            continue;
                        }
                        Some(calls) => {
                            let (to_l1, exchange) = match way.lets_pass(&calls).await {
                                Passage::Open => (Some(text), None),
                                Passage::Parted { to_l1, answers } => (Utf8Bytes::try_from(to_l1).ok(), Some(answers)),
                                Passage::Closed(exchange) => (None, Some(exchange)),
                            };
                            if let Some(message) = to_l1
                                && self.l1.send(Message::Text(message)).await.is_err()
                            {
                                return;
                            }
                            let Some(exchange) = exchange else { continue };
                            exchange
                        }
                    },
                    // The library has answered a ping already.
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Binary(_) | Message::Close(_) | Message::Frame(_)) | Err(_)) | None => return,
                },
                message = self.l1.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        told.push_back(way.notified(text.to_string()));
                        continue;
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Binary(_) | Message::Close(_) | Message::Frame(_)) | Err(_)) | None => return,
                },
                Some(exchange) = answers.next() => exchange,
                Some(exchange) = told.next() => exchange,
            };
            if self.give_back(exchange).await.is_break() {
                return;
            }
        }
    }

    async fn give_back(&mut self, exchange: Exchange) -> Flow {
        match exchange {
            Exchange::Broken(Ending::Hang) => Flow::Continue(()),
            Exchange::Broken(ending) => self.broken(ending).await,
            // A status has no words here.
            Exchange::Reply(reply) if reply.status >= 500 => self.broken(Ending::End).await,
            Exchange::Reply(reply) if reply.is_whole() => self.send(Message::text(reply.into_text())).await,
            Exchange::Reply(reply) => self.send_in_pieces(reply).await,
        }
    }

    async fn send(&mut self, message: Message) -> Flow {
        match self.client.send(message).await {
            Ok(()) => Flow::Continue(()),
            Err(_) => Flow::Break(()),
        }
    }

    /// One message, in several frames.
    async fn send_in_pieces(&mut self, reply: Reply) -> Flow {
        let mut pieces = reply.pieces().into_iter().peekable();
        let mut opcode = OpCode::Data(Data::Text);
        while let Some(piece) = pieces.next() {
            match piece {
                Piece::Pause(span) => pause(span).await,
                Piece::Bytes(bytes) => {
                    let frame = Frame::message(bytes, opcode, pieces.peek().is_none());
                    self.send(Message::Frame(frame)).await?;
                    opcode = OpCode::Data(Data::Continue);
                }
                // Nothing of the answer has gone: the next one may.
                Piece::Broken(Ending::Hang) if opcode == OpCode::Data(Data::Text) => {}
                Piece::Broken(ending) => return self.broken(ending).await,
            }
        }
        Flow::Continue(())
    }

    async fn broken(&mut self, ending: Ending) -> Flow {
        match ending {
            // A message that has begun can be followed by nothing but its rest.
            Ending::Hang => while let Some(Ok(_)) = self.client.next().await {},
            Ending::Reset => self.reset.give(),
            Ending::End => {}
        }
        Flow::Break(())
    }
}

/// The calls of a message that is about a subscription.
fn subscription(text: &str) -> Option<Calls> {
    let calls = Calls::parse(text.as_bytes())?;
    let is_one = |call: &Call| matches!(call.method.as_str(), "eth_subscribe" | "eth_unsubscribe");
    calls.list.iter().any(is_one).then_some(calls)
}
