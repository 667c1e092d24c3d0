//! The machine against an L1 that a test scripts: no runtime, no disk, no node. What is committed is what would be on disk.

mod chain;
mod recycling;
mod schedules;

use alloy::primitives::{Address, U256};
use chain::{Bench, GWEI, SLOT, blob_job, job, job_for};

use crate::classify::RefusalClass;
use crate::machine::job::{Job, Pinned};
use crate::records::{AttemptKind, Finality};
use crate::{FeeConfig, L1TxState, Outcome, RejectReason};

#[test]
fn a_job_is_leased_sent_and_answered_with_its_block() {
    let mut bench = Bench::new(1);
    bench.submit(job(1));
    assert_eq!(bench.sent(), [(0, 0)]);
    bench.mine();
    let Some(Ok(Outcome::Mined(mined))) = bench.answer(1) else { panic!("{:?}", bench.answers) };
    assert_eq!(mined.tx_hash, bench.chain.blocks.last().unwrap().txs[0].hash);
    assert!(bench.machine.txs[&0].stored.intent.finality == Finality::Confirmed);
    bench.mine();
    assert!(bench.machine.txs.is_empty(), "what is final is watched no more");
}

#[test]
fn one_account_takes_fourteen_in_a_row_and_the_next_waits_for_a_block() {
    let mut bench = Bench::new(1);
    (1..=16).for_each(|id| bench.submit(job(id)));
    let nonces: Vec<_> = bench.chain.pool.iter().map(|tx| tx.nonce).collect();
    assert_eq!(nonces, (0..14).collect::<Vec<_>>());
    bench.mine();
    assert_eq!(bench.chain.pool.len(), 2);
}

#[test]
fn nothing_is_leased_behind_a_transaction_whose_first_answer_is_not_there() {
    let mut bench = Bench::new(1);
    bench.chain.hold_answers = true;
    bench.submit(job(1));
    bench.submit(job(2));
    assert_eq!(bench.sent(), [(0, 0)]);
    bench.release_answers();
    assert_eq!(bench.sent(), [(0, 0), (1, 0)]);
}

#[test]
fn an_account_carries_one_type_of_transaction_at_a_time() {
    let mut bench = Bench::new(2);
    bench.submit(job(1));
    bench.submit(blob_job(2));
    bench.submit(blob_job(3));
    let of = |id: u64| bench.machine.txs[&id].stored.intent.account;
    assert_ne!(of(0), of(1));
    assert_eq!(of(1), of(2), "the second blob transaction went to the account of the plain one");
}

#[test]
fn an_account_that_a_stranger_occupies_is_left_for_another_at_once_and_is_the_last_choice_for_a_while() {
    for text in ["address already reserved", "account limit exceeded: pooled 16 txs"] {
        let mut bench = Bench::new(2);
        bench.chain.refuse_next(text);
        bench.submit(job(1));
        let of = |bench: &Bench, id: u64| bench.machine.txs[&id].stored.intent.account;
        let free = of(&bench, 1);
        assert_ne!(bench.chain.handed_over[0].account, free, "{text}");
        bench.mine_empty();
        bench.submit(job(2));
        assert_eq!(of(&bench, 2), free, "{text}: the other one carries less, and is not free");
        (0..4).for_each(|_| bench.mine_empty());
        bench.submit(job(3));
        assert_ne!(of(&bench, 3), free, "{text}");
    }
}

#[test]
fn an_account_that_a_stranger_occupies_is_tried_again_at_the_next_head_where_there_is_no_other() {
    let mut bench = Bench::new(1);
    bench.chain.refuse_next("address already reserved");
    bench.submit(job(1));
    assert_eq!(bench.chain.handed_over.len(), 1);
    bench.mine_empty();
    assert_eq!(bench.chain.pool.len(), 1);
}

#[test]
fn a_balance_covers_all_that_is_in_flight_before_more_is_sent() {
    let mut bench = Bench::new(1);
    bench.submit(job(1));
    let each = bench.machine.txs[&0].reserved();
    bench.chain.balance = each + each / U256::from(2);
    bench.mine_empty();
    bench.submit(job(2));
    assert_eq!(bench.sent().len(), 1, "the node would have said: insufficient funds");
    bench.mine();
    assert_eq!(bench.sent().len(), 2);
}

#[test]
fn a_head_that_is_looked_at_twice_was_missed_once() {
    let mut bench = Bench::new(1);
    bench.submit(job(1));
    bench.mine_empty();
    for _ in 0..2 {
        assert_eq!(bench.machine.txs[&0].seen.missed, 1);
        // Doubt about what went out takes the sight away.
        bench.machine.txs.get_mut(&0).expect("it is in flight").seen.sight = None;
        bench.settle();
    }
}

