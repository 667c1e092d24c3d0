//! Where configuration comes from, before it is merged.

use std::path::PathBuf;

/// Every variable of the environment that sets a key begins with this.
pub const ENV_PREFIX: &str = "FERMATA_";

/// Variables with that prefix that are not keys: they are read by the command line and by crash points.
const RESERVED: [&str; 4] = ["FERMATA_CONFIG", "FERMATA_CRASH_POINT", "FERMATA_ENDPOINT", "FERMATA_TOKEN"];

/// One key that was set, and by what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// `section.name`.
    pub key: String,
    /// The value as text; a list is separated by commas.
    pub value: String,
    /// The flag or command that set it, as a person would write it.
    pub by: String,
}

impl Setting {
    /// `key` set to `value` by `by`.
    #[must_use]
    pub fn new(key: impl Into<String>, value: impl Into<String>, by: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into(), by: by.into() }
    }
}

/// The layers of a configuration, weakest first.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sources {
    /// What a command sets instead of the defaults.
    pub presets: Vec<Setting>,
    /// The TOML file.
    pub file: Option<PathBuf>,
    /// Variables of the environment, name and value. Those without the prefix, and reserved ones, are passed over.
    pub env: Vec<(String, String)>,
    /// Flags.
    pub flags: Vec<Setting>,
}

impl Sources {
    /// Nothing but the environment of this process.
    #[must_use]
    pub fn from_environment() -> Self {
        let env =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { env: env.collect(), ..Self::default() }
    }

    /// The environment's settings: `FERMATA_L1__RPC_URL` sets `l1.rpc_url`.
    pub(super) fn env_settings(&self) -> impl Iterator<Item = Setting> + '_ {
        let ours = self.env.iter().filter(|(name, _)| !RESERVED.contains(&name.as_str()));
        ours.filter_map(|(name, value)| {
            let key = name.strip_prefix(ENV_PREFIX)?.replace("__", ".").to_lowercase();
            Some(Setting::new(key, value, name))
        })
    }
}

/// The variable that sets a key.
#[must_use]
pub fn env_name(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.replace('.', "__").to_uppercase())
}
