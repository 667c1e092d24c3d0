//! The methods.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use jsonrpsee::RpcModule;
use jsonrpsee::types::{ErrorObjectOwned, Params};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::AdminContext;
use super::errors;
use super::params::{AuthorParams, JournalParams, StopMode, StopParams, one};
use crate::lifecycle::{Drain, Lifecycle};
use crate::node_store::JournalEntry;
use crate::status::NodeStatus;
use crate::verbs::{Author, CloseAnswer, StartAnswer, StartRequest, StopAnswer, StopRequest, VerbError};

type Answer<T> = Result<T, ErrorObjectOwned>;

/// The methods and what they work with. Each verb is a task of `tasks`, so that it and its entry in the journal outlive
/// the connection it came over.
#[derive(Clone, Debug)]
pub(super) struct Methods {
    pub(super) context: AdminContext,
    pub(super) tasks: TaskTracker,
    pub(super) closed: CancellationToken,
}

/// Every method under its name.
pub(super) fn module(methods: Methods) -> RpcModule<Methods> {
    let mut module = RpcModule::new(methods);
    register(&mut module, "admin_start", |m, p| async move {
        m.start("admin_start", one(&p)?.unwrap_or_default(), None).await
    });
    register(&mut module, "admin_stop", |m, p| async move { m.stop("admin_stop", one(&p)?.unwrap_or_default()).await });
    register(&mut module, "admin_close", |m, p| async move { m.close(one(&p)?.unwrap_or_default()).await });
    register(&mut module, "admin_status", |m, p| async move {
        nothing(&p)?;
        Ok(m.context.status.status().await)
    });
    register(&mut module, "admin_journal", |m, p| async move { m.journal(one(&p)?.unwrap_or_default()).await });
    register(&mut module, "admin_startSequencer", |m, p| async move { m.start_sequencer(one(&p)?).await });
    register(&mut module, "admin_stopSequencer", |m, p| async move {
        nothing(&p)?;
        m.stop_sequencer().await
    });
    register(&mut module, "admin_sequencerActive", |m, p| async move {
        nothing(&p)?;
        Ok(m.context.engine.status().borrow().lifecycle == Lifecycle::Running)
    });
    module
}

fn register<T, F>(module: &mut RpcModule<Methods>, name: &'static str, method: fn(Arc<Methods>, Params<'static>) -> F)
where
    T: serde::Serialize + Clone + Send + 'static,
    F: Future<Output = Answer<T>> + Send + 'static,
{
    module
        .register_async_method(name, move |params, methods, _| method(methods, params))
        .expect("no two methods have the same name");
}

fn nothing(params: &Params<'_>) -> Answer<()> {
    match one::<serde_json::Value>(params)? {
        None => Ok(()),
        Some(serde_json::Value::Object(fields)) if fields.is_empty() => Ok(()),
        Some(_) => Err(errors::invalid_params("the method takes none")),
    }
}

impl Methods {
    async fn start(&self, verb: &'static str, params: AuthorParams, at: Option<B256>) -> Answer<StartAnswer> {
        let author = author(params.by, params.reason);
        let engine = self.context.engine.clone();
        self.carry_out(
            verb,
            author.clone(),
            async move { engine.start(StartRequest { author: Some(author), at, wait: Duration::ZERO }).await },
            started,
        )
        .await
    }

    async fn stop(&self, verb: &'static str, params: StopParams) -> Answer<StopAnswer> {
        let StopParams { mode, deadline_ms, reason, by } = params;
        let author = author(by, reason);
        let drain = match (mode, deadline_ms) {
            (StopMode::Graceful, _) => Drain::Graceful,
            (StopMode::Now, None) => Drain::Interrupt,
            (StopMode::Now, Some(_)) => {
                return Err(errors::invalid_params("deadlineMs goes with the mode graceful alone"));
            }
        };
        let deadline = deadline_ms.map(Duration::from_millis);
        let request = StopRequest { drain, deadline, at: None, author: Some(author.clone()) };
        let engine = self.context.engine.clone();
        self.carry_out(verb, author, async move { engine.stop(request).await }, stopped).await
    }

    async fn close(&self, params: AuthorParams) -> Answer<CloseAnswer> {
        let author = author(params.by, params.reason);
        // Noted first: afterwards the journal is closed as well.
        self.note("admin_close", &author, "accepted").await;
        let (engine, closed) = (self.context.engine.clone(), self.closed.clone());
        let task = self.tasks.spawn(async move {
            let answer = engine.close().await;
            closed.cancel();
            answer
        });
        task.await.unwrap_or(Err(VerbError::Gone)).map_err(|error| errors::of_verb(&error))
    }

    async fn journal(&self, params: JournalParams) -> Answer<Vec<JournalEntry>> {
        self.context.store.journal(params.most).await.map_err(|error| errors::of_store(&error))
    }

    async fn start_sequencer(&self, at: Option<B256>) -> Answer<()> {
        self.start("admin_startSequencer", AuthorParams::default(), at).await.map(|_| ())
    }

    async fn stop_sequencer(&self) -> Answer<B256> {
        let answer = self.stop("admin_stopSequencer", StopParams::default()).await?;
        match answer.drain {
            Some(drain) => Ok(drain.head.hash),
            None => Ok(self.head().await),
        }
    }

    async fn head(&self) -> B256 {
        let NodeStatus { head, .. } = self.context.status.status().await;
        head.unsafe_head.hash
    }

    /// Carries out a verb and notes it, whether or not the caller waits for the end.
    async fn carry_out<T: Send + 'static>(
        &self,
        verb: &'static str,
        author: Author,
        work: impl Future<Output = Result<T, VerbError>> + Send + 'static,
        outcome: fn(&T) -> &'static str,
    ) -> Answer<T> {
        let methods = self.clone();
        let task = self.tasks.spawn(async move {
            let answer = work.await;
            let outcome = answer.as_ref().map_or_else(|error| errors::reason_of(error).word(), outcome);
            methods.note(verb, &author, outcome).await;
            answer
        });
        task.await.unwrap_or(Err(VerbError::Gone)).map_err(|error| errors::of_verb(&error))
    }

    async fn note(&self, verb: &str, author: &Author, outcome: &str) {
        tracing::info!(verb, by = author.by, reason = author.reason, outcome, "admin verb");
        let entry = JournalEntry {
            at_ms: self.context.clock.now().as_millis(),
            verb: verb.to_owned(),
            by: author.by.clone(),
            reason: author.reason.clone(),
            outcome: outcome.to_owned(),
        };
        if let Err(error) = self.context.store.append(entry).await {
            tracing::warn!(error = %crate::poll_loop::chain(&error), verb, "the verb is not in the journal");
        }
    }
}

fn author(by: Option<String>, reason: Option<String>) -> Author {
    Author { by: by.unwrap_or_else(|| "admin rpc".to_owned()), reason }
}

const fn started(answer: &StartAnswer) -> &'static str {
    if answer.changed { "started" } else { "unchanged" }
}

fn stopped(answer: &StopAnswer) -> &'static str {
    use crate::verbs::DrainOutcome::{Deadline, Drained, Interrupted};
    match answer.drain.as_ref().map(|drain| drain.outcome) {
        None => "unchanged",
        Some(Drained) => "drained",
        Some(Interrupted) => "interrupted",
        Some(Deadline) => "deadline",
    }
}
