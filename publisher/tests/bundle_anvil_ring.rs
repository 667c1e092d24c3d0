//! Bundles through the real Multicall3 on a real anvil.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use alloy::eips::eip4844::Blob;
use alloy::hex;
use alloy::primitives::{Address, Bytes, U256, keccak256};
use common::anvil::{SLOT, TestAnvil};
use common::{SendingBundle, bundle, entry, signer};
use fermata_publisher::{Bundle, BundleEntry, EntryOutcome, Error, RequestBlobs};

const VOTE: Address = Address::repeat_byte(0xb1);
const PROPOSE: Address = Address::repeat_byte(0xb2);

/// `log1(0, 0, "Landed()")`
fn landing() -> String {
    format!("7f{}5f5fa100", hex::encode(keccak256("Landed()")))
}

/// Reverts with the block's timestamp where `comparison`, an opcode, holds of the timestamp and `at`; lands otherwise.
fn reverting_when(comparison: &str, at: u64) -> String {
    let at = hex::encode(U256::from(at).to_be_bytes::<32>());
    format!("0x7f{at}42{comparison}15602e57425f5260205ffd5b{}", landing())
}

const IS_ABOVE: &str = "11";
const IS_EQUAL: &str = "14";

async fn with_multicall(keys: u8) -> TestAnvil {
    let anvil = TestAnvil::start(keys).await;
    anvil.set_multicall().await;
    anvil.set_code(VOTE, &format!("0x{}", landing())).await;
    anvil
}

/// A window of the next six blocks.
fn next_six(anvil: &TestAnvil, entries: Vec<BundleEntry>) -> Bundle {
    let now = anvil.head().timestamp.0;
    bundle(entries, now + SLOT, now + 7 * SLOT)
}

fn time_as_data(at: u64) -> Bytes {
    U256::from(at).to_be_bytes::<32>().into()
}

#[tokio::test]
async fn a_bundle_with_blobs_lands_in_one_transaction_and_each_entry_shows_its_event() {
    let (anvil, dir) = (with_multicall(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    anvil.set_code(PROPOSE, &format!("0x{}", landing())).await;
    let blobs = RequestBlobs::Raw(vec![Blob::ZERO]);
    let propose = BundleEntry { blobs, ..entry("propose", PROPOSE) };
    let sending = SendingBundle::begin(&manager, next_six(&anvil, vec![propose, entry("vote", VOTE)]));
    anvil.until_pooled(1).await;
    anvil.mine().await;
    let outcome = sending.outcome().await;
    assert_eq!(outcome.entries, vec![EntryOutcome::Succeeded; 2]);
    let tx = outcome.mined.unwrap();
    assert_eq!((tx.succeeded, tx.blob_gas_used), (true, Some(131_072)));
    assert_eq!(anvil.latest_hashes().await, [tx.tx_hash]);
}

#[tokio::test]
async fn an_entry_that_would_revert_in_the_last_block_of_the_window_alone_is_left_out_with_its_reason() {
    let (anvil, dir) = (with_multicall(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let slot = next_six(&anvil, vec![entry("propose", PROPOSE), entry("vote", VOTE)]);
    let last = slot.deadline.0 - SLOT;
    anvil.set_code(PROPOSE, &reverting_when(IS_ABOVE, last - 1)).await;
    let sending = SendingBundle::begin(&manager, slot);
    anvil.until_pooled(1).await;
    anvil.mine().await;
    let dropped = EntryOutcome::Dropped { revert_data: time_as_data(last) };
    assert_eq!(sending.outcome().await.entries, [dropped, EntryOutcome::Succeeded]);
}

#[tokio::test]
async fn an_entry_that_fails_in_its_block_does_not_undo_the_others_and_says_why() {
    let (anvil, dir) = (with_multicall(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    let slot = next_six(&anvil, vec![entry("propose", PROPOSE), entry("vote", VOTE)]);
    // It lands in the second block of the window, which no simulation looks at.
    let second = slot.not_before.0 + SLOT;
    anvil.set_code(PROPOSE, &reverting_when(IS_EQUAL, second)).await;
    let sending = SendingBundle::begin(&manager, slot);
    anvil.until_pooled(1).await;
    anvil.mine_at(second).await;
    let outcome = sending.outcome().await;
    let failed = EntryOutcome::Failed { revert_data: Some(time_as_data(second)) };
    assert_eq!(outcome.entries, [failed, EntryOutcome::Succeeded]);
    assert!(!outcome.mined.unwrap().succeeded);
}

#[tokio::test]
async fn nothing_goes_where_every_entry_would_revert_or_there_is_no_multicall() {
    let (anvil, dir) = (with_multicall(1).await, tempfile::tempdir().unwrap());
    let manager = anvil.started(dir.path(), 1).await;
    anvil.set_code(PROPOSE, &reverting_when(IS_ABOVE, 0)).await;
    let outcome = SendingBundle::begin(&manager, next_six(&anvil, vec![entry("propose", PROPOSE)])).outcome().await;
    assert!(matches!(outcome.entries[..], [EntryOutcome::Dropped { .. }]), "{outcome:?}");
    let nowhere = Bundle { multicall: Address::repeat_byte(9), ..next_six(&anvil, vec![entry("vote", VOTE)]) };
    let refused = SendingBundle::begin(&manager, nowhere).result().await;
    assert!(matches!(refused, Err(Error::NoMulticall { .. })), "{refused:?}");
    assert!(manager.status().await.unwrap().accounts[0].in_flight.is_empty());
    assert_eq!(anvil.nonce(signer(0).address()).await, 0);
}
