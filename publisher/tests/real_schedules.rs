//! Any schedule of requests, blocks, reorgs, jumps of either clock, stops and sudden ends against a real anvil: nothing stale is
//! sent, nothing lands before its window or twice, and everything comes to an end.
//!
//! `SCHEDULES` sets how many there are.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use alloy::consensus::{Transaction, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy::eips::eip4844::Blob;
use alloy::hex;
use alloy::primitives::Bytes;
use alloy::providers::Provider;
use alloy::rpc::json_rpc::{RequestPacket, SerializedRequest};
use common::anvil::{SLOT, TestAnvil};
use common::{PATIENCE, Sending, request, signer};
use fermata_primitives::{L1Timestamp, ManualClock, UnixTime};
use fermata_publisher::{Error, L1, L1Request, PreparedBlobs, PublisherManager, RequestBlobs};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

const KEYS: u8 = 2;
/// What a block asks for that nobody pays.
const DEAR: &str = "0xe8d4a510000";
/// And one that everybody does.
const CHEAP: &str = "0x3b9aca00";

#[derive(Clone, Debug)]
enum Happens {
    /// A request whose window opens after some blocks, and stays open for some; the second kind has a blob.
    Plain(u64, u64),
    WithBlob(u64, u64),
    Block,
    /// A block that nobody's bid pays for.
    DearBlock,
    /// The next block comes this many slots late.
    LateBlock(u64),
    Reorg,
    PoolLost,
    /// The node's clock runs ahead of L1 by this many seconds, or behind.
    ClockAhead(u64),
    ClockBehind(u64),
    /// The process ends without a word, and comes back.
    Crash,
    StopAndStart,
    /// L1 is asked this often before anything else happens.
    Pause(u8),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        5 => (0u64..4, 1u64..8).prop_map(|(opens, lasts)| Happens::Plain(opens, lasts)),
        2 => (0u64..4, 1u64..8).prop_map(|(opens, lasts)| Happens::WithBlob(opens, lasts)),
        6 => Just(Happens::Block),
        3 => Just(Happens::DearBlock),
        2 => (1u64..9).prop_map(Happens::LateBlock),
        1 => Just(Happens::Reorg),
        1 => Just(Happens::PoolLost),
        1 => (1u64..9).prop_map(Happens::ClockAhead),
        1 => (1u64..9).prop_map(Happens::ClockBehind),
        2 => Just(Happens::Crash),
        2 => Just(Happens::StopAndStart),
        8 => (1u8..12).prop_map(Happens::Pause),
    ]
}

/// What went out, and when: the earliest time of the next block then.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<(TxEnvelope, u64)>>>);

/// Notes every transaction that is handed over.
#[derive(Clone)]
struct Noting<S> {
    inner: S,
    wire: Wire,
    heads: tokio::sync::watch::Receiver<fermata_publisher::L1HeadInfo>,
}

impl<S> Noting<S> {
    fn note(&self, asked: &SerializedRequest) {
        if asked.method() != "eth_sendRawTransaction" {
            return;
        }
        let [raw]: [Bytes; 1] = serde_json::from_str(asked.params().unwrap().get()).unwrap();
        let tx = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
        self.wire.0.lock().unwrap().push((tx, self.heads.borrow().timestamp.0 + SLOT));
    }
}

impl<S: tower::Service<RequestPacket>> tower::Service<RequestPacket> for Noting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        match &packet {
            RequestPacket::Single(asked) => self.note(asked),
            RequestPacket::Batch(all) => all.iter().for_each(|asked| self.note(asked)),
        }
        self.inner.call(packet)
    }
}

/// A publisher, its L1, and what was asked of it.
struct World {
    anvil: TestAnvil,
    l1: L1,
    wire: Wire,
    clock: Arc<ManualClock>,
    blob: PreparedBlobs,
    /// Window of each request, by its calldata.
    windows: BTreeMap<Bytes, (u64, u64)>,
    first_block: u64,
    /// Of the last block, also where a reorg took it away: time does not go back.
    time: u64,
}

