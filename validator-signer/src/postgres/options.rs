//! Which server, and how it is used.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use fermata_primitives::{SharedClock, SystemClock};
use tokio_postgres::config::{Host, TargetSessionAttrs};

use crate::{DutyKind, EthOptions, FarFutureGuard, SignerError};

/// Longest name that PostgreSQL keeps whole.
const LONGEST_NAME: usize = 63;

/// How long a server may leave a connection without a sign of life before the connection counts as broken.
const SILENCE: Duration = Duration::from_secs(2);

/// A server and a database on it, from a URL such as `postgres://fermata:secret@db.example/fermata`, or from
/// `key=value` pairs. It may name several hosts; the one that takes writes is used. Neither form of printing it shows the
/// password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(tokio_postgres::Config);

impl DatabaseUrl {
    /// The server with what every connection of `node` to it needs. An operator sees the node's name beside its sessions.
    pub(super) fn connection(&self, node: &str) -> tokio_postgres::Config {
        let mut config = self.0.clone();
        config
            .application_name(format!("fermata {node}"))
            .connect_timeout(SILENCE)
            .tcp_user_timeout(SILENCE)
            .keepalives(true)
            .keepalives_idle(SILENCE)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        config
    }
}

impl FromStr for DatabaseUrl {
    type Err = SignerError;

    /// # Errors
    /// [`SignerError::BadServer`], which repeats nothing of the URL, since that holds a password.
    fn from_str(url: &str) -> Result<Self, SignerError> {
        let bad = |what: &str| SignerError::BadServer {
            server: "(not readable)".to_owned(),
            what: format!("its address is none: {what}; give postgres://user:password@host/database"),
        };
        // The parser's own words may repeat a part of the URL.
        let config: tokio_postgres::Config = url.parse().map_err(|_| bad("it cannot be parsed"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(bad("it names no host"));
        }
        Ok(Self(config))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.0.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let addresses = self.0.get_hostaddrs().iter().map(ToString::to_string);
        let names: Vec<_> = hosts.chain(addresses).collect();
        let ports: Vec<_> = self.0.get_ports().iter().map(ToString::to_string).collect();
        f.write_str(&names.join(","))?;
        if !ports.is_empty() {
            write!(f, ":{}", ports.join(","))?;
        }
        write!(f, "/{}", self.0.get_dbname().or(self.0.get_user()).unwrap_or_default())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// How a shared store is opened.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Schema of the database that holds the store. One schema a rollup; several may share a database.
    pub schema: String,
    /// Name of this node, unlike that of every other node with the same keys: a pin of this name is taken up again at
    /// once, one of another name only when it has grown old.
    pub node: String,
    /// File in which this node remembers the server's identity and how far its log had come, to notice a server that was
    /// set back. `None` remembers for as long as the store is open.
    pub anchor: Option<PathBuf>,
    /// Certificates that vouch for the server, as PEM; `None` trusts those that the machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Requests that may wait; more make their callers wait before they are queued.
    pub queue: usize,
    /// Duties after which a transaction takes no more requests in.
    pub batch_duties: usize,
    /// Slots that are kept behind the newest finalised one.
    pub keep_slots: u64,
    /// Refuses slots that lie too far ahead; `None` refuses none.
    pub far_future: Option<FarFutureGuard>,
    /// Kinds of [`DutyKind::MARKED`] that only go forward: what does not lie above every slot that was ever pinned is
    /// refused, record or no record. A kind that one node has opened the store with is strict to all of them, and stays so.
    pub strict: BTreeSet<DutyKind>,
    /// How Ethereum duties are treated; alike at each node that shares the store.
    pub eth: EthOptions,
    /// Tells whether a deadline has passed.
    pub clock: SharedClock,
    /// Longest wait for one answer of the server, with all that is tried anew meanwhile. What moves marks, or is said of keys,
    /// is not tried anew after it.
    pub patience: Duration,
    /// Age at which a pin of another node, not signed yet, is taken over. By the database's clock.
    pub takeover_after: Duration,
    /// Longest wait for the signature of a node that holds the same payload. Longer than
    /// [`takeover_after`](Self::takeover_after), or a node that died costs the duties it had pinned.
    pub busy_patience: Duration,
}

impl PostgresOptions {
    /// The defaults, for a node of this name.
    #[must_use]
    pub fn new(node: impl Into<String>) -> Self {
        Self {
            schema: "fermata_signer".to_owned(),
            node: node.into(),
            anchor: None,
            ca_file: None,
            queue: 1024,
            batch_duties: 4096,
            keep_slots: 16_384,
            far_future: None,
            strict: BTreeSet::new(),
            eth: EthOptions::default(),
            clock: Arc::new(SystemClock),
            patience: Duration::from_secs(3),
            takeover_after: Duration::from_secs(3),
            busy_patience: Duration::from_secs(5),
        }
    }
}

/// The name of a schema, safe to stand in SQL as it is.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_schema_name(name: &str) -> Result<(), String> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let goes_on_well = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if starts_well && goes_on_well && name.len() <= LONGEST_NAME && !name.starts_with("pg_") {
        Ok(())
    } else {
        Err(format!("the schema name {name:?} is none: use up to {LONGEST_NAME} of a-z, 0-9 and _, no digit first"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url: DatabaseUrl = "postgres://me:hunter2@db.example:5433/signing".parse().unwrap();
        assert_eq!(url.to_string(), "db.example:5433/signing");
        assert!(!format!("{url:?}").contains("hunter2"));
        for bad in ["postgres://me:hunter2@db.example:port/x", "nonsense hunter2", "postgres://"] {
            let refused = bad.parse::<DatabaseUrl>().unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused:?}");
        }
    }

    #[test]
    fn a_schema_name_that_could_carry_sql_is_refused() {
        for good in ["fermata_signer", "_a1"] {
            assert_eq!(check_schema_name(good), Ok(()));
        }
        for bad in ["", "1a", "a b", "a;drop", "A", "pg_catalog", "a\"b", &"a".repeat(64)] {
            assert!(check_schema_name(bad).is_err(), "{bad}");
        }
    }
}
