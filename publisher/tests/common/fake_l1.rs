//! An L1 in memory: it mines when told, keeps the pool rules of a real node, and fails in the ways it is told to.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use alloy::consensus::{EthereumTxEnvelope, Transaction, TxEip4844, transaction::SignerRecoverable};
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::bindings::IMulticall3;
use alloy::providers::{DynProvider, Provider, RootProvider};
use alloy::rlp::Header;
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest};
use alloy::rpc::types::simulate::{SimBlock, SimCallResult};
use alloy::sol_types::SolCall;
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use fermata_primitives::L1Timestamp;
use fermata_publisher::{L1, L1HeadInfo, SendBackend};
use serde_json::{Value, json, value::RawValue};
use tokio::sync::watch;

use super::{ETHEREUM_SLOT, PATIENCE};

pub const CHAIN_ID: u64 = 31_337;
/// Timestamp of the first head.
pub const GENESIS: u64 = 1_000_000;
const GWEI: u128 = 1_000_000_000;

/// A transaction, without its sidecar.
pub type Tx = EthereumTxEnvelope<TxEip4844>;

/// What becomes of a broadcast.
#[derive(Clone, Debug)]
pub enum OnSend {
    /// The node refuses it with this text.
    Refuse(&'static str),
    /// The node takes it, and its answer is lost.
    TakeAndHang,
    /// It never reaches the node.
    LoseAndHang,
    /// The node says that it has it, and does not.
    PretendToTake,
    /// The node takes it, and answers with the hash of another transaction.
    TakeAndMisname,
}

/// How the node answers a simulation.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum Simulating {
    #[default]
    Works,
    /// It has no such method.
    Unsupported,
    /// It has it, and is in trouble.
    Fails,
}

/// A transaction as the node saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub tx: Tx,
    pub from: Address,
    /// What was handed over, sidecar included.
    pub bytes: Bytes,
    /// The version of its sidecar, where it has one.
    pub sidecar: Option<u8>,
}

impl Seen {
    pub fn hash(&self) -> B256 {
        *self.tx.tx_hash()
    }
}

/// How transactions end in a block.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Status {
    #[default]
    Succeeds,
    Reverts,
}

struct Chain {
    chain_id: u64,
    /// The version of sidecars that is taken.
    sidecar: u8,
    /// The median tip of each of the last blocks; without it, there is no history of fees.
    paid_tips: Option<Vec<u128>>,
    told_blob_fee: u128,
    nonces: HashMap<Address, u64>,
    balances: HashMap<Address, U256>,
    pool: Vec<Seen>,
    /// Every transaction in a block, in order.
    mined: Vec<Seen>,
    receipts: HashMap<B256, Value>,
    block_times: HashMap<B256, u64>,
    /// Every transaction that was handed over, taken or not.
    broadcasts: Vec<Seen>,
    on_send: VecDeque<OnSend>,
    status: Status,
    simulating: Simulating,
    /// The tip that it suggests, in wei.
    suggested_tip: u128,
    /// Contracts whose call reverts within a bundle, in a simulation as in a block.
    reverting: HashSet<Address>,
    /// Contracts whose call reverts within a bundle once that is in a block.
    failing: HashSet<Address>,
    /// Multicall3 is not there.
    without_multicall: bool,
    unreachable: bool,
    /// The method that cannot be reached.
    dead_method: Option<&'static str>,
}

/// The fake; clones are the same L1.
#[derive(Clone)]
pub struct FakeL1 {
    chain: Arc<Mutex<Chain>>,
    heads: watch::Sender<L1HeadInfo>,
    calls: watch::Sender<Vec<String>>,
    /// The method whose answers are held back.
    held: watch::Sender<Option<&'static str>>,
}

impl FakeL1 {
    pub fn new() -> Self {
        let head = L1HeadInfo {
            number: 1,
            hash: keccak256("block 1"),
            timestamp: L1Timestamp(GENESIS),
            base_fee: 10 * GWEI,
            blob_base_fee: Some(1),
            excess_blob_gas: None,
        };
        let chain = Arc::new(Mutex::new(Chain::new()));
        Self { chain, heads: watch::Sender::new(head), calls: watch::Sender::default(), held: watch::Sender::default() }
    }

