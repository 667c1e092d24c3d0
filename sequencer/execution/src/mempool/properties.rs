//! Random sequences of changes, held against a model that knows only which transactions are in the pool.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::testkit::{rich, sender, transfer};
use super::*;

const SENDERS: u8 = 4;

#[derive(Clone, Debug)]
enum Change {
    Add { index: u8, nonce: u64, cap: u128, tip: u128 },
    Mine { count: usize },
    GoBack { blocks: usize },
    Drop { index: u8, nonce: u64 },
}

fn change() -> impl Strategy<Value = Change> {
    let add = (0..SENDERS, 0u64..12, 1u128..60, 0u128..60).prop_map(|(index, nonce, cap, tip)| Change::Add {
        index,
        nonce,
        cap,
        tip: tip.min(cap),
    });
    prop_oneof![
        8 => add,
        1 => (1usize..5).prop_map(|count| Change::Mine { count }),
        1 => (1usize..3).prop_map(|blocks| Change::GoBack { blocks }),
        1 => (0..SENDERS, 0u64..12).prop_map(|(index, nonce)| Change::Drop { index, nonce }),
    ]
}

/// A chain of blocks over the pool, as an execution engine would drive it.
#[derive(Default)]
struct Chain {
    nonces: BTreeMap<Address, u64>,
    blocks: Vec<Vec<PooledTx>>,
}

impl Chain {
    fn nonce(&self, sender: Address) -> u64 {
        self.nonces.get(&sender).copied().unwrap_or(0)
    }

    fn nonces(&self) -> Vec<(Address, u64)> {
        self.nonces.iter().map(|(sender, nonce)| (*sender, *nonce)).collect()
    }

    fn mine(&mut self, pool: &Mempool, count: usize, base_fee: u64) {
        let block: Vec<_> = pool.best(base_fee).take(count).map(|tx| (*tx).clone()).collect();
        for tx in &block {
            self.nonces.insert(tx.signer(), tx.nonce() + 1);
        }
        self.blocks.push(block);
        pool.on_canonical(&self.nonces());
    }

    fn go_back(&mut self, pool: &Mempool, blocks: usize) {
        let left = self.blocks.split_off(self.blocks.len().saturating_sub(blocks));
        for tx in left.iter().flatten().rev() {
            self.nonces.insert(tx.signer(), tx.nonce());
        }
        pool.reinject(left.into_iter().flatten().collect());
        pool.on_canonical(&self.nonces());
    }
}

fn apply(pool: &Mempool, chain: &mut Chain, change: &Change, base_fee: u64) {
    match *change {
        Change::Add { index, nonce, cap, tip } => {
            let before = pool.len();
            let account = rich(chain.nonce(sender(index)));
            let result = pool.add(transfer(index, nonce, cap, tip), account, base_fee);
            if result.is_err() {
                assert_eq!(pool.len(), before, "a refusal changes nothing");
            }
        }
        Change::Mine { count } => chain.mine(pool, count, base_fee),
        Change::GoBack { blocks } => chain.go_back(pool, blocks),
        Change::Drop { index, nonce } => {
            let found = pool.pool().queue(sender(index)).and_then(|queue| queue.get(nonce)).map(|e| e.tx.hash());
            found.into_iter().for_each(|hash| pool.remove_invalid(hash, "a test says so"));
        }
    }
}

/// What must hold of the order at any time: nonce order without gaps from the chain's nonce, no nonce twice, best first.
fn assert_ordered(pool: &Mempool, chain: &Chain, base_fee: u64) {
    let mut next: BTreeMap<Address, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let yielded: Vec<_> = pool.best(base_fee).collect();
    for tx in &yielded {
        let expected = next.entry(tx.signer()).or_insert_with(|| chain.nonce(tx.signer()));
        assert_eq!(tx.nonce(), *expected, "nonces follow each other");
        *expected += 1;
        assert!(seen.insert((tx.signer(), tx.nonce())), "no nonce comes twice");
        assert!(tx.fee_cap() >= u128::from(base_fee));
    }
    for pair in yielded.windows(2).filter(|pair| pair[0].signer() != pair[1].signer()) {
        let follows_own = yielded.iter().any(|tx| tx.signer() == pair[1].signer() && tx.nonce() + 1 == pair[1].nonce());
        if !follows_own {
            assert!(pair[0].tip_at(base_fee) >= pair[1].tip_at(base_fee), "heads come by what they pay");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_pool_is_consistent_capped_and_ordered_whatever_happens(
        changes in prop::collection::vec(change(), 1..80), base_fee in 0u64..40, max in 3usize..20, per_sender in 2usize..6,
    ) {
        let config = MempoolConfig { max_transactions: max, max_per_sender: per_sender, ..MempoolConfig::default() };
        let (pool, mut chain) = (Mempool::new(config.clone()), Chain::default());
        for change in &changes {
            apply(&pool, &mut chain, change, base_fee);
            pool.pool().assert_consistent(&config);
            assert_ordered(&pool, &chain, base_fee);
        }
    }

    #[test]
    fn nothing_ready_is_lost_where_there_is_room(
        adds in prop::collection::vec((0..SENDERS, 0u64..12), 1..60), cuts in prop::collection::vec((1usize..6, 0usize..3), 0..6),
    ) {
        let (pool, mut chain) = (Mempool::default(), Chain::default());
        let mut model = BTreeSet::new();
        for (index, nonce) in adds {
            if pool.add(transfer(index, nonce, 10, 1), rich(0), 1).is_ok() {
                model.insert((sender(index), nonce));
            }
        }
        for (count, back) in cuts {
            chain.mine(&pool, count, 1);
            chain.go_back(&pool, back);
            let mined: BTreeSet<_> = chain.blocks.iter().flatten().map(|tx| (tx.signer(), tx.nonce())).collect();
            let waiting: BTreeSet<_> = pool.pool().queues().flat_map(|queue| {
                (0..12).filter_map(|nonce| queue.get(nonce)).map(|entry| (entry.tx.signer(), entry.tx.nonce())).collect::<Vec<_>>()
            }).collect();
            prop_assert!(mined.is_disjoint(&waiting));
            prop_assert_eq!(&(&mined | &waiting), &model, "each is in a block or waits");
            let ready = (0..SENDERS).map(sender).map(|s| {
                (chain.nonce(s)..).take_while(|nonce| waiting.contains(&(s, *nonce))).count()
            }).sum::<usize>();
            prop_assert_eq!(pool.best(1).count(), ready, "all without a gap before them are yielded");
        }
    }
}
