//! What the machine must give: a data directory, disk, ports, tools.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use fermata_anvil::{find_anvil, find_artifacts};

use super::Finding;
use crate::catalogue::Reason;
use crate::config::NodeConfig;
use crate::data_dir::holder;

/// Less room than this, and the stores will soon be unable to write.
const LEAST_DISK: u64 = 1 << 30;
/// Less than this is worth a look: trie nodes are never deleted.
const AMPLE_DISK: u64 = 10 << 30;

pub(super) fn examine(config: &NodeConfig) -> Vec<Finding> {
    let dir = &config.data_dir;
    let holder = holder(dir);
    let held = match holder {
        Some(pid) => Finding::warn(
            "held by",
            format!("process {pid} owns {}", dir.display()),
            "a node runs there already: `fermata status` shows it",
        ),
        None => Finding::ok("held by", "no process owns the data directory"),
    };
    let listen = [("rpc.listen", config.rpc.listen), ("admin.listen", config.admin.listen)];
    let ports = listen.into_iter().map(|(key, addr)| port(key, addr, holder));
    [data_dir(dir), held, disk(dir)].into_iter().chain(ports).collect()
}

fn data_dir(dir: &Path) -> Finding {
    const CHECK: &str = "data_dir";
    let shown = dir.display();
    let found = match std::fs::metadata(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::ok(CHECK, format!("{shown} is not there yet; the first start makes it"));
        }
        Err(error) => return Finding::of_reason(CHECK, format!("{shown}: {error}"), Reason::DataDirUnusable),
    };
    let us = rustix::process::geteuid().as_raw();
    if !found.is_dir() {
        return Finding::of_reason(CHECK, format!("{shown} is no directory"), Reason::DataDirUnusable);
    }
    if found.uid() != us && us != 0 {
        let says = format!("{shown} belongs to user {}, and this is user {us}", found.uid());
        return Finding::of_reason(CHECK, says, Reason::DataDirUnusable);
    }
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        let says = format!("{shown} has mode {mode:o}: others can look into it");
        return Finding::warn(CHECK, says, format!("chmod 700 {shown}"));
    }
    Finding::ok(CHECK, format!("{shown}, mode {mode:o}"))
}

fn disk(dir: &Path) -> Finding {
    const CHECK: &str = "disk";
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let there = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Ok(room) => room_left(room.f_bavail.saturating_mul(room.f_frsize)),
        Err(error) => Finding::warn(CHECK, format!("{}: {error}", there.display()), "see how much room the disk has"),
    }
}

fn room_left(bytes: u64) -> Finding {
    let says = format!("{:.1} GiB are free", bytes as f64 / f64::from(1 << 30));
    let remedy = "make room, or move the data directory";
    match bytes {
        0..LEAST_DISK => Finding::fail("disk", says, remedy),
        LEAST_DISK..AMPLE_DISK => Finding::warn("disk", says, remedy),
        AMPLE_DISK.. => Finding::ok("disk", says),
    }
}

/// Taken for a moment and given back at once.
fn port(key: &'static str, addr: SocketAddr, holder: Option<u32>) -> Finding {
    match (TcpListener::bind(addr), holder) {
        (Ok(_), _) => Finding::ok("port", format!("{key} {addr} is free")),
        (Err(error), Some(pid)) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Finding::ok("port", format!("{key} {addr} is in use, and process {pid} runs a node here"))
        }
        (Err(error), _) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Finding::of_reason("port", format!("{key} {addr} is in use"), Reason::PortInUse)
        }
        (Err(error), _) => {
            let remedy = format!("set {key} to an address of this machine");
            Finding::fail("port", format!("{key} {addr}: {error}"), remedy)
        }
    }
}

/// A node needs neither; `fermata dev` and `fermata deploy` do.
pub(super) async fn tools() -> Vec<Finding> {
    let anvil = match find_anvil() {
        Ok(path) => match tokio::process::Command::new(&path).arg("--version").output().await {
            Ok(said) => {
                let version = String::from_utf8_lossy(&said.stdout);
                let version = version.lines().next().unwrap_or("no version").to_owned();
                Finding::ok("anvil", format!("{}: {version}", path.display()))
            }
            Err(error) => Finding::warn("anvil", format!("{}: {error}", path.display()), Reason::ToolMissing.hint()),
        },
        Err(error) => Finding::warn("anvil", "is not installed; only `fermata dev` needs it", error.to_string()),
    };
    let artifacts = match find_artifacts() {
        Ok(path) => Finding::ok("contracts", path.display().to_string()),
        Err(error) => {
            Finding::warn("contracts", "are not installed; only `dev` and `deploy` need them", error.to_string())
        }
    };
    vec![anvil, artifacts]
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn little_room_is_a_warning_and_next_to_none_a_failure() {
        for (bytes, verdict) in [(0, Verdict::Fail), (2 << 30, Verdict::Warn), (50 << 30, Verdict::Ok)] {
            assert_eq!(room_left(bytes).verdict, verdict, "{bytes}");
        }
    }

    #[test]
    fn a_directory_that_others_can_look_into_is_told_with_the_remedy() {
        let dir = tempfile::tempdir().expect("a directory");
        let set = |mode| std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).expect("set");
        set(0o700);
        assert_eq!(data_dir(dir.path()).verdict, Verdict::Ok);
        set(0o755);
        let open = data_dir(dir.path());
        assert_eq!(open.verdict, Verdict::Warn);
        assert!(open.remedy.is_some_and(|remedy| remedy.starts_with("chmod 700")));
        assert_eq!(data_dir(&dir.path().join("not/yet")).verdict, Verdict::Ok);
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert_eq!(data_dir(&file).verdict, Verdict::Fail);
    }

    #[test]
    fn a_port_that_is_taken_fails_unless_a_node_runs_here() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = taken.local_addr().expect("bound");
        assert_eq!(port("rpc.listen", addr, None).verdict, Verdict::Fail);
        assert_eq!(port("rpc.listen", addr, Some(7)).verdict, Verdict::Ok);
        drop(taken);
        assert_eq!(port("rpc.listen", addr, None).verdict, Verdict::Ok);
        let elsewhere = SocketAddr::from(([203, 0, 113, 1], 0));
        assert_eq!(port("rpc.listen", elsewhere, None).verdict, Verdict::Fail);
    }
}
