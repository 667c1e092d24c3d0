//! What a real publisher bids on a fake L1 whose fees take their course.

use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::Transaction as _;
use alloy::eips::eip4844::Blob;
use alloy::primitives::U256;
use fermata_publisher::{FeeConfig, L1Request, Outcome, PreparedBlobs, PublisherManager, RequestBlobs};

use super::fake_l1::{FakeL1, Seen, Tx};
use super::market::{Course, Load, Prices};
use super::{ETHEREUM_SLOT, Sending, open, request, signer};

/// Blocks within which a cancel must have landed.
const CANCEL_BLOCKS: usize = 20;

/// How a transaction fared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fared {
    /// The block it landed in, counted from 0; none within its time.
    pub block: Option<usize>,
    /// What it cost there, in wei; without a block, nothing.
    pub paid: u128,
    /// Bids that were made for it.
    pub bids: usize,
}

/// A publisher on an L1 of its own. Made on a runtime whose time is paused: there, to wait is to let it do all it has to do.
pub struct Bidder {
    fake: FakeL1,
    manager: Arc<PublisherManager>,
    blobs: PreparedBlobs,
    _dir: tempfile::TempDir,
}

impl Bidder {
    pub async fn start(fees: FeeConfig) -> Self {
        let (fake, dir) = (FakeL1::new(), tempfile::tempdir().unwrap());
        fake.fund(signer(0).address(), U256::from(10).pow(U256::from(27)));
        let manager = open(&fake, dir.path(), 1);
        manager.set_fees(fees).unwrap();
        manager.start().await.unwrap();
        let one = PreparedBlobs::compute(vec![Blob::ZERO]).unwrap();
        Self { fake, manager, blobs: one, _dir: dir }
    }

    /// Has one transaction sent at the head of `course`, and watches it until its last block.
    pub async fn fare(&self, course: &Course, load: Load) -> Fared {
        self.mine(&course.head, |_| false).await;
        let before = self.fake.broadcasts().len();
        let sending = Sending::begin(&self.manager, self.wanted(course, load));
        settle().await;
        let mut landed = None;
        for (number, block) in course.blocks.iter().enumerate() {
            let included = self.mine(block, |tx| block.admits(bid(tx), load)).await;
            if let Some(seen) = included.first() {
                landed = Some((number, block.cost(tip_paid(&seen.tx, block), load)));
                break;
            }
        }
        let bids =
            self.fake.broadcasts()[before..].iter().map(Seen::hash).collect::<std::collections::HashSet<_>>().len();
        self.end(course, landed, sending).await;
        Fared { block: landed.map(|(block, _)| block), paid: landed.map_or(0, |(_, paid)| paid), bids }
    }

    fn wanted(&self, course: &Course, load: Load) -> L1Request {
        let now = self.fake.head().timestamp.0;
        let deadline = now + ETHEREUM_SLOT * (course.blocks.len() as u64 + 1);
        let blobs = match load {
            Load::Call => RequestBlobs::None,
            Load::Blobs => RequestBlobs::Prepared(self.blobs.clone()),
        };
        L1Request { blobs, ..request("bid", now, deadline) }
    }

    /// Checks its outcome, and lets the cancel of what has not landed land: the next begins anew.
    async fn end(&self, course: &Course, landed: Option<(usize, u128)>, sending: Sending) {
        if landed.is_none() {
            for _ in 0..CANCEL_BLOCKS {
                self.mine(&course.head, |_| true).await;
            }
            assert!(self.fake.pool().is_empty(), "a cancel has not landed");
        }
        match sending.outcome().await {
            Outcome::Mined(_) => assert!(landed.is_some(), "it says that it has landed"),
            Outcome::Expired | Outcome::Rejected { .. } => assert!(landed.is_none(), "it says that it has not landed"),
            other @ Outcome::Interrupted { .. } => panic!("{other:?}"),
        }
    }

    async fn mine(&self, prices: &Prices, pays: impl Fn(&Tx) -> bool) -> Vec<Seen> {
        let fees = [prices.base_fee, prices.blob_base_fee, prices.suggested_tip];
        let included = self.fake.mine_at_fees(fees, pays);
        settle().await;
        included
    }
}

fn bid(tx: &Tx) -> [u128; 3] {
    [
        tx.max_fee_per_gas(),
        tx.max_priority_fee_per_gas().unwrap_or_default(),
        tx.max_fee_per_blob_gas().unwrap_or_default(),
    ]
}

fn tip_paid(tx: &Tx, block: &Prices) -> u128 {
    let [max_fee, tip, _] = bid(tx);
    tip.min(max_fee - block.base_fee)
}

/// Paused time goes on once every task waits and no thread writes to a disk.
pub async fn settle() {
    let _ = tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
}
