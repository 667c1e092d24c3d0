//! From the merged layers to the typed configuration, in one pass that finds everything that is wrong.

use alloy::primitives::Address;
use alloy::primitives::utils::parse_ether;
use alloy::signers::local::coins_bip39::{English, Mnemonic};
use fermata_execution::mempool::MempoolConfig;
use fermata_execution::rpc::RpcLimits;
use tracing_subscriber::EnvFilter;

use super::reader::Reader;
use super::{
    AdminConfig, BlobSource, ClockKind, ConfigError, ExecutionConfig, FeeConfig, GenesisSource, KeySource, L1Config,
    LogConfig, LogFormat, NodeConfig, Prefunded, Problems, PublisherConfig, RawConfig, RollupLocation, RpcConfig,
    Secret, SequencerConfig, Sources, StartPolicy, ValidatorConfig,
};
use crate::timetable::Budgets;

/// A day: no interval or time limit is longer.
const DAY_MS: u64 = 86_400_000;

impl NodeConfig {
    /// Reads, merges and checks the layers.
    ///
    /// # Errors
    /// [`ConfigError`]; of keys it names all that are wrong.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Self::from_raw(&RawConfig::load(sources)?)
    }

    /// Checks merged layers.
    ///
    /// # Errors
    /// [`ConfigError::Keys`] with all that is wrong.
    pub fn from_raw(raw: &RawConfig) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(raw);
        let config = read(&mut reader);
        let problems = reader.into_problems();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            Some(_) | None => Err(ConfigError::Keys(Problems(problems))),
        }
    }
}

/// Every section is read before any is given up, so that all problems are found.
fn read(r: &mut Reader<'_>) -> Option<NodeConfig> {
    let data_dir = r.path("data_dir");
    let clock = r.word("clock", &[("system", ClockKind::System), ("l1", ClockKind::L1)]);
    let (l1, validator, publisher) = (l1(r), validator(r), publisher(r));
    let (timetable, sequencer, execution) = (timetable(r), sequencer(r), execution(r));
    let (rpc, admin, log) = (rpc(r), admin(r), log(r));
    Some(NodeConfig {
        data_dir: data_dir?,
        clock: clock?,
        l1: l1?,
        validator: validator?,
        publisher: publisher?,
        timetable: timetable?,
        sequencer: sequencer?,
        execution: execution?,
        rpc: rpc?,
        admin: admin?,
        log: log?,
    })
}

fn l1(r: &mut Reader<'_>) -> Option<L1Config> {
    if !r.is_set("l1.rpc_url") {
        r.missing("l1.rpc_url", "set it to the JSON-RPC endpoint of L1, such as http://127.0.0.1:8545");
    }
    let rpc_url = r.url("l1.rpc_url");
    let chain_id = r.integer("l1.chain_id", 1..=u64::MAX);
    let rollup = rollup(r);
    let ethereum_slot_secs = r.integer("l1.ethereum_slot_secs", 1..=3_600);
    let poll_interval = r.millis("l1.poll_interval_ms", 10..=DAY_MS);
    let request_timeout = r.millis("l1.request_timeout_ms", 10..=DAY_MS);
    let blobs = blobs(r);
    Some(L1Config {
        rpc_url: rpc_url?,
        chain_id,
        rollup: rollup?,
        ethereum_slot_secs: ethereum_slot_secs?,
        poll_interval: poll_interval?,
        request_timeout: request_timeout?,
        blobs: blobs?,
    })
}

fn rollup(r: &mut Reader<'_>) -> Option<RollupLocation> {
    match (r.is_set("l1.addresses_file"), r.is_set("l1.rollup_address")) {
        (true, true) => {
            r.invalid("l1.rollup_address", "is set beside `l1.addresses_file`", "set one of them");
            None
        }
        (true, false) => r.path("l1.addresses_file").map(RollupLocation::AddressesFile),
        (false, true) => r.address("l1.rollup_address").map(RollupLocation::Rollup),
        (false, false) => {
            r.missing("l1.addresses_file", "name the addresses.json of `fermata deploy`, or set l1.rollup_address");
            None
        }
    }
}

