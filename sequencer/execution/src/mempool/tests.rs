use alloy::primitives::U256;

use super::testkit::{GAS, rich, sender, transfer, with_input};
use super::*;

fn pool(config: MempoolConfig) -> Mempool {
    Mempool::new(config)
}

fn nonces(pool: &Mempool, base_fee: u64) -> Vec<(Address, u64)> {
    pool.best(base_fee).map(|tx| (tx.signer(), tx.nonce())).collect()
}

#[test]
fn a_gap_is_kept_until_it_is_filled() {
    let pool = Mempool::default();
    assert_eq!(pool.add(transfer(0, 7, 10, 1), rich(5), 1).unwrap().place, Place::Queued);
    assert_eq!(pool.add(transfer(0, 6, 10, 1), rich(5), 1).unwrap().place, Place::Queued);
    assert_eq!((pool.size(), pool.pending_nonce(sender(0))), (MempoolSize { ready: 0, queued: 2 }, None));
    assert!(nonces(&pool, 1).is_empty());
    assert_eq!(pool.add(transfer(0, 5, 10, 1), rich(5), 1).unwrap().place, Place::Ready);
    assert_eq!(pool.pending_nonce(sender(0)), Some(8));
    assert_eq!(nonces(&pool, 1), [(sender(0), 5), (sender(0), 6), (sender(0), 7)]);
}

#[test]
fn the_best_pay_most_at_this_base_fee_and_keep_their_senders_order() {
    let pool = Mempool::default();
    for tx in [transfer(0, 0, 100, 1), transfer(0, 1, 100, 50), transfer(1, 0, 100, 20), transfer(2, 0, 30, 30)] {
        pool.add(tx, rich(0), 1).unwrap();
    }
    let (a, b, c) = (sender(0), sender(1), sender(2));
    assert_eq!(nonces(&pool, 0), [(c, 0), (b, 0), (a, 0), (a, 1)], "c pays 30, b 20, a 1 and then 50");
    assert_eq!(nonces(&pool, 25), [(b, 0), (c, 0), (a, 0), (a, 1)], "above the base fee c has only 5 left");
    assert_eq!(nonces(&pool, 31), [(b, 0), (a, 0), (a, 1)], "c cannot pay the base fee");
}

#[test]
fn of_equal_bids_the_earlier_comes_first() {
    let pool = Mempool::default();
    for index in [3, 1, 2] {
        pool.add(transfer(index, 0, 10, 1), rich(0), 1).unwrap();
    }
    assert_eq!(nonces(&pool, 1), [(sender(3), 0), (sender(1), 0), (sender(2), 0)]);
}

#[test]
fn a_declined_transaction_holds_its_senders_others_back_and_stays() {
    let pool = Mempool::default();
    for tx in [transfer(0, 0, 10, 9), transfer(0, 1, 10, 9), transfer(1, 0, 10, 1)] {
        pool.add(tx, rich(0), 1).unwrap();
    }
    let mut best = pool.best(1);
    assert_eq!(best.next().unwrap().signer(), sender(0));
    best.decline();
    assert_eq!(best.next().unwrap().signer(), sender(1));
    assert!(best.next().is_none());
    assert_eq!(pool.len(), 3);
}

#[test]
fn what_is_removed_or_replaced_while_a_block_is_built_is_not_yielded() {
    let pool = Mempool::default();
    let (bad, behind) = (transfer(0, 0, 10, 9), transfer(0, 1, 10, 9));
    let bad_hash = bad.hash();
    for tx in [bad, behind, transfer(1, 0, 10, 5)] {
        pool.add(tx, rich(0), 1).unwrap();
    }
    let mut best = pool.best(1);
    assert_eq!(best.next().unwrap().hash(), bad_hash);
    pool.remove_invalid(bad_hash, "it reverts the block");
    let replacement = transfer(1, 0, 20, 10);
    let replacement_hash = replacement.hash();
    pool.add(replacement, rich(0), 1).unwrap();
    assert_eq!(best.next().unwrap().hash(), replacement_hash, "the one it replaced is gone");
    assert!(best.next().is_none(), "what stood behind the bad one is queued");
    assert_eq!(pool.size(), MempoolSize { ready: 1, queued: 1 });
}

#[test]
fn a_replacement_must_raise_both_fees_by_a_tenth() {
    let pool = Mempool::default();
    let old = pool.add(transfer(0, 0, 1_000, 100), rich(0), 1).unwrap().hash;
    for (cap, tip) in [(1_099, 110), (1_100, 109), (1_000, 100 + 1)] {
        let refused = pool.add(transfer(0, 0, cap, tip), rich(0), 1).unwrap_err();
        let needed = MempoolError::ReplacementUnderpriced { cap, cap_needed: 1_100, tip, tip_needed: 110 };
        assert_eq!(refused, needed);
        assert!(refused.to_string().starts_with("replacement transaction underpriced"));
    }
    assert!(pool.get(old).is_some(), "a refused replacement changes nothing");
    let added = pool.add(transfer(0, 0, 1_100, 110), rich(0), 1).unwrap();
    assert_eq!((added.replaced, pool.len()), (Some(old), 1));
    assert!(pool.get(old).is_none());
}

