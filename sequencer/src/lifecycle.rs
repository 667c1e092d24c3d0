//! The lifecycle as a pure value: a state, a command, and what follows.
//!
//! | | start | stop(graceful) | stop(interrupt) | close | drained |
//! |---|---|---|---|---|---|
//! | Idle | Running | no-op | no-op | Closed | illegal |
//! | Running | no-op | Stopping(Graceful) | Stopping(Interrupt) | Stopping(Interrupt), then Closed | illegal |
//! | Stopping(Graceful) | refused `Stopping` | join | escalate | escalate, then Closed | Stopped |
//! | Stopping(Interrupt) | refused `Stopping` | join | join | join, then Closed | Stopped |
//! | Stopping, then Closed | refused `Stopping` | join (escalate) | join (escalate) | join | Closed |
//! | Stopped | Running | no-op | no-op | Closed | illegal |
//! | Closed | refused `Closed` | no-op | no-op | no-op | illegal |
//!
//! What a tick is busy with is a *phase*, a span and an event; it is never a gate and has no place here.

use serde::{Deserialize, Serialize};

/// How a run is brought to its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drain {
    /// The tick in flight and its L1 submission end by themselves.
    Graceful,
    /// They are asked to end now.
    Interrupt,
}

/// Where a drain leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The stores stay open; a start is possible.
    Stopped,
    /// Everything is released; nothing is possible.
    Closed,
}

/// The gate: whether slots are worked on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "lifecycle")]
pub enum Lifecycle {
    /// Never started.
    Idle,
    /// A run polls.
    Running,
    /// A run is being drained.
    Stopping {
        /// How hard.
        drain: Drain,
        /// What comes after.
        then: Then,
    },
    /// The last run has ended and nothing of it is left.
    Stopped,
    /// The stores are released.
    Closed,
}

/// What may be asked of the lifecycle, and the one thing that happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Begin a run.
    Start,
    /// End the run.
    Stop(Drain),
    /// End the run and release everything.
    Close,
    /// The run has ended: its tick, its requests and its parts.
    Drained,
}

/// What the owner has to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing: the state asked for is the state there is.
    Nothing,
    /// Make a new run.
    Begin,
    /// Halt the run; with [`Drain::Interrupt`], interrupt it first.
    Halt(Drain),
    /// Wait for the drain under way.
    Join,
    /// Interrupt the drain under way, and wait for it.
    Escalate,
    /// Release the stores.
    Release,
    /// The drain is over: answer those who wait for it.
    Settle,
}

/// A command that this state refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// A start while a run is being drained.
    #[error("a stop is under way; start again once it has answered")]
    Stopping,
    /// A start after a close.
    #[error("closed; start a new process")]
    Closed,
    /// The end of a drain that was never begun: a mistake of the owner.
    #[error("nothing was being drained")]
    NotDraining,
}

/// The state that follows, and what to do about it.
///
/// # Errors
/// [`Refused`], and the state is as it was.
pub const fn next(state: Lifecycle, command: Command) -> Result<(Lifecycle, Effect), Refused> {
    use Command::{Close, Drained, Start, Stop};
    use Lifecycle::{Closed, Idle, Running, Stopped, Stopping};
    Ok(match (state, command) {
        (Idle | Stopped, Start) => (Running, Effect::Begin),
        (Running, Start) => (Running, Effect::Nothing),
        (Stopping { .. }, Start) => return Err(Refused::Stopping),
        (Closed, Start) => return Err(Refused::Closed),

        (Idle | Stopped | Closed, Stop(_)) | (Closed, Close) => (state, Effect::Nothing),
        (Running, Stop(drain)) => (Stopping { drain, then: Then::Stopped }, Effect::Halt(drain)),
        (Stopping { drain: Drain::Graceful, then }, Stop(Drain::Interrupt)) => {
            (Stopping { drain: Drain::Interrupt, then }, Effect::Escalate)
        }
        (Stopping { .. }, Stop(_)) => (state, Effect::Join),

        (Idle | Stopped, Close) => (Closed, Effect::Release),
        (Running, Close) => (Stopping { drain: Drain::Interrupt, then: Then::Closed }, Effect::Halt(Drain::Interrupt)),
        (Stopping { drain: Drain::Graceful, .. }, Close) => {
            (Stopping { drain: Drain::Interrupt, then: Then::Closed }, Effect::Escalate)
        }
        (Stopping { drain: Drain::Interrupt, .. }, Close) => {
            (Stopping { drain: Drain::Interrupt, then: Then::Closed }, Effect::Join)
        }

        (Stopping { then: Then::Stopped, .. }, Drained) => (Stopped, Effect::Settle),
        (Stopping { then: Then::Closed, .. }, Drained) => (Closed, Effect::Release),
        (Idle | Running | Stopped | Closed, Drained) => return Err(Refused::NotDraining),
    })
}

