//! A test of each crash point: a real process dies there, is started again, and is looked at.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fermata_primitives::CRASH_POINTS;
use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

use super::{CrashNode, Died, Ground};

/// How long a process may take to come by the point it is to die at.
const TO_REACH: Duration = Duration::from_secs(180);

/// Seconds of a slot.
const SLOT_SECS: u64 = 3;

/// Tests at once, unless the command line says otherwise: they wait for slots most of the time.
const AT_ONCE: usize = 4;

/// A way to have a process come by some crash points.
#[derive(Clone, Copy)]
pub struct Story {
    /// What happens in it.
    pub name: &'static str,
    /// The points it comes by, `tag` or `tag@n`.
    pub points: &'static [&'static str],
    /// Has a process die at the case's point.
    pub run: for<'a> fn(&'a mut Case) -> BoxFuture<'a, Result<()>>,
}

impl std::fmt::Debug for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Story").field("name", &self.name).field("points", &self.points).finish()
    }
}

/// What is to become of the process after it died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Afterwards {
    /// It runs, and lands checkpoints.
    Runs,
    /// It stands still, as an operator has asked, until it is started.
    StaysStopped,
    /// It was asked to stop and died before it answered, so that its operator knows of nothing: it does what its store says.
    KeepsToItsStore,
    /// It signs nothing; it follows L1.
    Follows,
}

/// One crash point of a story.
#[derive(Debug)]
pub struct Case {
    /// The L1, and those who watch.
    pub ground: Ground,
    /// What is armed.
    pub points: String,
    /// What becomes of the process.
    pub afterwards: Afterwards,
    node: Option<CrashNode>,
}

impl Case {
    /// Keys of a node that only follows.
    pub const FOLLOWER: &'static [(&'static str, &'static str)] = &[("node.roles", "follower")];