    pub fn l1(&self) -> L1 {
        L1::new(self.provider(), self.heads.subscribe())
    }

    fn provider(&self) -> DynProvider {
        RootProvider::<alloy::network::Ethereum>::new(RpcClient::new(self.clone(), true)).erased()
    }

    /// This node as one that transactions are handed to.
    pub fn backend(&self, name: &str) -> SendBackend {
        SendBackend { name: name.to_owned(), provider: self.provider() }
    }

    /// What the pool of `other` holds reaches this node too, as nodes tell each other.
    pub fn hear_from(&self, other: &Self) {
        for seen in other.pool() {
            // What it has already, it refuses.
            let _ = self.chain().pool_rules(seen);
        }
    }

    fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    pub fn fund(&self, account: Address, balance: U256) {
        self.chain().balances.insert(account, balance);
    }

    pub fn balance(&self, account: Address) -> U256 {
        self.chain().balances.get(&account).copied().unwrap_or_default()
    }

    /// There is a contract at no address.
    pub fn remove_multicall(&self) {
        self.chain().without_multicall = true;
    }

    pub fn use_chain_id(&self, chain_id: u64) {
        self.chain().chain_id = chain_id;
    }

    /// Sidecars of this version alone are taken from now on; what the pool holds with another is dropped.
    pub fn demand_sidecar(&self, version: u8) {
        let mut chain = self.chain();
        chain.sidecar = version;
        chain.pool.retain(|seen| seen.sidecar.is_none_or(|has| has == version));
    }

    /// The median tip of each of the last blocks, in wei.
    pub fn tell_paid_tips(&self, wei: &[u128]) {
        self.chain().paid_tips = Some(wei.to_vec());
    }

    /// The blob base fee as the node computes it; the head tells its excess blob gas.
    pub fn tell_blob_fee(&self, wei: u128, excess_blob_gas: u64) {
        self.chain().told_blob_fee = wei;
        self.heads.send_modify(|head| (head.blob_base_fee, head.excess_blob_gas) = (None, Some(excess_blob_gas)));
    }

    /// What becomes of the next broadcasts, one each; after them the node is ordinary again.
    pub fn on_send(&self, what: impl IntoIterator<Item = OnSend>) {
        self.chain().on_send.extend(what);
    }

    pub fn make_unreachable(&self) {
        self.chain().unreachable = true;
    }

    pub fn make_reachable(&self) {
        self.chain().unreachable = false;
        self.chain().dead_method = None;
    }

    /// This method alone cannot be reached from now on.
    pub fn make_dead(&self, method: &'static str) {
        self.chain().dead_method = Some(method);
    }

    /// From now on this method is called and does not answer, until it is released.
    pub fn hold(&self, method: &'static str) {
        self.held.send_replace(Some(method));
    }

    pub fn release(&self) {
        self.held.send_replace(None);
    }

    /// Every transaction mined from now on reverts.
    pub fn make_reverting(&self) {
        self.chain().status = Status::Reverts;
    }

    /// Every transaction mined from now on succeeds again.
    pub fn make_succeeding(&self) {
        self.chain().status = Status::Succeeds;
    }

    pub fn simulate_as(&self, simulating: Simulating) {
        self.chain().simulating = simulating;
    }

    /// A bundle's call of this contract reverts, wherever it is run.
    pub fn revert_calls_of(&self, contract: Address) {
        self.chain().reverting.insert(contract);
    }

    /// A bundle's call of this contract reverts in a block, and no simulation shows it.
    pub fn fail_calls_of(&self, contract: Address) {
        self.chain().failing.insert(contract);
    }

    pub fn set_base_fee(&self, wei: u128) {
        self.heads.send_modify(|head| head.base_fee = wei);
    }

    pub fn head(&self) -> L1HeadInfo {
        *self.heads.borrow()
    }

    pub fn mined(&self) -> Vec<Seen> {
        self.chain().mined.clone()
    }

    pub fn pool(&self) -> Vec<Seen> {
        self.chain().pool.clone()
    }

    pub fn broadcasts(&self) -> Vec<Seen> {
        self.chain().broadcasts.clone()
    }

