//! Any order of requests, blocks, reorgs, refusals, lost answers, interrupts and crashes keeps what must hold.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::chain::{Bench, SLOT, job_in};
use crate::Outcome;
use crate::machine::job::JobId;
use crate::records::AttemptKind;

/// Something that happens to a publisher.
#[derive(Clone, Debug)]
enum Happens {
    /// A request whose window opens after some blocks, and stays open for some.
    Request {
        opens: u64,
        lasts: u64,
    },
    Interrupt(u8),
    Block,
    EmptyBlock,
    Reorg(u8),
    Refused(u8),
    AnswersHeld,
    AnswersThere,
    PoolLost,
    /// The next attempt is too late by the time it would be handed over.
    Withheld,
    BaseFee(u8),
    Crash,
}

const REFUSALS: [&str; 6] = [
    "nonce too low",
    "txpool is full",
    "insufficient funds for gas * price + value",
    "replacement transaction underpriced",
    "oversized data",
    "nobody ever said this",
];

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0u64..4, 1u64..8).prop_map(|(opens, lasts)| Happens::Request { opens, lasts }),
        1 => any::<u8>().prop_map(Happens::Interrupt),
        6 => Just(Happens::Block),
        4 => Just(Happens::EmptyBlock),
        2 => (1u8..5).prop_map(Happens::Reorg),
        2 => any::<u8>().prop_map(Happens::Refused),
        1 => Just(Happens::AnswersHeld),
        2 => Just(Happens::AnswersThere),
        1 => Just(Happens::PoolLost),
        1 => Just(Happens::Withheld),
        1 => (1u8..60).prop_map(Happens::BaseFee),
        2 => Just(Happens::Crash),
    ]
}

/// A bench with what a test counts beside it.
struct World {
    bench: Bench,
    jobs: JobId,
    /// Those whose callers wait: they came in this run, and were not interrupted.
    waited_for: HashSet<JobId>,
}

impl World {
    fn new() -> Self {
        let mut bench = Bench::new(2);
        // No reorg of these schedules is deeper.
        bench.chain.finality = 6;
        Self { bench, jobs: 0, waited_for: HashSet::new() }
    }

    fn happen(&mut self, what: Happens) {
        let bench = &mut self.bench;
        match what {
            Happens::Request { opens, lasts } => {
                self.jobs += 1;
                self.waited_for.insert(self.jobs);
                let from = bench.chain.head().timestamp.0 + opens * SLOT;
                bench.submit(job_in(self.jobs, from, from + lasts * SLOT));
            }
            Happens::Interrupt(which) => {
                let job = u64::from(which) % (self.jobs + 1);
                self.waited_for.remove(&job);
                bench.interrupt(job);
            }
            Happens::Block => bench.mine(),
            Happens::EmptyBlock => bench.mine_empty(),
            Happens::Reorg(depth) => bench.reorg(usize::from(depth)),
            Happens::Refused(which) => bench.chain.refuse_next(REFUSALS[usize::from(which) % REFUSALS.len()]),
            Happens::AnswersHeld => bench.chain.hold_answers = true,
            Happens::AnswersThere => bench.release_answers(),
            Happens::PoolLost => bench.chain.pool.clear(),
            Happens::Withheld => bench.chain.withhold_next = true,
            Happens::BaseFee(gwei) => bench.chain.base_fee = u128::from(gwei) * super::GWEI,
            Happens::Crash => {
                self.waited_for.clear();
                bench.restart();
            }
        }
        self.check();
    }

    /// What holds at every moment. That nothing expired or early goes out, and nobody is answered twice, the bench checks.
    fn check(&self) {
        self.each_nonce_belongs_to_one_live_intent();
        self.each_attempt_outbids_the_one_before();
        self.no_job_has_two_transactions_that_may_land();
    }

    fn each_nonce_belongs_to_one_live_intent(&self) {
        let mut owners = HashMap::new();
        for tx in self.bench.disk.txs.values().filter(|tx| !tx.intent.state.freed_its_nonce()) {
            let place = (tx.intent.account, tx.intent.nonce);
            let before = owners.insert(place, tx.intent.id);
            assert_eq!(before, before.and(tx.intent.recycles), "nonce {} has two intents", tx.intent.nonce);
        }
    }

    fn each_attempt_outbids_the_one_before(&self) {
        for tx in self.bench.disk.txs.values() {
            for pair in tx.attempts.windows(2) {
                let (old, new) = (pair[0].fees, pair[1].fees);
                let rises = |old: u128, new: u128| new > old + old / 10;
                assert!(rises(old.max_fee_per_gas, new.max_fee_per_gas) && rises(old.tip, new.tip), "{old:?} {new:?}");
                assert!(new.max_fee_per_gas <= self.bench.fees.max_fee_ceiling);
            }
        }
    }

    fn no_job_has_two_transactions_that_may_land(&self) {
        let mut landed: HashMap<String, usize> = HashMap::new();
        let of_blocks = self.bench.chain.blocks.iter().flat_map(|block| &block.txs).filter(|tx| !tx.is_cancel);
        for tx in of_blocks {
            let stored = self.bench.disk.txs.values().find(|stored| {
                stored.attempts.iter().any(|attempt| attempt.hash == tx.hash && attempt.kind != AttemptKind::Cancel)
            });
            let label = stored.expect("what landed is on record").intent.label.clone();
            *landed.entry(label).or_default() += 1;
        }
        assert!(landed.values().all(|count| *count == 1), "an effect happened twice: {landed:?}");
    }

    /// With a healthy L1, everything comes to an end.
    fn calm_down(&mut self) {
        self.bench.release_answers();
        self.bench.chain.base_fee = super::GWEI;
        for _ in 0..24 {
            self.bench.mine();
            self.check();
        }
        assert!(self.bench.machine.txs.is_empty(), "still followed: {:?}", self.bench.machine.txs.values().next());
        assert!(self.bench.machine.waiting.is_empty(), "still waiting: {:?}", self.bench.machine.waiting);
        let unanswered: Vec<_> = self.waited_for.iter().filter(|job| self.bench.answer(**job).is_none()).collect();
        assert!(unanswered.is_empty(), "nobody told the callers of {unanswered:?}");
        for answer in self.bench.answers.values() {
            assert!(!matches!(answer, Ok(Outcome::Interrupted { .. })));
        }
    }
}

proptest! {
    /// `PROPTEST_CASES` sets how many there are.
    #[test]
    fn any_schedule_keeps_every_invariant_and_ends_with_nothing_in_flight(
        schedule in prop::collection::vec(happens(), 1..40),
    ) {
        let mut world = World::new();
        for what in schedule {
            world.happen(what);
        }
        world.calm_down();
    }
}
