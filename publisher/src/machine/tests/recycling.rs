//! A nonce that goes from one that expired to one that waits.

use super::chain::{Bench, SLOT, blob_job, job_for, job_in};
use crate::machine::job::Job;
use crate::records::AttemptKind;
use crate::{L1TxState, Outcome, RejectReason};

/// One transaction about to expire, and one whose window opens as it does.
fn in_line() -> Bench {
    let mut bench = Bench::new(1);
    let now = bench.chain.head().timestamp.0;
    bench.submit(job_for(1, 2));
    bench.submit(job_in(2, now + 3 * SLOT, now + 9 * SLOT));
    bench.mine_empty();
    bench
}

/// Both have one nonce: which of them lands is open.
fn recycled() -> Bench {
    let mut bench = in_line();
    bench.mine_empty();
    bench
}

/// The same, and no node has answered for the second.
fn recycled_unanswered() -> Bench {
    let mut bench = in_line();
    bench.chain.hold_answers = true;
    bench.mine_empty();
    bench
}

#[test]
fn the_nonce_of_one_that_expired_goes_to_the_next_that_waits_which_kills_it_and_lands() {
    let mut bench = recycled();
    assert_eq!(bench.sent(), [(0, 0), (1, 0)], "no cancel was sent");
    let heir = &bench.machine.txs[&1].stored;
    assert_eq!((heir.intent.nonce, heir.intent.recycles), (0, Some(0)));
    let (old, new) = (&bench.disk.txs[&0].attempts[0].fees, &heir.attempts[0].fees);
    assert!(new.outbids(old), "{new:?} does not replace {old:?} in a pool");
    assert!(matches!(bench.answer(1), Some(Ok(Outcome::Expired))));
    bench.mine();
    assert!(matches!(bench.answer(2), Some(Ok(Outcome::Mined(_)))));
    assert_eq!(bench.machine.txs[&0].state(), L1TxState::Cancelling, "its rival's block may still be removed");
    bench.mine_empty();
    assert!(bench.machine.txs.is_empty());
    assert_eq!(bench.disk.txs[&0].intent.state, L1TxState::Cancelled);
}

#[test]
fn where_the_stale_one_lands_after_all_the_other_is_sent_with_another_nonce() {
    let mut bench = recycled();
    bench.mine_attempt(0, 0);
    assert!(bench.answer(2).is_none(), "it still has time");
    assert_eq!(bench.machine.txs[&2].stored.intent.nonce, 1);
    bench.mine();
    assert!(matches!(bench.answer(2), Some(Ok(Outcome::Mined(_)))));
    (0..2).for_each(|_| bench.mine_empty());
    assert!(bench.machine.txs.is_empty());
}

#[test]
fn a_refused_heir_leaves_the_nonce_to_the_cancel_of_the_one_that_expired() {
    let mut bench = in_line();
    bench.chain.refuse_next("txpool is full");
    bench.mine_empty();
    assert_eq!(bench.disk.txs[&1].intent.state, L1TxState::Rejected);
    assert_eq!(bench.attempts(0), [AttemptKind::Initial, AttemptKind::Cancel]);
    bench.mine_empty();
    assert_eq!(bench.machine.txs[&2].stored.intent.nonce, 1, "the nonce of the cancel was not given away");
    bench.mine();
    assert!(matches!(bench.answer(2), Some(Ok(Outcome::Mined(_)))));
}

#[test]
fn a_job_of_the_other_type_does_not_take_the_nonce_over() {
    let mut bench = Bench::new(1);
    let now = bench.chain.head().timestamp.0;
    bench.submit(job_for(1, 2));
    let mut other = blob_job(2);
    other.request.not_before = fermata_primitives::L1Timestamp(now + 3 * SLOT);
    other.request.deadline = fermata_primitives::L1Timestamp(now + 9 * SLOT);
    bench.submit(Job { ..other });
    bench.mine_empty();
    bench.mine_empty();
    assert_eq!(bench.attempts(0), [AttemptKind::Initial, AttemptKind::Cancel]);
}

#[test]
fn both_expired_the_newer_ones_cancel_outbids_both() {
    let mut bench = recycled();
    (0..8).for_each(|_| bench.mine_empty());
    let of = |bench: &Bench, id: u64| bench.disk.txs[&id].attempts.clone();
    assert_eq!(of(&bench, 0).len(), 1, "it is only watched");
    let cancel = of(&bench, 1).last().expect("it was cancelled").clone();
    assert_eq!(cancel.kind, AttemptKind::Cancel);
    assert!(of(&bench, 0).iter().all(|attempt| cancel.fees.outbids(&attempt.fees)));
    bench.mine();
    bench.mine_empty();
    assert!(bench.machine.txs.is_empty());
}

#[test]
fn the_caller_of_an_heir_that_nobody_answered_for_is_told_when_its_rival_is_final() {
    let mut bench = recycled_unanswered();
    bench.mine_attempt(0, 0);
    bench.mine_empty();
    assert!(matches!(bench.answer(2), Some(Ok(Outcome::Rejected { reason: RejectReason::Superseded { .. } }))));
    assert!(bench.machine.txs.is_empty());
}

#[test]
fn a_new_run_knows_which_of_the_two_acts() {
    let mut bench = recycled();
    bench.restart();
    assert_eq!(bench.attempts(0), [AttemptKind::Initial]);
    bench.mine_attempt(1, 0);
    bench.restart();
    bench.mine_empty();
    assert!(bench.machine.txs.is_empty());
    assert_eq!(bench.disk.txs[&1].intent.state, L1TxState::Included);
}

#[test]
fn when_the_heirs_block_is_removed_it_lands_again_and_the_other_stays_outdone() {
    let mut bench = recycled();
    bench.chain.finality = 6;
    bench.mine();
    bench.reorg(1);
    bench.mine();
    assert_eq!(bench.machine.txs[&1].state(), L1TxState::Included);
    assert_eq!(bench.attempts(0), [AttemptKind::Initial]);
    (0..7).for_each(|_| bench.mine_empty());
    assert!(bench.machine.txs.is_empty());
}
