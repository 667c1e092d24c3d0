//! Batches of requests, served: tried under the same attempts for as long as anybody waits for them.

use std::collections::HashMap;
use std::time::Duration;

use fermata_primitives::Backoff;
use futures::future::join_all;
use tokio::time::timeout;
use tracing::{debug, error};

use super::judge::{FIRST_FENCE, Verdict, Wanted};
use super::link::Trouble;
use super::owner::Owner;
use super::request::{Reserve, Unanswered, answer, refuse, refuse_late};

const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_millis(500);

/// Waits between two tries.
pub(super) fn retries() -> Backoff {
    Backoff::new(FIRST_RETRY, LAST_RETRY)
}

impl Owner {
    /// Settles a batch, and tries again under the same tokens for as long as anybody waits for it. Signatures alone are
    /// tried once, and ride with the next batch if that fails.
    pub(super) async fn serve(&mut self, mut batch: Vec<Reserve>) {
        let mut backoff = retries();
        loop {
            batch = refuse_late(batch, self.clock.now());
            // Whoever stopped waiting before the first try has nothing recorded.
            batch.retain(|reserve| !reserve.reply.is_closed() && reserve.stage.send());
            if batch.is_empty() && self.unwritten.is_empty() {
                return;
            }
            match self.settle(&batch).await {
                Ok(verdicts) => return answer(batch, verdicts),
                Err(Trouble::Lasting(fault)) => {
                    let failure = fault.of_store(&self.link.name);
                    error!(%failure, "the signing database is not to be used; nothing is signed");
                    return refuse(batch, &Unanswered::Fault(fault));
                }
                Err(Trouble::Passing(reason)) => {
                    debug!(store = %self.link.name, %reason, "the signing database did not answer");
                }
            }
            if batch.is_empty() {
                return;
            }
            // Ends early when nobody waits any more.
            let left = join_all(batch.iter_mut().map(|reserve| reserve.reply.closed()));
            let _ = timeout(backoff.wait(), left).await;
        }
    }

    /// One try. Gives a verdict to each payload of the batch, one after the other.
    async fn settle(&mut self, batch: &[Reserve]) -> Result<Vec<Verdict>, Trouble> {
        let all: Vec<Wanted> = batch.iter().flat_map(|reserve| reserve.wanted.iter().cloned()).collect();
        let (wanted, places) = without_repeats(&all);
        let (patience, signed) = (self.patience, std::mem::take(&mut self.unwritten));
        let outcome = match self.settling().await {
            Ok(mut settling) => {
                let outcome = timeout(patience, settling.settle(&signed, &wanted)).await;
                self.outcome(outcome)
            }
            Err(trouble) => Err(trouble),
        };
        match outcome {
            Ok(verdicts) => Ok(share(&verdicts, &places)),
            Err(trouble) => {
                self.unwritten = signed;
                Err(trouble)
            }
        }
    }
}

/// The verdicts of all, by their places. Where several calls share one, none of them is alone with its pin, and none may
/// take it back.
fn share(verdicts: &[Verdict], places: &[usize]) -> Vec<Verdict> {
    let mut calls = vec![0; verdicts.len()];
    for &at in places {
        calls[at] += 1;
    }
    let share = places.iter().map(|&at| match &verdicts[at] {
        Verdict::Granted if calls[at] > 1 => Verdict::Resumed { fence: FIRST_FENCE },
        Verdict::Granted | Verdict::Resumed { .. } | Verdict::Done(_) | Verdict::Busy { .. } | Verdict::Refused(_) => {
            verdicts[at].clone()
        }
    });
    share.collect()
}

/// The payloads without repeats, and for each of all its place among them.
fn without_repeats(all: &[Wanted]) -> (Vec<Wanted>, Vec<usize>) {
    let mut wanted: Vec<Wanted> = Vec::with_capacity(all.len());
    let mut known = HashMap::new();
    let places = all
        .iter()
        .map(|one| {
            *known.entry((one.duty, one.digest)).or_insert_with(|| {
                wanted.push(one.clone());
                wanted.len() - 1
            })
        })
        .collect();
    (wanted, places)
}
