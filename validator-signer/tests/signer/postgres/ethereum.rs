//! Ethereum's duties, asked for by several nodes over lines that break.

use std::time::Duration;

use alloy::primitives::B256;
use fermata_primitives::{Epoch, Slot};
use fermata_validator_signer::{
    EthAttestation, EthDuty, EthOptions, EthPolicy, EthPublicKey, EthReason, EthSafe, PostgresOptions,
    PostgresProtection, Protection as _, SignerError,
};
use futures::future::join_all;

use super::faults::{patient, through};
use super::proxy::{Cut, Proxy};
use super::server::{SharedPlace, shared};
use crate::ethereum::{block, vote};
use crate::support::digest;

const POLICIES: [EthPolicy; 2] = [EthPolicy::FullHistory, EthPolicy::Watermark];

fn options(place: &SharedPlace, node: &str, policy: EthPolicy) -> PostgresOptions {
    PostgresOptions { eth: EthOptions { policy, far_future: None }, ..patient(place, node) }
}

async fn nodes(place: &SharedPlace, proxy: &Proxy, policy: EthPolicy) -> Vec<PostgresProtection> {
    let names = ["node-0", "node-1", "node-2"];
    join_all(names.map(|name| through(proxy, options(place, name, policy)))).await
}

fn key(number: u8) -> EthPublicKey {
    let mut key = EthPublicKey::repeat_byte(0xa1);
    key[47] = number;
    key
}

#[tokio::test]
async fn a_commit_of_ethereum_duties_whose_answer_is_lost_gives_the_leave_it_gave() {
    for policy in POLICIES {
        let place = SharedPlace::new().await;
        let proxy = Proxy::start(shared().port()).await;
        let store = through(&proxy, options(&place, "a", policy)).await;
        let duties = [(block(10), digest(1)), (vote(3, 5), digest(1)), (vote(3, 4), digest(2))];
        proxy.cut(Cut::AfterCommit, 1);
        let answers = store.reserve_eth_many(key(1), &duties).await;
        assert_eq!(proxy.cuts_left(), 0, "the commit was made, and nobody heard of it");
        assert!(answers[..2].iter().all(|answer| matches!(answer, Ok(EthSafe::New(_)))), "{policy:?}: {answers:?}");
        assert!(matches!(answers[2], Err(SignerError::EthNotSafe(_))), "{policy:?}: {answers:?}");
        assert_eq!(place.sql("SELECT count(*) FROM eth_attempts"), "1");
        store.close().await;
    }
}

#[tokio::test]
async fn a_commit_of_ethereum_duties_that_never_arrived_is_tried_again() {
    for policy in POLICIES {
        let place = SharedPlace::new().await;
        let proxy = Proxy::start(shared().port()).await;
        let store = through(&proxy, options(&place, "a", policy)).await;
        proxy.cut(Cut::BeforeCommit, 3);
        assert!(matches!(store.reserve_eth(key(1), vote(3, 5), digest(1)).await, Ok(EthSafe::New(_))));
        assert_eq!(proxy.cuts_left(), 0);
        store.close().await;
    }
}

#[tokio::test]
async fn what_another_node_was_given_after_a_lost_answer_is_not_given_again() {
    let place = SharedPlace::new().await;
    let proxy = Proxy::start(shared().port()).await;
    let hurried =
        PostgresOptions { patience: Duration::from_millis(300), ..options(&place, "a", EthPolicy::Watermark) };
    let (ours, theirs) = (through(&proxy, hurried).await, place.open_with(options(&place, "b", EthPolicy::Watermark)));
    let theirs = theirs.await;
    proxy.shut();
    proxy.cut(Cut::BeforeCommit, 1);
    let lost = ours.reserve_eth(key(1), vote(3, 5), digest(1)).await;
    assert!(matches!(lost, Err(SignerError::Unavailable { ambiguous: true, .. })), "{lost:?}");
    assert!(matches!(theirs.reserve_eth(key(1), vote(3, 5), digest(2)).await, Ok(EthSafe::New(_))));
    proxy.open();
    let refused = loop {
        match ours.reserve_eth(key(1), vote(3, 5), digest(1)).await {
            Err(SignerError::Unavailable { .. }) => {}
            answer => break answer,
        }
    };
    let Err(SignerError::EthNotSafe(refused)) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.reason, EthReason::TargetBelowLow { lowest: Epoch(6) });
    join_all([&ours, &theirs].map(|node| node.close())).await;
}

#[tokio::test]
async fn nodes_that_race_for_one_target_over_broken_lines_get_one_vote_between_them() {
    for policy in POLICIES {
        let place = SharedPlace::new().await;
        let proxy = Proxy::start(shared().port()).await;
        let nodes = nodes(&place, &proxy, policy).await;
        for target in 1..=20 {
            proxy.cut(if target % 2 == 0 { Cut::AfterCommit } else { Cut::BeforeCommit }, 2);
            let race =
                nodes.iter().zip(1u8..).map(|(node, root)| node.reserve_eth(key(1), vote(0, target), digest(root)));
            let outcomes = join_all(race).await;
            let granted = outcomes.iter().filter(|outcome| matches!(outcome, Ok(EthSafe::New(_)))).count();
            assert_eq!(granted, 1, "{policy:?}, target {target}: {outcomes:?}");
        }
        join_all(nodes.iter().map(|node| node.close())).await;
    }
}

