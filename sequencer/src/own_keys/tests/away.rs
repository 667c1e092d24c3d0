//! What is seen while the store that nodes share is away.

use std::time::Duration;

use fermata_primitives::SystemClock;
use fermata_validator_signer::{Both, PostgresOptions, PostgresProtection};

use super::*;
use crate::postgres_server::Server;

const GENEROUS: Duration = Duration::from_secs(60);

/// A node with a store of its own and one on a server.
async fn bench(server: &Server) -> Bench {
    let dir = tempfile::tempdir().expect("a directory");
    let options = PostgresOptions { patience: Duration::from_millis(500), ..PostgresOptions::new("here") };
    PostgresProtection::init(&server.url(), DOMAIN, &options).await.expect("an empty database");
    let shared = PostgresProtection::open(&server.url(), DOMAIN, options).await.expect("it is there");
    let both = Both::new(Arc::new(on_disk(dir.path())), Arc::new(shared)).expect("of one rollup");
    Bench::over(dir, Arc::new(both))
}

impl Bench {
    async fn see(&self, slot: u64, digest: B256) {
        self.own_keys.observe(self.duty(slot), digest, sign(&self.key, digest)).await;
    }

    fn is_halted(&self) -> bool {
        self.signer.protection().key_states().get(&self.key.address()).is_some_and(|state| state.halt.is_some())
    }
}

#[tokio::test]
async fn what_was_signed_elsewhere_while_the_store_was_away_halts_its_key_once_the_store_is_back() {
    let mut server = Server::start();
    let mut bench = bench(&server).await;
    server.down();
    let (one, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
    for _ in 0..2 {
        bench.see(7, one).await;
        bench.see(8, other).await;
    }
    // Of a stranger, and under our name: neither takes a place.
    bench.own_keys.observe(bench.duty(9), one, sign(&bench.stranger, one)).await;
    assert_eq!(bench.own_keys.unjudged(), UnjudgedStatus { waiting: 2, fallen: 0 });
    assert!(!bench.is_halted() && bench.halts() == 0);

    let own_keys = bench.own_keys.clone();
    let told = async {
        server.up("");
        bench.heard.recv().await.expect("nothing was missed")
    };
    let told = tokio::select! {
        told = tokio::time::timeout(GENEROUS, told) => told.expect("it is told in time"),
        () = own_keys.catch_up(&SystemClock) => panic!("it ends with its owner alone"),
    };
    assert!(matches!(told, SequencerEvent::KeyHalted { slot: Slot(7), .. }), "{told:?}");
    let all_judged = async {
        let mut unjudged = own_keys.unjudged.subscribe();
        unjudged.wait_for(Unjudged::is_empty).await.map(drop).expect("it lives");
    };
    tokio::select! {
        judged = tokio::time::timeout(GENEROUS, all_judged) => judged.expect("it is judged in time"),
        () = own_keys.catch_up(&SystemClock) => panic!("it ends with its owner alone"),
    }
    assert!(bench.is_halted());
    bench.see(8, other).await;
    assert_eq!(bench.halts(), 0, "the key was halted by the first of them");
    bench.signer.close().await;
}

#[tokio::test]
async fn a_halt_whose_answer_was_lost_is_told_when_it_is_looked_up_again_and_one_by_another_payload_is_not() {
    let mut bench = Bench::new();
    let (one, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let seen = |slot, digest| {
        let signature = sign(&bench.key, digest).recoverable().expect("it is one");
        Halt { duty: bench.duty(slot), digest, signature }
    };
    let (lost, later) = (seen(7, one), seen(8, other));
    for seen in [lost, later] {
        bench.own_keys.keep(seen);
    }
    bench.signer.protection().observe(lost).await.expect("it is halted, and nobody hears of it");
    for seen in [lost, later] {
        bench.own_keys.judge_late(seen).await.expect("the store is there");
    }
    assert_eq!((bench.halts(), bench.own_keys.unjudged().waiting), (1, 0));
    bench.signer.close().await;
}

#[tokio::test]
async fn what_was_signed_here_before_the_store_went_away_halts_nothing_when_it_is_heard_meanwhile() {
    let mut server = Server::start();
    let mut bench = bench(&server).await;
    bench.signer.start().expect("it starts");
    let ours = B256::repeat_byte(1);
    bench.signer.sign(bench.duty(7), ours).await.expect("it is new");
    server.down();
    bench.see(8, B256::repeat_byte(2)).await;
    bench.see(7, ours).await;
    assert_eq!(bench.own_keys.unjudged().waiting, 2, "nothing is asked while anything waits");
    server.up("");
    while bench.own_keys.unjudged().waiting > 0 {
        let oldest = bench.own_keys.unjudged.borrow().oldest().expect("one waits");
        // The server may not be ready yet.
        let _ = bench.own_keys.judge_late(oldest).await;
    }
    let halt = bench.own_keys.halt_of(bench.key.address()).expect("by the other");
    assert_eq!((halt.duty, bench.halts()), (bench.duty(8), 1));
    bench.signer.close().await;
}
