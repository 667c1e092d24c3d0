//! Whether a process that comes up starts its node, and why.

use fermata_primitives::UnixTime;

use crate::config::StartPolicy;
use crate::engine::Wish;
use crate::span::words;

/// What wins over what.
pub(super) const PRECEDENCE: &str = "sequencer.start `always` or `never` > an operator's last start or stop > start";

/// Whether the node is to start, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Desire {
    pub(super) running: bool,
    pub(super) why: String,
}

impl Desire {
    pub(super) fn of(policy: StartPolicy, wish: Option<&Wish>, now: UnixTime) -> Self {
        let asked = wish.map(|wish| asked(wish, now));
        let over = asked.as_ref().map_or_else(String::new, |asked| format!(", whatever was asked: {asked}"));
        match (policy, wish.zip(asked)) {
            (StartPolicy::Always, _) => Self { running: true, why: format!("sequencer.start is `always`{over}") },
            (StartPolicy::Never, _) => Self { running: false, why: format!("sequencer.start is `never`{over}") },
            (StartPolicy::Desired, Some((wish, why))) => Self { running: wish.running, why },
            (StartPolicy::Desired, None) => Self { running: true, why: "nobody has asked for a stop".to_owned() },
        }
    }
}

/// Who asked for what, when and why.
fn asked(wish: &Wish, now: UnixTime) -> String {
    let what = if wish.running { "running" } else { "stopped" };
    let reason = wish.author.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    format!("{} asked for {what} {} ago{reason}", wish.author.by, words(now.since(wish.since)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::Author;

    fn alice() -> Author {
        Author { by: "alice via cli".to_owned(), reason: Some("db maintenance".to_owned()) }
    }

    fn stop() -> Wish {
        Wish::stopped(alice(), UnixTime::from_millis(1_000))
    }

    #[test]
    fn the_policy_wins_over_the_operator_and_the_operator_over_the_start() {
        use StartPolicy::{Always, Desired, Never};
        let (run, stop) = (Wish::running(alice(), UnixTime::default()), stop());
        let table = [
            (Always, None, true),
            (Always, Some(&stop), true),
            (Never, None, false),
            (Never, Some(&run), false),
            (Desired, None, true),
            (Desired, Some(&run), true),
            (Desired, Some(&stop), false),
        ];
        for (policy, wish, running) in table {
            assert_eq!(Desire::of(policy, wish, UnixTime::default()).running, running, "{policy:?} {wish:?}");
        }
    }

    #[test]
    fn the_reason_tells_by_whom_when_and_why_also_where_the_policy_wins() {
        let now = UnixTime::from_millis(181_000);
        let asked = "alice via cli asked for stopped 3 m 0 s ago: db maintenance";
        assert_eq!(Desire::of(StartPolicy::Desired, Some(&stop()), now).why, asked);
        let over = Desire::of(StartPolicy::Always, Some(&stop()), now).why;
        assert_eq!(over, format!("sequencer.start is `always`, whatever was asked: {asked}"));
    }
}