impl Lifecycle {
    /// The word for it in the RPC, the metrics and the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Stopping { .. } => "stopping",
            Self::Stopped => "stopped",
            Self::Closed => "closed",
        }
    }

    /// Every word there is, for metrics with one series a state.
    pub const WORDS: [&'static str; 5] = ["idle", "running", "stopping", "stopped", "closed"];
}

impl std::fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::Command::{Close, Drained, Start, Stop};
    use super::Drain::{Graceful, Interrupt};
    use super::Effect::{Begin, Escalate, Halt, Join, Nothing, Release, Settle};
    use super::Lifecycle::{Closed, Idle, Running, Stopped};
    use super::*;

    const G: Lifecycle = Lifecycle::Stopping { drain: Graceful, then: Then::Stopped };
    const I: Lifecycle = Lifecycle::Stopping { drain: Interrupt, then: Then::Stopped };
    const GC: Lifecycle = Lifecycle::Stopping { drain: Graceful, then: Then::Closed };
    const IC: Lifecycle = Lifecycle::Stopping { drain: Interrupt, then: Then::Closed };

    type Row = (Lifecycle, [Result<(Lifecycle, Effect), Refused>; 5]);

    const COMMANDS: [Command; 5] = [Start, Stop(Graceful), Stop(Interrupt), Close, Drained];

    #[rustfmt::skip]
    const TABLE: [Row; 8] = [
        //        start                     stop(graceful)      stop(interrupt)      close                  drained
        (Idle,    [Ok((Running, Begin)),    Ok((Idle, Nothing)),    Ok((Idle, Nothing)),    Ok((Closed, Release)),      Err(Refused::NotDraining)]),
        (Running, [Ok((Running, Nothing)),  Ok((G, Halt(Graceful))), Ok((I, Halt(Interrupt))), Ok((IC, Halt(Interrupt))), Err(Refused::NotDraining)]),
        (G,       [Err(Refused::Stopping),  Ok((G, Join)),          Ok((I, Escalate)),      Ok((IC, Escalate)),         Ok((Stopped, Settle))]),
        (I,       [Err(Refused::Stopping),  Ok((I, Join)),          Ok((I, Join)),          Ok((IC, Join)),             Ok((Stopped, Settle))]),
        (GC,      [Err(Refused::Stopping),  Ok((GC, Join)),         Ok((IC, Escalate)),     Ok((IC, Escalate)),         Ok((Closed, Release))]),
        (IC,      [Err(Refused::Stopping),  Ok((IC, Join)),         Ok((IC, Join)),         Ok((IC, Join)),             Ok((Closed, Release))]),
        (Stopped, [Ok((Running, Begin)),    Ok((Stopped, Nothing)), Ok((Stopped, Nothing)), Ok((Closed, Release)),      Err(Refused::NotDraining)]),
        (Closed,  [Err(Refused::Closed),    Ok((Closed, Nothing)),  Ok((Closed, Nothing)),  Ok((Closed, Nothing)),      Err(Refused::NotDraining)]),
    ];

    #[test]
    fn every_pair_of_state_and_command_is_as_the_table_says() {
        for (state, expected) in TABLE {
            for (command, expected) in COMMANDS.into_iter().zip(expected) {
                assert_eq!(next(state, command), expected, "{state:?} x {command:?}");
            }
        }
    }

    #[test]
    fn a_run_begins_only_where_none_is() {
        for (state, row) in TABLE {
            let begins = row.iter().any(|step| matches!(step, Ok((_, Begin))));
            assert_eq!(begins, matches!(state, Idle | Stopped), "{state:?}");
        }
    }

    #[test]
    fn nothing_leads_out_of_closed() {
        for command in COMMANDS {
            assert!(matches!(next(Closed, command), Ok((Closed, Nothing)) | Err(_)), "{command:?}");
        }
    }
}
