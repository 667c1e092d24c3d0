//! The accounts that publish: what they hold, what is in flight, what they send through, and what is amiss.

use std::time::Duration;

use alloy::primitives::U256;
use alloy::primitives::utils::format_units;
use fermata_primitives::UnixTime;

use super::{columns, short_address, short_hash};
use crate::amount::ether;
use crate::span::words;
use crate::status::{
    BackendStatus, FunderStatus, InFlightTx, PublisherAccount, PublisherReport, PublisherStatus, SendingStatus,
    WaitingStatus,
};

/// A table a part: accounts, what is in flight, nodes; then the funder, what waits, what a checkpoint costs, and warnings.
pub(in crate::cli) fn publishers(report: &PublisherReport, now: UnixTime) -> String {
    let SendingStatus { sends, backends, funder, waiting, warnings } = &report.sending;
    let mut parts = Vec::new();
    if !sends {
        parts.push(vec![
            "nothing is sent: the node does not run; what is in flight is taken up by its next start".to_owned(),
        ]);
    }
    parts.push(accounts(&report.accounts));
    parts.push(in_flight(&report.accounts, now));
    parts.push(nodes(backends));
    parts.push(funder.iter().map(|funder| funder_line(funder, now)).collect());
    parts.push(waiting.iter().map(|waiting| waiting_line(waiting, now)).collect());
    parts.push(cost(report).into_iter().collect());
    parts.push(warnings.iter().map(|warning| format!("warning: {warning}")).collect());
    parts.push(report.failures.iter().map(|failure| format!("failed: {failure}")).collect());
    let parts = parts.into_iter().filter(|part| !part.is_empty()).map(|part| part.join("\n"));
    parts.collect::<Vec<_>>().join("\n\n")
}

fn accounts(accounts: &[PublisherAccount]) -> Vec<String> {
    let row = |account: &PublisherAccount| {
        let PublisherAccount { status, checkpoints_left } = account;
        [
            short_address(status.address),
            status.state.clone(),
            balance(status),
            checkpoints_left.map_or_else(|| "?".to_owned(), |left| format!("about {left} checkpoints")),
            number(status.nonce),
            number(status.latest_nonce),
            topped_up(status),
        ]
    };
    let heads = ["publisher", "state", "balance", "pays for", "next nonce", "on L1", "topped up"];
    columns(heads, &accounts.iter().map(row).collect::<Vec<_>>())
}