    /// Keeps no longer what was handed over and mined so far, bytes and all; receipts stay.
    pub fn forget_history(&self) {
        let mut chain = self.chain();
        chain.broadcasts.clear();
        chain.mined.clear();
    }

    /// Forgets what is pooled, as a node under pressure does.
    pub fn empty_pool(&self) {
        self.chain().pool.clear();
    }

    /// Someone else with the same key used the next nonce.
    pub fn use_nonce_elsewhere(&self, account: Address) {
        *self.chain().nonces.entry(account).or_default() += 1;
    }

    pub fn calls(&self, method: &str) -> usize {
        self.calls.borrow().iter().filter(|call| *call == method).count()
    }

    pub fn call_count(&self) -> usize {
        self.calls.borrow().len()
    }

    /// The block of the last transaction is removed from the chain, and the pool has forgotten it.
    pub fn take_back_last(&self) {
        let mut chain = self.chain();
        let seen = chain.mined.pop().unwrap();
        *chain.nonces.get_mut(&seen.from).unwrap() -= 1;
        chain.receipts.remove(&seen.hash());
        let (to, value) = (seen.tx.to().unwrap(), seen.tx.value());
        *chain.balances.get_mut(&seen.from).unwrap() += value;
        *chain.balances.get_mut(&to).unwrap() -= value;
    }

    /// Waits until `method` was called at least `count` times in all.
    pub async fn until_called(&self, method: &str, count: usize) {
        let mut calls = self.calls.subscribe();
        let called = calls.wait_for(|calls| calls.iter().filter(|call| *call == method).count() >= count);
        tokio::time::timeout(PATIENCE, called).await.unwrap_or_else(|_| panic!("{method} is not called")).unwrap();
    }

    /// A block with all that the pool holds, one Ethereum slot after the last.
    pub fn mine(&self) {
        self.mine_at(self.head().timestamp.0 + ETHEREUM_SLOT);
    }

    /// A block with all that the pool holds.
    pub fn mine_at(&self, timestamp: u64) {
        let pooled = std::mem::take(&mut self.chain().pool);
        self.block(timestamp, pooled);
    }

    /// A block without anything, as when others bid more.
    pub fn mine_empty(&self) {
        self.block(self.head().timestamp.0 + ETHEREUM_SLOT, Vec::new());
    }

    /// A block at these fees, in wei, with what of the pool `pays`. Behind it, the node suggests the last as the tip.
    pub fn mine_at_fees(&self, [base_fee, blob_base_fee, tip]: [u128; 3], pays: impl Fn(&Tx) -> bool) -> Vec<Seen> {
        let included: Vec<_> = {
            let mut chain = self.chain();
            chain.suggested_tip = tip;
            let (included, left) = std::mem::take(&mut chain.pool).into_iter().partition(|seen| pays(&seen.tx));
            chain.pool = left;
            included
        };
        let head = L1HeadInfo { base_fee, blob_base_fee: Some(blob_base_fee), ..self.head() };
        self.block_after(head, head.timestamp.0 + ETHEREUM_SLOT, included.clone());
        included
    }

    fn block(&self, timestamp: u64, included: Vec<Seen>) {
        self.block_after(self.head(), timestamp, included);
    }

    fn block_after(&self, mut head: L1HeadInfo, timestamp: u64, included: Vec<Seen>) {
        head.number += 1;
        head.hash = keccak256(format!("block {} at {timestamp}", head.number));
        head.timestamp = L1Timestamp(timestamp);
        {
            let mut chain = self.chain();
            chain.block_times.insert(head.hash, timestamp);
            for seen in included {
                *chain.nonces.entry(seen.from).or_default() += 1;
                let receipt = receipt(&seen, &head, &chain);
                chain.receipts.insert(seen.hash(), receipt);
                chain.move_value(&seen);
                chain.mined.push(seen);
            }
        }
        self.heads.send_replace(head);
    }

