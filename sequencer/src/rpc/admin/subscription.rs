//! `admin_subscribe`: news over a WebSocket, until the subscriber or the server ends.

use std::sync::Arc;

use jsonrpsee::core::SubscriptionResult;
use jsonrpsee::core::server::SubscriptionMessage;
use jsonrpsee::types::Params;
use jsonrpsee::{PendingSubscriptionSink, SubscriptionSink};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::methods::Methods;
use super::params::{SubscribeParams, one};
use crate::feed::{Notice, Topic};

pub(super) const SUBSCRIBE: &str = "admin_subscribe";
pub(super) const NOTIFICATION: &str = "admin_subscription";
pub(super) const UNSUBSCRIBE: &str = "admin_unsubscribe";

pub(super) async fn subscribe(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    methods: Arc<Methods>,
) -> SubscriptionResult {
    let topics = match one::<SubscribeParams>(&params) {
        Ok(params) => match params.unwrap_or_default() {
            SubscribeParams::One(topic) => vec![topic],
            SubscribeParams::Several(topics) => topics,
        },
        Err(refusal) => {
            pending.reject(refusal).await;
            return Ok(());
        }
    };
    // Listening begins before the caller is told so: it misses nothing that happens after the answer.
    let news = methods.feed.listen();
    let sink = pending.accept().await?;
    tokio::select! {
        () = methods.ended.cancelled() => Ok(()),
        () = sink.closed() => Ok(()),
        told = tell(&sink, news, &topics) => told,
    }
}

/// Tells as fast as the subscriber reads. Who reads too slowly loses the oldest, and sees it by the numbers.
async fn tell(
    sink: &SubscriptionSink,
    mut news: broadcast::Receiver<Arc<Notice>>,
    topics: &[Topic],
) -> SubscriptionResult {
    loop {
        let notice = match news.recv().await {
            Ok(notice) => notice,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return Ok(()),
        };
        if topics.contains(&notice.news.topic()) {
            let message = SubscriptionMessage::new(sink.method_name(), sink.subscription_id(), &*notice)?;
            sink.send(message).await?;
        }
    }
}
