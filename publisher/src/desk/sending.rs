//! Handing bytes to L1, and asking it what a call needs.

use std::sync::Arc;

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, TxKind};
use alloy::rpc::types::TransactionRequest;
use fermata_primitives::crash_point;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::broadcast_gate::BroadcastGate;
use crate::classify::Verdict;
use crate::core::Core;
use crate::desk::{DeskHandle, Mail};
use crate::l1::{HandedOver, Late, Parcel, Reach};
use crate::machine::job::Job;
use crate::machine::news::News;
use crate::records::{AttemptKind, AttemptRecord, IntentRecord};
use crate::tx::SignedTx;
use crate::window::with_cause;
use crate::{Error, Fees, PreparedBlobs, SidecarVersion};

/// One attempt on its way. Its record is on disk.
#[derive(Clone)]
pub(super) struct Sending {
    pub(super) core: Arc<Core>,
    pub(super) intent: IntentRecord,
    pub(super) number: usize,
    pub(super) attempt: AttemptRecord,
    /// Nothing of its transaction was handed to L1 before.
    pub(super) is_first: bool,
    /// Who is handed it.
    pub(super) reach: Reach,
    /// The blobs of the request, where it came in this run.
    pub(super) blobs: Option<PreparedBlobs>,
    /// Asked for every attempt but a cancel.
    pub(super) gate: Option<Arc<BroadcastGate>>,
    pub(super) interrupt: CancellationToken,
}

impl Sending {
    /// Hands the bytes over; answers what came of it, and then waits for the backends that are late: nothing is to wait for
    /// that. An interrupt ends both.
    ///
    /// # Cancel safety
    /// Dropped, the bytes may have gone out: their record says so much already.
    pub(super) async fn run(self, desk: DeskHandle) {
        let (news, late) = self.hand_over().await;
        desk.post(Mail::News(news)).await;
        let _ = self.heeded().run_until_cancelled(late.finish()).await;
    }

    /// Hands it to a backend that lacks it. What comes of it is the backend's own affair.
    ///
    /// # Cancel safety
    /// Dropped, the bytes may have gone out: their record says so much already.
    pub(super) async fn repeat(self) {
        if !self.may_go() {
            return;
        }
        let (_, late) = self.hand_over().await;
        let _ = self.heeded().run_until_cancelled(late.finish()).await;
    }

    async fn hand_over(&self) -> (News, Late) {
        let version = self.core.sidecar_version();
        let Some(mut handed) = self.offer(version).await else {
            let news = match self.is_first {
                true => News::NotSent(self.intent.id),
                false => self.ended(Verdict::Ambiguous { why: "it was not sent any more".to_owned() }),
            };
            return (news, Late::default());
        };
        // The sidecar is no part of what was signed: in the other form it is the same transaction.
        if self.intent.blob_count > 0
            && handed.verdict.wants_other_sidecar()
            && let Some(again) = self.offer(version.other()).await
        {
            if again.verdict == Verdict::Accepted {
                self.core.note_taken(version.other());
            }
            handed = again;
        }
        self.mark();
        if let (Some(gate), Some(_), true) = (&self.gate, handed.verdict.class(), self.is_first) {
            gate.refused();
        }
        (self.ended(handed.verdict), handed.late)
    }

    /// Hands it over with a sidecar of this version; `None` when it may not go any more.
    async fn offer(&self, version: SidecarVersion) -> Option<HandedOver> {
        let doubt = |why| HandedOver { verdict: Verdict::Ambiguous { why }, late: Late::default() };
        let bytes = match self.bytes(version).await {
            Ok(bytes) => bytes,
            Err(error) => return Some(doubt(with_cause(&error))),
        };
        let this = self.clone();
        let parcel = Parcel { hash: self.attempt.hash, bytes, still_goes: Arc::new(move || this.may_go()) };
        // Between this and the transport nothing waits.
        if !self.may_go() {
            return None;
        }
        let broadcast = self.core.l1.broadcast(&parcel, self.reach);
        let handed = self.heeded().run_until_cancelled(broadcast).await;
        Some(handed.unwrap_or_else(|| doubt("interrupted".to_owned())))
    }

