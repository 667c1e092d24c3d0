//! What may be shown of a configuration.

use alloy::transports::http::reqwest::Url;
use figment::value::Value;
use serde::{Deserialize, Serialize};

use super::{KEYS, Kind, Origin, RawConfig, RawValue, Secrecy};

/// One key as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// The key.
    pub key: String,
    /// Its value as in TOML, secrets taken out; `None` where it is unset.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
}

/// Every key, in the order of the table.
#[must_use]
pub fn shown(raw: &RawConfig) -> Vec<Shown> {
    let show = |raw: &RawValue, kind, secrecy| match secrecy {
        Secrecy::Secret => "\"<secret>\"".to_owned(),
        Secrecy::Url => literal(&hidden(&raw.value, kind), kind),
        Secrecy::Public => literal(&raw.value, kind),
    };
    let of_key = |key: &super::Key| match raw.get(key.path) {
        Some(raw) => Shown {
            key: key.path.to_owned(),
            value: Some(show(raw, key.kind, key.secrecy)),
            origin: raw.origin.clone(),
        },
        None => Shown { key: key.path.to_owned(), value: None, origin: Origin::Default },
    };
    KEYS.iter().map(of_key).collect()
}

/// A value of URLs, without what may be secret in them.
fn hidden(value: &Value, kind: Kind) -> Value {
    // What is no URL may be a part of one that has a comma in it.
    let item =
        |text: &str| text.parse::<Url>().map_or_else(|_| "…".to_owned(), |url| without_credentials(url.as_str()));
    let each = |text: &str| {
        text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(item).collect::<Vec<_>>().join(",")
    };
    match (value, kind) {
        (Value::String(_, text), Kind::List) => Value::from(each(text)),
        (Value::Array(_, items), Kind::List) => {
            Value::from(items.iter().map(|item| hidden(item, Kind::Text)).collect::<Vec<_>>())
        }
        (other, Kind::List | Kind::Text | Kind::Integer | Kind::Path) => {
            Value::from(without_credentials(other.as_str().unwrap_or_default()))
        }
    }
}

/// A URL without user, password, path and query; anything else as it is.
pub(crate) fn without_credentials(text: &str) -> String {
    let Ok(url) = text.parse::<Url>() else { return text.to_owned() };
    let Some(host) = url.host_str() else { return text.to_owned() };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let rest = if url.path().len() > 1 || url.query().is_some() { "/…" } else { "" };
    format!("{}://{host}{port}{rest}", url.scheme())
}

fn literal(value: &Value, kind: Kind) -> String {
    match (value, kind) {
        (Value::String(_, text), Kind::Integer) => text.clone(),
        (Value::String(_, text), Kind::List) => {
            let items: Vec<_> = text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
        (Value::String(_, text), Kind::Text | Kind::Path) => quoted(text),
        (Value::Array(_, items), Kind::List | Kind::Text | Kind::Integer | Kind::Path) => {
            let items: Vec<_> = items.iter().map(|item| literal(item, Kind::Text)).collect();
            format!("[{}]", items.join(", "))
        }
        (other, Kind::List | Kind::Text | Kind::Integer | Kind::Path) => other
            .to_u128()
            .map(|n| n.to_string())
            .or_else(|| other.to_i128().map(|n| n.to_string()))
            .unwrap_or_else(|| serde_json::to_string(other).unwrap_or_default()),
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}
