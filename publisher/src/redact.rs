//! Transport errors without the endpoint's URL: providers put their customers' keys into its path and query.

use alloy::transports::http::reqwest;
use alloy::transports::{HttpError, RpcError, TransportError, TransportErrorKind};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Where the HTTP client begins to tell the URL in a text of its own.
const URL_BEGINS: &str = " for url (";

/// The error, as it may be logged and shown: without the URL of the endpoint.
#[must_use]
pub fn without_url(error: TransportError) -> TransportError {
    if let RpcError::Transport(kind) = error { RpcError::Transport(stripped(kind)) } else { error }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign enum that is open for more; the rest of it carries nothing"
)]
fn stripped(kind: TransportErrorKind) -> TransportErrorKind {
    use TransportErrorKind as Kind;
    match kind {
        Kind::Custom(cause) => Kind::Custom(nameless(cause)),
        Kind::NonRetryable(cause) => Kind::NonRetryable(nameless(cause)),
        Kind::HttpError(error) => Kind::HttpError(cut(error)),
        Kind::HttpErrorWithRetryAfter { error, retry_after } => {
            Kind::HttpErrorWithRetryAfter { error: cut(error), retry_after }
        }
        other => other,
    }
}

fn nameless(cause: Cause) -> Cause {
    match cause.downcast::<reqwest::Error>() {
        Ok(error) => Box::new(error.without_url()),
        Err(other) => other,
    }
}

/// A body that could not be read is replaced by the client's error as text.
fn cut(mut error: HttpError) -> HttpError {
    if let Some(begins) = error.body.find(URL_BEGINS) {
        error.body.truncate(begins);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_body_that_could_not_be_read_ends_before_the_url() {
        let body = "<failed to read response body: request failed for url (http://127.0.0.1/v3/s3cret)>".to_owned();
        let error = without_url(TransportErrorKind::HttpError(HttpError { status: 502, body }).into());
        let text = format!("{error} {error:?}");
        assert!(text.contains("502") && text.contains("request failed") && !text.contains("s3cret"), "{text}");
    }
}
