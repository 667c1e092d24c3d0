//! The command that puts the rollup on an L1.

use std::sync::Arc;

use alloy::primitives::U256;
use fermata_anvil::{Anvil, AnvilConfig, AnvilMining};
use fermata_e2e::run;
use fermata_primitives::SystemClock;
use fermata_rollup::L1Addresses;
use fermata_rollup::contracts::IRollup;
use fermata_sequencer::catalogue::Reason;
use fermata_sequencer::config::{NodeConfig, Sources};
use fermata_sequencer::dev::{placeholders, prefunded_accounts};
use fermata_sequencer::node::genesis_hash;

const NODE: &str = "[execution]\nchain_id = 4711\nprefunded = [\"0x00000000000000000000000000000000000000dd=5\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_rollup_is_deployed_for_the_nodes_genesis_with_its_validators_queued_or_staked() -> anyhow::Result<()> {
    let mining = AnvilMining::EachTransaction;
    let anvil = Anvil::start(&AnvilConfig { mining, ..AnvilConfig::default() }, Arc::new(SystemClock)).await?;
    let dir = tempfile::tempdir()?;
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("node.toml"), NODE)?;
    let keys: Vec<_> = prefunded_accounts()[4..8].iter().map(|key| key.to_bytes().to_string()).collect();
    std::fs::write(path("validators"), keys.join("\n"))?;
    let deployer = prefunded_accounts()[0].to_bytes().to_string();
    let (url, out, node, validators) = (anvil.url(), path("addresses.json"), path("node.toml"), path("validators"));
    let arguments = ["deploy", "--l1-rpc-url", &url, "--deployer-key", &deployer, "--config", &node];
    let output = run(&[], &[arguments.as_slice(), &["--out", &out, "--validators", &validators]].concat()).await?;
    assert!(output.status.success(), "{output:?}");

    let addresses = L1Addresses::load(out.as_ref())?;
    let sources = Sources { presets: placeholders(), file: Some(node.into()), ..Sources::default() };
    let genesis = genesis_hash(&NodeConfig::load(&sources)?.execution).map_err(anyhow::Error::msg)?;
    assert_eq!(addresses.genesis_archive, genesis);
    let rollup = IRollup::new(addresses.rollup, anvil.provider()?);
    assert_eq!(rollup.archiveAt(U256::ZERO).call().await?, genesis);
    assert_eq!(rollup.getActiveAttesterCount().call().await?, U256::from(4));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_without_funds_is_refused_before_anything_is_sent() -> anyhow::Result<()> {
    let anvil = Anvil::start(&AnvilConfig::default(), Arc::new(SystemClock)).await?;
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("addresses.json").display().to_string();
    let pauper = format!("0x{}", "07".repeat(32));
    let genesis = format!("0x{}", "01".repeat(32));
    let url = anvil.url();
    let arguments =
        ["deploy", "--l1-rpc-url", &url, "--deployer-key", &pauper, "--out", &out, "--genesis-archive", &genesis];
    let output = run(&[], &arguments).await?;
    assert_eq!(output.status.code(), Some(i32::from(Reason::Unfunded.exit_code())), "{output:?}");
    assert!(!std::path::Path::new(&out).exists());
    Ok(())
}
