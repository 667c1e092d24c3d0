//! `fermata status`, once or for as long as somebody looks.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use fermata_primitives::{Clock as _, SystemClock};

use super::client::AdminClient;
use super::failure::Form;
use super::verbs::{CommonArgs, tell};
use super::{Console, Failure, render};
use crate::catalogue::Reason;
use crate::status::NodeStatus;

/// How often a watched status is read.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How to show the status.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// Show it again every second, in place, until interrupted; with --json, a line each time.
    #[arg(long)]
    watch: bool,
}

impl StatusArgs {
    pub(super) async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        if self.watch {
            return self.watch(console).await;
        }
        let status: NodeStatus = self.common.target.client()?.call("admin_status", ()).await?;
        tell(console, self.common.form(), &status, render::status)
    }

    /// A node that goes away and comes back is watched on: whoever watches an upgrade wants to see both.
    async fn watch(&self, console: &mut Console) -> Result<(), Failure> {
        loop {
            match (self.common.form(), look(&self.common).await) {
                (Form::Human, Ok(status)) => console.draw(&in_place(&render::status(&status))),
                (Form::Json, Ok(status)) => {
                    let line = serde_json::to_string(&status);
                    console.say(line.map_err(|error| Failure::new(Reason::Internal, &error))?);
                }
                (Form::Human, Err(failure)) if failure.reason == Reason::NodeUnreachable => {
                    console.draw(&in_place(&format!("{}\nwaiting for it", failure.message)));
                }
                (Form::Json, Err(failure)) if failure.reason == Reason::NodeUnreachable => {
                    failure.tell(console, Form::Json);
                }
                (Form::Human | Form::Json, Err(failure)) => return Err(failure),
            }
            if console.is_closed() {
                return Ok(());
            }
            SystemClock.sleep(WATCH_INTERVAL).await;
        }
    }
}

async fn look(common: &CommonArgs) -> Result<NodeStatus, Failure> {
    // Found anew each time: a node that comes back may listen elsewhere.
    let client: AdminClient = common.target.client()?;
    client.call("admin_status", ()).await
}

/// Drawn over what was there: home, each line and then the rest of the screen cleared as it goes, so that nothing
/// flickers.
fn in_place(text: &str) -> String {
    let mut drawn = "\x1b[H".to_owned();
    for line in text.lines() {
        let _ = write!(drawn, "{line}\x1b[K\r\n");
    }
    drawn.push_str("\x1b[J");
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_drawn_over_the_one_before_and_clears_what_is_left_of_it() {
        assert_eq!(in_place("one\ntwo"), "\x1b[Hone\x1b[K\r\ntwo\x1b[K\r\n\x1b[J");
    }
}
