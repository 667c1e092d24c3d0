//! What the documents and the lists say of the code, held to the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fermata_primitives::{CRASH_POINTS, crash_points_page};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// Every Rust source file of the rooms.
fn sources() -> Vec<PathBuf> {
    let rooms = ["sequencer", "publisher", "validator-signer", "anvil", "e2e"];
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = rooms.iter().map(|room| root().join(room)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn every_path_that_the_architecture_names_exists() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is there");
    let named = text.split('`').skip(1).step_by(2).filter(|code| code.contains('/') && !code.contains(' '));
    let named: Vec<_> = named.filter(|path| path.ends_with(".rs") || path.ends_with(".md")).collect();
    assert!(named.len() > 20, "{named:?}");
    for path in named {
        assert!(root().join(path).is_file(), "{path}");
    }
}

/// The tags of the crash points that the sources come by, as often as they are written, and whether each stands before a
/// write that can fail.
fn crash_points_in_the_sources() -> Vec<(String, bool)> {
    // Written in two parts, so that this line is no call site.
    let call = ["crash_point!", "(\""].concat();
    let is_source = |path: &&PathBuf| path.components().any(|part| part.as_os_str() == "src");
    let mut reached = Vec::new();
    for path in sources().iter().filter(is_source) {
        let text = std::fs::read_to_string(path).expect("a source can be read");
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for rest in line.split(&call).skip(1) {
                let (tag, rest) = rest.split_once('"').expect("a tag is one literal on one line");
                reached.push((tag.to_owned(), rest.starts_with(',')));
            }
        }
    }
    reached
}

#[test]
fn every_crash_point_stands_in_the_sources_once_in_the_form_that_is_listed() {
    let mut reached = crash_points_in_the_sources();
    let mut listed: Vec<_> = CRASH_POINTS.iter().map(|point| (point.tag.to_owned(), point.can_fail)).collect();
    reached.sort();
    listed.sort();
    assert_eq!(reached, listed);
    let tags: BTreeSet<_> = listed.iter().map(|(tag, _)| tag).collect();
    assert_eq!(tags.len(), listed.len(), "a tag is listed twice");
}

#[test]
fn every_crash_point_says_what_is_durable_and_what_comes_next() {
    for point in CRASH_POINTS {
        assert!(point.tag.split_once('.').is_some_and(|(room, step)| !room.is_empty() && !step.is_empty()));
        assert!(point.durable.len() > 5 && point.next.len() > 5, "{point:?}");
    }
}

#[test]
fn the_page_of_crash_points_is_made_from_their_list() {
    let path = root().join("sequencer/docs/crash-points.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, crash_points_page()).expect("the page can be written");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(page, crash_points_page(), "it is stale; run the tests once with UPDATE_DOCS=1");
}

#[test]
fn nothing_in_the_harness_or_in_a_story_sleeps_but_what_keeps_the_pace_takes_time_or_strikes_at_random() {
    let allowed = ["e2e/src/pace.rs", "e2e/src/l1_proxy/pause.rs", "e2e/src/crash/kills.rs"];
    let sleeps = [[".sleep", "("].concat(), ["sleep", "_until("].concat()];
    let watched = |path: &&PathBuf| {
        let is_bench = path.components().any(|part| part.as_os_str() == "benches");
        path.starts_with(root().join("e2e")) && !is_bench && !allowed.iter().any(|own| path.ends_with(own))
    };
    let (all, mut slept) = (sources(), Vec::new());
    for path in all.iter().filter(watched) {
        let text = std::fs::read_to_string(path).expect("a source can be read");
        if sleeps.iter().any(|sleep| text.contains(sleep)) {
            slept.push(path);
        }
    }
    assert_eq!(slept, Vec::<&PathBuf>::new(), "wait for an event with a deadline instead");
}

#[test]
fn the_first_test_of_the_page_is_one_that_runs_and_is_no_longer_than_promised() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("it is there");
    let (page, story) = (read("e2e/docs/first-test.md"), read("e2e/tests/e2e/first.rs"));
    let shown = page.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it shows a test");
    let (_, runs) = story.split_once("\n\n").expect("a line on top says what it is");
    assert_eq!(shown, runs);
    let lines = shown.lines().filter(|line| !line.is_empty()).count();
    assert!(lines <= 15, "{lines} lines");
}