#[test]
fn two_blocks_without_it_raise_its_bid_by_the_pools_rule_and_either_may_land() {
    let mut bench = Bench::new(1);
    bench.submit(blob_job(1));
    bench.mine_empty();
    assert_eq!(bench.attempts(0), [AttemptKind::Initial]);
    bench.mine_empty();
    assert_eq!(bench.attempts(0), [AttemptKind::Initial, AttemptKind::SpeedUp]);
    let fees: Vec<_> = bench.machine.txs[&0].stored.attempts.iter().map(|attempt| attempt.fees).collect();
    assert!(fees[1].max_fee_per_gas > 2 * fees[0].max_fee_per_gas && fees[1].tip > 2 * fees[0].tip);
    assert!(fees[1].max_fee_per_blob_gas > fees[0].max_fee_per_blob_gas.map(|fee| 2 * fee));
    bench.mine_attempt(0, 0);
    let Some(Ok(Outcome::Mined(mined))) = bench.answer(1) else { panic!("{:?}", bench.answers) };
    assert_eq!(mined.tx_hash, bench.hash_of(0, 0), "the first attempt landed, and that is told");
}

#[test]
fn a_transaction_that_is_priced_out_bids_for_the_time_that_is_left_at_once() {
    let mut bench = Bench::new(1);
    bench.submit(job(1));
    let cap = bench.machine.txs[&0].stored.attempts[0].fees.max_fee_per_gas;
    bench.chain.base_fee = cap;
    bench.mine_empty();
    assert_eq!(bench.attempts(0), [AttemptKind::Initial, AttemptKind::SpeedUp]);
    let raised = bench.machine.txs[&0].stored.attempts[1].fees.max_fee_per_gas;
    assert!(raised > cap + cap / 8, "{raised} does not last one more rise");
}

#[test]
fn a_bid_that_cannot_be_raised_stays_and_is_raised_once_the_ceiling_is() {
    let mut bench = Bench::new(1);
    bench.submit(blob_job(1));
    let fees = bench.machine.txs[&0].stored.attempts[0].fees;
    bench.fees = FeeConfig { max_fee_ceiling: 3 * fees.max_fee_per_gas, ..bench.fees };
    bench.mine_empty();
    bench.mine_empty();
    assert_eq!(bench.attempts(0), [AttemptKind::Initial], "there was no room left for its cancel");
    assert!(bench.machine.views().values().any(|view| view.blocked.contains_key(&0)), "nobody is told");
    bench.fees = FeeConfig::default();
    bench.mine_empty();
    assert_eq!(bench.attempts(0), [AttemptKind::Initial, AttemptKind::SpeedUp]);
}

#[test]
fn behind_another_transaction_no_bid_is_raised() {
    let mut bench = Bench::new(1);
    bench.submit(job(1));
    bench.submit(job(2));
    (0..3).for_each(|_| bench.mine_empty());
    assert!(bench.attempts(0).contains(&AttemptKind::SpeedUp));
    assert_eq!(bench.attempts(1), [AttemptKind::Initial]);
}

#[test]
fn what_expired_is_cancelled_and_the_cancel_is_replaced_until_one_of_them_lands() {
    let mut bench = Bench::new(1);
    bench.submit(job_for(1, 2));
    bench.mine_empty();
    bench.mine_empty();
    assert!(matches!(bench.answer(1), Some(Ok(Outcome::Expired))));
    assert_eq!(bench.attempts(0), [AttemptKind::Initial, AttemptKind::Cancel]);
    (0..6).for_each(|_| bench.mine_empty());
    assert_eq!(bench.attempts(0), [AttemptKind::Initial, AttemptKind::Cancel, AttemptKind::Cancel]);
    bench.mine();
    assert_eq!(bench.machine.txs[&0].state(), L1TxState::Cancelled);
    bench.submit(job_for(2, 20));
    assert_eq!(bench.machine.txs[&1].stored.intent.nonce, 1);
}

#[test]
fn a_block_that_is_removed_makes_its_transaction_live_again_and_it_goes_out_again() {
    let mut bench = Bench::new(1);
    bench.submit(job(1));
    bench.mine();
    let first = bench.machine.txs[&0].stored.intent.mined.clone().unwrap();
    bench.reorg(1);
    assert_eq!(bench.machine.txs[&0].state(), L1TxState::Live);
    assert_eq!(bench.chain.pool.len(), 1, "it did not go out again");
    bench.mine();
    let again = bench.machine.txs[&0].stored.intent.mined.clone().unwrap();
    assert_eq!((again.tx_hash, bench.attempts(0).len()), (first.tx_hash, 1), "the same bytes, not another attempt");
    assert_ne!(again.block_hash, first.block_hash);
}

