//! Which calls meet which fault, and how often.

use std::fmt;
use std::sync::Arc;

use super::fault::Fault;
use super::json_rpc::Call;

/// Broadcasts of transactions.
pub const BROADCAST: &str = "eth_sendRawTransaction";

/// The method that stands for the request by which an HTTP connection becomes a WebSocket.
pub const HANDSHAKE: &str = "websocket handshake";

/// Calls that a rule is about.
#[derive(Clone)]
enum Calls {
    All,
    Method(String),
    Where(Arc<dyn Fn(&Call) -> bool + Send + Sync>),
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("All"),
            Self::Method(method) => f.debug_tuple("Method").field(method).finish(),
            Self::Where(_) => f.write_str("Where"),
        }
    }
}

/// A fault, the calls that meet it, and how many of them do.
///
/// Without further words every call that the rule is about meets the fault.
#[derive(Clone, Debug)]
pub struct Rule {
    calls: Calls,
    pub(super) fault: Fault,
    skip: u64,
    limit: Option<u64>,
    chance: f64,
}

impl Rule {
    /// For every call, and for the handshake of a WebSocket and its notifications.
    #[must_use]
    pub const fn all(fault: Fault) -> Self {
        Self::new(Calls::All, fault)
    }

    /// For calls of one method.
    #[must_use]
    pub fn on(method: &str, fault: Fault) -> Self {
        Self::new(Calls::Method(method.to_owned()), fault)
    }

    /// For the calls that `wanted` takes, by method and parameters.
    #[must_use]
    pub fn matching(wanted: impl Fn(&Call) -> bool + Send + Sync + 'static, fault: Fault) -> Self {
        Self::new(Calls::Where(Arc::new(wanted)), fault)
    }

    const fn new(calls: Calls, fault: Fault) -> Self {
        Self { calls, fault, skip: 0, limit: None, chance: 1.0 }
    }

    /// Not before this many calls have passed.
    #[must_use]
    pub const fn after(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    /// For this many calls only.
    #[must_use]
    pub const fn next(mut self, calls: u64) -> Self {
        self.limit = Some(calls);
        self
    }

    /// For each call with this probability, from 0 to 1, as the proxy's seed draws it.
    #[must_use]
    pub const fn with_chance(mut self, chance: f64) -> Self {
        self.chance = chance;
        self
    }

    pub(super) fn is_about(&self, call: &Call) -> bool {
        match &self.calls {
            Calls::All => true,
            Calls::Method(method) => *method == call.method,
            Calls::Where(wanted) => wanted(call),
        }
    }

    /// Whether the `nth` call it is about, counted from 1, meets the fault, where `met` have before and `lot` is drawn from
    /// 0 to less than 1.
    pub(super) fn fires(&self, nth: u64, met: u64, lot: f64) -> bool {
        nth > self.skip && self.limit.is_none_or(|limit| met < limit) && lot < self.chance
    }
}

/// A part of a script: rules, and how long they are in force.
#[derive(Clone, Debug)]
pub struct Stage {
    pub(super) rules: Vec<Rule>,
    pub(super) calls: Option<u64>,
}

impl Stage {
    /// These rules until told otherwise.
    #[must_use]
    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().collect(), calls: None }
    }

    /// All goes through until told otherwise.
    #[must_use]
    pub fn quiet() -> Self {
        Self::of([])
    }

    /// It ends by itself with this many calls, of whatever method.
    #[must_use]
    pub const fn for_calls(mut self, calls: u64) -> Self {
        self.calls = Some(calls);
        self
    }
}
