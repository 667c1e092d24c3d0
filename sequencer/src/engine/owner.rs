//! The one task that owns the lifecycle.

use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{UnixTime, crash_point};
use futures::FutureExt;
use futures::future::pending;
use tokio::sync::{mpsc, oneshot, watch};

use super::contained::Contained;
use super::draining::{Answer, Deadline, Draining, Planned, Waiter};
use super::starting::Starting;
use super::{DrainProgress, EngineStatus, Parts, Rest, Verb, Wish};
use crate::drain::{DrainOutcome, DrainReport};
use crate::lifecycle::{Command, Drain, Effect, Lifecycle, next};
use crate::poll_loop::{LoopEnd, Polling, Tick};
use crate::run::{Run, RunTokens, Settled};
use crate::tasks::Tasks;
use crate::verbs::{
    Author, CloseAnswer, PartsError, StartAnswer, StartRequest, StopAnswer, StopAt, StopRequest, VerbError,
};

pub(super) struct Owner {
    parts: Contained,
    polling: Polling,
    tasks: Tasks,
    status: watch::Sender<EngineStatus>,
    lifecycle: Lifecycle,
    starting: Option<Starting>,
    run: Option<Run>,
    planned: Option<Planned>,
    draining: Option<Draining>,
    /// The last place that was known.
    rest: Rest,
    /// Nobody can ask for anything any more: bring what runs to its end.
    handles_gone: bool,
    /// The stores were released.
    released: bool,
}

/// What woke the owner.
enum Woken {
    Verb(Verb),
    HandlesGone,
    PartsCameUp(Result<Arc<dyn Tick>, PartsError>),
    LoopEnded(LoopEnd),
    LimitReached,
    Settled(Settled),
    DeadlinePassed,
}

