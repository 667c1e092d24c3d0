//! The last check before a method: that there is one of that name, and that the caller's scope includes it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use jsonrpsee::core::middleware::{Batch, Notification, Request, RpcServiceT};
use jsonrpsee::server::MethodResponse;
use jsonrpsee::types::{ErrorObjectOwned, Id};
use tower::Layer;

use super::audit::Audit;
use super::caller::{End, Passage, Wire};
use super::errors;
use super::subscription::SUBSCRIBE;
use crate::catalogue::Reason;
use crate::data_dir::Scope;

/// The scope each method needs.
pub(super) type Scopes = BTreeMap<&'static str, Scope>;

/// Puts the gate before the methods.
#[derive(Clone, Debug)]
pub(super) struct GateLayer {
    pub(super) scopes: Arc<Scopes>,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, scopes: Arc::clone(&self.scopes) }
    }
}

/// The methods behind the gate.
#[derive(Clone, Debug)]
pub(super) struct Gate<S> {
    inner: S,
    scopes: Arc<Scopes>,
}

impl<S> Gate<S> {
    fn judge(&self, request: &Request<'_>) -> Result<(), (Reason, String)> {
        let name = request.method_name();
        let Some(needed) = self.scopes.get(name) else {
            return Err((Reason::UnknownMethod, format!("there is no method `{name}`")));
        };
        let passage = Passage::in_extensions(request.extensions());
        let scope = passage.map(|passage| passage.caller.scope);
        if scope.is_some_and(|scope| scope >= *needed) {
            let is_over_http = passage.is_some_and(|passage| passage.wire == Wire::Http);
            if name == SUBSCRIBE && is_over_http {
                return Err((Reason::InvalidRequest, format!("`{name}` needs a WebSocket: news come over it")));
            }
            return Ok(());
        }
        let has = scope.map_or("nothing", Scope::word);
        Err((Reason::Forbidden, format!("`{name}` needs a token of scope `{}`, this one opens `{has}`", needed.word())))
    }

    /// Tells the guard, and the log. The journal is for what a caller was allowed to ask.
    fn refuse(request: &Request<'_>, (reason, message): (Reason, String)) -> ErrorObjectOwned {
        if let Some(passage) = Passage::in_extensions(request.extensions()) {
            passage.note(End::Refused(reason));
            if reason == Reason::Forbidden {
                let author = Audit::author(passage.caller, None, None);
                Audit::log(request.method_name(), passage.caller, &author, reason.word());
            }
        }
        errors::error(reason, &message)
    }
}

impl<S> RpcServiceT for Gate<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let gate = self.clone();
        async move {
            if let Err(refusal) = gate.judge(&request) {
                let error = Self::refuse(&request, refusal);
                return MethodResponse::error(request.id, error);
            }
            let passage = Passage::in_extensions(request.extensions()).cloned();
            let answer = gate.inner.call(request).await;
            // A method that has refused the caller has noted so itself.
            passage.iter().for_each(|passage| passage.note(End::Answered));
            answer
        }
    }

    fn batch<'a>(&self, _: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        std::future::ready(MethodResponse::error(Id::Null, errors::of_reason(Reason::InvalidRequest)))
    }

    /// JSON-RPC 2.0 gives a notification no answer, so that nobody would learn what became of a verb: it does nothing.
    fn notification<'a>(&self, _: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        std::future::ready(MethodResponse::notification())
    }
}