    async fn answer(self, request: SerializedRequest) -> Result<Response, TransportError> {
        let method = request.method().to_owned();
        let params: Value = request.params().map_or(Value::Null, |raw| serde_json::from_str(raw.get()).unwrap());
        let result = self.dispatch(&method, &params);
        self.calls.send_modify(|calls| calls.push(method.clone()));
        let _ = self.held.subscribe().wait_for(|held| *held != Some(method.as_str())).await;
        let payload = match result {
            Answer::Value(value) => ResponsePayload::Success(RawValue::from_string(value.to_string()).unwrap()),
            Answer::Error(message) => {
                ResponsePayload::Failure(ErrorPayload { code: -32_000, message: message.into(), data: None })
            }
            Answer::NoSuchMethod => {
                let message = "the method does not exist".into();
                ResponsePayload::Failure(ErrorPayload { code: -32_601, message, data: None })
            }
            Answer::Hang => std::future::pending().await,
            Answer::Unreachable => return Err(TransportErrorKind::custom_str("connection refused")),
        };
        Ok(Response { id: request.id().clone(), payload })
    }

    fn dispatch(&self, method: &str, params: &Value) -> Answer {
        let mut chain = self.chain();
        if chain.unreachable || chain.dead_method == Some(method) {
            return Answer::Unreachable;
        }
        let address = || serde_json::from_value::<Address>(params[0].clone()).unwrap();
        let hash = || serde_json::from_value::<B256>(params[0].clone()).unwrap();
        Answer::Value(match method {
            "eth_chainId" => json!(U256::from(chain.chain_id)),
            "eth_maxPriorityFeePerGas" => json!(U256::from(chain.suggested_tip)),
            "eth_blobBaseFee" => json!(U256::from(chain.told_blob_fee)),
            "eth_feeHistory" => match &chain.paid_tips {
                Some(tips) => fee_history(tips),
                None => return Answer::NoSuchMethod,
            },
            "eth_getCode" => json!(if chain.without_multicall { "0x" } else { "0x00" }),
            "eth_estimateGas" => json!("0xc350"),
            "eth_getBalance" => json!(chain.balances.get(&address()).copied().unwrap_or_default()),
            "eth_getTransactionCount" => {
                let account = address();
                let pooled = chain.pool.iter().filter(|seen| seen.from == account).count() as u64;
                let used = chain.nonces.get(&account).copied().unwrap_or_default();
                json!(U256::from(if params[1] == "pending" { used + pooled } else { used }))
            }
            "eth_getTransactionReceipt" => chain.receipts.get(&hash()).cloned().unwrap_or(Value::Null),
            "eth_getTransactionByHash" => {
                let wanted = hash();
                let known = chain.pool.iter().chain(&chain.mined).any(|seen| seen.hash() == wanted);
                if known { json!({ "hash": wanted }) } else { Value::Null }
            }
            "eth_getBlockByHash" => match chain.block_times.get(&hash()) {
                Some(at) => json!({ "timestamp": U256::from(*at) }),
                None => Value::Null,
            },
            "eth_sendRawTransaction" => {
                return chain.take(serde_json::from_value(params[0].clone()).unwrap());
            }
            "eth_simulateV1" => return chain.simulate(&params[0]),
            "eth_call" => return Answer::Error("execution reverted".to_owned()),
            other => return Answer::Error(format!("the fake knows no {other}")),
        })
    }
}

enum Answer {
    Value(Value),
    Error(String),
    NoSuchMethod,
    Hang,
    Unreachable,
}

/// A history of full blocks that paid these tips, and of an empty one.
fn fee_history(tips: &[u128]) -> Value {
    let rewards: Vec<_> = tips.iter().chain([&0]).map(|tip| [U256::from(*tip)]).collect();
    let used: Vec<_> = tips.iter().map(|_| 0.5).chain([0.0]).collect();
    json!({ "oldestBlock": "0x1", "baseFeePerGas": [], "gasUsedRatio": used, "reward": rewards })
}

impl Chain {
    fn new() -> Self {
        Self {
            suggested_tip: GWEI,
            chain_id: CHAIN_ID,
            sidecar: 1,
            paid_tips: None,
            told_blob_fee: 1,
            nonces: HashMap::new(),
            balances: HashMap::new(),
            pool: Vec::new(),
            mined: Vec::new(),
            receipts: HashMap::new(),
            block_times: HashMap::new(),
            broadcasts: Vec::new(),
            on_send: VecDeque::new(),
            status: Status::default(),
            simulating: Simulating::default(),
            reverting: HashSet::new(),
            failing: HashSet::new(),
            without_multicall: false,
            unreachable: false,
            dead_method: None,
        }
    }