impl World {
    async fn new() -> Self {
        let anvil = TestAnvil::start(KEYS).await;
        let wire = Wire::default();
        let (heads, noted) = (anvil.heads(), wire.clone());
        let layer = tower::layer::layer_fn(move |inner| Noting { inner, wire: noted.clone(), heads: heads.clone() });
        let client = alloy::rpc::client::ClientBuilder::default().layer(layer).http(anvil.url.parse().unwrap());
        let provider = alloy::providers::RootProvider::<alloy::network::Ethereum>::new(client).erased();
        let clock = Arc::new(ManualClock::new(UnixTime::from(anvil.head().timestamp)));
        let time = anvil.head().timestamp.0;
        Self {
            time,
            l1: L1::new(provider, anvil.heads()),
            anvil,
            wire,
            clock,
            blob: PreparedBlobs::compute(vec![Blob::ZERO]).unwrap(),
            windows: BTreeMap::new(),
            first_block: 0,
        }
    }

    /// A started manager on this chain; one that ended without a word may still hold its directory for a moment.
    async fn start(&self, dir: &Path) -> Arc<PublisherManager> {
        let config = TestAnvil::config(dir);
        let keys: Vec<_> = (0..KEYS).map(signer).collect();
        let manager = loop {
            let clock = Arc::<ManualClock>::clone(&self.clock);
            match PublisherManager::open(config.clone(), keys.clone(), self.l1.clone(), clock) {
                Ok(manager) => break Arc::new(manager),
                Err(Error::DataDirHeld { .. }) => self.pause(1).await,
                Err(error) => panic!("{error}"),
            }
        };
        manager.start().await.unwrap();
        manager
    }

    async fn pause(&self, calls: u8) {
        for _ in 0..calls {
            self.anvil.provider.get_block_number().await.unwrap();
        }
    }

    async fn block(&mut self, base_fee: &str, slots: u64) {
        let _: serde_json::Value = self.anvil.request("anvil_setNextBlockBaseFeePerGas", json!([base_fee])).await;
        self.time += slots * SLOT;
        self.anvil.mine_at(self.time).await;
        self.clock.set(UnixTime::from(self.anvil.head().timestamp));
    }

    fn request(&mut self, (opens, lasts): (u64, u64), blobs: RequestBlobs) -> L1Request {
        let label = format!("request {}", self.windows.len());
        let from = self.time + opens * SLOT;
        let request = L1Request { blobs, ..request(&label, from, from + lasts * SLOT) };
        self.windows.insert(request.calldata.clone(), (from, from + lasts * SLOT));
        request
    }

