//! What a process holds, as the system tells it.

use anyhow::{Context as _, Result};

/// Files, threads and memory of a process.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Footprint {
    /// Open file descriptors: files, sockets, pipes.
    pub files: usize,
    /// Threads.
    pub threads: usize,
    /// Resident memory in megabytes.
    pub resident_mb: f64,
}

impl Footprint {
    /// The footprint of the process `pid` now.
    ///
    /// # Errors
    /// There is no such process, or it belongs to somebody else.
    pub fn of(pid: u32) -> Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("the system tells VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).context("VmRSS has a value")?.parse()?;
        Ok(Self {
            files: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            threads: std::fs::read_dir(format!("/proc/{pid}/task"))?.count(),
            resident_mb: kib / 1024.0,
        })
    }
}
