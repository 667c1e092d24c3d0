//! What a publisher bids and pays while L1's fees move, beside models of how others bid.
//!
//! `cargo bench --package fermata-publisher --bench ramps -- --help` tells what can be asked for. Ours is the real publisher, with
//! its store, on an L1 in memory that keeps a pool's rules; the others are their arithmetic and their timers alone, on the
//! same courses of fees. What is paid is compared with the least that it could have cost who knows every block beforehand.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "the L1 in memory is the tests', and fails as a test does"
)]

mod policies;
mod table;

#[path = "../../tests/common/mod.rs"]
mod common;

use clap::Parser;
use fermata_publisher::FeeConfig;

use crate::common::bidding::{Bidder, Fared};
use crate::common::market::{BASE_RAMP, BLOB_RAMP, CONGESTION, Course, LONG_BLOB_RAMP, ORDINARY, Weather};
use crate::policies::{MODELS, fare};

/// Courses after which a publisher begins on an L1 anew: the one in memory keeps all it has seen.
const COURSES_A_PUBLISHER: usize = 100;

/// What a publisher bids and pays while L1's fees move.
#[derive(Parser, Debug)]
#[command(name = "ramps")]
struct Options {
    /// Courses of each kind.
    #[arg(long, default_value_t = 50)]
    courses: u64,
    /// The least base fee at which a course begins, in gwei.
    #[arg(long, default_value_t = 12.0)]
    least_gwei: f64,
    /// And the most.
    #[arg(long, default_value_t = 100.0)]
    most_gwei: f64,
    /// The least tip that we bid, in wei; the publisher's own default without.
    #[arg(long)]
    tip_floor: Option<u128>,
}

fn main() {
    let options = Options::parse_from(std::env::args().filter(|argument| argument != "--bench"));
    // Time is paused: to wait is to let the publisher do all that it has to do.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread needs nothing");
    for weather in [BASE_RAMP, BLOB_RAMP, CONGESTION, LONG_BLOB_RAMP, ORDINARY] {
        let range = (options.least_gwei, options.most_gwei);
        let courses: Vec<_> = (0..options.courses).map(|seed| weather.course(seed, range)).collect();
        table::head(&weather, &courses);
        let ours = runtime.block_on(ours(&weather, &courses, &options));
        table::row("ours", &weather, &courses, &ours);
        for model in MODELS {
            let fared: Vec<_> = courses.iter().map(|course| fare(&model, course, weather.load)).collect();
            table::row(model.name, &weather, &courses, &fared);
        }
    }
}

async fn ours(weather: &Weather, courses: &[Course], options: &Options) -> Vec<Fared> {
    let usual = FeeConfig::default();
    let fees = FeeConfig { tip_floor: options.tip_floor.unwrap_or(usual.tip_floor), ..usual };
    let mut fared = Vec::with_capacity(courses.len());
    for courses in courses.chunks(COURSES_A_PUBLISHER) {
        let bidder = Bidder::start(fees.clone()).await;
        for course in courses {
            fared.push(bidder.fare(course, weather.load).await);
        }
    }
    fared
}
