//! An L1 that is a value, and a bench that drives a machine against it as the desk does.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use alloy::eips::eip4844::Blob;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::signers::local::PrivateKeySigner;
use fermata_primitives::{L1Timestamp, UnixTime};
use tokio_util::sync::CancellationToken;

use crate::broadcast_gate::BroadcastGate;
use crate::classify::Verdict;
use crate::machine::account::Role;
use crate::machine::job::{Job, JobId, Pinned};
use crate::machine::news::{AccountSight, Look, News, TxSight};
use crate::machine::step::{Effect, Record};
use crate::machine::{Machine, Rules};
use crate::records::{AccountRecord, AttemptKind, IntentId, StoredTx};
use crate::{Error, FeeConfig, L1HeadInfo, L1Request, MinedTx, Outcome, PreparedBlobs, RequestBlobs, SuccessRule};

pub(super) const GWEI: u128 = 1_000_000_000;
/// Seconds between two blocks.
pub(super) const SLOT: u64 = 12;
const GENESIS: u64 = 1_000_000;

/// A transaction as L1 knows it.
#[derive(Clone, Debug)]
pub(super) struct ChainTx {
    pub(super) hash: B256,
    pub(super) account: Address,
    pub(super) nonce: u64,
    pub(super) is_cancel: bool,
    /// When it was handed over: the timestamp the next block had then.
    pub(super) at: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) txs: Vec<ChainTx>,
    hash: B256,
    timestamp: u64,
}

/// L1: blocks, a pool, and how it answers.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) blocks: Vec<Block>,
    pub(super) pool: Vec<ChainTx>,
    /// Every transaction that was handed over.
    pub(super) handed_over: Vec<ChainTx>,
    pub(super) base_fee: u128,
    pub(super) balance: U256,
    /// A block is final when this many lie on top of it.
    pub(super) finality: usize,
    pub(super) hold_answers: bool,
    /// The next attempt is not handed over, as when its deadline passes meanwhile.
    pub(super) withhold_next: bool,
    refusals: VecDeque<&'static str>,
    forks: u64,
}

impl Chain {
    fn new() -> Self {
        let genesis = Block { txs: Vec::new(), hash: keccak256("genesis"), timestamp: GENESIS };
        Self {
            blocks: vec![genesis],
            pool: Vec::new(),
            handed_over: Vec::new(),
            base_fee: 10 * GWEI,
            balance: U256::from(10).pow(U256::from(20)),
            finality: 1,
            hold_answers: false,
            withhold_next: false,
            refusals: VecDeque::new(),
            forks: 0,
        }
    }

    pub(super) fn refuse_next(&mut self, text: &'static str) {
        self.refusals.push_back(text);
    }

    pub(super) fn head(&self) -> L1HeadInfo {
        let block = &self.blocks[self.blocks.len() - 1];
        L1HeadInfo {
            number: self.blocks.len() as u64,
            hash: block.hash,
            timestamp: L1Timestamp(block.timestamp),
            base_fee: self.base_fee,
            blob_base_fee: Some(GWEI),
            excess_blob_gas: None,
        }
    }

    fn nonce_below(&self, account: Address, blocks: usize) -> u64 {
        self.blocks[..blocks].iter().flat_map(|block| &block.txs).filter(|tx| tx.account == account).count() as u64
    }

    /// A block with those of `txs` that are next in their accounts.
    fn block(&mut self, txs: Vec<ChainTx>) {
        let mut included: Vec<ChainTx> = Vec::new();
        for tx in txs {
            let used = self.nonce_below(tx.account, self.blocks.len());
            let ahead = included.iter().filter(|other| other.account == tx.account).count() as u64;
            if tx.nonce == used + ahead {
                included.push(tx);
            }
        }
        self.pool.retain(|tx| !included.iter().any(|other| other.account == tx.account && other.nonce == tx.nonce));
        let timestamp = self.blocks[self.blocks.len() - 1].timestamp + SLOT;
        self.forks += 1;
        let hash = keccak256(format!("block {} of fork {}", self.blocks.len(), self.forks));
        self.blocks.push(Block { txs: included, hash, timestamp });
    }