    fn take(&mut self, bytes: Bytes) -> Answer {
        let seen = decode(bytes);
        let hash = seen.hash();
        self.broadcasts.push(seen.clone());
        match self.on_send.pop_front() {
            Some(OnSend::Refuse(text)) => Answer::Error(text.to_owned()),
            Some(OnSend::LoseAndHang) => Answer::Hang,
            Some(OnSend::PretendToTake) => Answer::Value(json!(hash)),
            Some(OnSend::TakeAndHang) => {
                self.pool_rules(seen).unwrap();
                Answer::Hang
            }
            Some(OnSend::TakeAndMisname) => {
                self.pool_rules(seen).unwrap();
                Answer::Value(json!(keccak256(hash)))
            }
            None => match self.pool_rules(seen) {
                Ok(()) => Answer::Value(json!(hash)),
                Err(text) => Answer::Error(text.to_owned()),
            },
        }
    }

    /// What the one call of a simulated block answers: a bundle's entries, each by itself.
    fn simulate(&self, payload: &Value) -> Answer {
        match self.simulating {
            Simulating::Works => {}
            Simulating::Unsupported => return Answer::NoSuchMethod,
            Simulating::Fails => return Answer::Error("out of memory".to_owned()),
        }
        let block: SimBlock = serde_json::from_value(payload["blockStateCalls"][0].clone()).unwrap();
        let input = block.calls[0].input.input().cloned().unwrap_or_default();
        let answers = targets(&input).into_iter().map(|target| {
            let success = !self.reverting.contains(&target);
            IMulticall3::Result { success, returnData: Bytes::from_static(b"no") }
        });
        let answers = IMulticall3::aggregate3Call::abi_encode_returns(&answers.collect());
        let calls =
            [SimCallResult { return_data: answers.into(), gas_used: 100_000, status: true, ..Default::default() }];
        let mut block = json!(alloy::rpc::types::Block::<B256>::default());
        block["calls"] = json!(calls);
        Answer::Value(json!([block]))
    }

    /// What it sent along is its receivers'; gas is free.
    fn move_value(&mut self, seen: &Seen) {
        if self.status == Status::Reverts || seen.tx.value().is_zero() {
            return;
        }
        let calls = IMulticall3::aggregate3ValueCall::abi_decode(seen.tx.input());
        let receivers = match calls {
            Ok(calls) => calls.calls.iter().map(|call| (call.target, call.value)).collect(),
            Err(_) => vec![(seen.tx.to().unwrap(), seen.tx.value())],
        };
        assert_eq!(receivers.iter().map(|(_, value)| *value).sum::<U256>(), seen.tx.value());
        *self.balances.get_mut(&seen.from).unwrap() -= seen.tx.value();
        for (receiver, value) in receivers {
            *self.balances.entry(receiver).or_default() += value;
        }
    }

    /// The rules of a real pool: order, funds, and twice the bid for a blob transaction's replacement.
    fn pool_rules(&mut self, seen: Seen) -> Result<(), &'static str> {
        let used = self.nonces.get(&seen.from).copied().unwrap_or_default();
        let nonce = seen.tx.nonce();
        if self.pool.iter().any(|pooled| pooled.hash() == seen.hash()) {
            return Err("already known");
        }
        if nonce < used {
            return Err("nonce too low");
        }
        match (seen.sidecar, self.sidecar) {
            (Some(0), 1) => return Err("unexpected eip-4844 sidecar after osaka"),
            (Some(1), 0) => return Err("unexpected eip-7594 sidecar before osaka"),
            _ => {}
        }
        let cost = U256::from(seen.tx.gas_limit()) * U256::from(seen.tx.max_fee_per_gas()) + seen.tx.value();
        if self.balances.get(&seen.from).copied().unwrap_or_default() < cost {
            return Err("insufficient funds for gas * price + value");
        }
        let old = self.pool.iter().position(|pooled| pooled.from == seen.from && pooled.tx.nonce() == nonce);
        if let Some(index) = old {
            if !replaces(&self.pool[index].tx, &seen.tx)? {
                return Err("replacement transaction underpriced");
            }
            self.pool.remove(index);
        } else if nonce != used + self.pool.iter().filter(|pooled| pooled.from == seen.from).count() as u64 {
            return Err("nonce too high");
        }
        self.pool.push(seen);
        Ok(())
    }
}

