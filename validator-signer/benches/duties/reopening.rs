//! How long a store of many duties takes to open after its process was killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use fermata_primitives::{Clock as _, SystemClock};
use fermata_validator_signer::{Scan, Sentinel, SlashingProtection, StoreOptions};

use crate::Effort;
use crate::cells::DOMAIN;
use crate::figures::{Ratio, Target};
use crate::samples::payload;

/// First argument of the process that fills a store and is killed.
pub(crate) const FILL: &str = "--fill";
/// Argument of the process that reads a store before it is opened.
pub(crate) const SCAN: &str = "--scan";
const DUTIES: u64 = 50_000;
/// Openings of each round.
const OPENINGS: usize = 5;

/// Fills the store at `dir`, says so, and waits to be killed.
pub(crate) fn fill(dir: &Path) -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    SlashingProtection::init(dir, DOMAIN).expect("a store can be made");
    let store = SlashingProtection::open(dir, DOMAIN, StoreOptions::default()).expect("it was made");
    let duties: Vec<_> = (0..DUTIES).map(payload).collect();
    assert!(runtime.block_on(store.reserve_many(&duties, None)).iter().all(Result::is_ok), "a fresh duty is safe");
    println!("filled");
    loop {
        std::thread::park();
    }
}

pub(crate) fn measure(effort: Effort) -> [Target; 2] {
    let (mut here, mut in_child) = (Ratio::default(), Ratio::default());
    let program = std::env::current_exe().expect("this program is a file");
    let child = Scan::Child { program, args: vec![SCAN.into()] };
    for _ in 0..effort.rounds {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("store");
        killed(&path);
        for _ in 0..OPENINGS {
            here.push(open(&path, &Scan::InProcess));
            in_child.push(open(&path, &child));
        }
    }
    [
        Target::at_most("opening 50,000 duties after a kill, all read, ms at worst", here.worst(), 100.0, 25.0),
        Target::at_most("the same, read by a process of its own", in_child.worst(), 100.0, 25.0),
    ]
}

/// Makes a full store, whose process is killed.
fn killed(path: &Path) {
    let program = std::env::current_exe().expect("this program is a file");
    let mut child = Command::new(program).arg(FILL).arg(path).stdout(Stdio::piped()).spawn().expect("it can be run");
    let mut said = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut said).expect("it is text");
    assert_eq!(said.trim(), "filled");
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
}

/// Milliseconds until the store is open.
fn open(path: &Path, scan: &Scan) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    let sentinel = Sentinel { scan: scan.clone(), anchor: None };
    let options = StoreOptions { sentinel, ..StoreOptions::default() };
    let begin = SystemClock.monotonic();
    let store = SlashingProtection::open(path, DOMAIN, options).expect("it is sound");
    let millis = (SystemClock.monotonic() - begin).as_secs_f64() * 1e3;
    runtime.block_on(store.close());
    millis
}