impl Owner {
    pub(super) fn new(parts: Arc<dyn Parts>, polling: Polling, tasks: Tasks) -> (Self, watch::Receiver<EngineStatus>) {
        let parts = Contained::new(parts, polling.clock.clone());
        let (status, receiver) = watch::channel(EngineStatus::at_rest(polling.clock.now()));
        let owner = Self {
            parts,
            polling,
            tasks,
            status,
            lifecycle: Lifecycle::Idle,
            starting: None,
            run: None,
            planned: None,
            draining: None,
            rest: Rest::default(),
            handles_gone: false,
            released: false,
        };
        (owner, receiver)
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
                Woken::LimitReached => self.apply(Command::Stop(Drain::Graceful)),
                Woken::Settled(settled) => self.on_settled(settled).await,
                Woken::DeadlinePassed => self.on_deadline(),
            }
        }
    }

    const fn is_at_rest(&self) -> bool {
        self.starting.is_none() && self.run.is_none() && self.draining.is_none()
    }

    async fn wait(&mut self, inbox: &mut mpsc::UnboundedReceiver<Verb>) -> Woken {
        let Self { starting, run, planned, draining, handles_gone, .. } = self;
        let reached = run.as_ref().filter(|_| planned.is_some()).map(|run| run.limit().clone());
        let reached = reached.map_or_else(|| pending().boxed(), |limit| async move { limit.reached().await }.boxed());
        let came_up = starting.as_mut().map_or_else(|| pending().boxed(), |s| (&mut s.parts).boxed());
        let loop_ended = run.as_mut().map_or_else(|| pending().boxed(), |run| run.ended_by_itself().boxed());
        let mut none = Deadline::default();
        let (settled, deadline) = match (draining.as_mut(), planned.as_mut()) {
            (Some(draining), _) => ((&mut draining.settled).boxed(), &mut draining.deadline),
            (None, Some(planned)) => (pending().boxed(), &mut planned.deadline),
            (None, None) => (pending().boxed(), &mut none),
        };
        tokio::select! {
            // Verbs first: an interrupt must not wait behind what it interrupts.
            biased;
            verb = inbox.recv(), if !*handles_gone => verb.map_or(Woken::HandlesGone, Woken::Verb),
            outcome = came_up => Woken::PartsCameUp(outcome),
            end = loop_ended => Woken::LoopEnded(end),
            () = reached => Woken::LimitReached,
            settled = settled => Woken::Settled(settled),
            () = deadline.passed() => Woken::DeadlinePassed,
        }
    }

    async fn carry_out(&mut self, verb: Verb) {
        if let Some(starting) = &mut self.starting {
            return starting.defer(verb);
        }
        match verb {
            Verb::Start { request, answer } => self.start(request, answer).await,
            Verb::Stop { request, answer } => self.stop(request, answer).await,
            Verb::Close { answer } => self.close(answer).await,
            Verb::Trigger { done } => {
                if let Some(run) = &self.run {
                    run.trigger(done);
                }
            }
            Verb::LiveRequests { answer } => {
                let live = self.run.as_ref().map(|run| run.requests().live());
                let draining = self.draining.as_ref().map(|draining| draining.requests.live());
                let _ = answer.send(live.or(draining).unwrap_or_default());
            }
        }
    }

    async fn start(&mut self, request: StartRequest, answer: Answer<StartAnswer>) {
        match next(self.lifecycle, Command::Start) {
            Err(refused) => drop(answer.send(Err(refused.into()))),
            Ok((_, Effect::Begin)) => self.begin(request, answer),
            Ok((state, _)) => drop(answer.send(self.run_on(state, request).await)),
        }
    }

    /// A start of what runs already: it must be at the head that was asked for, and then goes on without end.
    async fn run_on(&mut self, state: Lifecycle, request: StartRequest) -> Result<StartAnswer, VerbError> {
        let started = self.started(state).await;
        let elsewhere = request.at.filter(|want| *want != started.head.hash);
        if let Some(want) = elsewhere {
            return Err(VerbError::Start(PartsError::elsewhere(started.head, want)));
        }
        self.record(Wish::running, request.author).await.map_err(VerbError::NotRecorded)?;
        self.call_off();
        Ok(StartAnswer { changed: false, ..started })
    }

    fn begin(&mut self, request: StartRequest, answer: Answer<StartAnswer>) {
        let tokens = RunTokens::default();
        let parts = self.parts.start(tokens.clone(), request.clone());
        self.starting = Some(Starting { tokens, parts, request, waiters: vec![answer], deferred: [].into() });
        self.status.send_modify(|status| status.starting = true);
    }

    async fn on_parts(&mut self, outcome: Result<Arc<dyn Tick>, PartsError>) {
        let Some(mut starting) = self.starting.take() else { return };
        self.status.send_modify(|status| status.starting = false);
        let answer = match outcome {
            Ok(tick) => self.poll(starting.tokens.clone(), tick, starting.request.author.take()).await,
            Err(_) if starting.tokens.interrupt.is_cancelled() => Err(VerbError::Interrupted),
            Err(error) => Err(VerbError::Start(error)),
        };
        for verb in starting.answer(&answer) {
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
        if let Err(error) = self.record(Wish::running, author).await {
            self.parts.roll_back().await;
            return Err(VerbError::NotRecorded(error));
        }
        let answer = self.started(Lifecycle::Running).await;
        self.run = Some(Run::begin(tokens, tick, self.polling.clone(), &self.tasks));
        self.status.send_modify(|status| {
            status.runs += 1;
            status.failure = None;
        });
        self.become_state(Lifecycle::Running);
        Ok(answer)
    }

    async fn started(&mut self, state: Lifecycle) -> StartAnswer {
        // A head that cannot be read now is told at the stop; what is told here is the last that was known.
        if let Ok(rest) = self.parts.rest().await {
            self.rest = rest;
        }
        StartAnswer { changed: true, state, head: self.rest.head }
    }

    async fn stop(&mut self, request: StopRequest, answer: Answer<StopAnswer>) {
        let StopRequest { drain, deadline, at, author } = request;
        match (at, self.lifecycle) {
            (Some(at), Lifecycle::Running) => self.plan(at),
            (Some(_) | None, _) => self.apply(Command::Stop(drain)),
        }
        let clock = self.polling.clock.clone();
        if let (Some(span), Some((_, due))) = (deadline, self.end_in_sight()) {
            due.within(&clock, span);
        }
        self.show_end();
        let author = author.filter(|_| self.lifecycle != Lifecycle::Closed);
        let unrecorded = self.record(Wish::stopped, author).await.err();
        let waiter = Waiter::Stop { answer, unrecorded };
        match self.end_in_sight() {
            Some((waiters, _)) => waiters.push(waiter),
            None => waiter.answer(self.lifecycle, None, &[]),
        }
    }

    /// Those who wait for the drain under way or planned, and its deadline.
    fn end_in_sight(&mut self) -> Option<(&mut Vec<Waiter>, &mut Deadline)> {
        match (&mut self.draining, &mut self.planned) {
            (Some(Draining { waiters, deadline, .. }), _) | (None, Some(Planned { waiters, deadline })) => {
                Some((waiters, deadline))
            }
            (None, None) => None,
        }
    }

    /// The run goes on until `at`.
    fn plan(&mut self, at: StopAt) {
        let Some(run) = &self.run else { return };
        let at = run.limit().tighten(at);
        self.planned.get_or_insert_default();
        // The limit may lie behind already: have the tick look.
        run.trigger(oneshot::channel().0);
        self.status.send_modify(|status| status.stop_at = Some(at));
    }

    /// The run goes on without end.
    fn call_off(&mut self) {
        let Some(planned) = self.planned.take() else { return };
        if let Some(run) = &self.run {
            run.limit().lift();
        }
        planned.waiters.into_iter().for_each(Waiter::call_off);
        self.show_end();
    }

    async fn close(&mut self, answer: Answer<CloseAnswer>) {
        self.apply(Command::Close);
        match &mut self.draining {
            Some(draining) => draining.waiters.push(Waiter::Close(answer)),
            None => {
                let closed = self.release().await;
                let _ = answer.send(Ok(CloseAnswer { closed, drain: None }));
            }
        }
    }

    /// Releases the stores, once.
    async fn release(&mut self) -> Vec<String> {
        if std::mem::replace(&mut self.released, true) {
            return Vec::new();
        }
        self.parts.close().await
    }

    /// Does what the table says about a command that no state refuses; releasing is left to the caller, who can wait.
    fn apply(&mut self, command: Command) {
        let Ok((state, effect)) = next(self.lifecycle, command) else { return };
        match effect {
            Effect::Halt(drain) => self.halt(drain),
            Effect::Escalate => {
                if let Some(draining) = &mut self.draining {
                    draining.escalate();
                }
            }
            Effect::Nothing | Effect::Begin | Effect::Join | Effect::Release | Effect::Settle => {}
        }
        self.become_state(state);
        self.show_end();
    }

    fn halt(&mut self, drain: Drain) {
        let Some(run) = self.run.take() else { return };
        let (tokens, requests) = (run.tokens().clone(), run.requests().clone());
        requests.begin_drain();
        match drain {
            Drain::Graceful => self.parts.see_through(&requests),
            Drain::Interrupt => {}
        }
        tokens.end(drain);
        let parts = self.parts.clone();
        let settled = async move {
            let mut settled = run.settle().await;
            settled.failures.extend(parts.stop().await.err());
            settled
        };
        let Planned { deadline, waiters } = self.planned.take().unwrap_or_default();
        self.draining = Some(Draining {
            tokens,
            drain,
            by_deadline: false,
            began: self.polling.clock.monotonic(),
            requests,
            settled: settled.boxed(),
            deadline,
            waiters,
        });
    }

    fn on_deadline(&mut self) {
        let was_graceful = self.draining.as_ref().is_none_or(|draining| draining.drain == Drain::Graceful);
        self.apply(Command::Stop(Drain::Interrupt));
        if let Some(draining) = &mut self.draining {
            draining.by_deadline |= was_graceful;
            draining.deadline = Deadline::default();
        }
        self.show_end();
    }

    fn on_loop_ended(&mut self, end: LoopEnd) {
        let failure = match end {
            LoopEnd::Panicked => "a tick panicked; the run was stopped, and a start begins a new one",
            LoopEnd::Halted => "the poll loop ended by itself",
        };
        tracing::error!(failure, "the run ended without being asked to");
        self.status.send_modify(|status| status.failure = Some(failure.to_owned()));
        self.apply(Command::Stop(Drain::Interrupt));
    }

    fn interrupt_all(&mut self) {
        if let Some(starting) = &self.starting {
            starting.tokens.end(Drain::Interrupt);
        }
        self.apply(Command::Stop(Drain::Interrupt));
    }

    async fn on_settled(&mut self, settled: Settled) {
        let Some(draining) = self.draining.take() else { return };
        let report = self.report(draining.outcome(), draining.began, settled).await;
        crash_point!("sequencer.after_drain");
        let Ok((state, effect)) = next(self.lifecycle, Command::Drained) else { return };
        let closed = if effect == Effect::Release { self.release().await } else { Vec::new() };
        self.become_state(state);
        self.show_end();
        let DrainReport { outcome, head, took_ms, ref failures, .. } = report;
        tracing::info!(?outcome, head = head.number, took_ms, ?failures, "drained");
        for waiter in draining.waiters {
            waiter.answer(state, Some(&report), &closed);
        }
    }

    async fn report(&mut self, outcome: DrainOutcome, began: Duration, settled: Settled) -> DrainReport {
        let Settled { work, mut failures } = settled;
        match self.parts.rest().await {
            Ok(rest) => self.rest = rest,
            Err(why) => failures.push(format!("the head could not be read, and the one told is of before: {why}")),
        }
        let Rest { head, last_checkpoint } = self.rest.clone();
        let took_ms = self.polling.clock.monotonic().saturating_sub(began).as_millis() as u64;
        DrainReport { outcome, head, last_checkpoint, work, failures, took_ms }
    }

    /// Records the wish of an author; without one there is none.
    async fn record(&mut self, wish: fn(Author, UnixTime) -> Wish, author: Option<Author>) -> Result<(), PartsError> {
        let Some(author) = author else { return Ok(()) };
        self.parts.record(wish(author, self.polling.clock.now())).await
    }

    /// The drain under way or planned, in the status.
    fn show_end(&self) {
        let clock = &self.polling.clock;
        let drain = self.draining.as_ref().map(|draining| DrainProgress {
            mode: draining.drain,
            since: clock.now() - clock.monotonic().saturating_sub(draining.began),
            deadline: draining.deadline.left(clock).map(|left| clock.now() + left),
        });
        let is_planned = self.planned.is_some();
        self.status.send_modify(|status| {
            status.drain = drain;
            status.stop_at = status.stop_at.filter(|_| is_planned);
        });
    }

    fn become_state(&mut self, state: Lifecycle) {
        if state == self.lifecycle {
            return;
        }
        tracing::info!(from = %self.lifecycle, to = %state, "lifecycle");
        self.lifecycle = state;
        crate::metrics::record_lifecycle(state);
        let since = self.polling.clock.now();
        self.status.send_modify(|status| {
            status.lifecycle = state;
            status.since = since;
        });
    }
}
