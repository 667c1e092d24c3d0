//! A start under way, and the verbs that come meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::Verb;
use super::draining::Answer;
use crate::lifecycle::Drain;
use crate::poll_loop::Tick;
use crate::run::RunTokens;
use crate::verbs::{PartsError, StartAnswer, StartRequest, StopRequest, VerbError};

pub(super) struct Starting {
    pub(super) tokens: RunTokens,
    pub(super) parts: BoxFuture<'static, Result<Arc<dyn Tick>, PartsError>>,
    pub(super) request: StartRequest,
    pub(super) waiters: Vec<Answer<StartAnswer>>,
    /// Verbs that must wait for the end of the start.
    pub(super) deferred: VecDeque<Verb>,
}

impl Starting {
    pub(super) fn answer(self, answer: &Result<StartAnswer, VerbError>) -> VecDeque<Verb> {
        for waiter in self.waiters {
            let _ = waiter.send(answer.clone());
        }
        self.deferred
    }

    /// Joins, gives the start up, or waits for its end: as the verb asks.
    pub(super) fn defer(&mut self, verb: Verb) {
        match verb {
            Verb::Start { request, answer } if self.is_joined_by(&request) => {
                self.waiters.push(answer);
                self.request.author = self.request.author.take().or(request.author);
            }
            // It takes effect in the run that is being started.
            Verb::Stop { request: StopRequest { at: Some(_), .. }, .. } | Verb::Start { .. } => {
                self.deferred.push_back(verb);
            }
            Verb::Stop { .. } | Verb::Close { .. } => {
                // The start is given up; the stop then finds nothing running, or what had just begun to.
                self.tokens.end(Drain::Interrupt);
                self.deferred.push_back(verb);
            }
            // Nothing runs yet that could tick; the first tick will begin at once.
            Verb::Trigger { .. } => {}
            Verb::LiveRequests { answer } => drop(answer.send(Vec::new())),
        }
    }

    fn is_joined_by(&self, request: &StartRequest) -> bool {
        self.deferred.is_empty() && request.at == self.request.at && request.wait == self.request.wait
    }
}
