//! Batches: a run of `eth_sendRawTransaction` calls is validated on all cores at once.

use std::future::Future;
use std::vec;

use alloy::primitives::Bytes;
use jsonrpsee::core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, Request, RpcServiceT};
use jsonrpsee::server::{BatchResponseBuilder, MethodResponse, ResponsePayload};
use jsonrpsee::types::{ErrorObjectOwned, Id};

use super::context::Context;

/// The server answers a batch's calls one after the other. This does the same, but takes transactions that follow each
/// other as one.
#[derive(Clone, Debug)]
pub(super) struct SubmitTogether<S> {
    inner: S,
    context: Context,
}

type Entry<'a> = Result<BatchEntry<'a>, BatchEntryErr<'a>>;

impl<S> SubmitTogether<S> {
    pub(super) const fn new(inner: S, context: Context) -> Self {
        Self { inner, context }
    }

    async fn send(&self, sends: Vec<(Id<'_>, Bytes)>) -> Vec<MethodResponse> {
        let (ids, raws): (Vec<_>, Vec<_>) = sends.into_iter().unzip();
        let answers = self.context.submit(raws).await;
        let limit = self.context.limits.max_response_bytes as usize;
        let respond = |(id, answer)| match answer {
            Ok(hash) => MethodResponse::response(id, ResponsePayload::success(hash), limit),
            Err(refusal) => MethodResponse::error(id, ErrorObjectOwned::from(refusal)),
        };
        ids.into_iter().zip(answers).map(respond).collect()
    }
}

impl<S> RpcServiceT for SubmitTogether<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.call(request)
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.clone();
        async move {
            let mut answers = Answers::new(service.context.limits.max_response_bytes as usize);
            let mut entries = batch.into_iter();
            while let Some(step) = next_step(&mut entries) {
                let responses = match step {
                    Step::Sends(sends) => service.send(sends).await,
                    Step::Call(request) => vec![service.inner.call(request).await],
                    Step::Invalid(id, error) => vec![MethodResponse::error(id, error)],
                    Step::Notification(notification) => {
                        answers.notified = true;
                        service.inner.notification(notification).await;
                        vec![]
                    }
                };
                if let Err(too_large) = answers.append(responses) {
                    return too_large;
                }
            }
            answers.finish()
        }
    }

    fn notification<'a>(&self, notification: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

/// What a batch does next.
enum Step<'a> {
    Sends(Vec<(Id<'a>, Bytes)>),
    Call(Request<'a>),
    Notification(Notification<'a>),
    Invalid(Id<'a>, ErrorObjectOwned),
}

/// Takes the next entry, and with a transaction those that follow it.
fn next_step<'a>(entries: &mut vec::IntoIter<Entry<'a>>) -> Option<Step<'a>> {
    let mut sends = Vec::new();
    while let Some(raw) = entries.as_slice().first().and_then(raw_transaction) {
        if let Some(Ok(BatchEntry::Call(request))) = entries.next() {
            sends.push((request.id, raw));
        }
    }
    if !sends.is_empty() {
        return Some(Step::Sends(sends));
    }
    Some(match entries.next()? {
        Ok(BatchEntry::Call(request)) => Step::Call(request),
        Ok(BatchEntry::Notification(notification)) => Step::Notification(notification),
        Err(invalid) => {
            let (error, id) = invalid.into_parts();
            Step::Invalid(id, error.into_owned())
        }
    })
}

/// The raw transaction, where the entry sends one and its parameters can be read; else the method itself answers.
fn raw_transaction(entry: &Entry<'_>) -> Option<Bytes> {
    let Ok(BatchEntry::Call(request)) = entry else { return None };
    if request.method_name() != "eth_sendRawTransaction" {
        return None;
    }
    request.params().parse::<[Bytes; 1]>().ok().map(|[raw]| raw)
}

/// The responses of a batch, within the size of a response.
struct Answers {
    builder: BatchResponseBuilder,
    notified: bool,
}

impl Answers {
    fn new(limit: usize) -> Self {
        Self { builder: BatchResponseBuilder::new_with_limit(limit), notified: false }
    }

    fn append(&mut self, responses: Vec<MethodResponse>) -> Result<(), MethodResponse> {
        responses.into_iter().try_for_each(|response| self.builder.append(response))
    }

    /// JSON-RPC 2.0: a batch of nothing but notifications has no answer.
    fn finish(self) -> MethodResponse {
        if self.builder.is_empty() && self.notified {
            MethodResponse::notification()
        } else {
            MethodResponse::from_batch(self.builder.finish())
        }
    }
}
