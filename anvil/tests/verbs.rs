//! What an L1 does to those that build on it: on the L1 of a test, as one who reaches it through its door sees it.

mod common;

use std::sync::Arc;
use std::time::Duration;

use alloy::eips::BlockId;
use alloy::eips::eip7840::BlobParams;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::TransactionRequest;
use common::{funded_key, signed_payment, system_clock};
use fermata_anvil::{
    AnvilConfig, AnvilError, AnvilPool, Cheats, DeployConfig, DevChainConfig, L1Clock, L1Head, Reinclude, RestartL1,
    TestL1, find_anvil,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Longer than a busy machine takes to warm an anvil up: what has not come by then never does.
const HANGS: Duration = Duration::from_secs(300);

async fn l1() -> TestL1 {
    let deploy = DeployConfig { epoch_slots: 2, committee_size: 2, ..DeployConfig::default() };
    let config = DevChainConfig { deploy, validators: 2, ..DevChainConfig::default() };
    TestL1::start(&config, system_clock()).await.expect("an L1")
}

/// Puts a payment into the pool.
async fn pay(provider: &DynProvider, nonce: u64) -> B256 {
    let (hash, raw) = signed_payment(&funded_key(5), nonce, U256::from(1));
    let sent = provider.send_raw_transaction(&raw).await.expect("taken");
    assert_eq!(*sent.tx_hash(), hash);
    hash
}

/// The block a transaction is in; none while it is in the pool.
async fn block_of(provider: &DynProvider, transaction: B256) -> Option<u64> {
    let known = provider.get_transaction_by_hash(transaction).await.expect("an answer");
    known.expect("it is in a block or in the pool").block_number
}

async fn is_known(provider: &DynProvider, transaction: B256) -> bool {
    provider.get_transaction_by_hash(transaction).await.expect("an answer").is_some()
}

/// The head's number, as one is told whose connections were cut: the request that meets one fails.
async fn number_after_cut(provider: &DynProvider) -> u64 {
    for _ in 0..4 {
        if let Ok(number) = provider.get_block_number().await {
            return number;
        }
    }
    provider.get_block_number().await.expect("an answer")
}

/// Base fees of the newest blocks, and what the price of blob gas follows from.
async fn fees(provider: &DynProvider, newest: u64) -> Vec<(Option<u64>, Option<u64>)> {
    let (head, mut fees) = (provider.get_block_number().await.expect("a number"), Vec::new());
    for number in head + 1 - newest..=head {
        let block = provider.get_block_by_number(number.into()).await.expect("an answer").expect("a block").header;
        fees.push((block.base_fee_per_gas, block.excess_blob_gas));
    }
    fees
}

/// Looks whether timestamps strictly increase, and whether a contract can be called at each of the newest blocks.
async fn is_sound(l1: &TestL1, newest: u64) {
    let head = l1.provider.get_block_number().await.expect("a number");
    let mut last = 0;
    for number in head + 1 - newest..=head {
        let block = l1.provider.get_block_by_number(number.into()).await.expect("an answer").expect("a block");
        assert!(block.header.timestamp > last, "block {number} is not later than the one before");
        assert_eq!(block.header.gas_limit, 60_000_000, "block {number}");
        last = block.header.timestamp;
        let call = TransactionRequest::default().to(Address::ZERO);
        l1.provider.call(call).block(BlockId::number(number)).await.expect("a call at the block");
    }
}

#[tokio::test]
async fn empty_blocks_leave_the_pool_alone() {
    let l1 = l1().await;
    let (before, payment) = (l1.l1_clock.head(), pay(&l1.provider, 0).await);
    let mined = l1.l1_clock.mine_empty(3, 1).await.expect("blocks");
    let expected = |n: u64| (before.number + n, before.timestamp.plus_secs(n));
    let got: Vec<_> = mined.iter().map(|head| (head.number, head.timestamp)).collect();
    assert_eq!(got, [expected(1), expected(2), expected(3)]);
    assert_eq!(block_of(&l1.provider, payment).await, None);
    let head = l1.l1_clock.mine().await.expect("a block");
    assert_eq!(block_of(&l1.provider, payment).await, Some(head.number));
    is_sound(&l1, 4).await;
}

#[tokio::test]
async fn held_transactions_stay_in_the_pool_and_are_mined_when_the_last_hold_ends() {
    let l1 = l1().await;
    let first = pay(&l1.provider, 0).await;
    let (one, other) = (l1.l1_clock.hold_txs().await, l1.l1_clock.hold_txs().await);
    l1.l1_clock.mine().await.expect("a block");
    let second = pay(&l1.provider, 1).await;
    drop(one);
    let later = l1.l1_clock.head().timestamp.plus_secs(40);
    l1.l1_clock.warp_to(later).await.expect("warped");
    assert_eq!(l1.l1_clock.head().timestamp, later);
    for held in [first, second] {
        assert_eq!(block_of(&l1.provider, held).await, None);
    }
    assert!(matches!(l1.l1_clock.reorg(1, Reinclude::All).await, Err(AnvilError::TransactionsHeld)));
    drop(other);
    let head = l1.l1_clock.mine().await.expect("a block");
    for released in [first, second] {
        assert_eq!(block_of(&l1.provider, released).await, Some(head.number));
    }
    is_sound(&l1, 3).await;
}

#[tokio::test]
async fn nobody_outside_ever_sees_what_an_empty_block_is_made_of() {
    let l1 = l1().await;
    pay(&l1.provider, 0).await;
    let provider = l1.provider.clone();
    let looks = async {
        loop {
            let head = provider.get_block(BlockId::latest()).await.expect("an answer").expect("a block");
            assert_eq!(head.header.gas_limit, 60_000_000, "block {}", head.header.number);
            let call = TransactionRequest::default().to(Address::ZERO);
            provider.call(call).block(head.header.hash.into()).await.expect("a call at the head");
        }
    };
    tokio::select! {
        () = looks => {}
        mined = l1.l1_clock.mine_empty(40, 2) => assert_eq!(mined.expect("blocks").len(), 40),
    }
}

#[tokio::test]
async fn a_reorg_puts_transactions_back_into_blocks_or_into_the_pool_or_nowhere() {
    for (reinclude, in_block, known) in
        [(Reinclude::All, true, true), (Reinclude::Later, false, true), (Reinclude::None, false, false)]
    {
        let l1 = l1().await;
        let payment = pay(&l1.provider, 0).await;
        let block = l1.l1_clock.mine().await.expect("a block");
        l1.l1_clock.mine().await.expect("another");
        let reorg = l1.l1_clock.reorg(2, reinclude).await.expect("a reorg");
        let times = |heads: &[L1Head]| heads.iter().map(|head| (head.number, head.timestamp)).collect::<Vec<_>>();
        assert_eq!(times(&reorg.removed), times(&reorg.added));
        assert!(reorg.removed.iter().zip(&reorg.added).all(|(old, new)| old.hash != new.hash));
        assert_eq!(is_known(&l1.provider, payment).await, known, "{reinclude:?}");
        if known {
            let expected = in_block.then_some(block.number);
            assert_eq!(block_of(&l1.provider, payment).await, expected, "{reinclude:?}");
        }
        let head = l1.l1_clock.mine().await.expect("a block");
        if reinclude == Reinclude::Later {
            assert_eq!(block_of(&l1.provider, payment).await, Some(head.number));
        }
        is_sound(&l1, 3).await;
    }
}

#[tokio::test]
async fn the_blocks_of_a_reorg_have_the_fees_of_those_in_whose_place_they_are() {
    for reinclude in [Reinclude::All, Reinclude::None] {
        let l1 = l1().await;
        l1.l1_clock.set_base_fee(44_000_000_000).await.expect("set");
        l1.l1_clock.set_blob_fee(5_000_000_000).await.expect("set");
        l1.l1_clock.mine().await.expect("a block");
        l1.l1_clock.mine().await.expect("another");
        let before = fees(&l1.provider, 2).await;
        l1.l1_clock.reorg(2, reinclude).await.expect("a reorg");
        assert_eq!(fees(&l1.provider, 2).await, before, "{reinclude:?}");
    }
}

#[tokio::test]
async fn a_reorg_that_cannot_put_an_impersonated_accounts_transaction_back_is_refused_and_changes_nothing() {
    let l1 = l1().await;
    let somebody = Address::repeat_byte(0x42);
    let rich = U256::from(10).pow(U256::from(18));
    Cheats::new(l1.provider.clone()).set_balance(somebody, rich).await.expect("rich");
    let ask = |method: &'static str, params: Value| l1.provider.raw_request::<_, Value>(method.into(), params);
    ask("anvil_impersonateAccount", json!([somebody])).await.expect("impersonated");
    let unsigned = json!([{ "from": somebody, "to": Address::ZERO, "gas": "0x5208" }]);
    let sent = ask("eth_sendTransaction", unsigned).await.expect("taken");
    ask("anvil_stopImpersonatingAccount", json!([somebody])).await.expect("stopped");
    l1.l1_clock.mine().await.expect("a block with it");
    let head = l1.l1_clock.mine().await.expect("another");
    for reinclude in [Reinclude::All, Reinclude::Later] {
        let refused = l1.l1_clock.reorg(2, reinclude).await.expect_err("nobody signed it");
        let AnvilError::NotSigned { transaction, from } = refused else { panic!("{refused}") };
        assert_eq!((json!(transaction), from), (sent.clone(), somebody));
        let latest = l1.provider.get_block(BlockId::latest()).await.expect("an answer").expect("a block");
        assert_eq!(latest.header.hash, head.hash);
    }
    l1.l1_clock.reorg(2, Reinclude::None).await.expect("without it");
}

#[tokio::test]
async fn a_reorg_whose_transactions_are_refused_has_all_its_blocks_and_says_so() {
    let l1 = l1().await;
    let gwei = 1_000_000_000;
    l1.l1_clock.set_base_fee(100 * gwei).await.expect("set");
    l1.l1_clock.mine().await.expect("a block");
    l1.l1_clock.set_base_fee(gwei).await.expect("set");
    // It offers ten gwei: enough for this block, and not after the one before.
    let payment = pay(&l1.provider, 0).await;
    l1.l1_clock.mine().await.expect("a block with it");
    let head = l1.l1_clock.mine().await.expect("another");
    let refused = l1.l1_clock.reorg(3, Reinclude::All).await;
    assert!(matches!(refused, Err(AnvilError::L1Refused { .. })), "{refused:?}");
    let now = l1.l1_clock.head();
    assert_eq!((now.number, now.timestamp), (head.number, head.timestamp));
    assert_ne!(now.hash, head.hash);
    assert!(!is_known(&l1.provider, payment).await);
    is_sound(&l1, 3).await;
}

#[tokio::test]
async fn a_reorg_or_a_loss_below_what_the_l1_began_with_is_refused_and_changes_nothing() {
    let l1 = l1().await;
    let begun = l1.l1_clock.head().number;
    let head = l1.l1_clock.mine().await.expect("a block");
    for refused in [
        l1.l1_clock.reorg(2, Reinclude::All).await.expect_err("too deep"),
        l1.l1_clock.reorg(0, Reinclude::All).await.expect_err("of nothing"),
        l1.l1_clock.restart(&l1.anvil, RestartL1::LosingBlocks(2)).await.expect_err("too many"),
    ] {
        assert!(matches!(refused, AnvilError::ReorgDepth { oldest, .. } if oldest == begun), "{refused}");
    }
    assert_eq!(l1.provider.get_block_number().await.expect("a number"), head.number);
}

#[tokio::test]
async fn a_dropped_transaction_is_gone_and_one_that_is_not_there_is_said_to_be() {
    let l1 = l1().await;
    let payment = pay(&l1.provider, 0).await;
    assert!(l1.l1_clock.drop_tx(payment).await.expect("an answer"));
    assert!(!l1.l1_clock.drop_tx(payment).await.expect("an answer"));
    assert!(!is_known(&l1.provider, payment).await);
}

#[tokio::test]
async fn the_next_block_has_the_fees_that_were_set() {
    let l1 = l1().await;
    let before = l1.l1_clock.head();
    l1.l1_clock.set_base_fee(44_000_000_000).await.expect("set");
    let wei = 5_000_000_000;
    let price = l1.l1_clock.set_blob_fee(wei).await.expect("set");
    assert!(price >= wei && price <= wei + wei / 1_000, "{price} for {wei}");
    assert_eq!(l1.provider.get_block_number().await.expect("a number"), before.number, "no block came of it");
    l1.l1_clock.mine().await.expect("a block");
    let block = l1.provider.get_block(BlockId::latest()).await.expect("an answer").expect("a block").header;
    assert_eq!((block.number, block.parent_hash), (before.number + 1, before.hash));
    assert_eq!(block.base_fee_per_gas, Some(44_000_000_000));
    let excess = block.excess_blob_gas.expect("of this fork");
    assert_eq!(BlobParams::osaka().calc_blob_fee(excess), price);
    assert_eq!(l1.provider.get_blob_base_fee().await.expect("a price"), price);
    let next = l1.l1_clock.mine().await.expect("a block");
    let next = l1.provider.get_block(BlockId::hash(next.hash)).await.expect("an answer").expect("a block").header;
    assert!(next.base_fee_per_gas < Some(44_000_000_000), "an empty block makes the next one cheaper");
    l1.l1_clock.set_blob_fee(1).await.expect("set");
    l1.l1_clock.mine().await.expect("a block");
    assert_eq!(l1.provider.get_blob_base_fee().await.expect("a price"), 1);
}

#[tokio::test]
async fn a_restarted_l1_has_its_address_its_chain_and_its_pool_or_not() {
    for (how, pool, lost) in
        [(RestartL1::KeepingState, true, 0), (RestartL1::LosingPool, false, 0), (RestartL1::LosingBlocks(1), false, 1)]
    {
        let l1 = l1().await;
        let before = l1.l1_clock.mine().await.expect("a block");
        let head = l1.l1_clock.mine().await.expect("another");
        let (payments, pid) = ([pay(&l1.provider, 0).await, pay(&l1.provider, 1).await], l1.anvil.pid());
        let kept = l1.l1_clock.restart(&l1.anvil, how).await.expect("restarted");
        assert_eq!(kept, if lost == 0 { head } else { before }, "{how:?}");
        assert_eq!(l1.l1_clock.head(), kept);
        assert_ne!(l1.anvil.pid(), pid, "another process");
        assert_eq!(number_after_cut(&l1.provider).await, head.number - lost, "at the same address");
        for payment in payments {
            assert_eq!(is_known(&l1.provider, payment).await, pool, "{how:?}");
        }
        let next = l1.l1_clock.warp_to(head.timestamp.plus_secs(5)).await.expect("time goes on");
        assert!(matches!(next, fermata_anvil::Warp::Mined(mined) if mined.number == kept.number + 1), "{next:?}");
        let nonce = l1.provider.get_transaction_count(funded_key(5).address()).await.expect("a nonce");
        assert_eq!(nonce, if pool { 2 } else { 0 }, "{how:?}");
    }
}

#[tokio::test]
async fn a_restarted_l1_goes_on_as_if_it_had_not_been() {
    for how in [RestartL1::KeepingState, RestartL1::LosingPool, RestartL1::LosingBlocks(0)] {
        let mut heads = Vec::new();
        for restarts in [false, true] {
            let l1 = l1().await;
            l1.l1_clock.set_blob_fee(5_000_000_000).await.expect("set");
            l1.l1_clock.mine().await.expect("a block");
            l1.l1_clock.set_base_fee(33_000_000_000).await.expect("set");
            if restarts {
                l1.l1_clock.restart(&l1.anvil, how).await.expect("restarted");
            }
            let next = l1.l1_clock.mine().await.expect("a block of the fees that were set");
            heads.push((next, l1.l1_clock.mine().await.expect("a block of fees that follow from it")));
        }
        assert_eq!(heads[0], heads[1], "{how:?}");
    }
}

#[tokio::test]
async fn an_l1_that_loses_blocks_makes_them_anew_with_the_same_fees() {
    let l1 = l1().await;
    l1.l1_clock.set_blob_fee(5_000_000_000).await.expect("set");
    l1.l1_clock.mine().await.expect("a block");
    l1.l1_clock.set_base_fee(33_000_000_000).await.expect("set");
    let lost = [l1.l1_clock.mine().await.expect("a block"), l1.l1_clock.mine().await.expect("another")];
    l1.l1_clock.restart(&l1.anvil, RestartL1::LosingBlocks(2)).await.expect("restarted");
    let anew = [l1.l1_clock.mine().await.expect("a block"), l1.l1_clock.mine().await.expect("another")];
    assert_eq!(anew, lost);
}

#[tokio::test]
async fn blob_gas_costs_what_was_set_also_where_the_base_fee_is_at_its_lowest() {
    let l1 = l1().await;
    l1.l1_clock.set_base_fee(7).await.expect("set");
    l1.l1_clock.mine().await.expect("a block");
    for wei in [1_000, 5_000_000_000] {
        let price = l1.l1_clock.set_blob_fee(wei).await.expect("set");
        l1.l1_clock.mine().await.expect("a block");
        let (_, excess) = fees(&l1.provider, 1).await[0];
        assert_eq!(BlobParams::osaka().calc_blob_fee(excess.expect("of this fork")), price);
        assert!(price >= wei, "{price} for {wei}");
    }
}

#[tokio::test]
async fn a_transaction_that_waits_for_another_one_waits_on_after_a_restart() {
    let l1 = l1().await;
    let waits = pay(&l1.provider, 1).await;
    l1.l1_clock.restart(&l1.anvil, RestartL1::KeepingState).await.expect("restarted");
    number_after_cut(&l1.provider).await;
    assert!(is_known(&l1.provider, waits).await);
    let first = pay(&l1.provider, 0).await;
    let head = l1.l1_clock.mine().await.expect("a block");
    for payment in [first, waits] {
        assert_eq!(block_of(&l1.provider, payment).await, Some(head.number));
    }
}

#[tokio::test]
async fn a_frozen_l1_is_restarted_also_while_its_clock_waits_for_it() {
    let l1 = l1().await;
    l1.anvil.freeze().expect("frozen");
    // It takes a moment to.
    let mining = loop {
        let mut mining = Box::pin(l1.l1_clock.mine());
        if tokio::time::timeout(Duration::from_millis(50), &mut mining).await.is_err() {
            break mining;
        }
    };
    let restart = l1.l1_clock.restart(&l1.anvil, RestartL1::KeepingState);
    let kept = tokio::time::timeout(HANGS, restart).await.expect("in time").expect("restarted");
    assert_eq!(mining.await.expect("the block that was waited for"), kept);
    assert_eq!(l1.l1_clock.mine().await.expect("another").number, kept.number + 1);
    assert_eq!(number_after_cut(&l1.provider).await, kept.number + 1, "the door is open");
}

#[tokio::test]
async fn a_frozen_l1_whose_restart_is_refused_stays_as_it_is() {
    let l1 = l1().await;
    l1.anvil.freeze().expect("frozen");
    let restart = l1.l1_clock.restart(&l1.anvil, RestartL1::LosingBlocks(1));
    let refused = tokio::time::timeout(HANGS, restart).await.expect("in time");
    assert!(matches!(refused, Err(AnvilError::ReorgDepth { depth: 1, .. })), "{refused:?}");
    let asked = tokio::time::timeout(Duration::from_millis(50), l1.provider.get_block_number()).await;
    assert!(asked.is_err(), "it is frozen, and yet: {asked:?}");
    l1.anvil.thaw().expect("thawed");
    assert_eq!(l1.provider.get_block_number().await.expect("a number"), l1.l1_clock.head().number);
}

#[tokio::test]
async fn an_l1_that_no_other_can_follow_loses_nothing_by_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let binary = folder.path().join("anvil");
    std::os::unix::fs::symlink(find_anvil().expect("anvil"), &binary).expect("linked");
    let config = AnvilConfig { binary: Some(binary.clone()), ..AnvilConfig::default() };
    let anvil = Arc::new(AnvilPool::of_this_process().lease(&config).await.expect("an anvil"));
    let provider = anvil.provider().expect("a provider");
    let l1_clock = L1Clock::own(provider.clone(), system_clock()).await.expect("a clock");
    let (head, pid) = (l1_clock.mine().await.expect("a block"), anvil.pid());
    std::fs::remove_file(binary).expect("removed");
    let failed = l1_clock.restart(&anvil, RestartL1::LosingBlocks(1)).await;
    assert!(matches!(failed, Err(AnvilError::NotListening { .. })), "{failed:?}");
    assert_eq!((provider.get_block_number().await.expect("a number"), anvil.pid()), (head.number, pid));
}