    /// The process that runs, from the case before or a new one; users have sent it a transaction.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn running(&mut self) -> Result<&CrashNode> {
        if self.node.is_none() {
            let risen = self.ground.rise().await?;
            self.ground.progressed(&risen).await?;
            self.node = Some(risen);
        }
        let node = self.node.as_ref().context("it was just put there")?;
        let url = node.l2_url().await?;
        self.ground.users().send(&url).await?;
        Ok(node)
    }

    /// Ends the process that runs, as a power cut does. One that is doomed may die at the case's point just before.
    ///
    /// # Errors
    /// It had ended otherwise before, or cannot be killed.
    pub async fn power_cut(&mut self) -> Result<()> {
        let Some(mut node) = self.node.take() else { return Ok(()) };
        let died = node.end().await?;
        ensure!(matches!(died, None | Some(Died::ABORTED)), "it had ended by itself: {died:?}; {}", node.told());
        Ok(())
    }

    /// Starts a process that is doomed from its first moment on.
    ///
    /// # Errors
    /// There is no binary.
    pub fn doom(&mut self) -> Result<()> {
        self.doom_with(&[])
    }

    /// The same, with some keys set otherwise.
    ///
    /// # Errors
    /// There is no binary.
    pub fn doom_with(&mut self, changes: &[(&str, &str)]) -> Result<()> {
        self.node = Some(self.ground.doom_with(&self.points, changes)?);
        Ok(())
    }

    /// Starts a process that dies at other points than the case's.
    ///
    /// # Errors
    /// There is no binary.
    pub async fn died_before_at(&mut self, points: &str) -> Result<()> {
        self.running().await?.arm(points)?;
        self.dies(points).await
    }

    /// Waits until the process has died at the case's point.
    ///
    /// # Errors
    /// It did not come by within its deadline, or ended otherwise; the error names the point, the hit, and what was passed.
    pub async fn dies_there(&mut self) -> Result<()> {
        let points = self.points.clone();
        self.dies(&points).await
    }

    async fn dies(&mut self, points: &str) -> Result<()> {
        if self.died_within(points, TO_REACH).await? {
            return Ok(());
        }
        let told = self.node.as_ref().map(CrashNode::told).unwrap_or_default();
        bail!("{points} was not reached within {TO_REACH:?}; {told}")
    }

    /// Whether the process dies at the case's point within `patience`.
    ///
    /// # Errors
    /// It ended otherwise.
    pub async fn dies_there_within(&mut self, patience: Duration) -> Result<bool> {
        let points = self.points.clone();
        self.died_within(&points, patience).await
    }

    async fn died_within(&mut self, points: &str, patience: Duration) -> Result<bool> {
        let node = self.node.as_mut().context("a process runs")?;
        let Some(died) = node.died_within(patience).await? else { return Ok(false) };
        let tag = points.split(['=', '@']).next().unwrap_or_default();
        let said = node.says(&format!("crash point {tag} reached")).await;
        ensure!(said.is_ok() && died == Died::ABORTED, "it did not die at {points}, but as {died:?}; {}", node.told());
        self.node = None;
        Ok(true)
    }

    /// Calls a verb that may never be answered.
    ///
    /// # Errors
    /// There is no process.
    pub async fn verb(&mut self, method: &'static str, params: Value) -> Result<Result<Value>> {
        Ok(self.node.as_ref().context("a process runs")?.admin().call(method, params).await)
    }

    /// Starts the process again, and looks at what it does.
    async fn comes_back(&mut self) -> Result<()> {
        self.ground.audit_duties().await?;
        self.ground.no_duty_is_shared().await?;
        let changes = if self.afterwards == Afterwards::Follows { Self::FOLLOWER } else { &[] };
        let mut risen = self.ground.rise_with(changes).await?;
        let stopped = self.ground.desired(&risen).await?.as_deref() == Some("stopped");
        match self.afterwards {
            Afterwards::Follows => {
                self.ground.agrees(&risen).await?;
                // The next process of this lane has the data directory to itself.
                risen.kill().await?;
            }
            Afterwards::KeepsToItsStore if !stopped => self.works_again(risen).await?,
            Afterwards::Runs => self.works_again(risen).await?,
            Afterwards::StaysStopped | Afterwards::KeepsToItsStore => {
                ensure!(stopped, "its wish is lost");
                let status: Value = risen.admin().call("admin_status", json!({})).await?;
                ensure!(status["actual"]["lifecycle"] == "idle", "it runs against its operator's wish: {status}");
                let _: Value = risen.admin().call("admin_start", json!({})).await?;
                self.works_again(risen).await?;
            }
        }
        self.ground.audit().await?;
        Ok(())
    }

    async fn works_again(&mut self, risen: CrashNode) -> Result<()> {
        let url = risen.l2_url().await?;
        self.ground.users().send_again(&url).await?;
        self.ground.progressed(&risen).await?;
        self.ground.users_have_receipts(&risen).await?;
        self.ground.agrees(&risen).await?;
        let desired = self.ground.desired(&risen).await?;
        ensure!(desired.as_deref() != Some("stopped"), "it is to run, and says that it is to be stopped");
        self.node = Some(risen);
        Ok(())
    }
}

/// An L1 that has served a case, and the process that runs on it.
#[derive(Debug)]
struct Lane {
    ground: Ground,
    node: Option<CrashNode>,
}

/// All lanes, and the runtime they live on.
struct Matrix {
    runtime: tokio::runtime::Runtime,
    idle: Mutex<Vec<Lane>>,
    passed: Mutex<Vec<String>>,
}

