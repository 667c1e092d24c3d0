use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::network::in_process::link::Share;

const FAR: UnixTime = UnixTime(Duration::from_secs(1_000_000));

fn at(millis: u64) -> UnixTime {
    UnixTime::from_millis(millis)
}

fn node(name: &str) -> NodeId {
    NodeId::new(name)
}

fn route(from: &str, to: &str) -> Route {
    Route { from: node(from), to: node(to) }
}

fn flight(from: &str, to: &str, parcel: u64) -> Flight<u64> {
    Flight { route: route(from, to), deadline: FAR, parcel }
}

fn links(seed: u64, settings: LinkSettings) -> Links<u64> {
    let mut links = Links::new(seed);
    links.set_every(settings);
    links
}

/// A hundred messages from `a` to `b`, a millisecond apart: those that arrive, in that order.
fn hundred(links: &mut Links<u64>) -> Vec<u64> {
    for parcel in 0..100 {
        let _ = links.send(at(parcel), flight("a", "b", parcel));
    }
    parcels(links.take_due(FAR).arrived)
}

fn parcels(flights: Vec<Flight<u64>>) -> Vec<u64> {
    flights.into_iter().map(|flight| flight.parcel).collect()
}

fn is_sorted(parcels: &[u64]) -> bool {
    parcels.windows(2).all(|pair| pair[0] < pair[1])
}

