//! The merged layers: every key with its value and where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::{Deserialize, Serialize};

use super::{ConfigError, KEYS, Key, Kind, Problem, Problems, Setting, Sources};

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "layer", content = "at")]
pub enum Origin {
    /// The table of keys.
    Default,
    /// A command's own preset.
    Preset(String),
    /// The file.
    File(PathBuf),
    /// The variable.
    Env(String),
    /// The flag.
    Flag(String),
    /// An operator, while the node ran.
    Runtime(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset(by) => write!(f, "preset of {by}"),
            Self::File(file) => write!(f, "file {}", file.display()),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Runtime(by) => write!(f, "set by {by} since the start"),
        }
    }
}

/// A value and its origin.
#[derive(Clone, PartialEq, Debug)]
pub struct RawValue {
    /// As the layer gave it. Text from the environment and from flags is not parsed yet.
    pub value: Value,
    /// Which layer.
    pub origin: Origin,
}

/// Every key that has a value.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RawConfig {
    values: BTreeMap<&'static str, RawValue>,
}

impl RawConfig {
    /// Reads and merges the layers. Blocks on reading the file.
    ///
    /// # Errors
    /// [`ConfigError`] where the file cannot be read or parsed, or any layer has a key that is unknown.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut layers =
            vec![Layer::defaults(), Layer::of_settings("preset", sources.presets.iter().cloned(), Origin::Preset)];
        if let Some(file) = &sources.file {
            layers.push(Layer::of_file(file)?);
        }
        layers.push(Layer::of_settings("env", sources.env_settings(), Origin::Env));
        layers.push(Layer::of_settings("flag", sources.flags.iter().cloned(), Origin::Flag));

        let unknown: Vec<_> = layers.iter().flat_map(|layer| layer.unknown.clone()).collect();
        if !unknown.is_empty() {
            return Err(ConfigError::Keys(Problems(unknown)));
        }
        let figment = layers.iter().fold(Figment::new(), |figment, layer| figment.merge(layer));
        let values = KEYS.iter().filter_map(|key| Some((key.path, origin_of(key, &figment, &layers)?)));
        Ok(Self { values: values.collect() })
    }

    /// These layers, with what an operator has set since over them.
    ///
    /// # Errors
    /// [`ConfigError::Keys`] where there is no such key.
    pub fn with_runtime(&self, settings: &[Setting]) -> Result<Self, ConfigError> {
        let mut values = self.values.clone();
        let mut unknown = Vec::new();
        for Setting { key, value, by } in settings {
            let origin = Origin::Runtime(by.clone());
            match Key::find(key) {
                Some(key) => drop(values.insert(key.path, RawValue { value: Value::from(value.clone()), origin })),
                None => unknown.push(Problem::unknown(key, origin)),
            }
        }
        if unknown.is_empty() { Ok(Self { values }) } else { Err(ConfigError::Keys(Problems(unknown))) }
    }

    /// The value of a key, if it has one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.values.get(key)
    }

    /// Every key that has a value, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Key, &RawValue)> {
        self.values.iter().filter_map(|(path, value)| Some((Key::find(path)?, value)))
    }
}

/// The winning value of a key, and the layer it won in.
fn origin_of(key: &Key, figment: &Figment, layers: &[Layer]) -> Option<RawValue> {
    let value = figment.find_value(key.path).ok()?;
    let layer =
        figment.get_metadata(value.tag()).and_then(|found| layers.iter().find(|layer| layer.name == found.name));
    let origin = layer.and_then(|layer| layer.origins.get(key.path)).cloned().unwrap_or(Origin::Default);
    Some(RawValue { value, origin })
}

/// One layer, checked against the table of keys.
#[derive(Debug)]
struct Layer {
    name: &'static str,
    dict: Dict,
    origins: BTreeMap<&'static str, Origin>,
    unknown: Vec<Problem>,
}

impl Layer {
    const fn empty(name: &'static str) -> Self {
        Self { name, dict: Dict::new(), origins: BTreeMap::new(), unknown: Vec::new() }
    }

    fn defaults() -> Self {
        let mut layer = Self::empty("default");
        for key in KEYS {
            if let Some(default) = key.default {
                layer.set(key.path, parse_literal(default), Origin::Default);
            }
        }
        layer
    }

    fn of_settings(name: &'static str, settings: impl Iterator<Item = Setting>, origin: fn(String) -> Origin) -> Self {
        let mut layer = Self::empty(name);
        for Setting { key, value, by } in settings {
            layer.set(&key, Value::from(value), origin(by));
        }
        layer
    }

    fn of_file(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
        let dict: Dict = Toml::from_str(&text).map_err(|error| {
            let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
            let message = error.message().replace('\n', ", ");
            ConfigError::Syntax { file: file.to_owned(), line, column, message }
        })?;
        let base = file.parent().unwrap_or_else(|| Path::new(""));
        let mut layer = Self::empty("file");
        for (path, value) in leaves("", dict) {
            let value = match Key::find(&path).map(|key| key.kind) {
                Some(Kind::Path) => beside(base, value),
                Some(Kind::Text | Kind::Integer | Kind::List) | None => value,
            };
            layer.set(&path, value, Origin::File(file.to_owned()));
        }
        Ok(layer)
    }

    fn set(&mut self, path: &str, value: Value, origin: Origin) {
        let Some(key) = Key::find(path) else {
            self.unknown.push(Problem::unknown(path, origin));
            return;
        };
        self.origins.insert(key.path, origin);
        insert(&mut self.dict, key.path, value);
    }
}

/// Sets the value at a path of sections.
fn insert(dict: &mut Dict, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(dict.insert(path.to_owned(), value)),
        Some((section, rest)) => {
            let section = dict.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, section) = section {
                insert(section, rest, value);
            }
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// The paths that lead to something other than a section. An empty section is none.
fn leaves(prefix: &str, dict: Dict) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, value) in dict {
        let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Dict(_, section) => found.extend(leaves(&path, section)),
            value @ (Value::String(..)
            | Value::Char(..)
            | Value::Bool(..)
            | Value::Num(..)
            | Value::Empty(..)
            | Value::Array(..)) => found.push((path, value)),
        }
    }
    found
}

/// A path in a file is relative to that file.
fn beside(base: &Path, value: Value) -> Value {
    match value.as_str() {
        Some(path) => Value::from(base.join(path).to_string_lossy().into_owned()),
        None => value,
    }
}

pub(super) fn parse_literal(literal: &str) -> Value {
    let mut dict: Dict = Toml::from_str(&format!("v = {literal}")).expect("the literals of the table are TOML");
    dict.remove("v").expect("it was just set")
}

/// Line and column of a byte, counted from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
