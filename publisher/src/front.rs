//! A request, from its caller to the desk.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::broadcast_gate::BroadcastGate;
use crate::core::{Core, KeyInUse};
use crate::desk::caller::Caller;
use crate::desk::{DeskHandle, Mail};
use crate::machine::job::{Job, JobId, Pinned};
use crate::machine::news::News;
use crate::{Error, InvalidRequest, L1Request, Outcome, PreparedBlobs, RejectReason, RequestBlobs};

/// A request on its way to the desk.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) core: Arc<Core>,
    pub(crate) desk: DeskHandle,
    pub(crate) id: JobId,
    pub(crate) request: L1Request,
    pub(crate) account: Pinned,
    pub(crate) gate: Arc<BroadcastGate>,
    pub(crate) interrupt: CancellationToken,
    pub(crate) answer: oneshot::Sender<Result<Outcome, Error>>,
}

impl Front {
    /// Hands the request in once it is whole, and tells the desk if its caller interrupts it.
    ///
    /// # Cancel safety
    /// Dropped before it was handed in, nothing of it exists.
    pub(crate) async fn run(self) {
        let admitted = self.interrupt.run_until_cancelled(admit(&self.core, &self.request)).await;
        let (blobs, keys) = match admitted {
            None => return,
            Some(Ok(Ok(admitted))) => admitted,
            Some(Ok(Err(reason))) => return drop(self.answer.send(Ok(Outcome::Rejected { reason }))),
            Some(Err(error)) => return drop(self.answer.send(Err(error))),
        };
        let (caller, done) = Caller::new(self.answer, keys);
        let (id, interrupt) = (self.id, self.interrupt);
        let (request, account) = (self.request, self.account);
        let job = Job { id, request, account, blobs, gate: self.gate, interrupt: interrupt.clone() };
        self.desk.post(Mail::Submit(Arc::new(job), caller)).await;
        tokio::select! {
            () = done.cancelled() => {}
            () = interrupt.cancelled() => self.desk.post(Mail::News(News::Interrupted(id))).await,
        }
    }
}

/// What a request needs before it can be planned: its proofs, and its dedup keys for itself.
async fn admit(
    core: &Arc<Core>,
    request: &L1Request,
) -> Result<Result<(Option<PreparedBlobs>, Vec<KeyInUse>), RejectReason>, Error> {
    if let Err(invalid) = request.validate() {
        return Ok(Err(invalid.into()));
    }
    let mut keys = Vec::new();
    for key in request.dedup_keys() {
        match take_key(core, key).await? {
            Ok(taken) => keys.push(taken),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    match prepared(core, &request.blobs).await {
        Ok(blobs) => Ok(Ok((blobs, keys))),
        Err(Error::Blob(why)) => Ok(Err(InvalidRequest::Blob(why).into())),
        Err(error) => Err(error),
    }
}

/// Takes a dedup key for this send, unless another has it or one with it has landed.
async fn take_key(core: &Arc<Core>, key: &str) -> Result<Result<KeyInUse, RejectReason>, Error> {
    let taken = core.take_key(key);
    let wanted = key.to_owned();
    let holder = core.on_store(move |store| store.dedup_holder(&wanted)).await?;
    let tx_hash = holder.as_ref().and_then(|tx| tx.attempts.first()).map(|attempt| attempt.hash);
    Ok(match (taken, holder) {
        (Some(taken), None) => Ok(taken),
        (None, _) | (_, Some(_)) => Err(RejectReason::Duplicate { dedup_key: key.to_owned(), tx_hash }),
    })
}

/// Blobs with their proofs; `None` without blobs.
pub(crate) async fn prepared(core: &Core, blobs: &RequestBlobs) -> Result<Option<PreparedBlobs>, Error> {
    match blobs {
        RequestBlobs::Prepared(blobs) if !blobs.is_empty() => Ok(Some(blobs.clone())),
        RequestBlobs::Raw(blobs) if !blobs.is_empty() => core.prepare(blobs.clone()).await.map(Some),
        RequestBlobs::None | RequestBlobs::Prepared(_) | RequestBlobs::Raw(_) => Ok(None),
    }
}
