//! The configuration of a running node: what it was opened with, and what has been set since.
//!
//! What is set lasts until the process ends; what is to last longer belongs into the file.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::{ConfigError, Key, NodeConfig, RawConfig, Reload, Setting, Shown, shown};

/// Puts a new configuration into effect in one part of the node. It cannot fail: all values have been checked.
pub type Applier = Box<dyn Fn(&NodeConfig) + Send + Sync>;

/// The configuration of a running node.
pub struct Settings {
    current: Mutex<Current>,
    appliers: Vec<Applier>,
}

struct Current {
    raw: RawConfig,
    config: Arc<NodeConfig>,
}

/// What became of the keys that were set.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetOutcome {
    /// Keys whose new value is in effect.
    pub applied: Vec<String>,
    /// Keys that were not set, since their value takes effect at the next start of the process alone: change the file.
    pub needs_restart: Vec<String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("config", &self.current().config).finish_non_exhaustive()
    }
}

impl Settings {
    /// The settings of a node that was opened with `config`. A new configuration goes through each of `appliers`.
    #[must_use]
    pub fn new(config: &NodeConfig, appliers: Vec<Applier>) -> Self {
        let current = Current { raw: config.provenance.raw().clone(), config: Arc::new(config.clone()) };
        Self { current: Mutex::new(current), appliers }
    }

    /// The configuration as it is now.
    #[must_use]
    pub fn config(&self) -> Arc<NodeConfig> {
        Arc::clone(&self.current().config)
    }

    /// Every key with its value and where that came from, secrets taken out.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        shown(&self.current().raw)
    }

    /// Puts the hot keys among `settings` into effect, all of them or none; the others are left as they are and named.
    ///
    /// # Errors
    /// [`ConfigError::Keys`] names all that is wrong, also with keys that are not hot; nothing has changed then.
    pub fn set(&self, settings: &[Setting]) -> Result<SetOutcome, ConfigError> {
        let mut current = self.current();
        NodeConfig::from_raw(&current.raw.with_runtime(settings)?)?;
        let (hot, cold): (Vec<_>, Vec<_>) = settings.iter().cloned().partition(|setting| is_hot(&setting.key));
        let raw = current.raw.with_runtime(&hot)?;
        let config = Arc::new(NodeConfig::from_raw(&raw)?);
        self.appliers.iter().for_each(|apply| apply(&config));
        *current = Current { raw, config };
        let names = |settings: Vec<Setting>| settings.into_iter().map(|setting| setting.key).collect();
        Ok(SetOutcome { applied: names(hot), needs_restart: names(cold) })
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a new value takes effect at once. The filter of a log that is not ours does not.
fn is_hot(key: &str) -> bool {
    let is_hot = Key::find(key).is_some_and(|key| key.reload == Reload::Hot);
    is_hot && (key != "log.filter" || crate::log::can_be_filtered_anew())
}

#[cfg(test)]
mod tests {
    use super::super::Sources;
    use super::*;

    fn settings() -> (Settings, Arc<Mutex<Vec<usize>>>) {
        let presets = crate::dev::placeholders().into_iter().chain([Setting::new("execution.chain_id", "7", "a test")]);
        let config = NodeConfig::load(&Sources { presets: presets.collect(), ..Sources::default() }).expect("valid");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let apply: Applier = Box::new(move |config| sink.lock().unwrap().push(config.sequencer.min_transactions));
        (Settings::new(&config, vec![apply]), seen)
    }

    fn setting(key: &str, value: &str) -> Setting {
        Setting::new(key, value, "alice")
    }

    #[test]
    fn hot_keys_take_effect_and_the_others_are_left_and_named() {
        let (settings, seen) = settings();
        let before = settings.config();
        let set = [setting("sequencer.min_transactions", "3"), setting("rpc.max_batch", "7")];
        let outcome = settings.set(&set).expect("valid");
        assert_eq!(outcome.applied, ["sequencer.min_transactions"]);
        assert_eq!(outcome.needs_restart, ["rpc.max_batch"]);
        assert_eq!(*seen.lock().unwrap(), [3]);
        let after = settings.config();
        assert_eq!(after.sequencer.min_transactions, 3);
        assert_eq!(after.rpc, before.rpc, "not applied");
        let shown = settings.shown();
        let of = |key: &str| shown.iter().find(|shown| shown.key == key).expect("a key");
        assert_eq!(of("sequencer.min_transactions").origin.to_string(), "set by alice since the start");
        assert_eq!(of("rpc.max_batch").origin.to_string(), "default");
    }

    #[test]
    fn one_invalid_or_unknown_key_leaves_every_key_as_it_was() {
        let (settings, seen) = settings();
        let before = (settings.config(), settings.shown());
        for wrong in [
            setting("sequencer.min_transaction", "3"),
            setting("publisher.tip_cap_gwei", "100000"),
            setting("rpc.max_batch", "many"),
            setting("log.filter", "a=b=c"),
        ] {
            let refused = settings.set(&[setting("sequencer.min_transactions", "3"), wrong.clone()]);
            let told = refused.expect_err("refused").to_string();
            assert!(told.contains(&wrong.key) && told.contains("alice"), "{told}");
            assert_eq!((settings.config(), settings.shown()), before);
        }
        assert!(seen.lock().unwrap().is_empty());
    }

    #[test]
    fn keys_that_check_each_other_are_checked_together() {
        let (settings, _) = settings();
        let both = [setting("publisher.tip_floor_gwei", "50"), setting("publisher.tip_cap_gwei", "60")];
        assert_eq!(settings.set(&both).expect("valid").applied.len(), 2);
        assert!(settings.set(&[setting("publisher.tip_floor_gwei", "61")]).is_err());
    }
}
