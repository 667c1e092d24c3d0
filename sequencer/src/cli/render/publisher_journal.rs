//! What became of L1 transactions, a line an event.

use alloy::primitives::U256;
use fermata_primitives::UnixTime;
use fermata_publisher::{Fees, Finality, JournalEntry, JournalEvent};

use super::publisher::gwei;
use super::{columns, short_address, short_hash};
use crate::amount::ether;
use crate::span::words;

/// Oldest first.
pub(in crate::cli) fn publisher_journal(entries: &[JournalEntry], now: UnixTime) -> String {
    if entries.is_empty() {
        return "nothing was ever sent".to_owned();
    }
    let row = |entry: &JournalEntry| {
        [
            format!("{} ago", words(now.since(entry.at))),
            short_address(entry.account),
            entry.nonce.to_string(),
            told(&entry.event),
            entry.label.clone(),
        ]
    };
    columns(["when", "account", "nonce", "event", "what"], &entries.iter().map(row).collect::<Vec<_>>()).join("\n")
}

fn told(event: &JournalEvent) -> String {
    match event {
        JournalEvent::Recorded { hash, fees, recycles: None } => {
            format!("recorded as {}, {}", short_hash(*hash), bids(fees))
        }
        JournalEvent::Recorded { hash, fees, recycles: Some(expired) } => {
            format!("recorded as {}, {}, with the nonce of {expired}, which expired", short_hash(*hash), bids(fees))
        }
        JournalEvent::SpedUp { hash, fees } => format!("raised as {}, {}", short_hash(*hash), bids(fees)),
        JournalEvent::CancelRecorded { hash, fees } => {
            format!("cancel recorded as {}, {}", short_hash(*hash), bids(fees))
        }
        JournalEvent::Moved { state, landed: None, .. } => state.word().to_owned(),
        JournalEvent::Moved { state, landed: Some(landed), finality } => {
            let (block, cost) = (landed.block, ether(landed.fees_wei));
            format!("{} in L1 block {block}{} for {cost}", state.word(), believed(*finality))
        }
    }
}

fn bids(fees: &Fees) -> String {
    let gas = format!("bids {}", gwei(U256::from(fees.max_fee_per_gas)));
    match fees.max_fee_per_blob_gas {
        Some(blob) => format!("{gas}, {} a blob gas", gwei(U256::from(blob))),
        None => gas,
    }
}

const fn believed(finality: Finality) -> &'static str {
    match finality {
        Finality::Open => "",
        Finality::Confirmed => ", confirmed",
        Finality::Final => ", final",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alloy::primitives::{Address, B256};
    use fermata_primitives::L1Timestamp;
    use fermata_publisher::{L1TxState, Landed};

    use super::*;

    #[test]
    fn each_event_is_a_line_with_what_it_bids_and_where_it_landed() {
        let at = UnixTime::from_millis(1_000_000);
        let entry = |event| JournalEntry {
            at,
            intent: 3,
            label: "propose slot 9".to_owned(),
            account: Address::repeat_byte(0xab),
            nonce: 7,
            event,
        };
        let fees = Fees { max_fee_per_gas: 12_500_000_000, tip: 1, max_fee_per_blob_gas: Some(2_000_000_000) };
        let block = Landed { block: 40, at: L1Timestamp(1_000), fees_wei: U256::from(2_000_000_000_000_000_u64) };
        let (state, finality) = (L1TxState::Included, Finality::Confirmed);
        let landed = JournalEvent::Moved { state, landed: Some(block), finality };
        let entries = [entry(JournalEvent::SpedUp { hash: B256::repeat_byte(1), fees }), entry(landed)];
        let told = publisher_journal(&entries, at + Duration::from_secs(5));
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 3, "{told}");
        assert!(
            lines[1].contains("bids 12.5 gwei, 2 gwei a blob gas") && lines[1].ends_with("propose slot 9"),
            "{told}"
        );
        assert!(
            lines[2].contains("in L1 block 40, confirmed for 0.002 ETH") && lines[2].contains("5.0 s ago"),
            "{told}"
        );
    }
}