#[test]
fn a_transaction_that_is_in_another_block_after_a_reorg_is_told_with_that_block() {
    let mut bench = Bench::new(1);
    bench.confirmations = 3;
    bench.submit(job(1));
    bench.mine();
    let first = bench.machine.txs[&0].stored.intent.mined.clone().unwrap();
    bench.reorg_including(1);
    let second = bench.machine.txs[&0].stored.intent.clone();
    assert_eq!((second.state, second.finality), (L1TxState::Included, Finality::Open));
    assert_ne!(second.mined.unwrap().block_hash, first.block_hash);
}

#[test]
fn what_expired_while_its_block_was_removed_is_cancelled_and_never_sent_again() {
    let mut bench = Bench::new(1);
    bench.submit(job_for(1, 2));
    bench.mine();
    let sends = bench.chain.handed_over.len();
    bench.reorg(1);
    bench.mine_empty();
    assert_eq!(bench.attempts(0).last(), Some(&AttemptKind::Cancel));
    let again = bench.chain.handed_over[sends..].iter().filter(|tx| !tx.is_cancel);
    assert_eq!(again.filter(|tx| tx.at >= bench.deadline_of(0)).count(), 0);
}

#[test]
fn an_end_is_believed_at_its_depth_and_final_when_l1_says_so() {
    let mut bench = Bench::new(1);
    bench.confirmations = 3;
    bench.chain.finality = 5;
    bench.submit(job(1));
    let finality = |bench: &Bench| bench.machine.txs.get(&0).map(|tx| tx.stored.intent.finality);
    bench.mine();
    assert_eq!(finality(&bench), Some(Finality::Open));
    bench.mine();
    bench.mine();
    assert_eq!(finality(&bench), Some(Finality::Confirmed));
    (0..3).for_each(|_| bench.mine());
    assert_eq!(finality(&bench), None, "it is final");
    assert_eq!(bench.machine.accounts.values().next().unwrap().settled_nonce, 1);
}

#[test]
fn a_nonce_is_taken_back_from_a_refused_transaction_and_its_job_gets_it_again() {
    let mut bench = Bench::new(1);
    bench.chain.refuse_next("txpool is full");
    bench.submit(job(1));
    assert_eq!(bench.machine.waiting.len(), 1);
    bench.mine_empty();
    assert_eq!(bench.machine.txs[&1].stored.intent.nonce, 0);
    bench.mine();
    assert!(matches!(bench.answer(1), Some(Ok(Outcome::Mined(_)))));
}

#[test]
fn a_final_refusal_is_answered_and_an_unknown_text_frees_nothing() {
    let mut bench = Bench::new(1);
    bench.chain.refuse_next("oversized data");
    bench.submit(job(1));
    let Some(Ok(Outcome::Rejected { reason: RejectReason::Refused { class, .. } })) = bench.answer(1) else { panic!() };
    assert_eq!(*class, RefusalClass::Shape);
    bench.chain.refuse_next("something nobody ever said");
    bench.submit(job(2));
    assert_eq!(bench.machine.txs[&1].state(), L1TxState::Live);
    assert_eq!(bench.sent().last(), Some(&(1, 0)), "the same bytes go out again, as no node has them");
}

#[test]
fn what_is_too_late_by_the_time_it_would_be_handed_over_costs_no_nonce_and_is_answered() {
    let mut bench = Bench::new(1);
    bench.chain.withhold_next = true;
    bench.submit(job(1));
    assert!(matches!(bench.answer(1), Some(Ok(Outcome::Expired))));
    assert!(bench.chain.handed_over.is_empty());
    bench.submit(job(2));
    assert_eq!(bench.machine.txs[&1].stored.intent.nonce, 0);
}

#[test]
fn a_key_that_signs_no_raise_leaves_the_old_attempt_which_goes_out_again_and_lands() {
    let mut bench = Bench::new(1);
    bench.submit(job(1));
    bench.without_keys = true;
    (0..3).for_each(|_| bench.mine_empty());
    assert_eq!(bench.attempts(0), [AttemptKind::Initial], "it was due to be raised");
    bench.chain.pool.clear();
    (0..2).for_each(|_| bench.mine_empty());
    assert_eq!(bench.sent(), [(0, 0), (0, 0)], "the same bytes");
    bench.mine();
    assert!(matches!(bench.answer(1), Some(Ok(Outcome::Mined(_)))));
}

