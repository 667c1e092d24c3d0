//! One owner at a time, private files, and finding the node.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::*;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

/// A process that owns a directory until its standard input ends.
#[test]
#[ignore = "the other process of the next test, which starts it"]
fn holder_process() {
    let dir = std::env::var_os("FERMATA_TEST_HOLD").expect("the directory to hold");
    let _held = DataDir::open(Path::new(&dir)).expect("free");
    println!("held");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[test]
fn a_second_process_is_refused_at_once_with_the_holders_pid() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut holder = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "data_dir::tests::holder_process", "--ignored", "--nocapture"])
        .env("FERMATA_TEST_HOLD", dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let stdout = std::io::BufReader::new(holder.stdout.take().expect("piped"));
    let mut lines = std::io::BufRead::lines(stdout);
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("held"))), "the other process holds it");

    let error = DataDir::open(dir.path()).expect_err("held");
    assert!(matches!(error, DataDirError::Held { pid: Some(pid), .. } if pid == holder.id()), "{error:?}");
    assert!(error.to_string().contains(&format!("process {}", holder.id())), "{error}");
    assert_eq!(super::holder(dir.path()), Some(holder.id()));
    assert_eq!(error.reason().exit_code(), 31);

    holder.kill().expect("killed");
    holder.wait().expect("ended");
    assert_eq!(super::holder(dir.path()), None, "its pid is in the file, and nobody has it");
    DataDir::open(dir.path()).expect("the lock dies with its holder");
}

#[test]
fn the_same_process_cannot_own_it_twice_and_a_close_frees_it_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let held = DataDir::open(dir.path()).expect("free");
    let error = DataDir::open(dir.path()).expect_err("held");
    assert!(matches!(error, DataDirError::Held { pid, .. } if pid == Some(std::process::id())));
    held.close();
    DataDir::open(dir.path()).expect("free again");
}

#[test]
fn a_new_directory_and_its_stores_are_private() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("a/b");
    let data = DataDir::open(&root).expect("made");
    for path in [root.clone(), data.node(), data.signer(), data.publisher(), data.execution()] {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
}

#[test]
fn a_file_in_the_place_of_the_directory_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("file");
    std::fs::write(&path, "mine").expect("written");
    assert!(matches!(DataDir::open(&path), Err(DataDirError::Unusable { .. })));
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "mine");
}

#[test]
fn the_token_is_made_once_private_and_admits_only_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = DataDir::open(dir.path()).expect("free");
    let hash = data.token(Scope::Danger, None).expect("made");
    assert_eq!(mode(&dir.path().join("admin.token")), 0o600);
    let token = find_token(dir.path()).expect("there");
    assert_eq!(token.expose().len(), 64);
    assert!(hash.admits(token.expose()));
    assert!(!hash.admits(&token.expose().replace(&token.expose()[..1], "x")));
    assert!(!hash.admits(""));
    assert_eq!(data.token(Scope::Danger, Some(hash)).expect("kept"), hash);
    assert!(!format!("{token:?}").contains(token.expose()));
}

#[test]
fn each_scope_has_a_private_token_of_its_own_and_the_widest_is_found_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = DataDir::open(dir.path()).expect("free");
    let hashes = TokenHashes::try_each(|scope| data.token(scope, None)).expect("made");
    for scope in Scope::ALL.into_iter().rev() {
        let path = dir.path().join(scope.token_file());
        assert_eq!(mode(&path), 0o600);
        let token = find_token(dir.path()).expect("there");
        assert_eq!(hashes.scope_of(token.expose()), Some(scope));
        std::fs::remove_file(path).expect("removed");
    }
    assert_eq!(hashes.scope_of(&"ab".repeat(32)), None);
    assert!(Scope::Read < Scope::Operate && Scope::Operate < Scope::Danger);
}

#[tokio::test]
async fn the_socket_is_private_and_takes_the_place_of_one_that_was_left_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = DataDir::open(dir.path()).expect("free");
    let (file, listener) = SocketFile::listen(&data).expect("listens");
    assert_eq!(mode(file.path()), 0o600);
    assert_eq!(find_socket(dir.path()).as_deref(), Some(file.path()));
    // A node that was killed removes nothing.
    std::mem::forget(file);
    drop(listener);
    let (file, _listener) = SocketFile::listen(&data).expect("listens again");
    drop(file);
    assert_eq!(find_socket(dir.path()), None);
}

#[test]
fn without_the_file_the_hash_on_record_stays_good_and_another_file_rotates_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = DataDir::open(dir.path()).expect("free");
    let first = data.token(Scope::Danger, None).expect("made");
    std::fs::remove_file(dir.path().join("admin.token")).expect("removed");
    assert_eq!(data.token(Scope::Danger, Some(first)).expect("kept"), first);
    assert!(matches!(find_token(dir.path()), Err(DataDirError::NoNode { .. })));

    let other = AdminToken::new("ab".repeat(32));
    std::fs::write(dir.path().join("admin.token"), other.expose()).expect("written");
    assert_eq!(data.token(Scope::Danger, Some(first)).expect("rotated"), other.hash());
}

#[test]
fn a_damaged_token_file_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = DataDir::open(dir.path()).expect("free");
    let path = dir.path().join("admin.token");
    std::fs::write(&path, "hunter2").expect("written");
    assert!(matches!(data.token(Scope::Danger, None), Err(DataDirError::BadToken { .. })));
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "hunter2");
}

#[test]
fn the_endpoint_is_found_while_it_is_served_and_not_after() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = DataDir::open(dir.path()).expect("free");
    assert!(matches!(find_endpoint(dir.path()), Err(DataDirError::NoNode { .. })));
    let file = EndpointFile::write(&data, ([127, 0, 0, 1], 4711).into()).expect("written");
    assert_eq!(find_endpoint(dir.path()).expect("there"), "http://127.0.0.1:4711");
    drop(file);
    assert!(matches!(find_endpoint(dir.path()), Err(DataDirError::NoNode { .. })));
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = DataDir::open(&dir.path().join("x".repeat(120))).expect("free");
    let error = SocketFile::listen(&data).expect_err("too long");
    assert!(error.to_string().contains("cannot listen on") && error.to_string().contains("admin.sock"), "{error}");
}