/// Numbers of a seed, below `end`.
fn number(seed: &mut u64, end: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed % end
}

fn is_slashable(one: (EthAttestation, B256), other: (EthAttestation, B256)) -> bool {
    (one.0.target == other.0.target && one != other) || one.0.surrounds(other.0) || other.0.surrounds(one.0)
}

#[tokio::test]
async fn of_all_that_racing_nodes_are_given_no_two_are_slashable() {
    let place = SharedPlace::new().await;
    let proxy = Proxy::start(shared().port()).await;
    let nodes = nodes(&place, &proxy, EthPolicy::FullHistory).await;
    // The first record of a key is its lowest.
    let first = EthAttestation { source: Epoch(0), target: Epoch(0) };
    let mut given = [vec![(first, digest(1))], vec![(first, digest(1))]];
    for of in 0..2 {
        assert!(nodes[0].reserve_eth(key(of), EthDuty::Attestation(first), digest(1)).await.is_ok());
    }
    let mut seed = 0x2545_f491_4f6c_dd1d;
    for round in 0..60 {
        if round % 3 == 0 {
            proxy.cut(if round % 2 == 0 { Cut::AfterCommit } else { Cut::BeforeCommit }, 1);
        }
        let asked: Vec<_> = (0..nodes.len() * 2)
            .map(|at| {
                let (a, b) = (number(&mut seed, 24), number(&mut seed, 24));
                let asked = EthAttestation { source: Epoch(a.min(b)), target: Epoch(a.max(b)) };
                (at % 2, asked, digest(u8::try_from(number(&mut seed, 2)).unwrap() + 1))
            })
            .collect();
        let race = asked.iter().enumerate().map(|(at, &(of, asked, root))| {
            let public_key = key(u8::try_from(of).unwrap());
            nodes[at / 2].reserve_eth(public_key, EthDuty::Attestation(asked), root)
        });
        for ((of, asked, root), outcome) in asked.iter().zip(join_all(race).await) {
            match outcome {
                Ok(_) => given[*of].push((*asked, *root)),
                Err(SignerError::EthNotSafe(_)) => {}
                Err(failure) => panic!("{failure}"),
            }
        }
    }
    for given in &given {
        assert!(given.len() > 4, "the nodes were given {} in all", given.len());
        for (at, one) in given.iter().enumerate() {
            let slashable = given[..at].iter().find(|other| is_slashable(*one, **other));
            assert_eq!(slashable, None, "beside {one:?}");
        }
    }
    join_all(nodes.iter().map(|node| node.close())).await;
}

#[tokio::test]
async fn nodes_that_ask_for_many_keys_at_once_do_not_wait_for_one_another_in_a_ring() {
    let place = SharedPlace::new().await;
    let proxy = Proxy::start(shared().port()).await;
    let nodes = nodes(&place, &proxy, EthPolicy::FullHistory).await;
    for slot in 1..=5 {
        // Each in an order of its own, and all with the same root.
        let asked = nodes.iter().zip([7, 11, 13]).flat_map(|(node, step)| {
            let keys = (0..60).map(move |at| key(u8::try_from(at * step % 60).unwrap()));
            keys.map(move |public_key| node.reserve_eth(public_key, block(slot), digest(1)))
        });
        for outcome in join_all(asked).await {
            assert!(outcome.is_ok(), "{outcome:?}");
        }
    }
    assert_eq!(place.sql("SELECT count(DISTINCT public_key), count(*) FROM eth_blocks"), "60|300");
    join_all(nodes.iter().map(|node| node.close())).await;
}

#[tokio::test]
async fn a_key_that_one_node_retires_signs_at_none_and_what_one_prunes_is_refused_by_all() {
    let place = SharedPlace::new().await;
    let (one, other) = (place.open("a").await, place.open("b").await);
    for public_key in [key(1), key(2)] {
        assert!(one.reserve_eth(public_key, block(10), digest(1)).await.is_ok());
        assert!(other.reserve_eth(public_key, vote(3, 5), digest(1)).await.is_ok());
    }
    one.retire_eth(&[key(1)]).await.unwrap();
    assert_eq!(one.prune_eth(Slot(10), Epoch(5)).await.unwrap(), 4);
    for (public_key, duty, expected) in [
        (key(1), block(11), EthReason::Retired),
        (key(2), block(10), EthReason::SlotBelowLow { lowest: Slot(11) }),
        (key(2), vote(3, 5), EthReason::TargetBelowLow { lowest: Epoch(6) }),
        (key(2), vote(2, 6), EthReason::SourceBelowLow { lowest: Epoch(3) }),
    ] {
        let Err(SignerError::EthNotSafe(refused)) = other.reserve_eth(public_key, duty, digest(1)).await else {
            panic!("{duty} was not refused")
        };
        assert_eq!(refused.reason, expected);
    }
    join_all([&one, &other].map(|node| node.close())).await;
}
