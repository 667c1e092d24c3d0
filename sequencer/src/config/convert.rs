//! From the merged layers to the typed configuration, in one pass that finds everything that is wrong.

mod accounts;
mod chain;
mod protection;
mod prover;
mod servers;
mod side;

use super::reader::Reader;
use super::{
    BlobSource, ClockKind, ConfigError, L1Config, NodeConfig, Problems, RawConfig, RollupLocation, SequencerConfig,
    Sources, StartPolicy,
};

use crate::publishing::Publishing;
use crate::roles::{Role, Roles};
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
    let roles = roles(r);
    // Roles that are not known need what the usual ones need.
    let assumed = roles.unwrap_or_default();
    let (l1, validator, publisher) = (l1(r), accounts::validator(r, assumed), accounts::publisher(r, assumed));
    let protection = protection::protection(r, data_dir.as_deref(), assumed);
    let prover = assumed.has(Role::Prover).then(|| prover::prover(r));
    let (timetable, sequencer, side) = (timetable(r), sequencer(r), side::side(r));
    let execution = chain::execution(r);
    let (rpc, admin, log) = (servers::rpc(r), servers::admin(r), servers::log(r));
    Some(NodeConfig {
        data_dir: data_dir?,
        clock: clock?,
        roles: roles?,
        l1: l1?,
        validator: validator?,
        protection: protection?,
        publisher: publisher?,
        prover: prover.map_or(Some(None), |prover| prover.map(Some))?,
        timetable: timetable?,
        sequencer: sequencer?,
        side: side?,
        execution: execution?,
        rpc: rpc?,
        admin: admin?,
        log: log?,
        provenance: r.provenance(),
    })
}

fn roles(r: &mut Reader<'_>) -> Option<Roles> {
    match Roles::from_words(&r.list("node.roles")?) {
        Ok(roles) => Some(roles),
        Err(wrong) => {
            let remedy = "write any of `sequencer`, `validator` and `prover`, or `follower` alone";
            r.invalid("node.roles", wrong.to_string(), remedy);
            None
        }
    }
}

fn l1(r: &mut Reader<'_>) -> Option<L1Config> {
    if !r.is_set("l1.rpc_url") {
        r.missing("l1.rpc_url", "set it to the JSON-RPC endpoint of L1, such as http://127.0.0.1:8545");
    }
    let (rpc_url, send_urls) = (r.url("l1.rpc_url"), r.urls("l1.send_urls"));
    let chain_id = r.integer("l1.chain_id", 1..=u64::MAX);
    let rollup = rollup(r);
    let ethereum_slot_secs = r.integer("l1.ethereum_slot_secs", 1..=3_600);
    let poll_interval = r.millis("l1.poll_interval_ms", 10..=DAY_MS);
    let request_timeout = r.millis("l1.request_timeout_ms", 10..=DAY_MS);
    let blobs = blobs(r);
    Some(L1Config {
        rpc_url: rpc_url?,
        send_urls: send_urls?,
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
    let publishing = r.word("sequencer.publish_checkpoints", &[("yes", Publishing::On), ("no", Publishing::Off)]);
    Some(SequencerConfig {
        poll_interval: poll_interval?,
        start: start?,
        stop_deadline: stop_deadline?,
        min_transactions: min_transactions? as usize,
        publishing: publishing?,
    })
}
