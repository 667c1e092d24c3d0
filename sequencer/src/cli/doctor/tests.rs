//! What is told of a node that cannot come up; a healthy one is examined on a real L1.

use super::*;
use crate::cli::tests::Captured;
use crate::config::Setting;

async fn run(form: Form, sources: &Sources) -> (u8, String) {
    let out = Captured::default();
    let args = DoctorArgs { json: form == Form::Json, ..DoctorArgs::default() };
    let exit = args.run_on(sources, &mut Console::new(out.clone(), Captured::default())).await;
    (exit, out.text())
}

#[tokio::test]
async fn every_problem_of_the_configuration_is_a_line_with_its_remedy() {
    let (exit, told) = run(Form::Human, &Sources::default()).await;
    assert_eq!(exit, 39);
    assert!(told.lines().filter(|line| line.starts_with("FAIL  config")).count() > 3, "{told}");
    assert!(told.contains("`l1.rpc_url` is not set; set it to the JSON-RPC endpoint of L1"), "{told}");
}

#[tokio::test]
async fn an_l1_that_does_not_answer_fails_and_nothing_is_made_of_the_data_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = dir.path().join("data");
    let mut presets = crate::dev::placeholders();
    presets.retain(|setting| setting.key != "l1.rpc_url");
    let data_dir_text = data_dir.to_str().expect("text");
    let more = [("execution.chain_id", "7"), ("l1.rpc_url", "http://127.0.0.1:9"), ("data_dir", data_dir_text)];
    presets.extend(more.map(|(key, value)| Setting::new(key, value, "a test")));
    let (exit, told) = run(Form::Json, &Sources { presets, ..Sources::default() }).await;
    assert_eq!(exit, 39);
    let findings: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let of = |check: &str| {
        findings.as_array().expect("a list").iter().find(|finding| finding["check"] == check).cloned().expect(check)
    };
    assert_eq!((&of("config")["verdict"], &of("l1")["verdict"]), (&"ok".into(), &"fail".into()));
    assert!(of("l1")["remedy"].as_str().is_some_and(|remedy| remedy.contains("l1.rpc_url")));
    assert!(!data_dir.exists(), "a look changes nothing");
}
