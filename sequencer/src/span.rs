//! Spans of time as people write and read them.

use std::time::Duration;

/// A span such as `30s`, `500ms`, `2m` or `1h`.
///
/// # Errors
/// A sentence that says how to write one.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a number and a unit: 500ms, 30s, 2m or 1h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write a whole number before the unit, such as 30s".to_owned())?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| "that is too long".to_owned())
}

/// A span in words, to two places of its units.
#[must_use]
pub fn words(span: Duration) -> String {
    let (millis, secs) = (span.as_millis(), span.as_secs());
    match secs {
        0 => format!("{millis} ms"),
        1..60 => format!("{:.1} s", span.as_secs_f64()),
        60..3_600 => format!("{} m {} s", secs / 60, secs % 60),
        3_600..86_400 => format!("{} h {} m", secs / 3_600, secs % 3_600 / 60),
        _ => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_whole_number_and_a_unit() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)] {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "s", "1.5s", "-1s", "1 s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_read_as_people_say_them() {
        for (millis, text) in
            [(7, "7 ms"), (1_240, "1.2 s"), (61_000, "1 m 1 s"), (3_720_000, "1 h 2 m"), (90_000_000, "1 d 1 h")]
        {
            assert_eq!(words(Duration::from_millis(millis)), text);
        }
    }
}
