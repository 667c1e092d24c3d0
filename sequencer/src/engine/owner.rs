//! The one task that owns the lifecycle.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{SharedClock, UnixTime, crash_point};
use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use super::{EngineConfig, EngineStatus, Parts, Verb, Wish, harder};
use crate::lifecycle::{Command, Drain, Effect, Lifecycle, next};
use crate::poll_loop::{LoopEnd, Tick};
use crate::requests_tracker::RequestsTracker;
use crate::run::{Run, RunTokens};
use crate::verbs::{
    Author, CloseAnswer, DrainOutcome, DrainReport, PartsError, StartAnswer, StopAnswer, StopRequest, VerbError,
};

type Answer<T> = oneshot::Sender<Result<T, VerbError>>;

/// A start under way.
struct Starting {
    tokens: RunTokens,
    parts: BoxFuture<'static, Result<Arc<dyn Tick>, PartsError>>,
    waiters: Vec<Answer<StartAnswer>>,
    author: Option<Author>,
    /// Verbs that came meanwhile and must wait for its end.
    deferred: VecDeque<Verb>,
}

/// A drain under way.
struct Draining {
    tokens: RunTokens,
    drain: Drain,
    by_deadline: bool,
    began: Duration,
    requests: RequestsTracker,
    settled: BoxFuture<'static, RequestsTracker>,
    deadline: Option<Deadline>,
    waiters: Vec<Waiter>,
}

/// When a graceful drain becomes an interrupt.
struct Deadline {
    at: UnixTime,
    passed: BoxFuture<'static, ()>,
}

enum Waiter {
    Stop { answer: Answer<StopAnswer>, unrecorded: Option<PartsError> },
    Close(Answer<CloseAnswer>),
}

pub(super) struct Owner {
    parts: Arc<dyn Parts>,
    config: EngineConfig,
    clock: SharedClock,
    tasks: TaskTracker,
    status: watch::Sender<EngineStatus>,
    lifecycle: Lifecycle,
    starting: Option<Starting>,
    run: Option<Run>,
    draining: Option<Draining>,
    /// Nobody can ask for anything any more: bring what runs to its end.
    handles_gone: bool,
}

/// What woke the owner.
enum Woken {
    Verb(Verb),
    HandlesGone,
    PartsCameUp(Result<Arc<dyn Tick>, PartsError>),
    LoopEnded(LoopEnd),
    Settled(RequestsTracker),
    DeadlinePassed,
}

impl Owner {
    pub(super) fn new(
        parts: Arc<dyn Parts>,
        config: EngineConfig,
        clock: SharedClock,
        tasks: TaskTracker,
    ) -> (Self, watch::Receiver<EngineStatus>) {
        let lifecycle = Lifecycle::Idle;
        let first = EngineStatus { lifecycle, since: clock.now(), starting: false, runs: 0, failure: None };
        let (status, receiver) = watch::channel(first);
        let (starting, run, draining, handles_gone) = (None, None, None, false);
        (Self { parts, config, clock, tasks, status, lifecycle, starting, run, draining, handles_gone }, receiver)
    }