fn blobs(r: &mut Reader<'_>) -> Option<BlobSource> {
    if !r.is_set("l1.blobs") {
        r.missing("l1.blobs", "write `anvil`, or the URL of a beacon node");
        return None;
    }
    if r.text("l1.blobs")? == "anvil" {
        return Some(BlobSource::Anvil);
    }
    r.url("l1.blobs").map(BlobSource::Beacon)
}

/// The keys of one section.
struct KeyKeys {
    keystore_dir: &'static str,
    password_file: &'static str,
    mnemonic: &'static str,
    derivation_path: &'static str,
    first: &'static str,
    count: &'static str,
}

fn keys(r: &mut Reader<'_>, k: &KeyKeys) -> Option<KeySource> {
    match (r.is_set(k.keystore_dir), r.is_set(k.mnemonic)) {
        (true, true) => {
            r.invalid(k.mnemonic, format!("is set beside `{}`", k.keystore_dir), "set one of them");
            None
        }
        (false, false) => {
            r.missing(k.keystore_dir, &format!("name a directory of keystores, or for development set {}", k.mnemonic));
            None
        }
        (true, false) => {
            if !r.is_set(k.password_file) {
                r.missing(
                    k.password_file,
                    &format!("name the file with the password of the keystores in {}", k.keystore_dir),
                );
            }
            let (dir, password_file) = (r.path(k.keystore_dir), r.path(k.password_file));
            Some(KeySource::Keystores { dir: dir?, password_file: password_file? })
        }
        (false, true) => mnemonic(r, k),
    }
}

fn mnemonic(r: &mut Reader<'_>, k: &KeyKeys) -> Option<KeySource> {
    let phrase = r.text(k.mnemonic)?;
    let is_phrase = Mnemonic::<English>::new_from_phrase(&phrase).is_ok();
    if !is_phrase {
        r.invalid(k.mnemonic, "is not a mnemonic", "write 12 to 24 English BIP-39 words with a valid checksum");
    }
    let path = r.text(k.derivation_path)?;
    let is_path = path.strip_prefix("m/").is_some_and(|steps| steps.split('/').all(is_path_step));
    if !is_path {
        r.invalid(k.derivation_path, format!("is `{path}`"), "write it like m/44'/60'/0'/0");
    }
    let (first, count) = (r.count(k.first, 0..=1_000_000), r.count(k.count, 1..=10_000));
    let (first, count) = (first?, count?);
    (is_phrase && is_path).then_some(KeySource::Mnemonic { phrase: Secret::new(phrase), path, first, count })
}

fn is_path_step(step: &str) -> bool {
    step.strip_suffix('\'').unwrap_or(step).parse::<u32>().is_ok_and(|index| index < 1 << 31)
}

fn validator(r: &mut Reader<'_>) -> Option<ValidatorConfig> {
    let keys = keys(
        r,
        &KeyKeys {
            keystore_dir: "validator.keystore_dir",
            password_file: "validator.password_file",
            mnemonic: "validator.mnemonic",
            derivation_path: "validator.derivation_path",
            first: "validator.first",
            count: "validator.count",
        },
    );
    let coinbase = r.address("validator.coinbase");
    Some(ValidatorConfig { keys: keys?, coinbase })
}

