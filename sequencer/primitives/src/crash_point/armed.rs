//! What is armed: which point, what it does, and the how-manieth time.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use super::{ArmError, CRASH_POINTS, CrashPoint};

/// What happens at a point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// The process aborts, without any of its destructors.
    Abort,
    /// It exits with this code.
    Exit(u8),
    /// It stops itself, until it is told to go on.
    Stop,
    /// The thread panics.
    Panic,
    /// What comes next fails.
    IoError,
    /// The thread sleeps.
    Sleep(Duration),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abort => f.write_str("abort"),
            Self::Exit(code) => write!(f, "exit:{code}"),
            Self::Stop => f.write_str("sigstop"),
            Self::Panic => f.write_str("panic"),
            Self::IoError => f.write_str("io-error"),
            Self::Sleep(span) => write!(f, "sleep:{}", span.as_millis()),
        }
    }
}

/// One point that is armed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Armed {
    pub(super) tag: &'static str,
    pub(super) action: Action,
    /// Which time, counted from 1.
    pub(super) hit: NonZeroU64,
}

/// Reads a comma-separated list of `tag[=action][@n]`.
pub(super) fn parse(order: &str) -> Result<Vec<Armed>, ArmError> {
    order.split(',').map(|one| parse_one(one.trim())).collect()
}

fn parse_one(text: &str) -> Result<Armed, ArmError> {
    let (rest, hit) = match text.rsplit_once('@') {
        Some((rest, hit)) => (rest, hit.parse().map_err(|_| ArmError::BadHit { hit: hit.to_owned() })?),
        None => (text, NonZeroU64::MIN),
    };
    let (tag, action) = match rest.split_once('=') {
        Some((tag, action)) => (tag, parse_action(action)?),
        None => (rest, Action::Abort),
    };
    let known = CRASH_POINTS.iter().find(|point| point.tag == tag);
    let CrashPoint { tag, can_fail, .. } = *known.ok_or_else(|| ArmError::UnknownTag { tag: tag.to_owned() })?;
    if action == Action::IoError && !can_fail {
        return Err(ArmError::CannotFail { tag });
    }
    Ok(Armed { tag, action, hit })
}

fn parse_action(text: &str) -> Result<Action, ArmError> {
    let (word, number) = match text.split_once(':') {
        Some((word, number)) => (word, Some(number)),
        None => (text, None),
    };
    let action = match (word, number) {
        ("abort", None) => Some(Action::Abort),
        ("sigstop", None) => Some(Action::Stop),
        ("panic", None) => Some(Action::Panic),
        ("io-error", None) => Some(Action::IoError),
        ("exit", Some(code)) => code.parse().ok().map(Action::Exit),
        ("sleep", Some(ms)) => ms.parse().ok().map(|ms| Action::Sleep(Duration::from_millis(ms))),
        (_, _) => None,
    };
    action.ok_or_else(|| ArmError::UnknownAction { action: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "publisher.after_record";

    fn armed(action: Action, hit: u64) -> Result<Vec<Armed>, ArmError> {
        Ok(vec![Armed { tag: TAG, action, hit: NonZeroU64::new(hit).expect("not zero") }])
    }

    #[test]
    fn a_tag_alone_aborts_at_its_first_hit_and_each_action_and_hit_is_read() {
        let table = [
            ("", Action::Abort, 1),
            ("@3", Action::Abort, 3),
            ("=abort", Action::Abort, 1),
            ("=exit:7@2", Action::Exit(7), 2),
            ("=sigstop", Action::Stop, 1),
            ("=panic@1", Action::Panic, 1),
            ("=sleep:250", Action::Sleep(Duration::from_millis(250)), 1),
        ];
        for (rest, action, hit) in table {
            assert_eq!(parse(&format!("{TAG}{rest}")), armed(action, hit), "{rest}");
            assert_eq!(parse(&format!("{TAG}={action}@{hit}")), armed(action, hit), "as it is told");
        }
    }

    #[test]
    fn several_are_separated_by_commas() {
        let both = parse("signer.after_pin=sleep:1@2, publisher.after_record=exit:3").expect("both are well-formed");
        assert_eq!(both.iter().map(|armed| armed.tag).collect::<Vec<_>>(), ["signer.after_pin", TAG]);
    }

    #[test]
    fn an_unknown_tag_is_refused_with_the_tags_there_are() {
        for text in ["publisher.after_recrod", "", "publisher.after_record,", "Publisher.after_record"] {
            let error = parse(text).expect_err(text);
            assert!(matches!(error, ArmError::UnknownTag { .. }), "{text}: {error}");
            for point in CRASH_POINTS {
                assert!(error.to_string().contains(point.tag), "{error}");
            }
        }
    }

    #[test]
    fn an_unknown_action_is_refused() {
        for action in ["", "aborts", "exit", "exit:", "exit:256", "exit:-1", "sleep", "sleep:1s", "abort:1", "ABORT"] {
            let error = parse(&format!("{TAG}={action}")).expect_err(action);
            assert_eq!(error, ArmError::UnknownAction { action: action.to_owned() });
        }
    }

    #[test]
    fn a_hit_of_zero_is_refused_and_one_that_is_no_number() {
        for hit in ["0", "", "-1", "first", "1.5"] {
            let error = parse(&format!("{TAG}@{hit}")).expect_err(hit);
            assert_eq!(error, ArmError::BadHit { hit: hit.to_owned() });
        }
    }

    #[test]
    fn an_io_error_is_refused_where_nothing_can_fail() {
        assert_eq!(parse(&format!("{TAG}=io-error")), Err(ArmError::CannotFail { tag: TAG }));
        for point in CRASH_POINTS {
            assert_eq!(parse(&format!("{}=io-error", point.tag)).is_ok(), point.can_fail, "{}", point.tag);
        }
    }
}
