//! The L2 chain: where it begins, and its mempool.

use alloy::primitives::Address;
use alloy::primitives::utils::parse_ether;
use fermata_execution::mempool::MempoolConfig;

use crate::config::reader::Reader;
use crate::config::{ExecutionConfig, GenesisSource, Prefunded};

pub(super) fn execution(r: &mut Reader<'_>) -> Option<ExecutionConfig> {
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