fn publisher(r: &mut Reader<'_>) -> Option<PublisherConfig> {
    let keys = keys(
        r,
        &KeyKeys {
            keystore_dir: "publisher.keystore_dir",
            password_file: "publisher.password_file",
            mnemonic: "publisher.mnemonic",
            derivation_path: "publisher.derivation_path",
            first: "publisher.first",
            count: "publisher.count",
        },
    );
    let floor = gwei(r, "publisher.tip_floor_gwei");
    let cap = gwei(r, "publisher.tip_cap_gwei");
    let max_fee = gwei(r, "publisher.max_fee_per_gas_gwei");
    let max_blob_fee = gwei(r, "publisher.max_blob_fee_per_gas_gwei");
    if let (Some(floor), Some(cap)) = (floor, cap)
        && floor > cap
    {
        r.invalid("publisher.tip_floor_gwei", "is above `publisher.tip_cap_gwei`", "lower it, or raise the other");
    }
    if let (Some(cap), Some(max)) = (cap, max_fee)
        && cap > max / 2
    {
        let remedy = "lower it, or raise the other";
        r.invalid("publisher.tip_cap_gwei", "is above half of `publisher.max_fee_per_gas_gwei`", remedy);
    }
    let fees =
        FeeConfig { tip_floor: floor?, tip_cap: cap?, max_fee_ceiling: max_fee?, blob_fee_ceiling: max_blob_fee? };
    Some(PublisherConfig { keys: keys?, fees })
}

fn gwei(r: &mut Reader<'_>, key: &'static str) -> Option<u128> {
    r.integer(key, 1..=1_000_000_000).map(|gwei| u128::from(gwei) * 1_000_000_000)
}

fn timetable(r: &mut Reader<'_>) -> Option<Budgets> {
    let block = r.millis("timetable.block_ms", 1..=DAY_MS);
    let min_block = r.millis("timetable.min_block_ms", 1..=DAY_MS);
    let peer = r.millis("timetable.peer_ms", 0..=DAY_MS);
    let assemble = r.millis("timetable.assemble_ms", 0..=DAY_MS);
    let prepare = r.millis("timetable.prepare_ms", 0..=DAY_MS);
    let max_blocks = r.count("timetable.max_blocks", 1..=1_024);
    if let (Some(block), Some(min_block)) = (block, min_block)
        && min_block > block
    {
        r.invalid("timetable.min_block_ms", "is longer than `timetable.block_ms`", "shorten it, or lengthen the other");
    }
    Some(Budgets {
        block: block?,
        min_block: min_block?,
        peer: peer?,
        assemble: assemble?,
        prepare: prepare?,
        max_blocks: max_blocks?,
    })
}

fn sequencer(r: &mut Reader<'_>) -> Option<SequencerConfig> {
    let poll_interval = r.millis("sequencer.poll_interval_ms", 10..=DAY_MS);
    let policies = [("desired", StartPolicy::Desired), ("always", StartPolicy::Always), ("never", StartPolicy::Never)];
    let start = r.word("sequencer.start", &policies);
    let stop_deadline = r.millis("sequencer.stop_deadline_ms", 0..=DAY_MS);
    let min_transactions = r.count("sequencer.min_transactions", 0..=u32::MAX);
    Some(SequencerConfig {
        poll_interval: poll_interval?,
        start: start?,
        stop_deadline: stop_deadline?,
        min_transactions: min_transactions? as usize,
    })
}

fn execution(r: &mut Reader<'_>) -> Option<ExecutionConfig> {
    let genesis = genesis(r);
    let gas_limit = r.integer("execution.gas_limit", 1_000_000..=10_000_000_000);
    let mempool = mempool(r);
    Some(ExecutionConfig { genesis: genesis?, gas_limit: gas_limit?, mempool: mempool? })
}

fn genesis(r: &mut Reader<'_>) -> Option<GenesisSource> {
    let entries = r.list("execution.prefunded").unwrap_or_default();
    match (r.is_set("execution.genesis_file"), r.is_set("execution.chain_id") || !entries.is_empty()) {
        (true, true) => {
            let wrong = "is set beside `execution.chain_id` or `execution.prefunded`";
            r.invalid("execution.genesis_file", wrong, "the file holds both: leave those keys out, or the file");
            None
        }
        (true, false) => r.path("execution.genesis_file").map(GenesisSource::File),
        (false, _) if !r.is_set("execution.chain_id") => {
            r.missing("execution.chain_id", "set the L2 chain id, or name an execution.genesis_file");
            None
        }
        (false, _) => {
            let chain_id = r.integer("execution.chain_id", 1..=u64::MAX / 2);
            let prefunded: Option<Vec<_>> = entries.iter().map(|entry| prefunded(entry)).collect();
            if prefunded.is_none() {
                r.invalid("execution.prefunded", "has an entry that is not `address=ether`", "write it like 0x…=1000");
            }
            let timestamp = r.integer("execution.genesis_timestamp", 0..=u64::from(u32::MAX));
            let base_fee = r.integer("execution.genesis_base_fee_wei", 1..=u64::MAX);
            Some(GenesisSource::Accounts {
                chain_id: chain_id?,
                timestamp: timestamp?,
                base_fee: base_fee?,
                prefunded: prefunded?,
            })
        }
    }
}