#[test]
fn a_priority_fee_of_nothing_is_outbid_by_one_wei() {
    let pool = Mempool::default();
    pool.add(transfer(0, 0, 5, 0), rich(0), 1).unwrap();
    assert!(pool.add(transfer(0, 0, 6, 0), rich(0), 1).is_err());
    assert!(pool.add(transfer(0, 0, 6, 1), rich(0), 1).is_ok());
}

#[test]
fn what_is_known_or_used_up_is_refused() {
    let pool = Mempool::default();
    pool.add(transfer(0, 3, 10, 1), rich(3), 1).unwrap();
    assert_eq!(pool.add(transfer(0, 3, 10, 1), rich(3), 1), Err(MempoolError::AlreadyKnown));
    assert_eq!(pool.add(transfer(0, 2, 10, 1), rich(3), 1), Err(MempoolError::NonceTooLow { next: 3, have: 2 }));
    let stale_view = pool.add(transfer(0, 2, 10, 1), rich(2), 1);
    assert_eq!(stale_view, Err(MempoolError::NonceTooLow { next: 3, have: 2 }), "a stale view does not go back");
}

#[test]
fn a_sender_must_cover_all_it_has_in_the_pool() {
    let pool = Mempool::default();
    let one = U256::from(GAS * 10);
    let account = AccountView { nonce: 0, balance: one * U256::from(2) };
    pool.add(transfer(0, 0, 10, 1), account, 1).unwrap();
    pool.add(transfer(0, 1, 10, 1), account, 1).unwrap();
    let refused = pool.add(transfer(0, 2, 10, 1), account, 1).unwrap_err();
    let (balance, queued) = (account.balance, account.balance);
    assert_eq!(refused, MempoolError::InsufficientFunds { sender: sender(0), balance, queued, cost: one });
    assert!(refused.to_string().starts_with("insufficient funds for gas * price + value"));
    let replacement = pool.add(transfer(0, 1, 11, 2), account, 1).unwrap_err();
    let cost = U256::from(GAS * 11);
    assert_eq!(replacement, MempoolError::InsufficientFunds { sender: sender(0), balance, queued: one, cost });
    assert_eq!(pool.len(), 2);
}

#[test]
fn fees_below_the_configured_floors_are_refused() {
    let pool = pool(MempoolConfig { min_priority_fee: 5, min_fee_cap: 7, ..MempoolConfig::default() });
    let cap = MempoolError::Underpriced { what: "max fee per gas", have: 6, want: 7 };
    assert_eq!(pool.add(transfer(0, 0, 6, 5), rich(0), 1), Err(cap));
    let tip = MempoolError::Underpriced { what: "priority fee", have: 4, want: 5 };
    assert_eq!(pool.add(transfer(0, 0, 7, 4), rich(0), 1), Err(tip.clone()));
    assert!(tip.to_string().starts_with("transaction underpriced"));
    pool.add(transfer(0, 0, 7, 5), rich(0), 1).unwrap();
}

#[test]
fn a_full_pool_evicts_the_oldest_queued_first_and_then_the_cheapest() {
    let pool = pool(MempoolConfig { max_transactions: 4, ..MempoolConfig::default() });
    let younger_gap = transfer(2, 9, 1_000, 900);
    let younger_gap_hash = younger_gap.hash();
    let older_gap = pool.add(transfer(1, 9, 1_000, 1_000), rich(0), 1).unwrap().hash;
    pool.add(younger_gap, rich(0), 1).unwrap();
    let cheapest = pool.add(transfer(3, 0, 100, 2), rich(0), 1).unwrap().hash;
    pool.add(transfer(4, 0, 100, 3), rich(0), 1).unwrap();
    assert_eq!(pool.add(transfer(5, 0, 100, 1), rich(0), 1).unwrap().evicted, [older_gap]);
    assert_eq!(pool.add(transfer(6, 0, 100, 4), rich(0), 1).unwrap().evicted, [younger_gap_hash]);
    let five = pool.add(transfer(7, 0, 100, 5), rich(0), 1).unwrap();
    assert_ne!(five.evicted, [cheapest], "sender 5 pays 1, less than 2");
    assert_eq!(pool.add(transfer(8, 0, 100, 6), rich(0), 1).unwrap().evicted, [cheapest]);
}

