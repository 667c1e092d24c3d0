//! The parts of a run that do as a test tells them.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Notify;

use super::bench::HEAD;
use crate::catalogue::Reason;
use crate::engine::{Parts, Rest, Wish};
use crate::node_store::NodeStore;
use crate::poll_loop::{Tick, TickContext, TickError};
use crate::requests_tracker::RequestsTracker;
use crate::run::RunTokens;
use crate::verbs::{HeadGap, PartsError, StartRequest};

/// Parts whose tick lasts until it is released or interrupted.
#[derive(Debug)]
pub(crate) struct FakeParts {
    pub(crate) ticking: Notify,
    pub(crate) release: Notify,
    pub(crate) refuse_start: Mutex<Option<PartsError>>,
    /// A start takes until it is interrupted.
    pub(crate) hold_start: Mutex<bool>,
    store: Arc<NodeStore>,
}

struct FakeTick(Arc<FakeParts>);

impl Tick for FakeTick {
    fn tick(&self, context: TickContext) -> BoxFuture<'_, Result<(), TickError>> {
        async move {
            self.0.ticking.notify_one();
            tokio::select! {
                () = self.0.release.notified() => {}
                () = context.interrupt.cancelled() => {}
            }
            Ok(())
        }
        .boxed()
    }
}

#[derive(Debug)]
pub(super) struct Shared(pub(super) Arc<FakeParts>);

impl Parts for Shared {
    fn start(&self, tokens: RunTokens, request: StartRequest) -> BoxFuture<'_, Result<Arc<dyn Tick>, PartsError>> {
        let elsewhere = request.at.filter(|want| *want != HEAD.hash).map(|want| PartsError {
            heads: Some(HeadGap { have: HEAD, want }),
            ..PartsError::new(Reason::HeadMismatch, "the head is another".to_owned())
        });
        let refused = self.0.refuse_start.lock().unwrap().take().or(elsewhere);
        let started = refused.map_or_else(|| Ok(Arc::new(FakeTick(Arc::clone(&self.0))) as Arc<dyn Tick>), Err);
        let is_held = *self.0.hold_start.lock().unwrap();
        async move {
            if is_held {
                tokens.interrupt.cancelled().await;
                return Err(PartsError::new(Reason::Interrupted, "interrupted".to_owned()));
            }
            started
        }
        .boxed()
    }

    fn see_through(&self, _: &RequestsTracker) {}

    fn stop(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn rest(&self) -> BoxFuture<'_, Result<Rest, PartsError>> {
        async { Ok(Rest { head: HEAD, last_checkpoint: None }) }.boxed()
    }

    fn record(&self, wish: Wish) -> BoxFuture<'_, Result<(), PartsError>> {
        async move {
            let recorded = self.0.store.record_wish(wish).await;
            recorded.map_err(|error| PartsError::new(Reason::NotRecorded, error.to_string()))
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Vec<String>> {
        async {
            self.0.store.close().await;
            vec!["node".to_owned()]
        }
        .boxed()
    }
}

/// Parts that do as they are told.
pub(super) fn parts(store: &Arc<NodeStore>) -> Arc<FakeParts> {
    Arc::new(FakeParts {
        ticking: Notify::new(),
        release: Notify::new(),
        refuse_start: Mutex::default(),
        hold_start: Mutex::default(),
        store: Arc::clone(store),
    })
}
