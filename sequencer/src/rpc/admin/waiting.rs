//! `admin_waitFor`: waits on what happens, not on a timer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::errors;
use super::methods::{Answer, Methods};
use super::params::WaitParams;
use crate::catalogue::Reason;
use crate::lifecycle::Lifecycle;
use crate::status::NodeStatus;

/// How long is waited where the caller does not say.
const USUAL_TIMEOUT_MS: u64 = 60_000;
/// Nobody waits longer than a day.
const LONGEST_TIMEOUT_MS: u64 = 86_400_000;

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    State(&'static str),
    Block(u64),
    Checkpoint(u64),
    L1Block(u64),
}

impl Condition {
    fn of(params: &WaitParams) -> Answer<Self> {
        let conditions = [
            params.state.as_deref().map(state).transpose()?,
            params.block.map(Self::Block),
            params.checkpoint.map(Self::Checkpoint),
            params.l1_block.map(Self::L1Block),
        ];
        let mut named = conditions.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(condition), None) => Ok(condition),
            (None, _) | (Some(_), Some(_)) => {
                Err(errors::invalid_params("name one of state, block, checkpoint and l1Block"))
            }
        }
    }

    fn holds(self, status: &NodeStatus) -> bool {
        match self {
            Self::State(word) => status.actual.lifecycle.word() == word,
            Self::Block(number) => status.head.unsafe_head.number >= number,
            Self::Checkpoint(number) => {
                status.l1.and_then(|l1| l1.checkpoint).is_some_and(|checkpoint| checkpoint.0 >= number)
            }
            Self::L1Block(number) => status.l1.is_some_and(|l1| l1.number >= number),
        }
    }
}

fn state(word: &str) -> Answer<Condition> {
    let known = Lifecycle::WORDS.into_iter().find(|known| *known == word);
    known.map(Condition::State).ok_or_else(|| {
        errors::invalid_params(&format!("there is no state `{word}`; there are {}", Lifecycle::WORDS.join(", ")))
    })
}

/// The status, as soon as the condition holds.
pub(super) async fn wait_for(methods: Arc<Methods>, params: WaitParams) -> Answer<NodeStatus> {
    let condition = Condition::of(&params)?;
    let Ok(_place) = methods.waits.try_acquire() else { return Err(errors::of_reason(Reason::Busy)) };
    let timeout = params.timeout_ms.unwrap_or(USUAL_TIMEOUT_MS).min(LONGEST_TIMEOUT_MS);
    match tokio::time::timeout(Duration::from_millis(timeout), until(&methods, condition)).await {
        Ok(answer) => answer,
        Err(_) => {
            let status = methods.context.status.status().await;
            let message = format!("{condition:?} did not come within {timeout} ms");
            Err(errors::with(Reason::Timeout, &message, &json!({ "status": status })))
        }
    }
}

async fn until(methods: &Methods, condition: Condition) -> Answer<NodeStatus> {
    // Listening begins before the first look: nothing falls in between.
    let mut news = methods.feed.listen();
    loop {
        let status = methods.context.status.status().await;
        if condition.holds(&status) {
            return Ok(status);
        }
        if methods.ended.is_cancelled() || status.actual.lifecycle == Lifecycle::Closed {
            return Err(errors::with(Reason::Closed, "the node was closed first", &json!({ "status": status })));
        }
        tokio::select! {
            () = methods.ended.cancelled() => {}
            heard = news.recv() => if let Err(RecvError::Closed) = heard {
                methods.ended.cancelled().await;
            },
        }
    }
}