#[test]
fn a_full_pool_refuses_what_is_not_better() {
    let pool = pool(MempoolConfig { max_transactions: 2, ..MempoolConfig::default() });
    pool.add(transfer(0, 0, 100, 5), rich(0), 1).unwrap();
    pool.add(transfer(1, 0, 100, 5), rich(0), 1).unwrap();
    assert_eq!(pool.add(transfer(2, 9, 999, 99), rich(0), 1), Err(MempoolError::PoolFull), "a gap displaces nobody");
    let what = "priority fee in a full pool";
    let refused = MempoolError::Underpriced { what, have: 5, want: 6 };
    assert_eq!(pool.add(transfer(2, 0, 100, 5), rich(0), 1), Err(refused));
    let what = "max fee per gas in a full pool";
    let refused = MempoolError::Underpriced { what, have: 40, want: 50 };
    assert_eq!(pool.add(transfer(2, 0, 40, 40), rich(0), 50), Err(refused), "the base fee shuts it out");
    assert_eq!(
        pool.add(transfer(0, 1, 100, 5), rich(0), 1).unwrap_err().to_string().split(':').next().unwrap(),
        "transaction underpriced"
    );
    assert_eq!(pool.len(), 2);
}

#[test]
fn what_the_base_fee_shuts_out_goes_before_the_cheapest() {
    let pool = pool(MempoolConfig { max_transactions: 2, ..MempoolConfig::default() });
    let shut_out = pool.add(transfer(0, 0, 40, 40), rich(0), 1).unwrap().hash;
    pool.add(transfer(1, 0, 100, 1), rich(0), 1).unwrap();
    assert_eq!(pool.add(transfer(2, 0, 100, 2), rich(0), 50).unwrap().evicted, [shut_out]);
}

#[test]
fn a_sender_at_its_cap_gives_up_its_last_for_an_earlier_one_and_no_other() {
    let pool = pool(MempoolConfig { max_per_sender: 2, ..MempoolConfig::default() });
    pool.add(transfer(0, 1, 10, 1), rich(0), 1).unwrap();
    let last = pool.add(transfer(0, 2, 10, 1), rich(0), 1).unwrap().hash;
    let refused = MempoolError::SenderFull { sender: sender(0), limit: 2 };
    assert_eq!(pool.add(transfer(0, 3, 10, 1), rich(0), 1), Err(refused));
    assert_eq!(pool.add(transfer(0, 0, 10, 1), rich(0), 1).unwrap().evicted, [last]);
    assert_eq!(nonces(&pool, 1), [(sender(0), 0), (sender(0), 1)]);
    pool.add(transfer(0, 1, 20, 2), rich(0), 1).expect("a replacement needs no room");
}

#[test]
fn bytes_are_capped_too() {
    let size = with_input(0, 0, (10, 1), 1_000).raw().len();
    let pool = pool(MempoolConfig { max_bytes: 2 * size, ..MempoolConfig::default() });
    let first = pool.add(with_input(0, 0, (10, 1), 1_000), rich(0), 1).unwrap().hash;
    let second = pool.add(with_input(1, 0, (10, 2), 1_000), rich(0), 1).unwrap().hash;
    let added = pool.add(with_input(2, 0, (10, 3), 1_500), rich(0), 1).unwrap();
    assert_eq!(added.evicted, [first, second], "it needs the room of both");
}

#[test]
fn mined_transactions_leave_and_come_back_when_their_block_does() {
    let pool = Mempool::default();
    let txs: Vec<_> = (0..4).map(|nonce| transfer(0, nonce, 10, 1)).collect();
    for tx in &txs {
        pool.add(tx.clone(), rich(0), 1).unwrap();
    }
    pool.on_canonical(&[(sender(0), 2)]);
    assert_eq!(nonces(&pool, 1), [(sender(0), 2), (sender(0), 3)]);
    pool.reinject(txs[..2].to_vec());
    pool.on_canonical(&[(sender(0), 0)]);
    assert_eq!(nonces(&pool, 1), (0..4).map(|nonce| (sender(0), nonce)).collect::<Vec<_>>());
    pool.on_canonical(&[(sender(0), 4)]);
    assert!(pool.is_empty());
    pool.reinject(txs);
    pool.on_canonical(&[(sender(0), 1)]);
    assert_eq!(nonces(&pool, 1).first(), Some(&(sender(0), 1)), "the new chain holds the first one too");
}

#[test]
fn a_nonce_that_went_back_without_its_transactions_leaves_a_gap() {
    let pool = Mempool::default();
    pool.add(transfer(0, 5, 10, 1), rich(5), 1).unwrap();
    pool.on_canonical(&[(sender(0), 3)]);
    assert_eq!(pool.size(), MempoolSize { ready: 0, queued: 1 });
    pool.on_canonical(&[(sender(0), 5)]);
    assert_eq!(pool.size(), MempoolSize { ready: 1, queued: 0 });
}