#[test]
fn a_key_that_does_not_sign_costs_no_nonce() {
    let mut bench = Bench::new(1);
    bench.without_keys = true;
    bench.submit(job_for(1, 2));
    (0..2).for_each(|_| bench.mine_empty());
    assert!(matches!(bench.answer(1), Some(Ok(Outcome::Expired))));
    bench.without_keys = false;
    bench.submit(job(2));
    assert_eq!(bench.machine.txs[&0].stored.intent.nonce, 0);
}

#[test]
fn what_its_caller_interrupted_is_only_watched() {
    let mut bench = Bench::new(1);
    bench.submit(job(1));
    bench.interrupt(1);
    (0..4).for_each(|_| bench.mine_empty());
    assert_eq!(bench.attempts(0), [AttemptKind::Initial]);
    bench.mine();
    assert_eq!(bench.machine.txs.get(&0).map(|tx| tx.state()), Some(L1TxState::Included));
}

#[test]
fn a_ceiling_is_waited_out_and_named_at_the_deadline() {
    let mut bench = Bench::new(1);
    bench.chain.base_fee = 5_000 * GWEI;
    bench.mine_empty();
    bench.submit(job(1));
    assert!(bench.sent().is_empty());
    bench.chain.base_fee = GWEI;
    bench.mine_empty();
    assert_eq!(bench.sent().len(), 1);
    bench.chain.base_fee = 5_000 * GWEI;
    bench.mine();
    bench.submit(job_for(2, 6));
    bench.mine_empty();
    bench.mine_empty();
    bench.mine_empty();
    assert!(matches!(bench.answer(2), Some(Ok(Outcome::Rejected { reason: RejectReason::FeeCeiling(_) }))));
}

#[test]
fn nothing_is_sent_a_block_early_and_nothing_that_cannot_land_in_time() {
    let mut bench = Bench::new(1);
    let now = bench.machine.head.timestamp.0;
    bench.submit(chain::job_in(1, now + 3 * SLOT, now + 5 * SLOT));
    bench.submit(chain::job_in(2, now, now + SLOT));
    assert!(matches!(bench.answer(2), Some(Ok(Outcome::Expired))), "no block can hold it");
    bench.mine();
    assert!(bench.sent().is_empty());
    bench.mine();
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn where_a_node_knows_no_finality_a_deep_block_ends_the_watch() {
    let mut bench = Bench::new(1);
    bench.chain.finality = usize::MAX;
    bench.submit(job(1));
    bench.mine();
    (0..94).for_each(|_| bench.mine_empty());
    assert_eq!(bench.machine.txs.len(), 1);
    bench.mine_empty();
    assert!(bench.machine.txs.is_empty());
}

#[test]
fn a_callers_blobs_are_let_go_once_it_was_answered() {
    let mut bench = Bench::new(1);
    bench.chain.finality = 5;
    bench.submit(blob_job(1));
    assert!(bench.machine.txs[&0].job.is_some());
    bench.mine();
    assert!(bench.machine.txs[&0].job.is_none());
    bench.reorg(1);
    assert_eq!(bench.chain.pool.len(), 1, "its blobs come from the store when it goes out again");
}

#[test]
fn the_funder_takes_no_ordinary_job_though_it_is_the_only_one_that_is_free() {
    let mut bench = Bench::new(2);
    let (publisher, funder) = with_funder(&mut bench);
    (1..=16).for_each(|id| bench.submit(job(id)));
    let senders: Vec<_> = bench.chain.pool.iter().map(|tx| tx.account).collect();
    assert_eq!(senders, vec![publisher; 14], "{funder} took one of the two that wait");
}

#[test]
fn a_pinned_job_goes_to_its_account_alone() {
    let mut bench = Bench::new(2);
    let (publisher, funder) = with_funder(&mut bench);
    (1..=2).for_each(|id| bench.submit(Job { account: Pinned::Only(funder), ..job(id) }));
    bench.submit(Job { account: Pinned::Only(publisher), ..job(3) });
    let senders: Vec<_> = (0..3).map(|id| bench.machine.txs[&id].stored.intent.account).collect();
    assert_eq!(senders, [funder, funder, publisher]);
}

/// Makes the second account of a bench its funder; answers the first and the second.
fn with_funder(bench: &mut Bench) -> (Address, Address) {
    let accounts: Vec<_> = bench.machine.accounts.keys().copied().collect();
    bench.funder = Some(accounts[1]);
    bench.restart();
    (accounts[0], accounts[1])
}
