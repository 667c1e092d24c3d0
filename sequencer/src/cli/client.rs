//! Calls the admin RPC.

use std::fmt::Debug;
use std::path::Path;

use alloy::rpc::client::RpcClient;
use alloy::transports::http::reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use alloy::transports::http::reqwest::{Client, ClientBuilder, Url};
use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::catalogue::{CATALOGUE, Reason};
use crate::data_dir::AdminToken;

/// A caller of one node's admin RPC. A call has no time limit: a drain takes as long as it takes.
#[derive(Clone, Debug)]
pub struct AdminClient {
    rpc: RpcClient,
    endpoint: String,
}

/// `error.data` of an answer.
#[derive(Deserialize)]
struct Data {
    reason: String,
    hint: String,
}

impl AdminClient {
    /// A caller that shows `token` to the node at `endpoint`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Failure`] where the endpoint is not a URL or the token cannot be sent.
    pub fn new(endpoint: &str, token: &AdminToken) -> Result<Self, Failure> {
        let url = parse_url(endpoint)?;
        Self::of(Client::builder().default_headers(bearer(token)?), url, endpoint.to_owned())
    }

    /// A caller of the node that listens on the socket at `path`, as the user it runs as. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Failure`] where there can be no client at all.
    pub fn at_socket(path: &Path) -> Result<Self, Failure> {
        // The host is for the node's check alone: nothing is resolved.
        let url = "http://localhost".parse().expect("a valid URL");
        Self::of(Client::builder().unix_socket(path), url, path.display().to_string())
    }

    fn of(builder: ClientBuilder, url: Url, endpoint: String) -> Result<Self, Failure> {
        // A proxy of the environment has no business between an operator and a node on the same machine.
        let builder = builder.no_proxy();
        // Plain HTTP needs no certificates: loading them takes a while, and fails on a machine that has none.
        let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let client = builder.build();
        let client = client.map_err(|error| Failure::new(Reason::Internal, &error))?;
        Ok(Self { rpc: RpcClient::new_http_with_client(client, url), endpoint })
    }

    /// Calls a method.
    ///
    /// # Errors
    /// [`Failure`] with the reason the node gives, or that it cannot be reached.
    ///
    /// # Cancel safety
    /// Dropped, a verb goes on in the node.
    pub async fn call<P, R>(&self, method: &'static str, params: P) -> Result<R, Failure>
    where
        P: Serialize + Clone + Debug + Send + Sync + Unpin,
        R: DeserializeOwned + Debug + Send + Sync + Unpin + 'static,
    {
        self.rpc.request(method, params).await.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: TransportError) -> Failure {
        match error {
            RpcError::ErrorResp(answer) => {
                let data = answer.try_data_as::<Data>().and_then(Result::ok);
                refusal(answer.code, answer.message.into_owned(), data)
            }
            RpcError::Transport(TransportErrorKind::HttpError(error)) => {
                internal(format!("{} answered with HTTP status {}, as no node does", self.endpoint, error.status))
            }
            RpcError::Transport(error) => Failure {
                reason: Reason::NodeUnreachable,
                message: format!("no node answers at {}: {}", self.endpoint, crate::poll_loop::chain(&error)),
                hint: Some(
                    "start it with `fermata node`; a node that was killed leaves its admin.endpoint and admin.sock behind".to_owned(),
                ),
            },
            RpcError::NullResp
            | RpcError::UnsupportedFeature(_)
            | RpcError::LocalUsageError(_)
            | RpcError::SerError(_)
            | RpcError::DeserError { .. } => {
                internal(format!("the answer of {} makes no sense: {error}", self.endpoint))
            }
        }
    }
}

fn parse_url(text: &str) -> Result<Url, Failure> {
    let message = || format!("`{text}` is not a URL; write it as http://127.0.0.1:8547");
    text.parse().map_err(|_| Failure { reason: Reason::InvalidParams, message: message(), hint: None })
}

fn bearer(token: &AdminToken) -> Result<HeaderMap, Failure> {
    let message = || "the token has characters that cannot be sent".to_owned();
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| Failure {
        reason: Reason::Unauthorized,
        message: message(),
        hint: None,
    })?;
    bearer.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
}

fn internal(message: String) -> Failure {
    Failure { reason: Reason::Internal, message, hint: None }
}

/// What the node says, with the catalogue's row: by its word, else by its code.
fn refusal(code: i64, message: String, data: Option<Data>) -> Failure {
    let by_code = || CATALOGUE.iter().find(|entry| entry.rpc_code.map(i64::from) == Some(code));
    let by_word = data.as_ref().and_then(|data| Reason::from_word(&data.reason));
    let reason = by_word.or_else(|| by_code().map(|entry| entry.reason)).unwrap_or(Reason::Internal);
    Failure { reason, message, hint: data.map(|data| data.hint) }
}
