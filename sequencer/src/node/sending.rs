//! What the publisher crate tells, as a status shows it.

use alloy::primitives::U256;
use fermata_publisher as publisher;

use crate::status::{
    BackendStatus, FunderStatus, InFlightTx, LastTopUp, PublisherStatus, SendingStatus, WaitingStatus,
};

/// The accounts, and what they send through; no warnings yet.
pub(super) fn told(status: publisher::PublisherStatus) -> (Vec<PublisherStatus>, SendingStatus) {
    // Where the sources of prices disagree, the log tells.
    let publisher::PublisherStatus { running, accounts, funder, backends, waiting, prices: _ } = status;
    let sending = SendingStatus {
        sends: running,
        backends: backends.into_iter().map(backend).collect(),
        funder: funder.map(|told| FunderStatus {
            account: account(told.account),
            needed_wei: told.needed,
            last: told.last.map(last_top_up),
        }),
        waiting: waiting.into_iter().map(request).collect(),
        warnings: Vec::new(),
    };
    (accounts.into_iter().map(account).collect(), sending)
}

/// An account.
pub(super) fn account(account: publisher::AccountStatus) -> PublisherStatus {
    PublisherStatus {
        address: account.address,
        state: account.state.word().to_owned(),
        balance_wei: account.balance,
        affordable: account.checkpoints_left,
        nonce: Some(account.next_nonce),
        latest_nonce: account.latest_nonce,
        topped_up_times: account.topped_up.times,
        topped_up_wei: account.topped_up.wei,
        in_flight: account.in_flight.into_iter().map(in_flight).collect(),
    }
}

fn in_flight(tx: publisher::InFlightTx) -> InFlightTx {
    let wei = U256::from::<u128>;
    InFlightTx {
        tx: tx.hashes.last().copied(),
        nonce: tx.nonce,
        age_ms: tx.age.as_millis() as u64,
        label: tx.label,
        state: tx.state.word().to_owned(),
        attempts: tx.hashes.len(),
        speed_ups: tx.speed_ups,
        cancels: tx.cancels,
        blobs: tx.blobs,
        max_fee_per_gas_wei: tx.fees.map(|fees| wei(fees.max_fee_per_gas)),
        tip_wei: tx.fees.map(|fees| wei(fees.tip)),
        max_fee_per_blob_gas_wei: tx.fees.and_then(|fees| fees.max_fee_per_blob_gas).map(wei),
        ceiling: tx.ceiling.map(|by| by.to_string()),
        deadline: tx.deadline.0,
    }
}

fn backend(backend: publisher::BackendStatus) -> BackendStatus {
    BackendStatus {
        name: backend.name,
        rests: backend.is_open,
        failures: backend.consecutive_failures,
        last_error: backend.last_error,
        other_chain: backend.other_chain,
    }
}

const fn last_top_up(last: publisher::LastTopUp) -> LastTopUp {
    LastTopUp { at: last.at.0, tx: last.tx, accounts: last.accounts, wei: last.wei }
}

fn request(waiting: publisher::WaitingRequest) -> WaitingStatus {
    WaitingStatus {
        label: waiting.label,
        not_before: waiting.not_before.0,
        deadline: waiting.deadline.0,
        at_ceiling: matches!(waiting.reason, Some(publisher::RejectReason::FeeCeiling(_))),
        reason: waiting.reason.map(|reason| reason.to_string()),
    }
}