proptest! {
    #[test]
    fn without_jitter_a_link_keeps_the_order(seed: u64, latency in 0..5_000_u64) {
        let latency = Duration::from_millis(latency);
        let arrived = hundred(&mut links(seed, LinkSettings { latency, ..LinkSettings::default() }));
        prop_assert_eq!(arrived, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn with_jitter_later_messages_overtake_and_none_is_lost(seed: u64) {
        let jitter = Duration::from_secs(1);
        let mut arrived = hundred(&mut links(seed, LinkSettings { jitter, ..LinkSettings::default() }));
        prop_assert!(!is_sorted(&arrived));
        arrived.sort_unstable();
        prop_assert_eq!(arrived, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_message_arrives_within_latency_and_jitter(seed: u64, sent in 0..1_000_u64) {
        let (latency, jitter) = (Duration::from_millis(100), Duration::from_millis(50));
        let mut links = links(seed, LinkSettings { latency, jitter, ..LinkSettings::default() });
        let due = links.send(at(sent), flight("a", "b", 0)).expect("nothing is lost");
        prop_assert!((at(sent + 100)..at(sent + 150)).contains(&due));
        prop_assert!(links.take_due(due - Duration::from_nanos(1)).arrived.is_empty());
        prop_assert_eq!(links.take_due(due).arrived.len(), 1);
    }

    #[test]
    fn the_same_seed_and_sends_are_the_same_deliveries_however_links_fall_between_one_another(
        seed: u64, order in Just((0..60_u64).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let settings = LinkSettings {
            latency: Duration::from_millis(20),
            jitter: Duration::from_millis(200),
            loss: Share::percent(20),
            reorder: Share::percent(10),
            held_back: Duration::from_secs(1),
        };
        let routes = [("a", "b"), ("b", "a"), ("a", "c")];
        // Each link sends its twenty messages in order; which link's turn it is follows `order`.
        let run = |order: &[u64]| {
            let (mut links, mut sent) = (links(seed, settings), [0; 3]);
            for turn in order {
                let link = (turn % 3) as usize;
                let _ = links.send(at(0), flight(routes[link].0, routes[link].1, sent[link]));
                sent[link] += 1;
            }
            let mut steps = Vec::new();
            while let Some(due) = links.next_due() {
                steps.push((due, links.take_due(due).arrived));
            }
            steps
        };
        let in_order: Vec<u64> = (0..60).collect();
        prop_assert_eq!(run(&order), run(&in_order));
    }

    #[test]
    fn a_share_of_messages_is_lost_and_the_seed_says_which(seed: u64) {
        let settings = LinkSettings { loss: Share::percent(10), ..LinkSettings::default() };
        let survivors = |seed| {
            let mut links = links(seed, settings);
            (0..1_000_u64).filter(|&parcel| links.send(at(0), flight("a", "b", parcel)).is_ok()).collect::<Vec<_>>()
        };
        let arrived = survivors(seed);
        // Six standard deviations of a thousand draws around nine in ten.
        prop_assert!((843..=957).contains(&arrived.len()), "{}", arrived.len());
        prop_assert_ne!(survivors(seed ^ 1), arrived);
    }
}

#[test]
fn a_link_that_holds_messages_back_lets_later_ones_overtake() {
    let (reorder, held_back) = (Share::percent(30), Duration::from_millis(50));
    let arrived = hundred(&mut links(1, LinkSettings { reorder, held_back, ..LinkSettings::default() }));
    assert_eq!(arrived.len(), 100);
    assert!(!is_sorted(&arrived));
}

#[test]
fn a_link_set_by_itself_leaves_the_others_and_its_way_back_as_they_are() {
    let mut links = links(1, LinkSettings::default());
    links.set(route("a", "b"), LinkSettings { loss: Share::ALL, ..LinkSettings::default() });
    assert_eq!(links.send(at(0), flight("a", "b", 0)), Err(Dropped::Lost));
    assert_eq!(links.send(at(0), flight("b", "a", 0)), Ok(at(0)));
    links.set_every(LinkSettings::default());
    assert_eq!(links.send(at(0), flight("a", "b", 0)), Ok(at(0)));
}

#[test]
fn how_a_link_was_set_before_does_not_change_what_happens_later() {
    let loss = LinkSettings { loss: Share::percent(50), ..LinkSettings::default() };
    let later = |before: LinkSettings| {
        let mut links = links(7, before);
        hundred(&mut links);
        links.set_every(loss);
        hundred(&mut links)
    };
    assert_eq!(later(LinkSettings::default()), later(loss));
}

#[test]
fn a_partition_cuts_what_is_sent_and_what_is_on_the_way_until_it_heals() {
    let latency = Duration::from_millis(100);
    let mut links = links(1, LinkSettings { latency, ..LinkSettings::default() });
    links.send(at(0), flight("a", "b", 1)).expect("no partition yet");
    links.send(at(50), flight("a", "b", 2)).expect("no partition yet");
    links.partition(vec![BTreeSet::from([node("a"), node("c")])]);
    assert_eq!(links.send(at(60), flight("a", "b", 3)), Err(Dropped::CutOff));
    assert_eq!(links.send(at(60), flight("a", "c", 4)), Ok(at(160)), "on its own side");
    assert_eq!(links.send(at(60), flight("b", "d", 5)), Ok(at(160)), "both on no side");
    assert_eq!(parcels(links.take_due(at(100)).cut_off), [1]);
    links.partition(Vec::new());
    assert_eq!(parcels(links.take_due(at(160)).arrived), [2, 4, 5], "what was not due meanwhile arrives");
    assert_eq!(links.send(at(200), flight("a", "b", 6)), Ok(at(300)));
}

#[test]
fn what_cannot_arrive_in_time_does_not_set_out() {
    let mut links = links(1, LinkSettings { latency: Duration::from_millis(100), ..LinkSettings::default() });
    let until = |millis| Flight { deadline: at(millis), ..flight("a", "b", 0) };
    assert_eq!(links.send(at(0), until(99)), Err(Dropped::Late));
    assert_eq!(links.send(at(0), until(100)), Ok(at(100)));
}

#[test]
fn a_full_link_refuses_and_takes_again_once_something_has_arrived() {
    let mut links = links(1, LinkSettings::default());
    for parcel in 0..MAX_ON_THE_WAY as u64 {
        links.send(at(0), flight("a", "b", parcel)).expect("there is room");
    }
    assert_eq!(links.send(at(0), flight("a", "b", 0)), Err(Dropped::LinkFull));
    assert!(links.send(at(0), flight("a", "c", 0)).is_ok(), "another link has room of its own");
    assert_eq!(links.take_due(at(0)).arrived.len(), MAX_ON_THE_WAY + 1);
    assert!(links.send(at(0), flight("a", "b", 0)).is_ok());
}
