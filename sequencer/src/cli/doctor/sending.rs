//! What a node sends through: the accounts' money, the funder's, the nodes that are sent to, and what a node that runs warns of.

use std::path::Path;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::providers::{Provider as _, ProviderBuilder};
use alloy::signers::local::PrivateKeySigner;
use futures::future::join_all;

use super::Finding;
use crate::amount::ether;
use crate::cli::client::AdminClient;
use crate::config::NodeConfig;
use crate::data_dir::find_socket;
use crate::error::Result;
use crate::l1::L1Client;
use crate::node::{funder_key, publisher_keys, typical_cost};
use crate::poll_loop::chain as error_chain;
use crate::status::{PublisherReport, Warning};

/// How long a node that runs may take to answer; it asks L1.
const PATIENCE: Duration = Duration::from_secs(10);

/// All of it, where `client` reads L1. What cannot be read is told by other checks.
pub(super) async fn examine(config: &NodeConfig, client: &L1Client) -> Vec<Finding> {
    let publishers = publisher_keys(&config.publisher.keys).unwrap_or_default();
    let publishers: Vec<_> = publishers.iter().map(PrivateKeySigner::address).collect();
    let mut findings = Vec::new();
    if !publishers.is_empty() {
        findings.extend(affords(config, client, &publishers).await.ok());
    }
    findings.extend(funder(config, client, publishers.len()).await);
    findings.extend(nodes(config, client).await);
    findings.extend(running(&config.data_dir).await);
    findings
}

/// Whether each publisher can pay for a checkpoint at L1's fees now.
async fn affords(config: &NodeConfig, client: &L1Client, publishers: &[Address]) -> Result<Finding> {
    let cost = typical_cost(client, config.publisher.fees.tip_floor).await?;
    let balances = client.balances(publishers).await?;
    let poor: Vec<_> = balances.iter().filter(|(_, balance)| *balance < cost).map(|(address, _)| *address).collect();
    Ok(too_poor(&poor, cost))
}

fn too_poor(poor: &[Address], cost: U256) -> Finding {
    let shown: Vec<_> = poor.iter().map(Address::to_string).collect();
    match shown.as_slice() {
        [] => Finding::ok("affords", format!("every publisher can pay for a checkpoint, about {} now", ether(cost))),
        poor => Finding::warn(
            "affords",
            format!("{} cannot pay for a checkpoint, about {} now", poor.join(", "), ether(cost)),
            "send ETH there, or name a funder in publisher.funding",
        ),
    }
}

/// Whether the funder can lift every publisher from nothing to the target.
async fn funder(config: &NodeConfig, client: &L1Client, publishers: usize) -> Option<Finding> {
    const CHECK: &str = "funder";
    let settings = config.publisher.funding.as_ref()?;
    let address = match funder_key(&settings.key) {
        Ok(key) => key.address(),
        Err(error) => return Some(Finding::of_reason(CHECK, error_chain(&error), error.reason())),
    };
    let needed = settings.funding.target.saturating_mul(U256::from(publishers));
    Some(match client.balances(&[address]).await {
        Ok(balances) => dry(address, balances.first().map(|(_, balance)| *balance).unwrap_or_default(), needed),
        Err(error) => Finding::of_reason(CHECK, error_chain(&error), error.reason()),
    })
}

fn dry(address: Address, balance: U256, needed: U256) -> Finding {
    let says = format!("{address} holds {}, and topping up every publisher takes {}", ether(balance), ether(needed));
    match balance < needed {
        true => Finding::warn("funder", says, format!("send ETH to {address}")),
        false => Finding::ok("funder", says),
    }
}

/// Whether the nodes that transactions are handed to answer, and are of the chain that is read.
async fn nodes(config: &NodeConfig, client: &L1Client) -> Option<Finding> {
    let named = config.l1.named_send_urls();
    let chain_id = client.chain_id().await.ok()?;
    let asked = named.into_iter().map(|(name, url)| async move {
        let provider = ProviderBuilder::default().connect_http(url.clone()).erased();
        let answer = L1Client::new(provider, config.l1.request_timeout).expect_chain(chain_id).await;
        answer.err().map(|error| format!("{name}: {}", error_chain(&error)))
    });
    let answers = join_all(asked).await;
    let count = answers.len();
    let failed: Vec<_> = answers.into_iter().flatten().collect();
    (count > 0).then(|| unreached(count, &failed))
}

fn unreached(count: usize, failed: &[String]) -> Finding {
    const CHECK: &str = "sends to";
    let remedy = "check l1.send_urls; one that takes a transaction is enough";
    match failed.len() {
        0 => Finding::ok(CHECK, format!("{count} nodes, all of which answer")),
        all if all == count => Finding::fail(CHECK, format!("none of {count} nodes: {}", failed.join("; ")), remedy),
        _ => Finding::warn(CHECK, failed.join("; "), remedy),
    }
}

/// What a node that runs in the data directory warns of; nothing where none runs.
async fn running(data_dir: &Path) -> Vec<Finding> {
    let Some(socket) = find_socket(data_dir) else { return Vec::new() };
    let Ok(client) = AdminClient::at_socket(&socket) else { return Vec::new() };
    let asked = tokio::time::timeout(PATIENCE, client.call::<_, PublisherReport>("admin_publisher", ())).await;
    // A node that was killed leaves its socket behind: whether one runs is another check.
    let Ok(Ok(report)) = asked else { return Vec::new() };
    report.sending.warnings.into_iter().map(|Warning { says, remedy }| Finding::warn("sending", says, remedy)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::rpc::admin::tests::{Bench, resting};

    #[test]
    fn a_poor_publisher_a_dry_funder_and_a_node_that_is_silent_are_warned_of_and_only_silence_all_round_fails() {
        let address = Address::repeat_byte(1);
        let wei = U256::from::<u64>;
        let cases = [
            (too_poor(&[], wei(5)), Verdict::Ok),
            (too_poor(&[address], wei(5)), Verdict::Warn),
            (dry(address, wei(5), wei(5)), Verdict::Ok),
            (dry(address, wei(4), wei(5)), Verdict::Warn),
            (unreached(2, &[]), Verdict::Ok),
            (unreached(2, &["a: silence".to_owned()]), Verdict::Warn),
            (unreached(1, &["a: silence".to_owned()]), Verdict::Fail),
        ];
        for (finding, verdict) in cases {
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert_eq!(finding.remedy.is_some(), verdict != Verdict::Ok, "{finding:?}");
        }
    }

    #[tokio::test]
    async fn what_a_node_that_runs_warns_of_is_told_and_a_socket_that_nobody_serves_is_not_waited_for() {
        let bench = Bench::new().await;
        assert_eq!(running(bench.dir.path()).await, []);
        bench.sending.lock().unwrap().1 = resting();
        let told = running(bench.dir.path()).await;
        assert_eq!(told, [Finding::warn("sending", "nobody takes it", "look")]);
        bench.end().await;
        let left = tempfile::tempdir().expect("a directory");
        drop(std::os::unix::net::UnixListener::bind(left.path().join("admin.sock")).expect("listens"));
        assert_eq!(running(left.path()).await, []);
    }
}
