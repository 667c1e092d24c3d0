//! What is wrong is named, with an exit code of its own, and nothing is lost.

use std::process::Output;

use fermata_e2e::{Net, run};
use fermata_sequencer::catalogue::Reason;

type Result<T = ()> = anyhow::Result<T>;

/// Runs `fermata node` with some keys set otherwise, to its early end.
async fn refused(net: &Net, name: &str, changes: &[(&str, &str)]) -> Result<Output> {
    run(&net.settings(name, changes), &["node"]).await
}

fn assert_refused(output: &Output, reason: Reason, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(reason.exit_code())), "{said}");
    assert!(said.contains(words), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_setting_of_l1_has_its_own_exit_code_and_names_the_remedy() -> Result {
    let net = Net::start().await?;
    let nobody = "http://127.0.0.1:9";
    assert_refused(&refused(&net, "a", &[("l1.rpc_url", nobody)]).await?, Reason::L1Down, "l1.rpc_url");
    assert_refused(&refused(&net, "a", &[("l1.chain_id", "5")]).await?, Reason::WrongChain, "31337");
    let other_genesis = [("execution.prefunded", "")];
    assert_refused(&refused(&net, "a", &other_genesis).await?, Reason::WrongGenesis, "genesis");
    let mut settings = net.settings("a", &[("l1.rollup_address", "0x00000000000000000000000000000000000000aa")]);
    settings.retain(|setting| setting.key != "l1.addresses_file");
    assert_refused(&run(&settings, &["node"]).await?, Reason::NoContract, "no code");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_stake_or_funds_are_refused_by_name() -> Result {
    let net = Net::start().await?;
    let strangers = [("validator.derivation_path", "m/44'/60'/9'/0")];
    assert_refused(&refused(&net, "a", &strangers).await?, Reason::NotStaked, "staked");
    let paupers = [("publisher.derivation_path", "m/44'/60'/9'/0")];
    assert_refused(&refused(&net, "b", &paupers).await?, Reason::Unfunded, "0x");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_or_a_directory_that_is_taken_is_named_and_its_owner_goes_on() -> Result {
    let net = Net::start().await?;
    let node = net.open_node("a").await?;
    let taken = node.l2_url().replace("http://", "");
    let second = refused(&net, "b", &[("rpc.listen", &taken)]).await?;
    assert_refused(&second, Reason::PortInUse, "rpc.listen");
    let held = refused(&net, "a", &[]).await?;
    assert_refused(&held, Reason::DataDirHeld, &std::process::id().to_string());
    let mut watch = net.watch(&node);
    node.start().await?;
    watch.checkpoint(1).await?;
    node.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_store_that_has_vanished_is_not_made_anew() -> Result {
    let net = Net::start().await?;
    net.open_node("a").await?.close().await?;
    std::fs::remove_dir_all(net.data_dir("a").join("signer"))?;
    let output = refused(&net, "a", &[]).await?;
    assert_refused(&output, Reason::StoreDamaged, "signer");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_damaged_is_refused_and_left_as_it_is() -> Result {
    let net = Net::start().await?;
    net.open_node("a").await?.close().await?;
    for store in ["node", "publisher", "execution", "signer"] {
        let file = net.data_dir("a").join(store).join("data.mdb");
        let whole = std::fs::read(&file)?;
        std::fs::write(&file, b"this is no database")?;
        let output = refused(&net, "a", &[]).await?;
        assert_refused(&output, Reason::StoreDamaged, &file.display().to_string());
        assert_eq!(std::fs::read(&file)?, b"this is no database", "{store}");
        std::fs::write(&file, whole)?;
    }
    net.open_node("a").await?.close().await
}
