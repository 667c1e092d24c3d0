//! Bids of a real publisher while fees rise as steeply as L1 lets them.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that fails says where")]

mod common;

use common::bidding::{Bidder, Fared};
use common::market::{BASE_RAMP, BLOB_RAMP, Course, LONG_BLOB_RAMP, Weather};
use fermata_publisher::FeeConfig;

/// Courses of each kind.
const COURSES: u64 = 100;
/// Where the base fee begins, in gwei: below, the least tip is most of what is paid, and no rise of the base fee matters.
const BASE_GWEI: (f64, f64) = (12.0, 100.0);

async fn fare(weather: &Weather) -> Vec<(Course, Fared)> {
    let bidder = Bidder::start(FeeConfig::default()).await;
    let mut all = Vec::new();
    for seed in 0..COURSES {
        let course = weather.course(seed, BASE_GWEI);
        let fared = bidder.fare(&course, weather.load).await;
        all.push((course, fared));
    }
    all
}

/// Of a hundred, as many land, with no bid but the first.
fn percent_without_a_raise(all: &[(Course, Fared)]) -> usize {
    all.iter().filter(|(_, fared)| fared.block.is_some() && fared.bids == 1).count() * 100 / all.len()
}

/// What was paid for all that landed, in percent of the least that it could have cost.
fn percent_of_the_least(all: &[(Course, Fared)], weather: &Weather) -> u128 {
    let landed = || all.iter().filter(|(_, fared)| fared.block.is_some());
    let least: u128 = landed().map(|(course, _)| course.least_cost(weather.load).unwrap()).sum();
    landed().map(|(_, fared)| fared.paid).sum::<u128>() * 100 / least
}

#[tokio::test(start_paused = true)]
async fn while_the_base_fee_rises_as_it_can_the_first_bid_lands_and_costs_hardly_more_than_the_least() {
    let all = fare(&BASE_RAMP).await;
    assert!(percent_without_a_raise(&all) >= 95, "{all:#?}");
    assert!(percent_of_the_least(&all, &BASE_RAMP) <= 110, "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn while_the_blob_fee_rises_as_it_can_the_first_bid_lands_and_costs_hardly_more_than_the_least() {
    let all = fare(&BLOB_RAMP).await;
    assert!(percent_without_a_raise(&all) >= 95, "{all:#?}");
    assert!(percent_of_the_least(&all, &BLOB_RAMP) <= 110, "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_blob_transaction_that_is_left_out_for_twelve_blocks_of_a_ramp_lands_in_the_next_with_at_most_two_doublings()
{
    let all = fare(&LONG_BLOB_RAMP).await;
    for (course, fared) in all {
        let first = course.blocks.iter().position(|block| block.least_tip.is_some());
        assert!(fared.block == first && fared.bids <= 3, "{fared:?} on {course:#?}");
    }
}
