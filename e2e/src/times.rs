//! A distribution of times, and how many of them are asked for.

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fermata_primitives::{Clock as _, SystemClock};

/// Times that were measured.
#[derive(Clone, Default, Debug)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds how long `work` takes.
    pub async fn measure<T>(&mut self, work: impl Future<Output = T>) -> T {
        let began = SystemClock.monotonic();
        let done = work.await;
        self.push(SystemClock.monotonic() - began);
        done
    }

    /// Adds one.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// The time, in milliseconds, that this many in a thousand do not exceed; not a number where nothing was measured.
    #[must_use]
    pub fn millis_at(&self, per_mille: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = sorted.len().saturating_sub(1) * per_mille / 1_000;
        sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
    }
}

/// The number that the environment variable `name` asks for, or the usual one where it is not set: how long a story or a
/// bench is to go on.
///
/// # Errors
/// It is set to what is no such number.
pub fn number_in_env<N: FromStr>(name: &str, usually: N) -> Result<N> {
    asked_for(name, std::env::var_os(name), usually)
}

fn asked_for<N: FromStr>(name: &str, asked: Option<OsString>, usually: N) -> Result<N> {
    let Some(asked) = asked else { return Ok(usually) };
    let number = asked.to_str().and_then(|text| text.parse().ok());
    number.with_context(|| {
        format!("{name}={} is no number that can be asked for; unset it, or give one", asked.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_in_the_environment_is_refused_by_its_name_where_it_is_no_number() {
        assert_eq!(asked_for("KILLS", None, 200_u32).ok(), Some(200));
        assert_eq!(asked_for("KILLS", Some("7".into()), 200_u32).ok(), Some(7));
        for nonsense in ["", "many", "-1", "4294967296"] {
            let refused = asked_for("KILLS", Some(nonsense.into()), 200_u32).expect_err(nonsense);
            assert!(refused.to_string().starts_with(&format!("KILLS={nonsense} is no number")), "{refused}");
        }
    }

    #[test]
    fn half_of_the_times_are_at_most_the_median_and_all_at_most_the_greatest() {
        let mut times = Times::default();
        assert!(times.millis_at(500).is_nan(), "nothing was measured");
        for millis in [40, 10, 30, 20, 50] {
            times.push(Duration::from_millis(millis));
        }
        let ends = [0, 500, 1_000].map(|per_mille| times.millis_at(per_mille));
        assert_eq!((times.count(), ends), (5, [10.0, 30.0, 50.0]));
    }
}
