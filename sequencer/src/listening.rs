//! What a node does with what the others tell it, while it runs.
//!
//! It belongs to a run: begun with it and ended with it, so that a node that was stopped hears nothing, executes nothing and
//! attests nothing. While a graceful stop drains the run, it goes on for the slots that were in flight.

mod attending;
mod blocks;
mod in_flight;
mod ledger;
mod seeing_through;
mod window;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use fermata_primitives::Slot;
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use self::ledger::Ledger;
use crate::network::{BlockRequest, BlockRequests, Inbox, Incoming, ProposedBlock, Received, Signable, Signed};
use crate::refusal::Refusal;
use crate::requests_tracker::RequestsTracker;
use crate::tasks::Tasks;
use crate::workshop::Workshop;

/// The tasks that listen. Dropped, they end soon.
#[derive(Debug)]
pub(crate) struct Listening(Bench);

impl Listening {
    /// Listens until it is ended, or `interrupt` is cancelled.
    #[must_use]
    pub(crate) fn begin(workshop: &Arc<Workshop>, interrupt: &CancellationToken) -> Self {
        let (workshop, ledger) = (Arc::clone(workshop), Ledger::default());
        let bench = Bench { workshop, tasks: Tasks::default(), ended: interrupt.child_token(), ledger };
        let network = Arc::clone(&bench.workshop.peers.network);
        bench.spawn(hear_blocks(bench.clone(), network.block_proposals()));
        bench.spawn(bench.clone().hear_checkpoints(network.checkpoint_proposals()));
        bench.spawn(serve(Arc::clone(&bench.workshop), network.block_requests()));
        Self(bench)
    }

    /// From now on nothing of a slot is taken up that is not in flight now. Those that are, as far as our members owe their
    /// proposers attestations, are among `requests` until each is settled here: attested, refused, of no use any more, or
    /// nobody's.
    pub(crate) fn see_through(&self, requests: &RequestsTracker) {
        seeing_through::begin(&self.0.workshop, &self.0.ledger, requests);
    }

    /// Ends, and resolves once nothing that was heard is worked on any more.
    pub(crate) async fn end(self) {
        self.0.ended.cancel();
        self.0.tasks.settle().await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.ended.cancel();
    }
}

/// Where what was heard is worked on.
#[derive(Clone, Debug)]
struct Bench {
    workshop: Arc<Workshop>,
    tasks: Tasks,
    ended: CancellationToken,
    ledger: Ledger,
}

impl Bench {
    /// Works until it is done or the listening ends.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (ended, work) = (self.ended.clone(), Box::pin(work));
        self.tasks.spawn(async move {
            let _ = ended.run_until_cancelled(work).await;
        });
    }
}

async fn hear_blocks(bench: Bench, mut inbox: Inbox<Signed<ProposedBlock>>) {
    let mut newest = Slot(0);
    while let Some(incoming) = inbox.recv().await {
        let Incoming::Message(received) = incoming else { continue };
        let slot = received.message.content().slot();
        if !bench.ledger.takes_up(slot) {
            continue;
        }
        let heard = blocks::hear(&bench, &received);
        if refuse_what_is_wrong(&bench.workshop, &received, heard).await && slot > newest {
            newest = slot;
            let workshop = Arc::clone(&bench.workshop);
            bench.spawn(async move { blocks::give_up_in_time(&workshop, slot).await });
        }
    }
}

/// Works on a message, and says whether it was taken. What is wrong with it, a panic too, is told and counted, and touches no
/// other message.
async fn refuse_what_is_wrong<T: Signable>(
    workshop: &Workshop,
    received: &Received<Signed<T>>,
    work: impl Future<Output = Result<(), Refusal>>,
) -> bool {
    let slot = received.message.content().slot();
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(())) => return true,
        Ok(Err(refusal)) => workshop.refuse(slot, &received.from, &refusal),
        Err(_) => tracing::error!(slot = slot.0, from = %received.from, "working on a message panicked"),
    }
    false
}

/// Gives other nodes the blocks they ask for, as far as they are here.
async fn serve(workshop: Arc<Workshop>, mut requests: BlockRequests) {
    while let Some(request) = requests.recv().await {
        answer(&workshop, request).await;
    }
}

async fn answer(workshop: &Workshop, request: BlockRequest) {
    let mut blocks = Vec::new();
    for hash in &request.hashes {
        if let Ok(Some(block)) = workshop.execution.block(*hash).await {
            blocks.push(block);
        }
    }
    request.answer(blocks);
}
