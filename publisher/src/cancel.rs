//! The cancel of a transaction that has expired: the same nonce, a no-op, and a bid that replaces it.

use alloy::primitives::{Bytes, U256};
use fermata_primitives::crash_point;
use tracing::{info, warn};

use crate::classify::Verdict;
use crate::flight::Flight;
use crate::plan::fee_market;
use crate::records::{AttemptKind, AttemptRecord};
use crate::tx::{SignedTx, TRANSFER_GAS, TxBody};
use crate::{Error, Fees, L1HeadInfo, PreparedBlobs, RefusalClass, Replacement, replacement_fees};

/// A cancel that is not in a block after this many heads is replaced by one that bids more.
const CANCEL_PATIENCE: u64 = 6;

impl Flight {
    /// True when there is no cancel yet, or the last one is too weak.
    pub(crate) fn wants_cancel(&self) -> bool {
        let has_one = self.tx.attempts.last().is_some_and(|attempt| attempt.kind == AttemptKind::Cancel);
        !has_one || self.cancel_age >= CANCEL_PATIENCE
    }

    /// Records and broadcasts a no-op with the same nonce and a bid that replaces every attempt before.
    pub(crate) async fn cancel(&mut self, head: &L1HeadInfo) -> Result<(), Error> {
        let Some(attempt) = self.signed_cancel(head).await? else { return Ok(()) };
        let (intent, number) = (self.tx.intent.clone(), self.tx.attempts.len());
        let durable = attempt.clone();
        self.core.on_store(move |store| store.add_attempt(&intent, number, &durable)).await?;
        self.tx.attempts.push(attempt.clone());
        self.cancel_age = 0;
        crash_point!("publisher.after_cancel_record");
        let verdict = self.broadcast(&attempt).await;
        crash_point!("publisher.after_cancel_broadcast");
        info!(label = self.tx.intent.label, hash = %attempt.hash, ?verdict, "cancel sent");
        self.in_pool = verdict == Verdict::Accepted;
        if matches!(verdict, Verdict::Refused { class: RefusalClass::ReplacementUnderpriced, .. }) {
            self.cancel_age = CANCEL_PATIENCE;
        }
        Ok(())
    }

    /// A cancel that outbids the last attempt; `None` while that would go above the ceiling.
    async fn signed_cancel(&self, head: &L1HeadInfo) -> Result<Option<AttemptRecord>, Error> {
        let Some(fees) = self.cancel_fees(head).await? else { return Ok(None) };
        let versioned_hashes = self.sidecar_of(AttemptKind::Cancel).map(|blobs| blobs.versioned_hashes());
        let body = TxBody {
            chain_id: self.core.config.chain_id,
            nonce: self.tx.intent.nonce,
            to: self.tx.intent.account,
            value: U256::ZERO,
            calldata: Bytes::new(),
            gas_limit: TRANSFER_GAS,
            fees,
            versioned_hashes: versioned_hashes.unwrap_or_default(),
        };
        let signed = SignedTx::sign(body, self.publisher().signer())?;
        Ok(Some(AttemptRecord { kind: AttemptKind::Cancel, fees, hash: signed.hash(), signed: signed.canonical() }))
    }

    /// What replaces the last attempt, which bids most; `None` while that would go above the ceiling.
    async fn cancel_fees(&self, head: &L1HeadInfo) -> Result<Option<Fees>, Error> {
        let Some(last) = self.tx.attempts.last() else { return Ok(None) };
        let blob_count = self.tx.intent.blob_count;
        let rule = if blob_count > 0 { Replacement::Blob } else { Replacement::Plain };
        let market = fee_market(&self.core, head, blob_count).await?;
        match replacement_fees(&last.fees, &market, rule, &self.core.fees()) {
            Ok(fees) => Ok(Some(fees)),
            Err(ceiling) => {
                warn!(%ceiling, "the cancel cannot bid more");
                Ok(None)
            }
        }
    }

    /// Hands a recorded attempt to the node.
    pub(crate) async fn broadcast(&self, attempt: &AttemptRecord) -> Verdict {
        let Some(signed) = SignedTx::from_canonical(&attempt.signed) else {
            return Verdict::Ambiguous { why: "its record cannot be read".to_owned() };
        };
        let bytes = signed.pooled(self.sidecar_of(attempt.kind).as_ref());
        self.core.l1.broadcast(attempt.hash, bytes).await
    }

    /// The blobs an attempt carries: its intent's, or one empty blob, because a pool replaces a blob transaction by a
    /// blob transaction alone.
    fn sidecar_of(&self, kind: AttemptKind) -> Option<PreparedBlobs> {
        match kind {
            AttemptKind::Initial => self.blobs.clone(),
            AttemptKind::Cancel => (self.tx.intent.blob_count > 0).then(PreparedBlobs::one_empty),
        }
    }
}
