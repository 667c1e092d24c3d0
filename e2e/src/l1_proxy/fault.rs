//! What may go wrong between somebody and L1, as values.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// How far a call gets before its connection fails it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CutAt {
    /// L1 never sees the call.
    Request,
    /// L1 carries the call out, and this many bytes of the answer's body come back.
    ///
    /// Over WebSocket these bytes are the beginning of a message that is never complete; with 0 nothing comes.
    Answer(usize),
}

/// One way to go wrong.
///
/// [`Fault::Error`], [`Fault::Rewrite`] and [`Fault::WrongChainId`] are the affair of one call, also in a batch. Whatever else one of
/// the calls meets, the whole batch meets.
///
/// A handshake, and a message with `eth_subscribe` or `eth_unsubscribe` in it, go to L1 by the WebSocket itself, and L1's answer
/// comes back as it is. What is done to answers happens to none of them, and the log has them as answered:
/// [`Fault::Hang`], [`Fault::Reset`] and [`Fault::End`] at [`CutAt::Answer`], [`Fault::Drip`], [`Fault::Rewrite`],
/// [`Fault::WrongChainId`]. Of such a batch, [`Fault::Error`] answers its own calls in a message of their own.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The port is closed, and every connection with it; nobody else is given it, and it opens again when no rule refuses any more.
    /// This is as soon as the rule is set, whatever calls it is for and however often.
    Refuse,
    /// Whoever connects is reset before he has said a word, as soon as the rule is set; connections there are go on.
    ResetNewcomers,
    /// The call is taken, and its answer stops here while the connection stays open.
    Hang(CutAt),
    /// The connection is reset (RST). What had come back may be lost with it.
    Reset(CutAt),
    /// The connection ends (FIN) without another word.
    End(CutAt),
    /// The call waits for so long.
    Latency(Duration),
    /// The call waits for a time that the seed draws between these two.
    Jitter(Duration, Duration),
    /// The answer comes in pieces of this many bytes, with a pause before each.
    Drip {
        /// Bytes of a piece; at least 1.
        bytes: usize,
        /// The pause.
        every: Duration,
    },
    /// L1's result is another. An answer that is an error stays as it is. Over WebSocket also of notifications, whose method is
    /// `eth_subscription`.
    Rewrite(Rewrite),
    /// `eth_chainId` and `net_version` tell this chain id; other calls pass.
    WrongChainId(u64),
    /// What comes back is no JSON; L1 is not asked.
    Garbage,
    /// An error answer; L1 is not asked.
    Error {
        /// The code of the error.
        code: i64,
        /// Its message.
        message: String,
    },
    /// HTTP status 429 with `Retry-After` in whole seconds and the error -32005; over WebSocket the error alone. L1 is not
    /// asked.
    RateLimit {
        /// After this long it may be tried again.
        retry_after: Duration,
    },
    /// Another HTTP status, with a body that is no JSON; over WebSocket the connection ends. L1 is not asked.
    Status(u16),
    /// A result of this many bytes, well-formed; L1 is not asked.
    Huge(u64),
}

/// Makes another result of a call's result.
#[derive(Clone)]
pub struct Rewrite(Arc<dyn Fn(Value) -> Value + Send + Sync>);

impl fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rewrite")
    }
}

impl Rewrite {
    pub(super) fn of(&self, result: Value) -> Value {
        (self.0)(result)
    }
}

impl Fault {
    /// [`Fault::Rewrite`] by `rewrite`.
    pub fn rewrite(rewrite: impl Fn(Value) -> Value + Send + Sync + 'static) -> Self {
        Self::Rewrite(Rewrite(Arc::new(rewrite)))
    }

    /// [`Fault::Error`].
    pub fn error(code: i64, message: impl Into<String>) -> Self {
        Self::Error { code, message: message.into() }
    }

    /// Whether it is done to L1's answer, and to nothing before.
    pub(super) const fn is_done_to_answers(&self) -> bool {
        match self {
            Self::Hang(at) | Self::Reset(at) | Self::End(at) => matches!(at, CutAt::Answer(_)),
            Self::Drip { .. } | Self::Rewrite(_) | Self::WrongChainId(_) => true,
            Self::Refuse
            | Self::ResetNewcomers
            | Self::Latency(_)
            | Self::Jitter(..)
            | Self::Garbage
            | Self::Error { .. }
            | Self::RateLimit { .. }
            | Self::Status(_)
            | Self::Huge(_) => false,
        }
    }

    /// What the log calls it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::ResetNewcomers => "reset newcomers",
            Self::Hang(_) => "hang",
            Self::Reset(_) => "reset",
            Self::End(_) => "end",
            Self::Latency(_) => "latency",
            Self::Jitter(..) => "jitter",
            Self::Drip { .. } => "drip",
            Self::Rewrite(_) => "rewrite",
            Self::WrongChainId(_) => "wrong chain id",
            Self::Garbage => "garbage",
            Self::Error { .. } => "error",
            Self::RateLimit { .. } => "rate limit",
            Self::Status(_) => "status",
            Self::Huge(_) => "huge",
        }
    }
}