fn balance(status: &PublisherStatus) -> String {
    status.balance_wei.map_or_else(|| "not known".to_owned(), ether)
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

fn topped_up(status: &PublisherStatus) -> String {
    match status.topped_up_times {
        0 => "-".to_owned(),
        times => format!("{times} x, {}", ether(status.topped_up_wei)),
    }
}

fn in_flight(accounts: &[PublisherAccount], now: UnixTime) -> Vec<String> {
    let of_account = |account: &PublisherAccount| {
        let address = short_address(account.status.address);
        account.status.in_flight.iter().map(|tx| tx_row(&address, tx, now)).collect::<Vec<_>>()
    };
    let rows: Vec<_> = accounts.iter().flat_map(of_account).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    columns(
        ["in flight", "nonce", "state", "age", "expires", "bids (gas, blob gas)", "attempts", "newest", "what"],
        &rows,
    )
}

fn tx_row(address: &str, tx: &InFlightTx, now: UnixTime) -> [String; 9] {
    [
        address.to_owned(),
        tx.nonce.to_string(),
        tx.state.clone(),
        words(Duration::from_millis(tx.age_ms)),
        expiry(tx.deadline, now),
        bids(tx),
        attempts(tx),
        tx.tx.map_or_else(|| "-".to_owned(), short_hash),
        if tx.blobs > 0 { format!("{} ({})", tx.label, counted(tx.blobs, "blob")) } else { tx.label.clone() },
    ]
}

fn expiry(deadline: u64, now: UnixTime) -> String {
    let at = UnixTime(Duration::from_secs(deadline));
    if at > now { format!("in {}", words(at.since(now))) } else { format!("{} ago", words(now.since(at))) }
}

fn bids(tx: &InFlightTx) -> String {
    let bids: Vec<_> = [tx.max_fee_per_gas_wei, tx.max_fee_per_blob_gas_wei].into_iter().flatten().map(gwei).collect();
    let ceiling = if tx.ceiling.is_some() { ", at the ceiling" } else { "" };
    if bids.is_empty() { "-".to_owned() } else { format!("{}{ceiling}", bids.join(", ")) }
}

fn attempts(tx: &InFlightTx) -> String {
    let mut told = tx.attempts.to_string();
    for (count, what) in [(tx.speed_ups, "speed-up"), (tx.cancels, "cancel")] {
        if count > 0 {
            told = format!("{told}, {}", counted(count, what));
        }
    }
    told
}

fn nodes(backends: &[BackendStatus]) -> Vec<String> {
    let row = |backend: &BackendStatus| {
        let state = match (backend.rests, backend.failures) {
            (true, failures) => format!("rests after {failures} failures"),
            (false, 0) => "well".to_owned(),
            (false, failures) => format!("has failed {failures} x"),
        };
        [backend.name.clone(), state, backend.last_error.clone().unwrap_or_else(|| "-".to_owned())]
    };
    if backends.is_empty() {
        return Vec::new();
    }
    columns(["sends to", "state", "last error"], &backends.iter().map(row).collect::<Vec<_>>())
}

fn funder_line(funder: &FunderStatus, now: UnixTime) -> String {
    let FunderStatus { account, needed_wei, last } = funder;
    let last = last.map_or_else(
        || "nothing given in this run".to_owned(),
        |last| {
            let ago = words(now.since(UnixTime(Duration::from_secs(last.at))));
            format!(
                "gave {} to {} {ago} ago, {}",
                ether(last.wei),
                counted(last.accounts, "account"),
                short_hash(last.tx)
            )
        },
    );
    let (address, needed) = (short_address(account.address), ether(*needed_wei));
    format!("funder {address} holds {}, of {needed} that a whole round takes; {last}", balance(account))
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn waiting_line(waiting: &WaitingStatus, now: UnixTime) -> String {
    let why = waiting.reason.clone().unwrap_or_else(|| "for its window or an account".to_owned());
    format!("waiting: {}, expires {}: {why}", waiting.label, expiry(waiting.deadline, now))
}

fn cost(report: &PublisherReport) -> Option<String> {
    let (cost, fees) = (report.checkpoint_cost_wei?, report.fees?);
    Some(format!(
        "a checkpoint costs about {} at a base fee of {}, a tip of {} and a blob fee of {} ({})",
        ether(cost),
        gwei(fees.base_fee_wei),
        gwei(fees.tip_wei),
        gwei(fees.blob_base_fee_wei),
        report.cost_basis,
    ))
}

pub(super) fn gwei(wei: U256) -> String {
    let text = format_units(wei, "gwei").unwrap_or_else(|_| wei.to_string());
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{} gwei", if text.is_empty() { "0" } else { text })
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256};

    use super::*;
    use crate::status::{FeesNow, LastTopUp, Warning};

    fn gwei(gwei: u64) -> U256 {
        U256::from(gwei) * U256::from(1_000_000_000)
    }

    fn busy() -> PublisherReport {
        let tx = InFlightTx {
            tx: Some(B256::repeat_byte(0x5c)),
            age_ms: 2_140,
            attempts: 2,
            speed_ups: 1,
            blobs: 1,
            max_fee_per_gas_wei: Some(gwei(12)),
            tip_wei: Some(gwei(1)),
            max_fee_per_blob_gas_wei: Some(U256::from(2)),
            ceiling: Some("at the ceiling".to_owned()),
            deadline: 1_030,
            ..InFlightTx::empty("propose checkpoint 3 in slot 9", 6)
        };
        let account = |byte, checkpoints_left| PublisherAccount {
            status: PublisherStatus {
                balance_wei: Some(gwei(1_500_000_000)),
                nonce: Some(7),
                latest_nonce: Some(6),
                ..PublisherStatus::empty(Address::repeat_byte(byte))
            },
            checkpoints_left,
        };
        let mut accounts = vec![account(0x11, Some(333)), account(0x22, None)];
        accounts[0].status.in_flight = vec![tx];
        (accounts[1].status.topped_up_times, accounts[1].status.topped_up_wei) = (2, gwei(800_000_000));
        let backend = |name: &str, rests| BackendStatus {
            name: name.to_owned(),
            rests,
            failures: if rests { 4 } else { 0 },
            last_error: rests.then(|| "no answer within 2s".to_owned()),
            other_chain: None,
        };
        let waiting = WaitingStatus {
            label: "votes of slot 10".to_owned(),
            not_before: 0,
            deadline: 1_060,
            reason: Some("MaxFee needs more".to_owned()),
            at_ceiling: true,
        };
        let last = LastTopUp { at: 940, tx: B256::repeat_byte(0xfe), accounts: 1, wei: gwei(400_000_000) };
        PublisherReport {
            accounts,
            sending: SendingStatus {
                sends: true,
                backends: vec![backend("http://a", false), backend("http://b", true)],
                funder: Some(FunderStatus {
                    account: PublisherStatus {
                        balance_wei: Some(gwei(9_000_000_000)),
                        ..PublisherStatus::empty(Address::repeat_byte(0x33))
                    },
                    needed_wei: gwei(1_001_000_000),
                    last: Some(last),
                }),
                waiting: vec![waiting],
                warnings: vec![Warning::new("it is late", "hurry")],
            },
            fees: Some(FeesNow { base_fee_wei: gwei(9), tip_wei: gwei(1), blob_base_fee_wei: U256::ZERO }),
            checkpoint_cost_wei: Some(gwei(4_500_000)),
            cost_basis: "what checkpoint 2 took".to_owned(),
            failures: vec!["L1 is slow".to_owned()],
        }
    }

    #[test]
    fn publishers_show_all_that_decides_whether_the_next_checkpoint_lands() {
        let expected = "\
publisher      state  balance    pays for               next nonce  on L1  topped up
0x111111…1111  ready  1.500 ETH  about 333 checkpoints  7           6      -
0x222222…2222  ready  1.500 ETH  ?                      7           6      2 x, 0.800 ETH

in flight      nonce  state  age    expires    bids (gas, blob gas)                       attempts       newest           what
0x111111…1111  6      live   2.1 s  in 30.0 s  12 gwei, 0.000000002 gwei, at the ceiling  2, 1 speed-up  0x5c5c5c5c…5c5c  propose checkpoint 3 in slot 9 (1 blob)

sends to  state                   last error
http://a  well                    -
http://b  rests after 4 failures  no answer within 2s

funder 0x333333…3333 holds 9.000 ETH, of 1.001 ETH that a whole round takes; gave 0.400 ETH to 1 account 1 m 0 s ago, 0xfefefefe…fefe

waiting: votes of slot 10, expires in 1 m 0 s: MaxFee needs more

a checkpoint costs about 0.004 ETH at a base fee of 9 gwei, a tip of 1 gwei and a blob fee of 0 gwei (what checkpoint 2 took)

warning: it is late; hurry

failed: L1 is slow";
        assert_eq!(publishers(&busy(), UnixTime::from_millis(1_000_000)), expected);
    }

    #[test]
    fn of_a_stopped_node_it_says_so_and_shows_what_is_left() {
        let mut report = busy();
        report.sending = SendingStatus::default();
        let told = publishers(&report, UnixTime::from_millis(1_060_000));
        assert!(told.starts_with("nothing is sent: the node does not run"), "{told}");
        assert!(
            told.contains("propose checkpoint 3") && told.contains("30.0 s ago") && !told.contains("sends to"),
            "{told}"
        );
    }
}