    fn take(&mut self, tx: ChainTx) -> Verdict {
        self.handed_over.push(tx.clone());
        if let Some(text) = self.refusals.pop_front() {
            return Verdict::of_text(text);
        }
        if tx.nonce < self.nonce_below(tx.account, self.blocks.len()) {
            return Verdict::of_text("nonce too low");
        }
        self.pool.retain(|other| (other.account, other.nonce) != (tx.account, tx.nonce));
        self.pool.push(tx);
        self.pool.sort_by_key(|tx| tx.nonce);
        Verdict::Accepted
    }

    fn sight(&self, stored: &StoredTx) -> TxSight {
        let hashes: Vec<B256> = stored.attempts.iter().map(|attempt| attempt.hash).collect();
        for (index, block) in self.blocks.iter().enumerate() {
            if let Some(tx) = block.txs.iter().find(|tx| hashes.contains(&tx.hash)) {
                return TxSight::InBlock(Box::new(mined(tx.hash, index, block)));
            }
        }
        if self.nonce_below(stored.intent.account, self.blocks.len()) > stored.intent.nonce {
            return TxSight::NonceUsed;
        }
        let is_pooled = self.pool.iter().any(|tx| hashes.last() == Some(&tx.hash));
        if is_pooled { TxSight::Pooled } else { TxSight::Absent }
    }
}

fn mined(tx_hash: B256, index: usize, block: &Block) -> MinedTx {
    MinedTx {
        tx_hash,
        block_number: index as u64 + 1,
        block_hash: block.hash,
        block_timestamp: L1Timestamp(block.timestamp),
        gas_used: 21_000,
        effective_gas_price: GWEI,
        blob_gas_used: None,
        blob_gas_price: None,
        reverted: false,
        succeeded: true,
        revert_data: None,
        entries: Vec::new(),
    }
}

/// What would be on disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) accounts: BTreeMap<Address, AccountRecord>,
    pub(super) txs: BTreeMap<IntentId, StoredTx>,
    pub(super) next_id: IntentId,
}

impl Disk {
    fn write(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Lease(lease) => {
                    self.next_id = lease.intent.id + 1;
                    self.accounts.insert(lease.intent.account, lease.account);
                    let stored = StoredTx { intent: lease.intent.clone(), attempts: vec![lease.attempt.clone()] };
                    assert!(self.txs.insert(lease.intent.id, stored).is_none(), "an intent was recorded twice");
                }
                Record::Attempt { intent, number, attempt } => {
                    let tx = self.txs.get_mut(intent).expect("an attempt belongs to an intent");
                    assert_eq!(*number, tx.attempts.len());
                    tx.attempts.push(attempt.clone());
                }
                Record::Move { intent, account } => {
                    self.accounts.insert(intent.account, *account);
                    self.txs.get_mut(&intent.id).expect("a move belongs to an intent").intent = (**intent).clone();
                }
            }
        }
    }
}

/// A machine, its L1 and its disk.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) machine: Machine,
    pub(super) chain: Chain,
    pub(super) disk: Disk,
    pub(super) fees: FeeConfig,
    pub(super) confirmations: u64,
    pub(super) answers: HashMap<JobId, Result<Outcome, Error>>,
    /// The account that is the funder from the next restart on.
    pub(super) funder: Option<Address>,
    /// No key signs anything.
    pub(super) without_keys: bool,
    signers: BTreeMap<Address, PrivateKeySigner>,
    no_signers: BTreeMap<Address, PrivateKeySigner>,
    sent: Vec<(IntentId, usize)>,
    held: Vec<News>,
}

impl Bench {
    pub(super) fn new(keys: u8) -> Self {
        let signers: BTreeMap<_, _> = (0..keys)
            .map(|key| PrivateKeySigner::from_bytes(&B256::repeat_byte(key + 1)).expect("a key"))
            .map(|signer| (signer.address(), signer))
            .collect();
        let chain = Chain::new();
        let mut bench = Self {
            machine: Machine::load(chain.head(), Vec::new(), Vec::new(), 0),
            chain,
            disk: Disk::default(),
            fees: FeeConfig::default(),
            confirmations: 1,
            answers: HashMap::new(),
            funder: None,
            without_keys: false,
            signers,
            no_signers: BTreeMap::new(),
            sent: Vec::new(),
            held: Vec::new(),
        };
        bench.restart();
        bench
    }