    /// Carries out verbs until every handle is gone; a run that is left is interrupted and drained.
    pub(super) async fn own(mut self, mut inbox: mpsc::UnboundedReceiver<Verb>) {
        while !(self.handles_gone && self.is_at_rest()) {
            match self.wait(&mut inbox).await {
                Woken::Verb(verb) => self.carry_out(verb).await,
                Woken::HandlesGone => {
                    self.handles_gone = true;
                    self.interrupt_all();
                }
                Woken::PartsCameUp(outcome) => self.on_parts(outcome).await,
                Woken::LoopEnded(end) => self.on_loop_ended(end),
                Woken::Settled(requests) => self.on_settled(&requests).await,
                Woken::DeadlinePassed => self.on_deadline(),
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        self.starting.is_none() && self.run.is_none() && self.draining.is_none()
    }

    async fn wait(&mut self, inbox: &mut mpsc::UnboundedReceiver<Verb>) -> Woken {
        let Self { starting, run, draining, handles_gone, .. } = self;
        let came_up = starting.as_mut().map_or_else(|| pending().boxed(), |s| (&mut s.parts).boxed());
        let loop_ended = run.as_mut().map_or_else(|| pending().boxed(), |run| run.ended_by_itself().boxed());
        let (settled, deadline) = match draining.as_mut() {
            None => (pending().boxed(), pending().boxed()),
            Some(d) => {
                let deadline = d.deadline.as_mut().map_or_else(|| pending().boxed(), |d| (&mut d.passed).boxed());
                ((&mut d.settled).boxed(), deadline)
            }
        };
        tokio::select! {
            // Verbs first: an interrupt must not wait behind what it interrupts.
            biased;
            verb = inbox.recv(), if !*handles_gone => verb.map_or(Woken::HandlesGone, Woken::Verb),
            outcome = came_up => Woken::PartsCameUp(outcome),
            end = loop_ended => Woken::LoopEnded(end),
            requests = settled => Woken::Settled(requests),
            () = deadline => Woken::DeadlinePassed,
        }
    }

    async fn carry_out(&mut self, verb: Verb) {
        if let Some(starting) = &mut self.starting {
            return starting.defer(verb);
        }
        match verb {
            Verb::Start { author, answer } => self.start(author, answer),
            Verb::Stop { request, answer } => self.stop(request, answer).await,
            Verb::Close { answer } => self.close(answer).await,
            Verb::Trigger => {
                if let Some(run) = &self.run {
                    run.trigger().trigger();
                }
            }
            Verb::LiveRequests { answer } => {
                let live = self.run.as_ref().map(|run| run.requests().live());
                let draining = self.draining.as_ref().map(|d| d.requests.live());
                let _ = answer.send(live.or(draining).unwrap_or_default());
            }
        }
    }

    fn start(&mut self, author: Option<Author>, answer: Answer<StartAnswer>) {
        match next(self.lifecycle, Command::Start) {
            Err(refused) => drop(answer.send(Err(refused.into()))),
            Ok((state, Effect::Begin)) => {
                debug_assert_eq!(state, Lifecycle::Running);
                self.begin(author, answer);
            }
            Ok((state, _)) => drop(answer.send(Ok(StartAnswer { changed: false, state }))),
        }
    }

    fn begin(&mut self, author: Option<Author>, answer: Answer<StartAnswer>) {
        let tokens = RunTokens::default();
        let parts = {
            let (parts, tokens) = (Arc::clone(&self.parts), tokens.clone());
            async move { parts.start(tokens).await }.boxed()
        };
        self.starting = Some(Starting { tokens, parts, waiters: vec![answer], author, deferred: VecDeque::new() });
        self.status.send_modify(|status| status.starting = true);
    }

    async fn on_parts(&mut self, outcome: Result<Arc<dyn Tick>, PartsError>) {
        let Some(starting) = self.starting.take() else { return };
        self.status.send_modify(|status| status.starting = false);
        let answer = match outcome {
            Ok(tick) => self.poll(starting.tokens.clone(), tick, starting.author).await,
            Err(_) if starting.tokens.interrupt.is_cancelled() => Err(VerbError::Interrupted),
            Err(error) => Err(VerbError::Start(error)),
        };
        for waiter in starting.waiters {
            let _ = waiter.send(answer.clone());
        }
        for verb in starting.deferred {
            Box::pin(self.carry_out(verb)).await;
        }
        if self.handles_gone {
            self.interrupt_all();
        }
    }

    async fn poll(
        &mut self,
        tokens: RunTokens,
        tick: Arc<dyn Tick>,
        author: Option<Author>,
    ) -> Result<StartAnswer, VerbError> {
        if let Some(author) = author
            && let Err(error) = record(&self.parts, Wish { running: true, author, since: self.clock.now() }).await
        {
            self.parts.stop().await;
            return Err(VerbError::NotRecorded(error));
        }
        let every = self.config.poll_interval;
        self.run = Some(Run::begin(tokens, tick, every, self.clock.clone(), &self.tasks));
        self.status.send_modify(|status| {
            status.runs += 1;
            status.failure = None;
        });
        self.become_state(Lifecycle::Running);
        Ok(StartAnswer { changed: true, state: Lifecycle::Running })
    }

    async fn stop(&mut self, request: StopRequest, answer: Answer<StopAnswer>) {
        let unrecorded = match request.author {
            Some(author) if self.lifecycle != Lifecycle::Closed => {
                let wish = Wish { running: false, author, since: self.clock.now() };
                record(&self.parts, wish).await.err()
            }
            Some(_) | None => None,
        };
        let (state, effect) = next(self.lifecycle, Command::Stop(request.drain)).expect("no state refuses a stop");
        self.become_state(state);
        match effect {
            Effect::Halt(drain) => self.halt(drain),
            Effect::Escalate => self.escalate(),
            Effect::Nothing | Effect::Begin | Effect::Join | Effect::Release | Effect::Settle => {}
        }
        let waiter = Waiter::Stop { answer, unrecorded };
        match &mut self.draining {
            Some(draining) => {
                draining.waiters.push(waiter);
                if let Some(span) = request.deadline {
                    draining.due_within(&self.clock, span);
                }
            }
            None => waiter.answer(state, None, &[]),
        }
    }

    async fn close(&mut self, answer: Answer<CloseAnswer>) {
        let (state, effect) = next(self.lifecycle, Command::Close).expect("no state refuses a close");
        match effect {
            Effect::Release => {
                let closed = self.parts.close().await;
                let _ = answer.send(Ok(CloseAnswer { closed, drain: None }));
            }
            Effect::Halt(drain) => self.halt_for(drain, Waiter::Close(answer)),
            Effect::Escalate | Effect::Join => {
                self.escalate();
                if let Some(draining) = &mut self.draining {
                    draining.waiters.push(Waiter::Close(answer));
                }
            }
            Effect::Nothing | Effect::Begin | Effect::Settle => {
                let _ = answer.send(Ok(CloseAnswer { closed: Vec::new(), drain: None }));
            }
        }
        self.become_state(state);
    }

    fn halt_for(&mut self, drain: Drain, waiter: Waiter) {
        self.halt(drain);
        if let Some(draining) = &mut self.draining {
            draining.waiters.push(waiter);
        }
    }

    fn halt(&mut self, drain: Drain) {
        let run = self.run.take().expect("a running engine has a run");
        let (tokens, requests) = (run.tokens().clone(), run.requests().clone());
        tokens.end(drain);
        let parts = Arc::clone(&self.parts);
        let settled = async move {
            let requests = run.settle().await;
            parts.stop().await;
            requests
        };
        self.draining = Some(Draining {
            tokens,
            drain,
            by_deadline: false,
            began: self.clock.monotonic(),
            requests,
            settled: settled.boxed(),
            deadline: None,
            waiters: Vec::new(),
        });
    }

    fn escalate(&mut self) {
        if let Some(draining) = &mut self.draining {
            draining.drain = harder(draining.drain, Drain::Interrupt);
            draining.tokens.end(Drain::Interrupt);
        }
    }

    fn on_deadline(&mut self) {
        if let Some(draining) = &mut self.draining {
            draining.deadline = None;
            draining.by_deadline |= draining.drain == Drain::Graceful;
        }
        if let Ok((state, _)) = next(self.lifecycle, Command::Stop(Drain::Interrupt)) {
            self.become_state(state);
        }
        self.escalate();
    }

    fn on_loop_ended(&mut self, end: LoopEnd) {
        let failure = match end {
            LoopEnd::Panicked => "a tick panicked; the run was stopped, and a start begins a new one",
            LoopEnd::Halted => "the poll loop ended by itself",
        };
        tracing::error!(failure, "the run ended without being asked to");
        self.status.send_modify(|status| status.failure = Some(failure.to_owned()));
        if let Ok((state, Effect::Halt(drain))) = next(self.lifecycle, Command::Stop(Drain::Interrupt)) {
            self.halt(drain);
            self.become_state(state);
        }
    }

    fn interrupt_all(&mut self) {
        if let Some(starting) = &self.starting {
            starting.tokens.end(Drain::Interrupt);
        }
        if let Ok((state, effect)) = next(self.lifecycle, Command::Stop(Drain::Interrupt)) {
            if let Effect::Halt(drain) = effect {
                self.halt(drain);
            }
            self.escalate();
            self.become_state(state);
        }
    }

    async fn on_settled(&mut self, requests: &RequestsTracker) {
        let Some(draining) = self.draining.take() else { return };
        let (head, last_checkpoint) = self.parts.rest().await;
        let report = DrainReport {
            outcome: draining.outcome(),
            head,
            last_checkpoint,
            requests: requests.counts(),
            took_ms: self.clock.monotonic().saturating_sub(draining.began).as_millis() as u64,
        };
        let (state, effect) = next(self.lifecycle, Command::Drained).expect("a drain was under way");
        let closed = match effect {
            Effect::Release => self.parts.close().await,
            Effect::Nothing | Effect::Begin | Effect::Halt(_) | Effect::Join | Effect::Escalate | Effect::Settle => {
                Vec::new()
            }
        };
        self.become_state(state);
        tracing::info!(outcome = ?report.outcome, head = report.head.number, took_ms = report.took_ms, "drained");
        for waiter in draining.waiters {
            waiter.answer(state, Some(&report), &closed);
        }
    }

    fn become_state(&mut self, state: Lifecycle) {
        if state == self.lifecycle {
            return;
        }
        tracing::info!(from = %self.lifecycle, to = %state, "lifecycle");
        self.lifecycle = state;
        // One series a state, and exactly one of them is 1.
        for word in Lifecycle::WORDS {
            metrics::gauge!("fermata_lifecycle", "state" => word).set(f64::from(u8::from(word == state.word())));
        }
        let since = self.clock.now();
        self.status.send_modify(|status| {
            status.lifecycle = state;
            status.since = since;
        });
    }
}

async fn record(parts: &Arc<dyn Parts>, wish: Wish) -> Result<(), PartsError> {
    let recorded = parts.record(wish).await;
    crash_point!("sequencer.after_desired_state");
    recorded
}

impl Starting {
    fn defer(&mut self, verb: Verb) {
        match verb {
            Verb::Start { answer, author } if self.deferred.is_empty() => {
                self.waiters.push(answer);
                self.author = self.author.take().or(author);
            }
            Verb::Stop { .. } | Verb::Close { .. } => {
                // The start is given up; the stop then finds nothing running, or what had just begun to.
                self.tokens.end(Drain::Interrupt);
                self.deferred.push_back(verb);
            }
            Verb::Start { .. } => self.deferred.push_back(verb),
            Verb::Trigger => {}
            Verb::LiveRequests { answer } => drop(answer.send(Vec::new())),
        }
    }
}

impl Draining {
    fn due_within(&mut self, clock: &SharedClock, span: Duration) {
        let at = clock.now() + span;
        if self.deadline.as_ref().is_none_or(|sooner| at < sooner.at) {
            let clock = clock.clone();
            self.deadline = Some(Deadline { at, passed: async move { clock.sleep_until(at).await }.boxed() });
        }
    }

    const fn outcome(&self) -> DrainOutcome {
        match (self.by_deadline, self.drain) {
            (true, _) => DrainOutcome::Deadline,
            (false, Drain::Interrupt) => DrainOutcome::Interrupted,
            (false, Drain::Graceful) => DrainOutcome::Drained,
        }
    }
}

impl Waiter {
    /// Something has changed exactly where there was a run to drain.
    fn answer(self, state: Lifecycle, drain: Option<&DrainReport>, closed: &[String]) {
        let (changed, drain) = (drain.is_some(), drain.cloned());
        match self {
            Self::Stop { answer, unrecorded: None } => drop(answer.send(Ok(StopAnswer { changed, state, drain }))),
            Self::Stop { answer, unrecorded: Some(error) } => drop(answer.send(Err(VerbError::NotRecorded(error)))),
            Self::Close(answer) => drop(answer.send(Ok(CloseAnswer { closed: closed.to_vec(), drain }))),
        }
    }
}
