//! Anvil as an owned process.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::providers::Provider;
use common::{GENESIS, anvil, anvil_with_clock, system_clock};
use fermata_anvil::{Anvil, AnvilConfig, AnvilError, Ended, L1Clock, StateFile};
use rustix::process::{Pid, Signal, getpgid, kill_process, test_kill_process};

fn script(folder: &Path, body: &str) -> PathBuf {
    let path = folder.join("anvil");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("an executable");
    path
}

fn pid_of(anvil: &Anvil) -> Pid {
    Pid::from_raw(anvil.pid().expect("a pid").cast_signed()).expect("a pid")
}

/// Waits until the process is gone, for five seconds at most.
async fn gone(pid: Pid) {
    let clock = system_clock();
    let deadline = clock.monotonic() + Duration::from_secs(5);
    while test_kill_process(pid).is_ok() {
        assert!(clock.monotonic() < deadline, "{pid:?} still runs");
        clock.sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn two_anvils_listen_on_ports_of_their_own() {
    let ((one, first), (two, second)) = (anvil().await, anvil().await);
    assert_ne!(one.port(), two.port());
    assert_ne!(one.port(), 0);
    for provider in [first, second] {
        assert_eq!(provider.get_chain_id().await.expect("an answer"), 31_337);
    }
}

#[tokio::test]
async fn a_dropped_anvil_is_killed() {
    let (anvil, _) = anvil().await;
    let pid = pid_of(&anvil);
    assert!(test_kill_process(pid).is_ok());
    drop(anvil);
    gone(pid).await;
}

#[tokio::test]
async fn a_stopped_anvil_ends_gracefully_also_when_it_is_frozen() {
    let (mut anvil, _) = anvil().await;
    let pid = pid_of(&anvil);
    anvil.freeze().expect("frozen");
    assert_eq!(anvil.stop().await.expect("stopped"), Ended::Gracefully);
    gone(pid).await;
}

#[tokio::test]
async fn an_anvil_that_does_not_want_to_end_is_killed_at_the_deadline() {
    let folder = tempfile::tempdir().expect("a folder");
    let stubborn = script(folder.path(), "trap '' TERM\necho 'Listening on 127.0.0.1:1'\nwhile :; do sleep 0.05; done");
    let stop_deadline = Duration::from_millis(200);
    let config = AnvilConfig { binary: Some(stubborn), stop_deadline, ..AnvilConfig::default() };
    let anvil = Anvil::start(&config, system_clock()).await.expect("it says that it listens");
    let pid = pid_of(&anvil);
    assert_eq!(anvil.stop().await.expect("stopped"), Ended::Killed);
    gone(pid).await;
}

#[tokio::test]
async fn an_anvil_that_stays_silent_is_given_up_and_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let pid_file = folder.path().join("pid");
    let silent = script(folder.path(), &format!("echo $$ > {}\nexec sleep 60", pid_file.display()));
    let start_deadline = Duration::from_millis(500);
    let config = AnvilConfig { binary: Some(silent), start_deadline, ..AnvilConfig::default() };
    let clock = system_clock();
    let began = clock.monotonic();
    let error = Anvil::start(&config, clock.clone()).await.expect_err("it never listens");
    assert!(matches!(&error, AnvilError::NotListening { reason, .. } if reason.contains("500ms")), "{error}");
    assert!(clock.monotonic() - began < Duration::from_secs(3));
    let pid = std::fs::read_to_string(pid_file).expect("it ran").trim().parse().expect("a pid");
    gone(Pid::from_raw(pid).expect("a pid")).await;
}

#[tokio::test]
async fn an_anvil_that_ends_at_once_is_reported_with_its_last_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = script(folder.path(), "echo 'the disk is full' >&2\nexit 3");
    for (binary, words) in [(broken, "the disk is full"), (folder.path().join("missing"), "not found")] {
        let config = AnvilConfig { binary: Some(binary), ..AnvilConfig::default() };
        match Anvil::start(&config, system_clock()).await {
            Err(AnvilError::NotListening { output, .. }) => assert!(output.contains(words), "{output}"),
            other => panic!("not refused: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_anvil_that_dies_is_noticed_and_signals_to_it_are_refused() {
    let (mut anvil, _) = anvil().await;
    assert!(anvil.is_running());
    let pid = pid_of(&anvil);
    kill_process(pid, Signal::KILL).expect("killed");
    gone(pid).await;
    let clock = system_clock();
    let deadline = clock.monotonic() + Duration::from_secs(5);
    while anvil.is_running() {
        assert!(clock.monotonic() < deadline, "its shell still runs");
        clock.sleep(Duration::from_millis(2)).await;
    }
    assert!(matches!(anvil.freeze(), Err(AnvilError::Process { .. })));
}

#[tokio::test]
async fn a_port_in_use_is_reported() {
    let (first, _) = anvil().await;
    let config = AnvilConfig { port: first.port(), ..AnvilConfig::default() };
    match Anvil::start(&config, system_clock()).await {
        Err(AnvilError::NotListening { output, .. }) => assert!(output.to_lowercase().contains("in use"), "{output}"),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_ctrl_c_at_the_terminal_does_not_reach_anvil() {
    let (anvil, _) = anvil().await;
    let theirs = getpgid(Some(pid_of(&anvil))).expect("its group");
    assert_ne!(theirs, getpgid(None).expect("our group"));
}

#[tokio::test]
async fn a_frozen_anvil_does_not_answer_until_it_is_thawed() {
    let (mut anvil, provider) = anvil().await;
    let clock = system_clock();
    anvil.freeze().expect("frozen");
    let answer = provider.get_chain_id();
    tokio::pin!(answer);
    tokio::select! {
        _ = &mut answer => panic!("a frozen process answered"),
        () = clock.sleep(Duration::from_millis(200)) => {}
    }
    anvil.thaw().expect("thawed");
    assert_eq!(answer.await.expect("an answer"), 31_337);
}

#[tokio::test]
async fn the_state_file_carries_the_chain_over_to_the_next_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = Some(StateFile { path: folder.path().join("state.json"), every: Some(Duration::from_secs(60)) });
    let config = AnvilConfig { genesis_timestamp: Some(GENESIS), state, ..AnvilConfig::default() };
    let (first_head, ended) = {
        let anvil = Anvil::start(&config, system_clock()).await.expect("anvil");
        let l1_clock = L1Clock::own(anvil.provider().expect("a provider"), system_clock()).await.expect("the clock");
        l1_clock.warp_to(GENESIS.plus_secs(1_000)).await.expect("warped");
        (l1_clock.mine().await.expect("a block"), anvil.stop().await.expect("stopped"))
    };
    assert_eq!(ended, Ended::Gracefully);
    let anvil = Anvil::start(&config, system_clock()).await.expect("anvil again");
    let l1_clock = L1Clock::own(anvil.provider().expect("a provider"), system_clock()).await.expect("the clock");
    assert_eq!((l1_clock.head().number, l1_clock.head().timestamp), (2, first_head.timestamp));
}

#[tokio::test]
async fn blocks_come_only_when_the_owner_of_the_clock_makes_them() {
    let (_anvil, provider, l1_clock) = anvil_with_clock().await;
    assert_eq!(provider.get_block_number().await.expect("a number"), 0);
    l1_clock.mine().await.expect("a block");
    assert_eq!(provider.get_block_number().await.expect("a number"), 1);
}