    /// A new run from what is on disk, as after a crash.
    pub(super) fn restart(&mut self) {
        let account = |address: &Address| {
            let role = if self.funder == Some(*address) { Role::Funder } else { Role::Publisher };
            (*address, role, self.disk.accounts.get(address).copied().unwrap_or_default())
        };
        let accounts = self.signers.keys().map(account).collect();
        let stored = self.disk.txs.values().filter(|tx| !tx.intent.is_final()).cloned().collect();
        self.machine = Machine::load(self.chain.head(), accounts, stored, self.disk.next_id);
        self.held.clear();
        let look = self.look();
        self.machine.observe(News::Looked(look));
        self.settle();
    }

    pub(super) fn rules(&self) -> Rules<'_> {
        Rules {
            chain_id: 1,
            ethereum_slot: Duration::from_secs(SLOT),
            confirmations: self.confirmations,
            fees: self.fees.clone(),
            spent_within_hour: U256::ZERO,
            signers: if self.without_keys { &self.no_signers } else { &self.signers },
            time: UnixTime::from(self.chain.head().timestamp),
        }
    }

    pub(super) fn submit(&mut self, job: Job) {
        self.machine.observe(News::Submitted(Arc::new(job)));
        self.settle();
    }

    pub(super) fn interrupt(&mut self, job: JobId) {
        self.machine.observe(News::Interrupted(job));
        self.settle();
    }

    /// Does all there is to do, and looks where something is asked.
    pub(super) fn settle(&mut self) {
        for _ in 0..1_000 {
            let Some(step) = self.machine.decide(&self.rules()) else {
                if self.machine.questions(&self.rules()).is_none() {
                    return;
                }
                let look = self.look();
                self.machine.observe(News::Looked(look));
                continue;
            };
            let disk = &mut self.disk;
            let committed = step.commit(|records| {
                disk.write(records);
                Ok(())
            });
            let (records, notes, effects) = committed.expect("the disk works").into_parts();
            records.into_iter().for_each(|record| self.machine.apply(record));
            notes.into_iter().for_each(|note| self.machine.note(note));
            effects.into_iter().for_each(|effect| self.carry_out(effect));
        }
        panic!("the machine does not come to rest");
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(intent, number) => self.hand_over(intent, number),
            Effect::Estimate { job, .. } => self.machine.observe(News::Estimated(job.id, Ok(50_000))),
            Effect::Answer(job, answer) => {
                assert!(self.answers.insert(job, answer).is_none(), "job {job} was answered twice");
            }
        }
    }

    fn hand_over(&mut self, intent: IntentId, number: usize) {
        if std::mem::take(&mut self.chain.withhold_next) {
            return self.machine.observe(News::NotSent(intent));
        }
        let stored = &self.disk.txs[&intent];
        let attempt = &stored.attempts[number];
        let at = self.chain.head().timestamp.0 + SLOT;
        let is_cancel = attempt.kind == AttemptKind::Cancel;
        assert!(is_cancel || at < stored.intent.deadline.0, "what has expired was sent");
        assert!(is_cancel || at >= stored.intent.not_before.0, "it could land before its window");
        let (account, nonce) = (stored.intent.account, stored.intent.nonce);
        let verdict = self.chain.take(ChainTx { hash: attempt.hash, account, nonce, is_cancel, at });
        self.sent.push((intent, number));
        let news = News::Sent(intent, number, verdict);
        match self.chain.hold_answers {
            true => self.held.push(news),
            false => self.machine.observe(news),
        }
    }

    pub(super) fn release_answers(&mut self) {
        self.chain.hold_answers = false;
        for news in std::mem::take(&mut self.held) {
            self.machine.observe(news);
        }
        self.settle();
    }

    /// What L1 shows now.
    fn look(&self) -> Look {
        let blocks = self.chain.blocks.len();
        let sight = |address: &Address| AccountSight {
            at: self.machine.beat,
            latest_nonce: self.chain.nonce_below(*address, blocks),
            pending_nonce: Some(self.chain.nonce_below(*address, blocks)),
            final_nonce: Some(self.chain.nonce_below(*address, blocks.saturating_sub(self.chain.finality))),
            balance: self.chain.balance,
        };
        Look {
            at: self.machine.beat,
            suggested_tip: GWEI,
            blob_base_fee: None,
            accounts: self.signers.keys().map(|address| (*address, sight(address))).collect(),
            txs: self.machine.txs.iter().map(|(id, tx)| (*id, self.chain.sight(&tx.stored))).collect(),
        }
    }

    fn new_head(&mut self) {
        self.machine.observe(News::Head(self.chain.head()));
        self.settle();
    }

    pub(super) fn mine(&mut self) {
        let pooled = self.chain.pool.clone();
        self.chain.block(pooled);
        self.new_head();
    }

    pub(super) fn mine_empty(&mut self) {
        self.chain.block(Vec::new());
        self.new_head();
    }

    /// A block with this attempt, whichever the pool holds.
    pub(super) fn mine_attempt(&mut self, intent: IntentId, number: usize) {
        let hash = self.hash_of(intent, number);
        let tx = self.chain.handed_over.iter().find(|tx| tx.hash == hash).expect("it was handed over").clone();
        self.chain.block(vec![tx]);
        self.new_head();
    }

    /// The last `depth` blocks are replaced by as many empty ones and one more; what they held is forgotten.
    pub(super) fn reorg(&mut self, depth: usize) {
        self.drop_blocks(depth);
        (0..=depth).for_each(|_| self.chain.block(Vec::new()));
        self.new_head();
    }

    /// The same, with what the last of them held in another block of the same height.
    pub(super) fn reorg_including(&mut self, depth: usize) {
        let held = self.drop_blocks(depth);
        (1..depth).for_each(|_| self.chain.block(Vec::new()));
        self.chain.block(held);
        self.new_head();
    }

    fn drop_blocks(&mut self, depth: usize) -> Vec<ChainTx> {
        let keep = self.chain.blocks.len().saturating_sub(depth).max(1);
        self.chain.blocks.split_off(keep).into_iter().flat_map(|block| block.txs).collect()
    }

    pub(super) fn sent(&self) -> &[(IntentId, usize)] {
        &self.sent
    }

    pub(super) fn answer(&self, job: JobId) -> Option<&Result<Outcome, Error>> {
        self.answers.get(&job)
    }

    pub(super) fn attempts(&self, intent: IntentId) -> Vec<AttemptKind> {
        self.disk.txs[&intent].attempts.iter().map(|attempt| attempt.kind).collect()
    }

    pub(super) fn hash_of(&self, intent: IntentId, number: usize) -> B256 {
        self.disk.txs[&intent].attempts[number].hash
    }

    pub(super) fn deadline_of(&self, intent: IntentId) -> u64 {
        self.disk.txs[&intent].intent.deadline.0
    }
}

