//! Why crash points cannot be armed.

use super::CRASH_POINTS;

/// Why crash points cannot be armed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArmError {
    /// Build with the feature, or arm nothing.
    #[error(
        "a crash point is armed, and this program was built without crash points; drop --crash-point, or unset \
         FERMATA_CRASH_POINT, or build it with the feature `crash-points`"
    )]
    NotBuiltIn,
    /// Name one that there is.
    #[error("there is no crash point {tag:?}; there are {}", all_tags())]
    UnknownTag {
        /// What was named.
        tag: String,
    },
    /// Name one that there is.
    #[error(
        "{action:?} is nothing that a crash point can do; it is abort, exit:<0 to 255>, sigstop, panic, io-error or sleep:<milliseconds>"
    )]
    UnknownAction {
        /// What was named.
        action: String,
    },
    /// Give a number.
    #[error("{hit:?} is no hit of a crash point; count from 1, as in publisher.after_record@2")]
    BadHit {
        /// What was given.
        hit: String,
    },
    /// Take another action, or a point before a write.
    #[error("nothing can fail at the crash point {tag}; io-error goes with {}", fallible_tags())]
    CannotFail {
        /// The point.
        tag: &'static str,
    },
    /// Arm all of them at once.
    #[error("crash points are armed already; name all of them in one list, separated by commas")]
    ArmedAlready,
}

fn all_tags() -> String {
    let tags: Vec<_> = CRASH_POINTS.iter().map(|point| point.tag).collect();
    tags.join(", ")
}

fn fallible_tags() -> String {
    let tags: Vec<_> = CRASH_POINTS.iter().filter(|point| point.can_fail).map(|point| point.tag).collect();
    tags.join(", ")
}