#[tokio::test]
async fn a_frozen_l1_answers_nobody_until_it_is_thawed() {
    let l1 = l1().await;
    l1.anvil.freeze().expect("frozen");
    let head = l1.provider.get_block_number();
    tokio::pin!(head);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut head).await.is_err());
    l1.anvil.thaw().expect("thawed");
    head.await.expect("the answer to what was asked meanwhile");
}

#[tokio::test]
async fn an_l1_that_died_says_what_of() {
    let l1 = l1().await;
    let pid = Pid::from_raw(l1.anvil.pid().expect("a pid").cast_signed()).expect("a pid");
    kill_process(pid, Signal::KILL).expect("killed");
    l1.l1_clock.mine().await.expect_err("nobody answers");
    let clock = system_clock();
    let look = async {
        loop {
            match l1.anvil.alive() {
                Ok(()) => clock.sleep(Duration::from_millis(2)).await,
                Err(ended) => break ended,
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), look).await.expect("its end is seen");
    assert!(matches!(ended, AnvilError::Ended { .. }), "{ended}");
    let refused = l1.l1_clock.restart(&l1.anvil, RestartL1::KeepingState).await;
    assert!(matches!(refused, Err(AnvilError::Ended { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_verb_that_nobody_waits_for_any_more_ends_all_the_same() {
    let l1 = l1().await;
    let (begun, payment) = (l1.l1_clock.head().number, pay(&l1.provider, 0).await);
    for patience in 0..12 {
        let mining = l1.l1_clock.mine_empty(1, 1);
        let _ = tokio::time::timeout(Duration::from_micros(patience * 300), mining).await;
    }
    let last = l1.l1_clock.mine_empty(1, 1).await.expect("a block")[0];
    is_sound(&l1, last.number - begun).await;
    assert_eq!(block_of(&l1.provider, payment).await, None);
    let sent = Cheats::new(l1.provider.clone()).pool().await.expect("the pool");
    assert_eq!(sent, [payment]);
}
