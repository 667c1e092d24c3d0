//! The verbs. Each goes on when its caller goes away, and is noted with its outcome.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::Slot;

use super::audit::Audit;
use super::errors;
use super::methods::{Answer, Call, Methods};
use super::params::{AuthorParams, StartParams, StopMode, StopParams};
use crate::lifecycle::Drain;
use crate::verbs::{
    Author, CloseAnswer, DrainOutcome, StartAnswer, StartRequest, StopAnswer, StopAt, StopRequest, VerbError,
};

pub(super) async fn start(methods: Arc<Methods>, call: Call, params: StartParams) -> Answer<StartAnswer> {
    let StartParams { at, wait_ms, reason, by } = params;
    let author = Audit::author(call.caller(), by, reason);
    let wait = Duration::from_millis(wait_ms.unwrap_or_default());
    let request = StartRequest { author: Some(author.clone()), at, wait };
    let engine = methods.context.engine.clone();
    methods.carry_out(call, author, async move { engine.start(request).await }, started).await
}

pub(super) async fn stop(methods: Arc<Methods>, call: Call, params: StopParams) -> Answer<StopAnswer> {
    let StopParams { mode, deadline_ms, at_slot, at_block, reason, by } = params;
    let author = Audit::author(call.caller(), by, reason);
    let drain = match mode {
        StopMode::Graceful => Drain::Graceful,
        StopMode::Now => Drain::Interrupt,
    };
    let at = at_slot.map(|slot| StopAt::Slot(Slot(slot))).or(at_block.map(StopAt::Block));
    let is_twofold = at_slot.is_some() && at_block.is_some();
    let request =
        StopRequest { drain, deadline: deadline_ms.map(Duration::from_millis), at, author: Some(author.clone()) };
    let engine = methods.context.engine.clone();
    let work = async move {
        if is_twofold {
            return Err(VerbError::Invalid { what: "a stop is planned for a slot or for a block, not for both" });
        }
        engine.stop(request).await
    };
    methods.carry_out(call, author, work, stopped).await
}

pub(super) async fn close(methods: Arc<Methods>, call: Call, params: AuthorParams) -> Answer<CloseAnswer> {
    let author = Audit::author(call.caller(), params.by, params.reason);
    let (engine, closed, audit) = (methods.context.engine.clone(), methods.closed.clone(), methods.audit.clone());
    let task = methods.tasks.spawn(async move {
        // Noted first: afterwards the journal is closed as well.
        audit.note(call.verb, call.caller(), &author, "accepted").await;
        let answer = engine.close().await;
        closed.cancel();
        answer
    });
    task.await.unwrap_or(Err(VerbError::Gone)).map_err(|error| errors::of_verb(&error))
}

impl Methods {
    /// Carries out a verb and notes it, whether or not the caller waits for the end.
    async fn carry_out<T: Send + 'static>(
        &self,
        call: Call,
        author: Author,
        work: impl Future<Output = Result<T, VerbError>> + Send + 'static,
        outcome: fn(&T) -> &'static str,
    ) -> Answer<T> {
        let audit = self.audit.clone();
        let task = self.tasks.spawn(async move {
            let answer = work.await;
            let outcome = answer.as_ref().map_or_else(|error| errors::reason_of(error).word(), outcome);
            audit.note(call.verb, call.caller(), &author, outcome).await;
            answer
        });
        task.await.unwrap_or(Err(VerbError::Gone)).map_err(|error| errors::of_verb(&error))
    }
}

const fn started(answer: &StartAnswer) -> &'static str {
    if answer.changed { "started" } else { "unchanged" }
}

fn stopped(answer: &StopAnswer) -> &'static str {
    match answer.drain.as_ref().map(|drain| drain.outcome) {
        None => "unchanged",
        Some(DrainOutcome::Drained) => "drained",
        Some(DrainOutcome::Interrupted) => "interrupted",
        Some(DrainOutcome::Deadline) => "deadline",
    }
}