fn replaces(old: &Tx, new: &Tx) -> Result<bool, &'static str> {
    if old.is_eip4844() != new.is_eip4844() {
        return Err("address already reserved");
    }
    let factor = if old.is_eip4844() { 200 } else { 110 };
    let enough = |old: u128, new: u128| new * 100 > old * factor;
    let tip = |tx: &Tx| tx.max_priority_fee_per_gas().unwrap_or_default();
    let blob_fee = |tx: &Tx| tx.max_fee_per_blob_gas();
    let blob_enough = match (blob_fee(old), blob_fee(new)) {
        (Some(old), Some(new)) => enough(old, new),
        _ => true,
    };
    Ok(enough(old.max_fee_per_gas(), new.max_fee_per_gas()) && enough(tip(old), tip(new)) && blob_enough)
}

/// A blob transaction comes as `3 || rlp([transaction, version, blobs, ...])`, with version 0 as
/// `3 || rlp([transaction, blobs, ...])`; what is signed is `3 || transaction`.
fn decode(bytes: Bytes) -> Seen {
    let mut version = None;
    let canonical = if bytes[0] == 3 {
        let mut rest = &bytes[1..];
        Header::decode(&mut rest).unwrap();
        let start = rest;
        let inner = Header::decode(&mut rest).unwrap();
        let header_len = start.len() - rest.len();
        let (tx, sidecar) = start.split_at(header_len + inner.payload_length);
        version = Some(if sidecar[0] == 1 { 1 } else { 0 });
        [&[3], tx].concat()
    } else {
        bytes.to_vec()
    };
    let tx = Tx::decode_2718_exact(&canonical).unwrap();
    let from = tx.recover_signer().unwrap();
    Seen { tx, from, bytes, sidecar: version }
}

/// The contracts a bundle calls; none when it is none.
fn targets(input: &[u8]) -> Vec<Address> {
    let bundle = IMulticall3::aggregate3Call::abi_decode(input);
    bundle.map_or_else(|_| Vec::new(), |bundle| bundle.calls.iter().map(|call| call.target).collect())
}

/// Each contract that is called, and does not revert, emits `Landed()`.
fn receipt(seen: &Seen, head: &L1HeadInfo, chain: &Chain) -> Value {
    let reverting = chain.status == Status::Reverts;
    let log = |address: Address| {
        json!({
            "address": address, "topics": [keccak256("Landed()")], "data": "0x",
            "blockHash": head.hash, "blockNumber": U256::from(head.number), "transactionHash": seen.hash(),
            "transactionIndex": "0x0", "logIndex": "0x0", "removed": false,
        })
    };
    let called = seen.tx.to().into_iter().chain(targets(seen.tx.input()));
    let lands = |address: &Address| !chain.reverting.contains(address) && !chain.failing.contains(address);
    let logs: Vec<Value> = called.filter(lands).map(log).collect();
    json!({
        "type": U256::from(seen.tx.tx_type() as u8),
        "status": if reverting { "0x0" } else { "0x1" },
        "cumulativeGasUsed": "0x5208", "logsBloom": Bytes::from(vec![0; 256]),
        "logs": if reverting { vec![] } else { logs },
        "transactionHash": seen.hash(), "transactionIndex": "0x0",
        "blockHash": head.hash, "blockNumber": U256::from(head.number),
        "gasUsed": "0x5208", "effectiveGasPrice": U256::from(11 * GWEI),
        "from": seen.from, "to": seen.tx.to(), "contractAddress": null,
    })
}

impl tower::Service<RequestPacket> for FakeL1 {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            match packet {
                RequestPacket::Single(request) => this.answer(request).await.map(ResponsePacket::Single),
                RequestPacket::Batch(requests) => {
                    let mut answers = Vec::with_capacity(requests.len());
                    for request in requests {
                        answers.push(this.clone().answer(request).await?);
                    }
                    Ok(ResponsePacket::Batch(answers))
                }
            }
        })
    }
}