#[test]
fn every_verb_of_the_harness_that_the_page_names_exists() {
    let page = std::fs::read_to_string(root().join("e2e/docs/verbs.md")).expect("it is there");
    let code = page.split('`').skip(1).step_by(2);
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let verbs: BTreeSet<_> = code
        .filter_map(|code| code.trim_start_matches(['.', ':']).split_once('(')?.0.rsplit(['.', ':']).next())
        .collect();
    let verbs: Vec<_> = verbs.into_iter().filter(|verb| verb.chars().all(is_name)).collect();
    assert!(verbs.len() > 30, "{verbs:?}");
    let harness = |path: &&PathBuf| ["e2e/src", "anvil/src"].iter().any(|room| path.starts_with(root().join(room)));
    let read = |path: &PathBuf| std::fs::read_to_string(path).expect("a source can be read");
    let text: String = sources().iter().filter(harness).map(read).collect();
    for verb in verbs {
        assert!(["(", "<"].iter().any(|after| text.contains(&format!("fn {verb}{after}"))), "{verb}");
    }
}

#[test]
fn every_crash_point_that_the_matrix_leaves_to_another_test_names_one_that_exists() {
    let matrix = std::fs::read_to_string(root().join("e2e/tests/crash/matrix.rs")).expect("it is there");
    let left = matrix.split("elsewhere {").nth(1).and_then(|rest| rest.split('}').next()).expect("it says which");
    let lines = left.lines().map(str::trim).filter(|line| line.starts_with('"'));
    let tests: Vec<_> = lines.map(|line| line.split('"').nth(3).expect("a tag and a test")).collect();
    assert!(!tests.is_empty(), "{left}");
    let sources = sources();
    for test in tests {
        let is_here = |path: &PathBuf| is_test(path.to_str().expect("a path is text"), test);
        assert!(sources.iter().any(is_here), "{test}");
    }
}

/// The rows of a page's table: number, statement, tests, remark.
fn statements(text: &str) -> Vec<[&str; 4]> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    let cells = rows.filter_map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        <[&str; 4]>::try_from(cells).ok()
    });
    cells.filter(|[number, ..]| number.parse::<usize>().is_ok()).collect()
}

/// True when the file has a test of that name.
fn is_test(path: &str, name: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(root().join(path)) else { return false };
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else { return false };
    // Its attributes, and an `async`, stand between it and the end of the function before.
    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    attributes.contains("#[test]") || attributes.contains("#[tokio::test")
}

#[test]
fn every_statement_and_every_scenario_of_the_pages_names_tests_that_exist_or_says_why_not() {
    holds("sequencer/docs/lifecycle.md", 81);
    holds("publisher/docs/scenarios.md", 100);
    holds("validator-signer/docs/scenarios.md", 65);
}

/// Each of the page's statements, of which there are so many, names tests that exist, or says why it has none.
fn holds(page: &str, count: usize) {
    let text = std::fs::read_to_string(root().join(page)).expect("it is there");
    let statements = statements(&text);
    let numbers: Vec<_> = statements.iter().map(|[number, ..]| number.parse::<usize>().expect("a number")).collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "{page}");
    for [number, statement, tests, remark] in statements {
        assert!(!statement.is_empty(), "statement {number} says nothing");
        if tests == "-" {
            assert!(!remark.is_empty(), "statement {number} has no test and does not say why");
            continue;
        }
        for test in tests.split(", ") {
            let named = test.strip_prefix('`').and_then(|test| test.strip_suffix('`')?.split_once("::"));
            let (path, name) = named.unwrap_or_else(|| panic!("statement {number}: {test} is no `path::test`"));
            assert!(is_test(path, name), "statement {number}: {path} has no test {name}");
        }
    }
}
