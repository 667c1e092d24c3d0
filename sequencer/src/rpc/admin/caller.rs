//! Who calls: through which door, and how much the token lets it do.

use std::sync::{Arc, OnceLock};

use jsonrpsee::Extensions;
use tokio::sync::OwnedSemaphorePermit;

use crate::catalogue::Reason;
use crate::data_dir::{Scope, TokenHashes};

/// Where a request came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Door {
    /// The listener: a token says how much the caller may do.
    Tcp,
    /// The socket in the data directory, which its owner alone can open: everything.
    Unix,
}

impl Door {
    /// How much a caller may do who shows this; `None`: nothing.
    pub(super) fn scope(self, tokens: &TokenHashes, shown: Option<&str>) -> Option<Scope> {
        match self {
            Self::Tcp => shown.and_then(|token| tokens.scope_of(token)),
            Self::Unix => Some(Scope::Danger),
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "admin rpc",
            Self::Unix => "admin socket",
        }
    }
}

/// A caller who was let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Caller {
    pub(super) door: Door,
    pub(super) scope: Scope,
}

/// A request on its way through the server: the guard sends it with the request, and looks afterwards how far it came.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    pub(super) caller: Caller,
    pub(super) wire: Wire,
    end: Arc<OnceLock<End>>,
    /// What a WebSocket holds until it ends.
    _place: Option<Arc<OwnedSemaphorePermit>>,
}

/// What a request came over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wire {
    /// One call, one answer.
    Http,
    /// Calls, answers and news.
    WebSocket,
}

/// How far a request came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// To the methods.
    Answered,
    /// To the gate before them.
    Refused(Reason),
}

impl Passage {
    pub(super) fn over_http(caller: Caller) -> Self {
        Self { caller, wire: Wire::Http, end: Arc::default(), _place: None }
    }

    /// Goes with every call of the WebSocket, and with it the place among those that may be open at once.
    pub(super) fn over_websocket(caller: Caller, place: OwnedSemaphorePermit) -> Self {
        Self { caller, wire: Wire::WebSocket, end: Arc::default(), _place: Some(Arc::new(place)) }
    }

    /// The passage of a request that the guard has let in.
    pub(super) fn in_extensions(extensions: &Extensions) -> Option<&Self> {
        extensions.get::<Self>()
    }

    /// Notes how far the request came; of the many that come over one WebSocket, the first.
    pub(super) fn note(&self, end: End) {
        let _ = self.end.set(end);
    }

    /// How far it came; `None` where it was no call at all.
    pub(super) fn end(&self) -> Option<End> {
        self.end.get().copied()
    }
}