/// Makes a test of each point of `stories`, and one that they are all that there are; those of `elsewhere` are reached by
/// other tests, which it names. Then it lets a fresh node rebuild each chain, and prints the list of what passed.
#[must_use]
pub fn run_matrix(stories: &'static [Story], elsewhere: &'static [(&'static str, &'static str)]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let matrix = Arc::new(Matrix { runtime, idle: Mutex::default(), passed: Mutex::default() });
    let mut trials = vec![Trial::test("every_crash_point_has_a_row", move || Ok(complete(stories, elsewhere)?))];
    for story in stories {
        for points in story.points {
            let matrix = Arc::clone(&matrix);
            trials.push(Trial::test(format!("{}::{points}", story.name), move || matrix.run(story, points)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    let settled = matrix.settle();
    matrix.print();
    if conclusion.has_failed() || !settled { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn complete(stories: &[Story], elsewhere: &[(&str, &str)]) -> Result<(), String> {
    let tag = |points: &&'static str| points.split('@').next().unwrap_or_default();
    let mut rows: BTreeSet<&str> = stories.iter().flat_map(|story| story.points).map(tag).collect();
    rows.extend(elsewhere.iter().map(|(tag, _)| tag));
    let all: BTreeSet<&str> = CRASH_POINTS.iter().map(|point| point.tag).collect();
    if rows == all {
        return Ok(());
    }
    let (left_out, unknown) = (all.difference(&rows), rows.difference(&all));
    Err(format!(
        "without a row: {:?}; no crash points: {:?}",
        left_out.collect::<Vec<_>>(),
        unknown.collect::<Vec<_>>()
    ))
}

impl Matrix {
    fn run(&self, story: &Story, points: &str) -> Result<(), Failed> {
        let ended = self.runtime.block_on(self.case(story, points));
        // Also at once: the list at the end is far away where many are to come.
        ended
            .inspect_err(|error| eprintln!("{}::{points}: {error:?}", story.name))
            .map_err(|error| format!("{error:?}"))?;
        lock(&self.passed).push(points.to_owned());
        Ok(())
    }

    /// A lane whose case failed ends with it.
    async fn case(&self, story: &Story, points: &str) -> Result<()> {
        let idle = lock(&self.idle).pop();
        let Lane { ground, node } = match idle {
            Some(lane) => lane,
            None => Lane { ground: Ground::begin(SLOT_SECS).await?, node: None },
        };
        let mut case = Case { ground, points: points.to_owned(), afterwards: Afterwards::Runs, node };
        (story.run)(&mut case).await?;
        case.comes_back().await?;
        let Case { ground, node, .. } = case;
        lock(&self.idle).push(Lane { ground, node });
        Ok(())
    }

    /// Each lane's chain is rebuilt from L1 alone.
    fn settle(&self) -> bool {
        let lanes = std::mem::take(&mut *lock(&self.idle));
        let finished = self.runtime.block_on(futures::future::join_all(lanes.into_iter().map(finish)));
        for outcome in &finished {
            match outcome {
                Ok(audit) => println!("a fresh node has the same chain: {audit}"),
                Err(error) => println!("FAILED: {error:?}"),
            }
        }
        finished.iter().all(Result::is_ok)
    }

    fn print(&self) {
        let mut passed = lock(&self.passed).clone();
        passed.sort();
        let tags: BTreeSet<_> = passed.iter().filter_map(|points| points.split('@').next()).collect();
        println!("crash points passed: {} of the {} there are, in these cases:", tags.len(), CRASH_POINTS.len());
        for points in passed {
            println!("  {points}");
        }
    }
}

async fn finish(lane: Lane) -> Result<super::Audit> {
    if let Some(mut node) = lane.node {
        node.kill().await?;
    }
    lane.ground.audit_duties().await?;
    lane.ground.finish().await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the `main` of a test binary without a harness of its own: a test of each crash point.
///
/// ```text
/// crash_matrix! {
///     stories {
///         first_start: ["data_dir.after_lock", "signer.after_pin@2"];
///     }
///     elsewhere {
///         "sequencer.after_evidence": "the test that reaches it";
///     }
/// }
///
/// async fn first_start(case: &mut Case) -> anyhow::Result<()> { .. }
/// ```
#[macro_export]
macro_rules! crash_matrix {
    (stories { $($story:ident: [$($points:literal),* $(,)?];)* } elsewhere { $($tag:literal: $test:literal;)* }) => {
        fn main() -> std::process::ExitCode {
            const STORIES: &[$crate::crash::Story] = &[$($crate::crash::Story {
                name: stringify!($story),
                points: &[$($points),*],
                run: |case| Box::pin($story(case)),
            }),*];
            $crate::crash::run_matrix(STORIES, &[$(($tag, $test)),*])
        }
    };
}
