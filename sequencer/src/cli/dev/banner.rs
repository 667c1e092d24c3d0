//! What `fermata dev` says before the first block and after the last.

use fermata_anvil::DevChain;

use crate::dev;
use crate::service::Service;
use crate::verbs::{DrainOutcome, DrainReport};

/// Where everything is, and who has money.
pub(super) fn print(chain: &DevChain, services: &[Service]) {
    let Some(node) = services.first().map(Service::node) else { return };
    let (times, table) = (node.timetable().times(), node.timetable());
    let pid = chain.anvil.pid().map_or_else(String::new, |pid| format!(", pid {pid}"));
    let constants = node.workshop().view.constants();
    println!("  L1         {} (anvil, chain {}{pid})", chain.anvil.url(), chain.deployment.addresses.l1_chain_id);
    println!(
        "  rollup     {} deployed and {} validators staked in {:.1} s",
        chain.deployment.addresses.rollup,
        chain.accounts.validators.len(),
        chain.took.total().as_secs_f64()
    );
    println!(
        "  slots      {} s, {} blocks each, committee of {}",
        times.slot().as_secs(),
        table.blocks_per_checkpoint(),
        constants.committee_size
    );
    let prover = services.iter().position(|service| service.node().config().prover.is_some());
    let prover = match prover {
        Some(_) if services.len() == 1 => "this node submits mock proofs".to_owned(),
        Some(place) => format!("node-{} submits mock proofs", place + 1),
        None => "nobody submits proofs, and what is not proven in time is pruned".to_owned(),
    };
    let slots = times.epoch_slots();
    println!("  epochs     {slots} slots; {prover}; the verifier is a mock, which takes any proof");
    for (place, service) in services.iter().enumerate() {
        if services.len() > 1 {
            let keys = service.node().workshop().signer.addresses().len();
            println!("\n  node-{}     {keys} of the validators", place + 1);
        }
        println!("  L2 RPC     http://{} (chain {}), HTTP and WebSocket", service.eth_addr(), dev::CHAIN_ID);
        let dir = service.node().config().data_dir.display().to_string();
        println!("  admin RPC  http://{}, token in {dir}/admin.token", service.admin_addr());
        println!("             fermata status --data-dir {dir}");
    }
    println!("\n  accounts with {} ETH on L2; everybody knows these keys", dev::PREFUNDED_ETHER);
    for key in dev::prefunded_accounts() {
        println!("  {}  {}", key.address(), key.to_bytes());
    }
    println!();
}

/// How it ended.
pub(super) fn farewell(report: &DrainReport) {
    let how = match report.outcome {
        DrainOutcome::Drained => "drained",
        DrainOutcome::Interrupted => "interrupted",
        DrainOutcome::Deadline => "interrupted at the deadline",
    };
    let last = report.last_checkpoint.as_ref().map_or_else(
        || "no checkpoint landed".to_owned(),
        |last| format!("checkpoint {} landed in L1 block {}", last.number, last.l1_block),
    );
    println!("{how} in {} ms; head is block {} {}; {last}", report.took_ms, report.head.number, report.head.hash);
}
