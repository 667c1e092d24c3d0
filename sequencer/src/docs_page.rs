//! Keeps generated pages under `sequencer/docs` equal to the tables they are made from.

/// Compares `docs/<name>` with `expected`; with `UPDATE_DOCS=1` in the environment it is written instead.
pub(crate) fn assert_page(name: &str, expected: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("docs has a parent")).expect("docs can be made");
        std::fs::write(&path, expected).expect("the page can be written");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(page, expected, "docs/{name} is stale; run the tests once with UPDATE_DOCS=1");
}