    /// The interrupt that ends it: a cancel's caller has none.
    fn heeded(&self) -> CancellationToken {
        match self.attempt.kind {
            AttemptKind::Cancel => CancellationToken::new(),
            AttemptKind::Initial | AttemptKind::SpeedUp => self.interrupt.clone(),
        }
    }

    /// What is handed over: with the sidecar, of the request or of a cancel.
    async fn bytes(&self, version: SidecarVersion) -> Result<alloy::primitives::Bytes, Error> {
        let blobs = match (self.attempt.kind, &self.blobs) {
            (AttemptKind::Cancel, _) => self.intent.cancel_blobs(),
            (AttemptKind::Initial | AttemptKind::SpeedUp, Some(blobs)) => Some(blobs.clone()),
            (AttemptKind::Initial | AttemptKind::SpeedUp, None) if self.intent.blob_count == 0 => None,
            (AttemptKind::Initial | AttemptKind::SpeedUp, None) => {
                let intent = self.intent.clone();
                self.core.on_store(move |store| store.blobs(&intent)).await?
            }
        };
        let sidecar = match blobs {
            Some(blobs) => Some(self.core.sidecar(blobs, version).await?),
            None => None,
        };
        let signed = SignedTx::from_canonical(&self.attempt.signed);
        Ok(signed.map(|signed| signed.pooled(sidecar)).unwrap_or_default())
    }

    /// What has expired never goes out, nor what its caller has interrupted; a cancel always may.
    fn may_go(&self) -> bool {
        if self.attempt.kind == AttemptKind::Cancel {
            return true;
        }
        let deadline = self.intent.deadline;
        // Either may lag: a head that is not seen yet, or a clock that is not moved yet.
        let is_in_time =
            self.core.next_block_at(&self.core.head()) < deadline && self.core.clock.now() < deadline.into();
        let is_wanted = !self.interrupt.is_cancelled();
        is_in_time && is_wanted && self.gate.as_ref().is_none_or(|gate| gate.pass(self.attempt.hash))
    }

    fn mark(&self) {
        match (self.attempt.kind, self.is_first) {
            (AttemptKind::Cancel, _) => crash_point!("publisher.after_cancel_broadcast"),
            (AttemptKind::SpeedUp, _) => crash_point!("publisher.after_raise_broadcast"),
            (AttemptKind::Initial, true) => crash_point!("publisher.after_broadcast"),
            (AttemptKind::Initial, false) => crash_point!("publisher.after_rebroadcast"),
        }
    }

    fn ended(&self, verdict: Verdict) -> News {
        let (label, nonce) = (&self.intent.label, self.intent.nonce);
        info!(label, nonce, account = %self.intent.account, hash = %self.attempt.hash, ?verdict, "sent");
        News::Sent(self.intent.id, self.number, verdict)
    }
}

/// Asks for a gas limit, a fifth above what the node says: between now and the block state moves.
pub(super) async fn estimate(core: Arc<Core>, job: Arc<Job>, account: Address, fees: Fees) -> News {
    match core.l1.estimate_gas(call_of(&job, account, fees)).await {
        Ok(Ok(gas)) => News::Estimated(job.id, Ok(gas.saturating_add(gas / 5))),
        Ok(Err(data)) => News::Estimated(job.id, Err(data)),
        Err(error) => News::EstimateFailed(job.id, with_cause(&error)),
    }
}

fn call_of(job: &Job, account: Address, fees: Fees) -> TransactionRequest {
    let mut call = TransactionRequest {
        from: Some(account),
        to: Some(TxKind::Call(job.request.to)),
        value: Some(job.request.value),
        max_fee_per_gas: Some(fees.max_fee_per_gas),
        max_priority_fee_per_gas: Some(fees.tip),
        max_fee_per_blob_gas: fees.max_fee_per_blob_gas,
        blob_versioned_hashes: job.blobs.as_ref().map(PreparedBlobs::versioned_hashes),
        ..TransactionRequest::default()
    };
    call.set_input(job.request.calldata.clone());
    call
}
