//! Where a remote signer is, and how both sides know each other.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use reqwest::Url;

use super::RemoteError;

/// A remote signer, and how it is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteSettings {
    /// Where it is.
    pub url: RemoteUrl,
    /// The authority its certificate is signed by, in PEM; `None`: one that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// What it knows this machine by.
    pub client_certificate: Option<ClientCertificate>,
    /// How long an answer may take, connecting included.
    pub timeout: Duration,
    /// Its keys that are to be used; none: all it has.
    pub addresses: Vec<Address>,
}

/// A certificate and the key that belongs to it, each a file in PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificate {
    /// The certificate, and those that lead from it to the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The URL of a remote signer: `https`, or `http` on this machine alone, since whoever is in between could read what is
/// signed. Shown without path and query, which may hold credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl(Arc<Url>);

impl RemoteUrl {
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl FromStr for RemoteUrl {
    type Err = RemoteError;

    fn from_str(text: &str) -> Result<Self, RemoteError> {
        let bad = |what| RemoteError::BadUrl { what };
        let url = Url::parse(text).map_err(|_| bad("it is no URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it names a user: a client certificate says who asks"));
        }
        let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match url.scheme() {
            "https" => Ok(Self(Arc::new(url))),
            "http" if here => Ok(Self(Arc::new(url))),
            "http" => Err(bad("it is http to another machine: what is signed would go in the clear")),
            _ => Err(bad("it is neither https nor http")),
        }
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_of_another_machine_is_asked_over_https_alone() {
        let good =
            ["https://signer.internal:9000/path", "http://localhost:1", "http://127.0.0.1:9000", "http://[::1]:1"];
        for url in good {
            assert!(url.parse::<RemoteUrl>().is_ok(), "{url}");
        }
        let bad = ["http://10.0.0.1:9000", "https://me:secret@signer.internal", "ftp://localhost", "signer:9000", ""];
        for url in bad {
            let refused = url.parse::<RemoteUrl>().unwrap_err();
            assert!(matches!(refused, RemoteError::BadUrl { .. }), "{url}");
            assert!(!refused.to_string().contains("secret"));
        }
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_a_credential() {
        let url: RemoteUrl = "https://signer.internal:9000/token/abc?key=def".parse().unwrap();
        assert_eq!(url.to_string(), "https://signer.internal:9000");
        assert_eq!(format!("{url:?}"), "RemoteUrl(https://signer.internal:9000)");
    }
}
