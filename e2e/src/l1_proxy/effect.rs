//! What a fault does to a call and its answer.

use std::time::Duration;

use serde_json::Value;

use super::fault::{CutAt, Fault};
use super::json_rpc::{Call, Calls};
use super::log::Entry;
use super::pause::pause;
use super::reply::{Ending, Manner, Reply};
use super::way::Exchange;

/// A call that was received, and what it meets.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) entry: Entry,
    pub(super) fault: Option<Fault>,
}

/// Waits as long as the calls wait, and says what came of them where that is known without L1.
pub(super) async fn before_l1(calls: &Calls, received: &[Received]) -> Option<Exchange> {
    let faults = || received.iter().filter_map(|received| received.fault.as_ref());
    let delay = faults().map(latency).max().unwrap_or_default();
    if !delay.is_zero() {
        pause(delay).await;
    }
    faults().find_map(|fault| instead_of_l1(calls, fault))
}

/// A jitter is a latency by now.
const fn latency(fault: &Fault) -> Duration {
    if let Fault::Latency(span) = fault { *span } else { Duration::ZERO }
}

fn instead_of_l1(calls: &Calls, fault: &Fault) -> Option<Exchange> {
    match fault {
        // Connections that were there when the port closed.
        Fault::Refuse | Fault::Reset(CutAt::Request) => Some(Exchange::Broken(Ending::Reset)),
        Fault::Hang(CutAt::Request) => Some(Exchange::Broken(Ending::Hang)),
        Fault::End(CutAt::Request) => Some(Exchange::Broken(Ending::End)),
        Fault::Garbage => Some(Exchange::Reply(Reply::page(200))),
        Fault::Status(status) => Some(Exchange::Reply(Reply::page(*status))),
        Fault::RateLimit { retry_after } => Some(Exchange::Reply(Reply::rate_limit(calls, *retry_after))),
        Fault::Huge(bytes) => Some(Exchange::Reply(Reply::huge(calls, *bytes))),
        Fault::ResetNewcomers
        | Fault::Hang(CutAt::Answer(_))
        | Fault::Reset(CutAt::Answer(_))
        | Fault::End(CutAt::Answer(_))
        | Fault::Latency(_)
        | Fault::Jitter(..)
        | Fault::Drip { .. }
        | Fault::Rewrite(_)
        | Fault::WrongChainId(_)
        | Fault::Error { .. } => None,
    }
}

impl Received {
    pub(super) fn error_answer(&self, call: &Call) -> Option<Value> {
        let Some(Fault::Error { code, message }) = &self.fault else { return None };
        Some(call.error(*code, message))
    }

    /// In what manner the answer goes back, where that is the fault.
    pub(super) fn manner(&self) -> Option<Manner> {
        let cut = |at: &CutAt, by| if let CutAt::Answer(after) = *at { Some(Manner::Cut { after, by }) } else { None };
        match self.fault.as_ref()? {
            Fault::Drip { bytes, every } => Some(Manner::Drip { bytes: *bytes, every: *every }),
            Fault::Hang(at) => cut(at, Ending::Hang),
            Fault::Reset(at) => cut(at, Ending::Reset),
            Fault::End(at) => cut(at, Ending::End),
            Fault::Refuse
            | Fault::ResetNewcomers
            | Fault::Latency(_)
            | Fault::Jitter(..)
            | Fault::Rewrite(_)
            | Fault::WrongChainId(_)
            | Fault::Garbage
            | Fault::Error { .. }
            | Fault::RateLimit { .. }
            | Fault::Status(_)
            | Fault::Huge(_) => None,
        }
    }

    pub(super) const fn rewrites(&self) -> bool {
        matches!(self.fault, Some(Fault::Rewrite(_) | Fault::WrongChainId(_)))
    }

    /// L1's answer as the call gets it.
    pub(super) fn rewritten(&self, call: &Call, mut answer: Value) -> Value {
        let Some(result) = answer.get_mut("result") else { return answer };
        if let Some(Fault::Rewrite(rewrite)) = &self.fault {
            *result = rewrite.of(result.take());
        } else if let Some(Fault::WrongChainId(id)) = &self.fault {
            match call.method.as_str() {
                "eth_chainId" => *result = Value::String(format!("{id:#x}")),
                "net_version" => *result = Value::String(id.to_string()),
                // Nothing else tells it.
                _ => {}
            }
        }
        answer
    }

    /// A message that L1 sends by itself, as the client gets it.
    pub(super) fn notification(&self, mut message: Value) -> String {
        if let Some(Fault::Rewrite(rewrite)) = &self.fault {
            let result = message["params"]["result"].take();
            message["params"]["result"] = rewrite.of(result);
        }
        message.to_string()
    }
}
