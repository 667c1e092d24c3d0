//! One way to a remote signer: TLS, time-outs, and answers of bounded length.

use std::path::Path;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, Response, header};
use serde_json::Value;
use zeroize::Zeroizing;

use super::wire::{self, NoResult, Question};
use super::{ClientCertificate, RemoteError, RemoteSettings, RemoteUrl};

/// Longest answer that is read: the addresses of twenty thousand keys.
const MOST_ANSWER_BYTES: usize = 1 << 20;

#[derive(Clone, Debug)]
pub(super) struct Connection {
    client: Client,
    url: RemoteUrl,
    timeout: Duration,
}

impl Connection {
    /// Reads the certificates; connects to nothing yet.
    ///
    /// # Errors
    /// [`RemoteError::Unreadable`], [`RemoteError::BadPem`], [`RemoteError::BadTls`].
    pub(super) fn new(settings: &RemoteSettings) -> Result<Self, RemoteError> {
        let RemoteSettings { url, ca_file, client_certificate, timeout, addresses: _ } = settings;
        let mut client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .https_only(url.is_encrypted())
            .connect_timeout(*timeout);
        if let Some(path) = ca_file {
            let authorities = Certificate::from_pem_bundle(&read(path)?).unwrap_or_default();
            if authorities.is_empty() {
                return Err(RemoteError::BadPem { path: path.clone(), what: "certificate" });
            }
            client = client.tls_certs_only(authorities);
        }
        if let Some(certificate) = client_certificate {
            client = client.identity(identity(certificate)?);
        }
        let client = client.build().map_err(|source| RemoteError::BadTls { url: url.clone(), source })?;
        Ok(Self { client, url: url.clone(), timeout: *timeout })
    }

    pub(super) const fn url(&self) -> &RemoteUrl {
        &self.url
    }

    /// The result of a question. Where the connection breaks, as it does when the signer was restarted, the very same
    /// question is put once more, within the same time.
    ///
    /// # Errors
    /// [`RemoteError::Unreachable`], [`RemoteError::TimedOut`], [`RemoteError::Refused`], [`RemoteError::Malformed`].
    ///
    /// # Cancel safety
    /// Dropped: the signer may have signed.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<Value, RemoteError> {
        let body = question.body();
        let asking = async {
            match self.post(body.clone()).await {
                Err(RemoteError::Unreachable { .. }) => self.post(body).await,
                answered => answered,
            }
        };
        // A span of the machine's time: whether a signer hangs has nothing to do with slots.
        let answered = tokio::time::timeout(self.timeout, asking).await;
        answered.unwrap_or_else(|_| Err(self.timed_out()))
    }

    async fn post(&self, body: Vec<u8>) -> Result<Value, RemoteError> {
        let request = self.client.post(self.url.url().clone()).header(header::CONTENT_TYPE, "application/json");
        let response = request.body(body).send().await.map_err(|error| self.broken(error))?;
        let status = response.status().as_u16();
        let body = self.read_body(response).await?;
        wire::result(status, &body).map_err(|no| self.no_result(no))
    }

    async fn read_body(&self, mut response: Response) -> Result<Vec<u8>, RemoteError> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.broken(error))? {
            if body.len() + piece.len() > MOST_ANSWER_BYTES {
                let what = format!("it is longer than {MOST_ANSWER_BYTES} bytes");
                return Err(self.no_result(NoResult::Malformed(what)));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    pub(super) fn no_result(&self, no: NoResult) -> RemoteError {
        let url = self.url.clone();
        match no {
            NoResult::Refused { code, text } => RemoteError::Refused { url, code, text },
            NoResult::Malformed(what) => RemoteError::Malformed { url, what },
        }
    }

    /// The URL of the library's errors is the whole of it.
    fn broken(&self, error: reqwest::Error) -> RemoteError {
        if error.is_timeout() {
            return self.timed_out();
        }
        RemoteError::Unreachable { url: self.url.clone(), source: error.without_url() }
    }

    fn timed_out(&self) -> RemoteError {
        RemoteError::TimedOut { url: self.url.clone(), after: self.timeout }
    }
}

fn identity(of: &ClientCertificate) -> Result<Identity, RemoteError> {
    let ClientCertificate { certificate, key } = of;
    let (certificates, key_pem) = (read(certificate)?, read(key)?);
    if Certificate::from_pem_bundle(&certificates).unwrap_or_default().is_empty() {
        return Err(RemoteError::BadPem { path: certificate.clone(), what: "certificate" });
    }
    let both = Zeroizing::new([certificates.as_slice(), b"\n", key_pem.as_slice()].concat());
    // What the library says of a key might quote it.
    Identity::from_pem(&both).map_err(|_| RemoteError::BadPem { path: key.clone(), what: "private key" })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, RemoteError> {
    let bytes = std::fs::read(path).map(Zeroizing::new);
    bytes.map_err(|source| RemoteError::Unreadable { path: path.to_owned(), source })
}

/// Whether the signer is away: it cannot be asked, does not answer, or whoever stands before it says so (HTTP 502 to 504).
/// What it says itself is no such error.
pub(super) fn is_away(error: &RemoteError) -> bool {
    matches!(
        error,
        RemoteError::Unreachable { .. } | RemoteError::TimedOut { .. } | RemoteError::Refused { code: 502..=504, .. }
    )
}
