//! What the benches of the publisher share: an L1 of their own, accounts on it, and a publisher with the node's head monitor.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::DynProvider;
use alloy::signers::local::PrivateKeySigner;
use anyhow::Result;
use fermata_anvil::{Anvil, AnvilConfig, AnvilMining, Cheats, IntervalMining, L1Clock, connect};
use fermata_primitives::{Clock as _, L1Timestamp, SharedClock, SlotTimes, SystemClock};
use fermata_publisher::{L1, L1Request, PublisherConfig, PublisherManager, RequestBlobs, SuccessRule};
use fermata_sequencer::l1::{HeadMonitor, L1Client};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Longest wait for an answer of L1: the first blob makes anvil load its trusted setup.
const RPC_TIMEOUT: Duration = Duration::from_secs(30);

/// While a block is overdue it is asked for this often: what the node's own default is on a chain of this machine.
const OVERDUE: Duration = Duration::from_millis(50);

/// Blocks that a request has time for.
const WINDOW_BLOCKS: u64 = 60;

/// The machine's clock, as it is handed around.
pub(crate) fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

/// When blocks come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blocks {
    /// Every so many seconds.
    Every(u64),
    /// One with each transaction.
    WithEachTransaction,
    /// When told.
    WhenTold,
}

impl Blocks {
    /// Seconds between two L1 blocks, as the publisher is told.
    pub(crate) const fn slot_secs(self) -> u64 {
        match self {
            Self::Every(secs) => secs,
            Self::WithEachTransaction | Self::WhenTold => 1,
        }
    }
}

/// An anvil of one's own.
pub(crate) struct Ground {
    pub(crate) anvil: Anvil,
    pub(crate) provider: DynProvider,
    pub(crate) blocks: Blocks,
    /// The owner of its time; none where anvil mines by itself.
    pub(crate) l1_clock: Option<L1Clock>,
}

impl Ground {
    pub(crate) async fn begin(blocks: Blocks) -> Result<Self> {
        let mining = match blocks {
            Blocks::WithEachTransaction => AnvilMining::EachTransaction,
            Blocks::Every(_) | Blocks::WhenTold => AnvilMining::OnDemand,
        };
        let anvil = Anvil::start(&AnvilConfig { mining, ..AnvilConfig::default() }, clock()).await?;
        let provider = anvil.provider()?;
        let l1_clock = match blocks {
            Blocks::WithEachTransaction => None,
            Blocks::Every(_) | Blocks::WhenTold => Some(L1Clock::own(provider.clone(), clock()).await?),
        };
        if let (Blocks::Every(secs), Some(l1_clock)) = (blocks, &l1_clock) {
            l1_clock.start_interval(IntervalMining::new(l1_clock.head().timestamp, secs)?)?;
        }
        Ok(Self { anvil, provider, blocks, l1_clock })
    }

    /// The key with this number, its account funded.
    pub(crate) async fn funded(&self, number: u8) -> Result<PrivateKeySigner> {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(number))?;
        let ether = U256::from(10).pow(U256::from(21));
        Cheats::new(self.provider.clone()).set_balance(signer.address(), ether).await?;
        Ok(signer)
    }
}

/// A publisher, and the head monitor of a node that feeds it.
pub(crate) struct Publisher {
    pub(crate) manager: Arc<PublisherManager>,
    pub(crate) heads: tokio::sync::watch::Receiver<fermata_publisher::L1HeadInfo>,
    slot_secs: u64,
    _ended: DropGuard,
}

impl Publisher {
    /// Not started; reads and sends at `url`.
    pub(crate) async fn open(url: &str, blocks: Blocks, dir: &Path, keys: Vec<PrivateKeySigner>) -> Result<Self> {
        let (provider, slot_secs) = (connect(url)?, blocks.slot_secs());
        let times = SlotTimes::new(L1Timestamp(0), slot_secs, 1, slot_secs)?;
        let client = L1Client::new(provider.clone(), RPC_TIMEOUT);
        let monitor = HeadMonitor::begin(client, times, clock(), None, OVERDUE).await?;
        let (heads, ended) = (monitor.head(), CancellationToken::new());
        TaskTracker::new().spawn(monitor.run(ended.clone()));
        let mut config = PublisherConfig::new(31_337, Duration::from_secs(slot_secs), dir);
        config.rpc_timeout = RPC_TIMEOUT;
        let manager = PublisherManager::open(config, keys, L1::new(provider, heads.clone()), clock())?;
        Ok(Self { manager: Arc::new(manager), heads, slot_secs, _ended: ended.drop_guard() })
    }

    /// A call that may land from now on.
    pub(crate) fn request(&self, label: String, blobs: RequestBlobs) -> L1Request {
        let now = self.heads.borrow().timestamp;
        let latest = now.max(SystemClock.now().floor_secs());
        L1Request {
            dedup_key: None,
            to: target(),
            calldata: calldata(),
            value: U256::ZERO,
            blobs,
            gas_limit: None,
            not_before: now,
            deadline: latest.plus_secs(WINDOW_BLOCKS * self.slot_secs.max(2)),
            success: SuccessRule::Status,
            label,
        }
    }
}

/// Whom every contestant calls: no contract.
pub(crate) fn target() -> Address {
    Address::repeat_byte(0xcc)
}

/// And with what.
pub(crate) fn calldata() -> Bytes {
    Bytes::from_static(&[0x5a; 100])
}

/// The program's arguments, without the one that cargo adds to those of every bench.
pub(crate) fn arguments() -> impl Iterator<Item = String> {
    std::env::args().filter(|argument| argument != "--bench")
}
