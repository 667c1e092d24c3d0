//! Whom a request belongs to.

use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::core::KeyInUse;
use crate::{Error, Outcome};

/// The caller of a request, until it is answered.
#[derive(Debug)]
pub(crate) struct Caller {
    answer: oneshot::Sender<Result<Outcome, Error>>,
    /// Its dedup keys. Once the request is on record, the store holds them.
    _keys: Vec<KeyInUse>,
    _done: DropGuard,
}

impl Caller {
    /// A caller, and a token that is cancelled once it was answered or given up.
    pub(crate) fn new(
        answer: oneshot::Sender<Result<Outcome, Error>>,
        keys: Vec<KeyInUse>,
    ) -> (Self, CancellationToken) {
        let done = CancellationToken::new();
        (Self { answer, _keys: keys, _done: done.clone().drop_guard() }, done)
    }

    /// Answers; one that went away misses it.
    pub(crate) fn answer(self, answer: Result<Outcome, Error>) {
        let _ = self.answer.send(answer);
    }
}
