//! What cannot be armed ends the process before it does anything.

use anyhow::Result;
use fermata_e2e::crash::{ArmRefused, Died, Ground};
use fermata_e2e::{Net, run};
use fermata_primitives::{CRASH_POINTS, arm};
use fermata_sequencer::catalogue::Reason;
use fermata_sequencer::config::Setting;

/// Runs `fermata node` for a data directory that must stay untouched; gives its exit code and what it said.
async fn refused(flags: &[&str], armed: Option<&str>) -> Result<(Option<i32>, String)> {
    let dir = tempfile::tempdir()?;
    let data_dir = dir.path().join("node");
    let mut settings = vec![Setting::new("data_dir", data_dir.display().to_string(), "the test")];
    settings.extend(armed.map(|armed| Setting::new("crash_point", armed, "the test")));
    let output = run(&settings, &[&["node"], flags].concat()).await?;
    assert!(!data_dir.exists(), "it did something before it refused");
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

#[tokio::test]
async fn an_unknown_tag_or_action_and_a_hit_of_zero_end_the_process_with_the_tags_there_are() -> Result<()> {
    let bad_config = Some(i32::from(Reason::ConfigInvalid.exit_code()));
    for armed in ["publisher.after_recrod", "publisher.after_record=explode", "publisher.after_record@0"] {
        for (flags, env) in [(vec!["--crash-point", armed], None), (vec![], Some(armed))] {
            let (code, said) = refused(&flags, env).await?;
            assert_eq!(code, bad_config, "{armed}: {said}");
            if armed == "publisher.after_recrod" {
                assert!(CRASH_POINTS.iter().all(|point| said.contains(point.tag)), "{said}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_flag_is_hidden() -> Result<()> {
    let help = run(&[], &["node", "--help"]).await?;
    assert!(!String::from_utf8(help.stdout)?.contains("crash-point"));
    Ok(())
}

#[test]
fn nothing_is_armed_without_an_order() {
    arm(&[]).expect("no order is always obeyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_nonsense_while_it_runs_ends_and_says_so() -> Result<()> {
    let mut ground = Ground::begin(3).await?;
    let mut risen = ground.rise().await?;
    risen.arm("nowhere.at_all")?;
    assert_eq!(risen.died().await?, Died::Exit(2), "{}", risen.told());
    risen.says("there is no crash point \"nowhere.at_all\"").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flag_and_the_environment_arm_the_same() -> Result<()> {
    let net = Net::start().await?;
    let settings = net.settings("a", &[("crash_point", "data_dir.after_dirs=exit:9")]);
    let output = run(&settings, &["node", "--crash-point", "data_dir.after_lock=sleep:1"]).await?;
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("crash point data_dir.after_lock reached (hit 1): sleep:1"), "{said}");
    assert!(said.contains("crash point data_dir.after_dirs reached (hit 1): exit:9"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_doomed_when_it_was_started_is_not_armed_while_it_runs() -> Result<()> {
    let mut ground = Ground::begin(3).await?;
    let doomed = ground.doom("publisher.after_record")?;
    let refused = doomed.arm("signer.after_pin").expect_err("it would not take notice");
    assert_eq!(refused.downcast_ref::<ArmRefused>(), Some(&ArmRefused::Doomed));
    Ok(())
}
