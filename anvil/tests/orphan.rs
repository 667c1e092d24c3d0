//! A process that is killed with SIGKILL leaves no anvil behind.
//!
//! This binary is both the test and, with the argument `hold`, the process that is killed.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fermata_anvil::{Anvil, AnvilConfig};
use fermata_primitives::{Clock, SystemClock};
use rustix::process::{Pid, test_kill_process};

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("hold") => hold().await,
        Some("--list") => {
            println!("a_killed_process_leaves_no_anvil: test");
            ExitCode::SUCCESS
        }
        _ => a_killed_process_leaves_no_anvil().await,
    }
}

/// Holds an anvil for ever.
async fn hold() -> ExitCode {
    let anvil = Anvil::start(&AnvilConfig::default(), Arc::new(SystemClock)).await.expect("anvil");
    println!("{}", anvil.pid().expect("a pid"));
    std::future::pending().await
}

async fn a_killed_process_leaves_no_anvil() -> ExitCode {
    let this = std::env::current_exe().expect("this binary");
    let mut holder = Command::new(this).arg("hold").stdout(Stdio::piped()).spawn().expect("the holder");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("a pipe")).read_line(&mut line).expect("the pid");
    let anvil = line.trim().parse().ok().and_then(Pid::from_raw).expect("the pid of an anvil");
    assert!(test_kill_process(anvil).is_ok(), "anvil runs while it is held");
    holder.kill().expect("SIGKILL");
    holder.wait().expect("the holder's end");

    let deadline = SystemClock.monotonic() + PATIENCE;
    while test_kill_process(anvil).is_ok() {
        if SystemClock.monotonic() > deadline {
            println!("test a_killed_process_leaves_no_anvil ... FAILED: {line} still runs after {PATIENCE:?}");
            return ExitCode::FAILURE;
        }
        SystemClock.sleep(Duration::from_millis(5)).await;
    }
    println!("test a_killed_process_leaves_no_anvil ... ok");
    ExitCode::SUCCESS
}
