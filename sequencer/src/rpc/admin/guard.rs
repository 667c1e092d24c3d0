//! Who is let in: checked on every HTTP request and every WebSocket upgrade, before anything is parsed.
//!
//! A web page that a browser was lured to cannot call the admin RPC: it shows an `Origin` that is not allowed, and where
//! its name was rebound to loopback, a `Host` that is not allowed. Nor could it know the token.
//!
//! Whatever the server behind refuses before a method is reached gets the catalogue's answer as well.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use jsonrpsee::core::BoxError;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use serde_json::json;
use tokio::sync::Semaphore;
use tower::{Layer, Service};

use super::caller::{Caller, Door, End, Passage};
use super::context::AdminContext;
use super::pages::{Page, json};
use super::reading::Reading;
use super::refusals::Refusals;
use crate::catalogue::Reason;
use crate::config::AdminConfig;
use crate::data_dir::TokenHashes;

/// The rules.
pub(super) struct Guard {
    pub(super) tokens: TokenHashes,
    pub(super) config: AdminConfig,
    pub(super) context: AdminContext,
    pub(super) reading: Reading,
    pub(super) refusals: Refusals,
}

/// What is done with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Entry {
    Refused(Reason),
    Page(Page),
    /// A browser asks whether a page of an allowed origin may call.
    Preflight,
    Admitted(Caller),
}

impl Guard {
    fn judge(&self, door: Door, request: &HttpRequest) -> Entry {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let authority = request.uri().authority().map(|authority| authority.as_str());
        if !header("host").or(authority).is_some_and(|host| self.knows_host(host)) {
            return Entry::Refused(Reason::HostRefused);
        }
        let has_origin = request.headers().contains_key("origin");
        if has_origin && !header("origin").is_some_and(|origin| self.allows_origin(origin)) {
            return Entry::Refused(Reason::OriginRefused);
        }
        if has_origin && request.method() == "OPTIONS" {
            return Entry::Preflight;
        }
        if request.method() == "GET"
            && let Some(page) = Page::at(request.uri().path())
        {
            return Entry::Page(page);
        }
        match door.scope(&self.tokens, header("authorization").and_then(bearer)) {
            Some(scope) => Entry::Admitted(Caller { door, scope }),
            None => Entry::Refused(Reason::Unauthorized),
        }
    }

    fn knows_host(&self, host: &str) -> bool {
        let name = without_port(host);
        let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        name.eq_ignore_ascii_case("localhost")
            || ip.is_ok_and(|ip| ip.is_loopback())
            || self.config.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    }

    fn allows_origin(&self, origin: &str) -> bool {
        self.config.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }
}

fn without_port(host: &str) -> &str {
    match host.find(']') {
        Some(end) if host.starts_with('[') => &host[..=end],
        Some(_) | None => host.split(':').next().unwrap_or(host),
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Puts the guard before a service, at one door.
#[derive(Clone)]
pub(super) struct GuardLayer {
    pub(super) guard: Arc<Guard>,
    pub(super) door: Door,
    /// Places for WebSockets: fewer than for calls, so that whoever may only listen keeps no verb out.
    pub(super) websockets: Arc<Semaphore>,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, layer: self.clone() }
    }
}

impl GuardLayer {
    /// The passage of a caller who was let in; `None` where there is no place for another WebSocket.
    fn passage(&self, caller: Caller, request: &HttpRequest) -> Option<Passage> {
        if !request.headers().contains_key("upgrade") {
            return Some(Passage::over_http(caller));
        }
        let place = Arc::clone(&self.websockets).try_acquire_owned().ok()?;
        Some(Passage::over_websocket(caller, place))
    }
}

/// A service behind the guard.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    layer: GuardLayer,
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}

impl<S> Service<HttpRequest> for Guarded<S>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<HttpResponse, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: HttpRequest) -> Self::Future {
        let GuardLayer { guard, door, .. } = &self.layer;
        let entry = guard.judge(*door, &request);
        // The origin has been checked wherever the answer is more than a refusal.
        let origin = request.headers().get("origin").cloned();
        let answer: Self::Future = match entry {
            Entry::Refused(reason) => {
                guard.refusals.log(*door, reason, guard.context.clock.now());
                return async move { Ok(refusal(reason)) }.boxed();
            }
            Entry::Preflight => async { Ok(preflight()) }.boxed(),
            Entry::Page(page) => {
                let guard = Arc::clone(guard);
                async move { Ok(page.answer(&guard.context, &guard.reading).await) }.boxed()
            }
            Entry::Admitted(caller) => {
                let Some(passage) = self.layer.passage(caller, &request) else {
                    return async { Ok(refusal(Reason::Busy)) }.boxed();
                };
                request.extensions_mut().insert(passage.clone());
                let answer = self.inner.call(request);
                async move { Ok(in_our_words(answer.await?, &passage)) }.boxed()
            }
        };
        async move {
            let mut answer = answer.await?;
            if let Some(origin) = origin {
                answer.headers_mut().insert("access-control-allow-origin", origin);
            }
            Ok(answer)
        }
        .boxed()
    }
}

fn preflight() -> HttpResponse {
    let response = HttpResponse::builder().status(204).header("access-control-allow-methods", "POST, GET");
    let response =
        response.header("access-control-allow-headers", "authorization, content-type").header("vary", "origin");
    response.body(HttpBody::empty()).expect("the status and headers are valid")
}

/// The answer of the server behind: as it is where a method or the gate gave it, with the catalogue's HTTP status; the
/// catalogue's own where the request was no call.
fn in_our_words(mut answer: HttpResponse, passage: &Passage) -> HttpResponse {
    let status = answer.status().as_u16();
    match passage.end() {
        Some(End::Answered) => answer,
        Some(End::Refused(reason)) => {
            if let Ok(status) = reason.entry().http.try_into() {
                *answer.status_mut() = status;
            }
            answer
        }
        // A WebSocket: its calls come later.
        None if status == 101 => answer,
        None => refusal(match status {
            413 => Reason::TooLarge,
            429 => Reason::Busy,
            500.. => Reason::Internal,
            _ => Reason::InvalidRequest,
        }),
    }
}

fn refusal(reason: Reason) -> HttpResponse {
    let entry = reason.entry();
    let error = json!({
        "code": entry.rpc_code,
        "message": entry.when,
        "data": { "reason": entry.word, "hint": entry.hint },
    });
    let mut response = json(entry.http, &json!({ "jsonrpc": "2.0", "id": null, "error": error }));
    if reason == Reason::Unauthorized {
        let scheme = "Bearer".parse().expect("a valid header");
        response.headers_mut().insert("www-authenticate", scheme);
    }
    response
}
