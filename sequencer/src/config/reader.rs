//! Takes typed values out of a [`RawConfig`] and notes every problem on the way.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use alloy::primitives::Address;
use alloy::transports::http::reqwest::Url;
use figment::value::Value;

use super::{Origin, Problem, Provenance, RawConfig, RawValue};

/// A reader. Each method gives `None` where there is no valid value; what is wrong then is among the problems.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    raw: &'a RawConfig,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(raw: &'a RawConfig) -> Self {
        Self { raw, problems: Vec::new() }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn provenance(&self) -> Provenance {
        Provenance::new(self.raw.clone())
    }

    pub(super) fn is_set(&self, key: &'static str) -> bool {
        self.raw.get(key).is_some()
    }

    /// Notes that a key must be set.
    pub(super) fn missing(&mut self, key: &'static str, remedy: &str) {
        self.problems.push(Problem::Missing { key, remedy: remedy.to_owned() });
    }

    /// Notes that a key's value is not valid.
    pub(super) fn invalid(&mut self, key: &'static str, wrong: impl Into<String>, remedy: impl Into<String>) {
        let origin = self.raw.get(key).map_or(Origin::Default, |raw| raw.origin.clone());
        self.problems.push(Problem::Invalid { key, origin, wrong: wrong.into(), remedy: remedy.into() });
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let RawValue { value, .. } = self.raw.get(key)?;
        match value.as_str() {
            Some(text) => Some(text.to_owned()),
            None => {
                self.invalid(key, "is not text", "write it in quotes");
                None
            }
        }
    }

    /// Text that a type can be parsed from; `None` also where it is unset.
    pub(super) fn parsed<T: FromStr>(&mut self, key: &'static str, what: &str, remedy: &str) -> Option<T> {
        let text = self.text(key)?;
        match text.parse() {
            Ok(parsed) => Some(parsed),
            Err(_) => {
                self.invalid(key, format!("is not {what}"), remedy);
                None
            }
        }
    }

    pub(super) fn url(&mut self, key: &'static str) -> Option<Url> {
        let url: Url = self.parsed(key, "a URL", "write it as http://host:port")?;
        if is_http(&url) {
            return Some(url);
        }
        self.invalid(key, "is not an http or https URL", "write it as http://host:port");
        None
    }

    /// A list of URLs, none of them twice. What is wrong does not repeat an entry: it may hold credentials.
    pub(super) fn urls(&mut self, key: &'static str) -> Option<Vec<Url>> {
        let entries = self.list(key)?;
        let parsed = |entry: &String| entry.parse().ok().filter(is_http);
        let Some(urls) = entries.iter().map(parsed).collect::<Option<Vec<Url>>>() else {
            self.invalid(key, "has an entry that is not an http or https URL", "write it as [\"http://host:port\"]");
            return None;
        };
        if urls.iter().enumerate().any(|(index, url)| urls[..index].contains(url)) {
            self.invalid(key, "has the same URL twice", "name each endpoint once");
            return None;
        }
        Some(urls)
    }

    pub(super) fn address(&mut self, key: &'static str) -> Option<Address> {
        self.parsed(key, "an address", "write 0x and 40 hexadecimal digits")
    }

    pub(super) fn socket(&mut self, key: &'static str) -> Option<SocketAddr> {
        self.parsed(key, "an IP address and port", "write it as 127.0.0.1:8545; port 0 lets the system choose")
    }

    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let text = self.text(key)?;
        if text.is_empty() {
            self.invalid(key, "is empty", "name a file or directory, or leave the key out");
            return None;
        }
        Some(text.into())
    }

    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<String>> {
        let RawValue { value, .. } = self.raw.get(key)?;
        let texts = |values: &[Value]| values.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
        let split = |text: &str| text.split(',').map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect();
        let list = value.as_array().map_or_else(|| value.as_str().map(split), texts);
        if list.is_none() {
            self.invalid(key, "is not a list of text", "write it as [\"a\", \"b\"]");
        }
        list
    }

    pub(super) fn addresses(&mut self, key: &'static str) -> Option<BTreeSet<Address>> {
        let addresses: Option<_> = self.list(key)?.iter().map(|text| text.parse().ok()).collect();
        if addresses.is_none() {
            self.invalid(key, "has an entry that is not an address", "write each as 0x and 40 hexadecimal digits");
        }
        addresses
    }

    /// A whole number; `None` also where it is unset.
    pub(super) fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let RawValue { value, .. } = self.raw.get(key)?;
        let number = match value.as_str() {
            Some(text) => text.trim().replace('_', "").parse().ok(),
            None => value.to_u128().or_else(|| value.to_i128().and_then(|n| n.try_into().ok())),
        };
        let number = number.and_then(|n: u128| u64::try_from(n).ok()).filter(|n| range.contains(n));
        if number.is_none() {
            let span = match (*range.start(), *range.end()) {
                (start, u64::MAX) => format!("from {start} on"),
                (start, end) => format!("from {start} to {end}"),
            };
            self.invalid(key, format!("is not a whole number {span}"), "choose one in that range");
        }
        number
    }

    pub(super) fn count(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let number = self.integer(key, u64::from(*range.start())..=u64::from(*range.end()))?;
        Some(u32::try_from(number).expect("the range is within u32"))
    }

    pub(super) fn size(&mut self, key: &'static str) -> Option<usize> {
        self.integer(key, 1..=u64::from(u32::MAX)).and_then(|n| usize::try_from(n).ok())
    }

    pub(super) fn millis(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<Duration> {
        self.integer(key, range).map(Duration::from_millis)
    }

    /// One of the words.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.invalid(key, format!("is `{text}`"), format!("write one of {}", all.join(", ")));
        }
        found
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}
