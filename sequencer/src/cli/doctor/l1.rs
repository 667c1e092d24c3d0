//! L1 and the contract on it, as a node will find them.

use std::time::Duration;

use alloy::providers::Provider;
use fermata_primitives::{CheckpointNumber, Clock as _, SystemClock, UnixTime};

use super::{Finding, accounts, sending};
use crate::config::{BlobSource, ClockKind, NodeConfig};
use crate::l1::{L1Client, RollupView};
use crate::node::{L1_HEADS_MISSED, genesis_hash, l1_client, locate};
use crate::poll_loop::chain as error_chain;
use crate::span::words;
use crate::timetable::Timetable;

/// Further ahead than this of our clock, an L1 block was made by a clock that is right, and ours is not.
const MOST_SKEW: Duration = Duration::from_secs(2);

pub(super) async fn examine(config: &NodeConfig) -> Vec<Finding> {
    let client = l1_client(config);
    let mut findings = Vec::new();
    match client.chain_id().await {
        Ok(chain_id) => findings.push(Finding::ok("l1", format!("answers, chain {chain_id}"))),
        Err(error) => {
            findings.push(Finding::of_reason("l1", error_chain(&error), error.reason()));
            return findings;
        }
    }
    findings.push(clock(config, &client).await);
    findings.push(blobs(config, &client).await);
    match locate(config, &client).await {
        Ok(located) => {
            findings.push(Finding::ok("contract", format!("the rollup is at {}", located.view.address())));
            findings.push(genesis(config, &located.view).await);
            findings.push(timetable(config, &located.view));
            findings.extend(accounts::examine(config, &located.view).await);
            findings.extend(sending::examine(config, &client).await);
        }
        Err(error) => findings.push(Finding::of_reason("contract", error_chain(&error), error.reason())),
    }
    findings
}

async fn clock(config: &NodeConfig, client: &L1Client) -> Finding {
    let head = client.within("eth_getBlockByNumber", client.provider().get_block_by_number(Default::default())).await;
    match head {
        Ok(Some(head)) => {
            let at = UnixTime(Duration::from_secs(head.header.timestamp));
            skew(config, SystemClock.now(), at)
        }
        Ok(None) => Finding::fail("clock", "L1 has no head", "check the L1 endpoint's health"),
        Err(error) => Finding::of_reason("clock", error_chain(&error), error.reason()),
    }
}

/// The head was made a while ago, by a clock that is right.
fn skew(config: &NodeConfig, now: UnixTime, head: UnixTime) -> Finding {
    if config.clock == ClockKind::L1 {
        return Finding::ok("clock", "the node's clock follows the L1 head");
    }
    let (ahead, age) = (head.since(now), now.since(head));
    if ahead > MOST_SKEW {
        let says = format!("the L1 head lies {} in the future of this machine's clock", words(ahead));
        return Finding::fail("clock", says, "set the machine's clock, and keep it with NTP");
    }
    if age > L1_HEADS_MISSED * Duration::from_secs(config.l1.ethereum_slot_secs) {
        let says = format!("the L1 head is {} old", words(age));
        return Finding::fail("clock", says, "check the L1 endpoint, and this machine's clock");
    }
    Finding::ok("clock", format!("the L1 head is {} old", words(age)))
}

async fn blobs(config: &NodeConfig, client: &L1Client) -> Finding {
    match &config.l1.blobs {
        BlobSource::Anvil => {
            let version = client.within("web3_clientVersion", client.provider().get_client_version()).await;
            match version {
                Ok(version) if version.starts_with("anvil") => Finding::ok("blobs", format!("from {version}")),
                Ok(version) => {
                    Finding::fail("blobs", format!("L1 is {version}, no anvil"), "set l1.blobs to a beacon node's URL")
                }
                Err(error) => Finding::of_reason("blobs", error_chain(&error), error.reason()),
            }
        }
        BlobSource::Beacon(url) => {
            let shown = crate::config::without_credentials(url.as_str());
            let genesis = format!("{}/eth/v1/beacon/genesis", url.as_str().trim_end_matches('/'));
            match beacon_answers(&genesis, config.l1.request_timeout).await {
                Ok(()) => Finding::ok("blobs", format!("the beacon node {shown} answers")),
                Err(why) => Finding::fail("blobs", format!("the beacon node {shown}: {why}"), "check l1.blobs"),
            }
        }
    }
}

async fn beacon_answers(url: &str, timeout: Duration) -> Result<(), String> {
    use alloy::transports::http::reqwest::Client;
    let client = Client::builder().timeout(timeout).build().map_err(|error| error.to_string())?;
    // The URL may hold credentials, which its errors would show.
    let answer = client.get(url).send().await.map_err(|error| error.without_url().to_string())?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("HTTP status {}", answer.status())) }
}

async fn genesis(config: &NodeConfig, view: &RollupView) -> Finding {
    let ours = match genesis_hash(&config.execution) {
        Ok(ours) => ours,
        Err(error) => return Finding::fail("genesis", error, "check the [execution] keys"),
    };
    match view.archive_at(CheckpointNumber(0)).await {
        Ok(on_l1) if on_l1 == ours => Finding::ok("genesis", format!("{ours}, as on L1")),
        Ok(on_l1) => {
            let error = crate::error::SequencerError::WrongGenesis { on_l1, ours };
            Finding::of_reason("genesis", error_chain(&error), error.reason())
        }
        Err(error) => Finding::of_reason("genesis", error_chain(&error), error.reason()),
    }
}

fn timetable(config: &NodeConfig, view: &RollupView) -> Finding {
    match Timetable::new(*view.times(), config.timetable) {
        Ok(table) => {
            let (slot, blocks) = (words(view.times().slot()), table.blocks_per_checkpoint());
            Finding::ok("timetable", format!("slots of {slot}, {blocks} blocks each"))
        }
        Err(error) => Finding::fail("timetable", error_chain(&error), "change the [timetable] keys"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::config::{Setting, Sources};

    fn config(clock: &str) -> NodeConfig {
        let mut presets = crate::dev::placeholders();
        presets.extend([Setting::new("execution.chain_id", "7", "a test"), Setting::new("clock", clock, "a test")]);
        NodeConfig::load(&Sources { presets, ..Sources::default() }).expect("valid")
    }

    #[test]
    fn a_clock_that_lags_behind_l1_or_an_l1_that_stands_still_fails() {
        let at = |secs: u64| UnixTime(Duration::from_secs(secs));
        let cases = [
            (1_000, 995, Verdict::Ok),
            (1_000, 1_002, Verdict::Ok),
            (1_000, 1_003, Verdict::Fail),
            (1_000, 903, Verdict::Fail),
        ];
        for (now, head, verdict) in cases {
            assert_eq!(skew(&config("system"), at(now), at(head)).verdict, verdict, "{now} {head}");
        }
        assert_eq!(skew(&config("l1"), at(0), at(9_999)).verdict, Verdict::Ok);
    }
}