/// A job for the next six blocks.
pub(super) fn job(id: JobId) -> Job {
    job_for(id, 7)
}

/// A job that must land before block number `blocks` after the first.
pub(super) fn job_for(id: JobId, blocks: u64) -> Job {
    job_in(id, 0, GENESIS + blocks * SLOT)
}

pub(super) fn job_in(id: JobId, not_before: u64, deadline: u64) -> Job {
    let request = L1Request {
        label: format!("job {id}"),
        dedup_key: None,
        to: Address::repeat_byte(0xcc),
        calldata: Bytes::copy_from_slice(&id.to_be_bytes()),
        value: U256::ZERO,
        blobs: RequestBlobs::None,
        gas_limit: Some(60_000),
        not_before: L1Timestamp(not_before),
        deadline: L1Timestamp(deadline),
        success: SuccessRule::Status,
    };
    let (gate, interrupt) = (Arc::new(BroadcastGate::default()), CancellationToken::new());
    Job { id, request, account: Pinned::Any, blobs: None, gate, interrupt }
}

/// A job for the next six blocks, with a blob.
pub(super) fn blob_job(id: JobId) -> Job {
    let blobs = PreparedBlobs::compute(vec![Blob::ZERO]).expect("an empty blob is one");
    let mut job = job(id);
    job.request.blobs = RequestBlobs::Prepared(blobs.clone());
    Job { blobs: Some(blobs), ..job }
}
