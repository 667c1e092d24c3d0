//! What the documents and the lists say of the code, held to the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fermata_primitives::CRASH_POINTS;

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

#[test]
fn the_list_of_crash_points_and_their_call_sites_are_equal() {
    // Written in two parts, so that this line is no call site.
    let call = ["crash_point!", "(\""].concat();
    let mut reached = BTreeSet::new();
    for path in sources().iter().filter(|path| path.components().any(|part| part.as_os_str() == "src")) {
        let text = std::fs::read_to_string(path).expect("a source can be read");
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let tags = line.split(&call).skip(1).filter_map(|rest| rest.split('"').next());
            reached.extend(tags.map(str::to_owned));
        }
    }
    let listed: BTreeSet<_> = CRASH_POINTS.iter().map(|tag| (*tag).to_owned()).collect();
    assert_eq!(reached, listed);
}
