//! L1 transactions that land once and in time, whatever happens.
//!
//! A caller hands a [`L1Request`] to the [`PublisherManager`]: where it goes, what it carries, the window of L1 time it
//! may land in, and how success is recognised in the receipt. What a request means is the caller's business.
//!
//! ```text
//! L1Request -> the desk's machine decides (account, nonce, fees) -> signed -> recorded durably -> broadcast -> followed -> Outcome
//! ```
//!
//! A [`Bundle`] becomes one such request: several calls in one transaction, each simulated, judged and told by itself.
//!
//! What holds, always:
//! - bytes are handed to a transport only after their record is on disk;
//! - what has expired is never broadcast again; its nonce is taken back by a cancel;
//! - a nonce is freed only when its transaction was definitely rejected, by every node that was handed it;
//! - a stop or a crash judges nothing: the next start reconciles every unsettled transaction before it takes work.

mod blobs;
mod broadcast_gate;
mod bundle;
mod bundle_send;
mod bundle_simulation;
mod classify;
mod config;
mod core;
mod desk;
mod error;
mod fees;
mod forks;
mod front;
mod fsck;
mod funding;
mod l1;
mod machine;
mod manager;
mod meter;
mod nonces;
mod outcome;
mod prices;
mod receipts;
mod reconcile;
mod records;
mod redact;
mod request;
mod run;
mod simulate;
mod spending;
mod status;
mod store;
mod store_open;
mod tx;
mod tx_state;
mod window;

pub use alloy::providers::MULTICALL3_ADDRESS;
pub use blobs::PreparedBlobs;
pub use bundle::{Bundle, BundleEntry, BundleOutcome, EntryOutcome};
pub use classify::{RefusalClass, Verdict};
pub use config::PublisherConfig;
pub use error::{AccountBalance, Error};
pub use fees::{CeilingExceeded, FeeConfig, FeeField, FeeMarket, Fees, Replacement, first_fees, replacement_fees};
pub use forks::{ForkSchedule, SidecarVersion};
pub use fsck::{FsckFinding, FsckReport, fsck};
pub use funding::{FundingConfig, InvalidFunding, PublisherKeys};
pub use l1::{L1, L1HeadInfo, SendBackend};
pub use manager::PublisherManager;
pub use meter::FIGURES;
pub use nonces::{NonceLedger, NotTheTail};
pub use outcome::{MinedEntry, MinedTx, NextStep, Outcome, RejectReason};
pub use prices::{Disputed, PriceSources, PricesStatus};
pub use records::Finality;
pub use redact::without_url;
pub use request::{EntryRule, InvalidRequest, L1Request, MAX_BLOBS, RequestBlobs, SuccessRule};
pub use simulate::{SimLimits, SimOutcome, SimSetting};
pub use status::{
    AccountState, AccountStatus, BackendStatus, FunderStatus, InFlightTx, LastTopUp, PublisherStatus, SettledTx,
    StartReport, ToppedUp, WaitingRequest,
};
pub use store::{JournalEntry, JournalEvent, Landed, journal};
pub use tx_state::{IllegalMove, L1TxEvent, L1TxState, next};
