//! Transport errors without the endpoint's URL: providers put their customers' keys into its path and query.

use alloy::transports::http::reqwest;
use alloy::transports::{HttpError, RpcError, TransportError, TransportErrorKind};

/// Where the HTTP client begins to tell the URL in a text of its own.
const URL_BEGINS: &str = " for url (";

/// The error, as it may be logged and shown: without the URL of the endpoint.
#[must_use]
pub fn without_url(error: TransportError) -> TransportError {
    let RpcError::Transport(kind) = error else { return error };
    RpcError::Transport(match kind {
        TransportErrorKind::Custom(cause) => TransportErrorKind::Custom(match cause.downcast::<reqwest::Error>() {
            Ok(error) => Box::new(error.without_url()),
            Err(other) => other,
        }),
        TransportErrorKind::HttpError(error) => TransportErrorKind::HttpError(cut(error)),
        TransportErrorKind::HttpErrorWithRetryAfter { error, retry_after } => {
            TransportErrorKind::HttpErrorWithRetryAfter { error: cut(error), retry_after }
        }
        // Foreign and open for more; those there are name no URL.
        other => other,
    })
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
