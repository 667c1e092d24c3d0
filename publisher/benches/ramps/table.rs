//! How they fared is told.

use crate::common::bidding::Fared;
use crate::common::market::{Course, Weather};

pub(crate) fn head(weather: &Weather, courses: &[Course]) {
    println!(
        "\n{}, {:?}, {} courses; paid as a part of the clairvoyant least:",
        weather.name,
        weather.load,
        courses.len()
    );
}

/// Prints the line of who fared so.
pub(crate) fn row(name: &str, weather: &Weather, courses: &[Course], fared: &[Fared]) {
    let of_all = |many: usize| 100.0 * many as f64 / fared.len().max(1) as f64;
    let landed = fared.iter().filter(|fared| fared.block.is_some()).count();
    let without_a_raise = fared.iter().filter(|fared| fared.block.is_some() && fared.bids == 1).count();
    let parts = sorted(courses.iter().zip(fared).filter_map(|(course, fared)| paid_part(weather, course, fared)));
    let late = sorted(courses.iter().zip(fared).filter_map(|(course, fared)| late(course, fared)));
    let most_bids = fared.iter().map(|fared| fared.bids).max().unwrap_or_default();
    println!(
        "{name:<20} landed {:>5.1} %, with no raise {:>5.1} %, most bids {most_bids:>2}; blocks late p50 {:.0} p99 {:.0}; \
         paid p50 {:>5.3} p99 {:>5.3}",
        of_all(landed),
        of_all(without_a_raise),
        at(&late, 500),
        at(&late, 990),
        at(&parts, 500),
        at(&parts, 990),
    );
}

/// What was paid, as a part of the least that it could have cost.
fn paid_part(weather: &Weather, course: &Course, fared: &Fared) -> Option<f64> {
    fared.block?;
    Some(fared.paid as f64 / course.least_cost(weather.load)? as f64)
}

/// Blocks after the first that had a place.
fn late(course: &Course, fared: &Fared) -> Option<f64> {
    let first = course.blocks.iter().position(|block| block.least_tip.is_some())?;
    Some((fared.block? - first) as f64)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// What so many in a thousand do not exceed; not a number where there are none.
fn at(sorted: &[f64], per_mille: usize) -> f64 {
    sorted.get(sorted.len().saturating_sub(1) * per_mille / 1_000).copied().unwrap_or(f64::NAN)
}