fn prefunded(entry: &str) -> Option<Prefunded> {
    let (address, ether) = entry.split_once('=')?;
    let address: Address = address.trim().parse().ok()?;
    Some(Prefunded { address, balance: parse_ether(ether.trim()).ok()? })
}

fn mempool(r: &mut Reader<'_>) -> Option<MempoolConfig> {
    let max_transactions = r.size("mempool.max_transactions");
    let max_bytes = r.size("mempool.max_bytes");
    let max_per_sender = r.size("mempool.max_per_sender");
    let replacement_bump_percent = r.integer("mempool.replacement_bump_percent", 0..=1_000);
    let min_priority_fee = r.integer("mempool.min_priority_fee_wei", 0..=u64::MAX);
    Some(MempoolConfig {
        max_transactions: max_transactions?,
        max_bytes: max_bytes?,
        max_per_sender: max_per_sender?,
        replacement_bump_percent: replacement_bump_percent?.into(),
        min_priority_fee: min_priority_fee?.into(),
        ..MempoolConfig::default()
    })
}

fn rpc(r: &mut Reader<'_>) -> Option<RpcConfig> {
    let listen = r.socket("rpc.listen");
    let max_connections = r.count("rpc.max_connections", 1..=100_000);
    let max_request_bytes = r.count("rpc.max_request_bytes", 1_024..=1 << 30);
    let max_batch = r.count("rpc.max_batch", 1..=100_000);
    let max_log_blocks = r.integer("rpc.max_log_blocks", 1..=u64::MAX);
    let limits = RpcLimits {
        max_connections: max_connections?,
        max_request_bytes: max_request_bytes?,
        max_batch: max_batch?,
        max_log_blocks: max_log_blocks?,
        ..RpcLimits::default()
    };
    Some(RpcConfig { listen: listen?, limits })
}

fn admin(r: &mut Reader<'_>) -> Option<AdminConfig> {
    let listen = r.socket("admin.listen");
    let allowed_origins = r.list("admin.allowed_origins");
    let allowed_hosts = r.list("admin.allowed_hosts");
    if let (Some(listen), Some([])) = (listen, allowed_hosts.as_deref())
        && !listen.ip().is_loopback()
    {
        let remedy = "listen on 127.0.0.1, or set admin.allowed_hosts to the names it is called by";
        r.invalid("admin.listen", "is not a loopback address", remedy);
    }
    let is_origin =
        |origin: &String| origin.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'));
    if !allowed_origins.iter().flatten().all(is_origin) {
        r.invalid(
            "admin.allowed_origins",
            "has an entry that is not an origin",
            "write it as https://host or https://host:port",
        );
    }
    Some(AdminConfig { listen: listen?, allowed_origins: allowed_origins?, allowed_hosts: allowed_hosts? })
}

fn log(r: &mut Reader<'_>) -> Option<LogConfig> {
    let filter = r.text("log.filter");
    if let Some(filter) = &filter
        && let Err(error) = EnvFilter::builder().parse(filter)
    {
        r.invalid("log.filter", format!("is not a filter ({error})"), "write it like info,fermata_publisher=debug");
    }
    let format = r.word("log.format", &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)]);
    Some(LogConfig { filter: filter?, format: format? })
}
