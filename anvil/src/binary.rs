//! Where anvil and the contract artifacts are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::{AnvilError, Result};

/// The package of anvil's native binary for this platform, below `node_modules`.
const PLATFORM_PACKAGE: &str = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    "@foundry-rs/anvil-linux-amd64/bin/anvil"
} else if cfg!(all(target_os = "linux", target_arch = "aarch64")) {
    "@foundry-rs/anvil-linux-arm64/bin/anvil"
} else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
    "@foundry-rs/anvil-darwin-arm64/bin/anvil"
} else {
    "@foundry-rs/anvil-darwin-amd64/bin/anvil"
};

/// The contracts' foundry output, below `node_modules`.
const ARTIFACTS_PACKAGE: &str = "@aztec/l1-artifacts/l1-contracts/out";

/// What to look at, in this order: one of the two tools, seen from one environment.
struct Search {
    /// `$ANVIL` or `$FERMATA_L1_ARTIFACTS`.
    explicit: Option<OsString>,
    /// `$PATH`; `None` for what is no program.
    path: Option<OsString>,
    /// Directories whose `node_modules` or `anvil/node_modules` may hold the package.
    roots: Vec<PathBuf>,
}

/// The anvil binary: `$ANVIL`, then `PATH`, then `anvil/node_modules` near the executable, the working directory and the
/// source tree.
///
/// # Errors
/// [`AnvilError::ToolMissing`] names where it was looked for and the command that installs it.
pub fn find_anvil() -> Result<PathBuf> {
    let search = Search { explicit: std::env::var_os("ANVIL"), path: std::env::var_os("PATH"), roots: roots() };
    search.anvil()
}

/// The directory of the contracts' foundry artifacts: `$FERMATA_L1_ARTIFACTS`, then `anvil/node_modules` as for anvil.
///
/// # Errors
/// [`AnvilError::ToolMissing`] names where it was looked for and the command that installs it.
pub fn find_artifacts() -> Result<PathBuf> {
    let search = Search { explicit: std::env::var_os("FERMATA_L1_ARTIFACTS"), path: None, roots: roots() };
    search.artifacts()
}

/// The directories from which `anvil/node_modules` may be seen.
fn roots() -> Vec<PathBuf> {
    let executable = std::env::current_exe().ok();
    let working = std::env::current_dir().ok();
    let source = Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    let starts = [working, executable, source].into_iter().flatten();
    starts.flat_map(|start| start.ancestors().map(Path::to_path_buf).collect::<Vec<_>>()).collect()
}

impl Search {
    fn anvil(&self) -> Result<PathBuf> {
        let missing = |searched| AnvilError::ToolMissing { tool: "anvil", env: "ANVIL", searched };
        if let Some(explicit) = &self.explicit {
            let path = PathBuf::from(explicit);
            return if path.is_file() { Ok(path) } else { Err(missing(path.display().to_string())) };
        }
        let on_path = self.path.iter().flat_map(std::env::split_paths).map(|dir| dir.join("anvil"));
        // The npm wrapper on a PATH is a script that needs node and a child of its own; only the program itself will do.
        let program = on_path.filter(|path| path.is_file() && !is_script(path)).chain(self.modules(PLATFORM_PACKAGE));
        first_existing(program)
            .ok_or_else(|| missing(format!("$ANVIL, $PATH and anvil/node_modules/{PLATFORM_PACKAGE}")))
    }

    fn artifacts(&self) -> Result<PathBuf> {
        let tool = "the L1 contracts' artifacts";
        let missing = |searched| AnvilError::ToolMissing { tool, env: "FERMATA_L1_ARTIFACTS", searched };
        if let Some(explicit) = &self.explicit {
            let path = PathBuf::from(explicit);
            return if path.is_dir() { Ok(path) } else { Err(missing(path.display().to_string())) };
        }
        first_existing(self.modules(ARTIFACTS_PACKAGE))
            .ok_or_else(|| missing(format!("$FERMATA_L1_ARTIFACTS and anvil/node_modules/{ARTIFACTS_PACKAGE}")))
    }

    fn modules<'a>(&'a self, package: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        self.roots.iter().map(move |root| root.join("anvil/node_modules").join(package))
    }
}

fn first_existing(mut candidates: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.find(|path| path.exists())
}

fn is_script(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 2];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == b"#!"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(roots: Vec<PathBuf>) -> Search {
        Search { explicit: None, path: None, roots }
    }

    fn touch(path: &Path, content: &str) {
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, content).expect("a file");
    }

    #[test]
    fn a_missing_tool_names_the_one_command_that_installs_it() {
        let empty = tempfile::tempdir().expect("a directory");
        let nowhere = search(vec![empty.path().to_owned()]);
        for error in [nowhere.anvil().unwrap_err(), nowhere.artifacts().unwrap_err()] {
            assert!(matches!(error, AnvilError::ToolMissing { .. }), "{error}");
            assert!(error.to_string().contains("npm ci --prefix anvil"), "{error}");
        }
    }

    #[test]
    fn an_explicit_path_that_is_not_there_is_never_replaced_by_another() {
        let tree = tempfile::tempdir().expect("a directory");
        touch(&tree.path().join("anvil/node_modules").join(PLATFORM_PACKAGE), "binary");
        let mut search = search(vec![tree.path().to_owned()]);
        assert!(search.anvil().is_ok());
        search.explicit = Some("/nonexistent/anvil".into());
        assert!(matches!(search.anvil(), Err(AnvilError::ToolMissing { .. })));
    }

    #[test]
    fn a_program_on_the_path_comes_before_node_modules_but_the_npm_wrapper_does_not() {
        let tree = tempfile::tempdir().expect("a directory");
        let module = tree.path().join("anvil/node_modules").join(PLATFORM_PACKAGE);
        touch(&module, "binary");
        touch(&tree.path().join("wrapper/anvil"), "#!/usr/bin/env node");
        touch(&tree.path().join("program/anvil"), "\u{7f}ELF");
        let mut search = search(vec![tree.path().to_owned()]);
        search.path = Some(tree.path().join("wrapper").into());
        assert_eq!(search.anvil().expect("the module"), module);
        search.path = Some(tree.path().join("program").into());
        assert_eq!(search.anvil().expect("the program"), tree.path().join("program/anvil"));
    }
}