    /// Goes through a schedule on a new store, then lets everything come to its end.
    async fn go_through(&mut self, schedule: Vec<Happens>) {
        for key in 0..KEYS {
            self.anvil.fund(signer(key).address()).await;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut manager = self.start(dir.path()).await;
        let mut sendings = Vec::new();
        for what in schedule {
            match what {
                Happens::Plain(opens, lasts) => {
                    let request = self.request((opens, lasts), RequestBlobs::None);
                    sendings.push(Sending::begin(&manager, request));
                }
                Happens::WithBlob(opens, lasts) => {
                    let blobs = RequestBlobs::Prepared(self.blob.clone());
                    sendings.push(Sending::begin(&manager, self.request((opens, lasts), blobs)));
                }
                Happens::Block => self.block(CHEAP, 1).await,
                Happens::DearBlock => self.block(DEAR, 1).await,
                Happens::LateBlock(slots) => self.block(CHEAP, slots).await,
                // Never of a block of the schedule before.
                Happens::Reorg if self.anvil.head().number > self.first_block => self.anvil.reorg(1).await,
                Happens::Reorg => {}
                Happens::PoolLost => self.anvil.request("anvil_dropAllTransactions", json!([])).await,
                Happens::ClockAhead(secs) => self.set_clock(|head| head + secs),
                Happens::ClockBehind(secs) => self.set_clock(|head| head - secs),
                Happens::Crash => {
                    sendings.drain(..).for_each(Sending::abort);
                    drop(manager);
                    manager = self.start(dir.path()).await;
                }
                Happens::StopAndStart => {
                    manager.stop().await;
                    manager.start().await.unwrap();
                }
                Happens::Pause(calls) => self.pause(calls).await,
            }
        }
        self.come_to_an_end(&manager, &sendings).await;
        for sending in sendings {
            sending.outcome().await;
        }
        manager.close().await.unwrap();
        self.check().await;
    }

    fn set_clock(&self, of: impl FnOnce(u64) -> u64) {
        self.clock.set(UnixTime::from(L1Timestamp(of(self.anvil.head().timestamp.0))));
    }

    async fn come_to_an_end(&mut self, manager: &PublisherManager, sendings: &[Sending]) {
        let ending = async {
            while !is_over(manager, sendings).await {
                self.block(CHEAP, 1).await;
                self.pause(8).await;
            }
        };
        if tokio::time::timeout(PATIENCE, ending).await.is_err() {
            panic!("it does not come to an end: {:#?}", manager.status().await);
        }
    }

    /// Nothing went out that could not land in time; what landed did so once, and not before its window. What a pool holds may
    /// land late: that is the chain's affair, and the contract's to refuse.
    async fn check(&mut self) {
        for (tx, next_block) in std::mem::take(&mut *self.wire.0.lock().unwrap()) {
            if let Some((_, deadline)) = self.windows.get(tx.input()) {
                assert!(next_block < *deadline, "sent for a block at {next_block}, and its deadline is {deadline}");
            } else {
                assert!(tx.input().is_empty() && tx.value().is_zero(), "nobody asked for this: {tx:?}");
            }
        }
        let last = self.anvil.head().number;
        let mut landed: Vec<Bytes> = Vec::new();
        for number in self.first_block + 1..=last {
            let block = self.anvil.provider.get_block_by_number(number.into()).full().await.unwrap().unwrap();
            for tx in block.transactions.as_transactions().unwrap() {
                let Some((from, _)) = self.windows.get(tx.input()) else { continue };
                let at = block.header.timestamp;
                assert!(at >= *from, "landed at {at}, before its window opened at {from}");
                assert!(!landed.contains(tx.input()), "{} landed twice", hex::encode(tx.input()));
                landed.push(tx.input().clone());
            }
        }
        (self.first_block, self.windows) = (last, BTreeMap::new());
    }
}

/// Every caller has an answer, and nothing is in flight.
async fn is_over(manager: &PublisherManager, sendings: &[Sending]) -> bool {
    let status = manager.status().await.unwrap();
    sendings.iter().all(Sending::is_over) && status.accounts.iter().all(|account| account.in_flight.is_empty())
}

async fn go_through(count: usize) {
    let mut world = World::new().await;
    let mut runner = TestRunner::default();
    for number in 0..count {
        let schedule = prop::collection::vec(happens(), 8..32).new_tree(&mut runner).unwrap().current();
        eprintln!("schedule {number} of {count}: {schedule:?}");
        world.go_through(schedule).await;
    }
}

#[test]
fn no_schedule_on_a_real_chain_sends_what_is_stale_or_lands_anything_twice() {
    let count = std::env::var("SCHEDULES").map_or(12, |count| count.parse().expect("SCHEDULES is a number"));
    // What goes out is decoded with its blobs, which are larger than the stack of a test allows.
    let on_a_large_stack = std::thread::Builder::new().stack_size(32 << 20).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(go_through(count));
    });
    on_a_large_stack.unwrap().join().expect("a schedule failed");
}
