//! What the accounts that publish hold, have in flight and bid, as gauges; what happens to it is counted where it happens.

use alloy::primitives::U256;
use fermata_publisher::{FIGURES, L1TxState};
use metrics::{Unit, gauge};

use crate::status::{InFlightTx, PublisherStatus, SendingStatus};

/// The states of a transaction that is in flight.
const STATES: [L1TxState; 3] = [L1TxState::Leased, L1TxState::Live, L1TxState::Cancelling];
const KINDS: [&str; 2] = ["plain", "blob"];

/// Tells the recorder of this process what the figures that count say.
pub(super) fn describe() {
    for (name, _, says) in FIGURES {
        match name.ends_with("_seconds") {
            true => metrics::describe_histogram!(*name, Unit::Seconds, *says),
            false => metrics::describe_counter!(*name, *says),
        }
    }
}

/// The accounts of one manager.
pub(super) fn record_accounts(manager: &'static str, accounts: &[PublisherStatus]) {
    accounts.iter().for_each(record_account);
    let all: Vec<_> = accounts.iter().flat_map(|account| &account.in_flight).collect();
    for state in STATES {
        for kind in KINDS {
            let count = all.iter().filter(|tx| tx.state == state.word() && kind_of(tx) == kind).count();
            let labels = [("manager", manager), ("state", state.word()), ("kind", kind)];
            gauge!("fermata_publisher_intents", &labels).set(count as f64);
        }
    }
    type Bid = fn(&InFlightTx) -> Option<U256>;
    let bids: [(&'static str, Bid); 3] = [
        ("gas", |tx| tx.max_fee_per_gas_wei),
        ("tip", |tx| tx.tip_wei),
        ("blob_gas", |tx| tx.max_fee_per_blob_gas_wei),
    ];
    for (field, bid) in bids {
        let highest = all.iter().filter_map(|tx| bid(tx)).max().unwrap_or_default();
        gauge!("fermata_publisher_bid_wei", "manager" => manager, "field" => field).set(f64::from(highest));
    }
}

const fn kind_of(tx: &InFlightTx) -> &'static str {
    if tx.blobs > 0 { "blob" } else { "plain" }
}

fn record_account(account: &PublisherStatus) {
    let address = account.address.to_string();
    let tell = |name: &'static str, value: f64| gauge!(name, "account" => address.clone()).set(value);
    tell("fermata_publisher_in_flight", account.in_flight.len() as f64);
    let oldest_ms = account.in_flight.first().map_or(0, |tx| tx.age_ms);
    tell("fermata_publisher_oldest_seconds", oldest_ms as f64 / 1_000.0);
    if let Some(balance) = account.balance_wei {
        tell("fermata_publisher_balance_ether", f64::from(balance) / 1e18);
    }
    let counts = [
        ("fermata_publisher_nonce_next", account.nonce),
        ("fermata_publisher_nonce_latest", account.latest_nonce),
        ("fermata_publisher_affordable", account.affordable),
    ];
    for (name, count) in counts {
        count.into_iter().for_each(|count| tell(name, count as f64));
    }
}

/// What the publishers send through.
pub(super) fn record_sending(sending: &SendingStatus) {
    gauge!("fermata_publisher_waiting").set(sending.waiting.len() as f64);
    gauge!("fermata_publisher_warnings").set(sending.warnings.len() as f64);
    for backend in &sending.backends {
        let rests = f64::from(u8::from(backend.rests));
        gauge!("fermata_publisher_backend_rests", "backend" => backend.name.clone()).set(rests);
    }
    if let Some(funder) = &sending.funder {
        gauge!("fermata_publisher_funder_needed_ether").set(f64::from(funder.needed_wei) / 1e18);
        if let Some(balance) = funder.account.balance_wei {
            gauge!("fermata_publisher_funder_balance_ether").set(f64::from(balance) / 1e18);
        }
    }
}
