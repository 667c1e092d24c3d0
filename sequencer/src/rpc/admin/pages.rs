//! The pages that need no token.

use jsonrpsee::server::{HttpBody, HttpResponse};
use serde::Serialize;

use super::context::AdminContext;
use super::liveness;
use super::reading::Reading;
use crate::metrics::record;
use crate::status::{Health, HealthStatus};

/// A page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Page {
    /// Whether the process answers, its engine lives, and the poll loop of a running node ticks.
    Live,
    /// Whether the node can do its work: it runs and makes progress.
    Ready,
    /// Whether it makes the progress it should, and why not.
    Health,
    /// The whole status.
    Status,
    /// Prometheus text.
    Metrics,
}

impl Page {
    pub(super) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/livez" => Self::Live,
            "/readyz" => Self::Ready,
            "/healthz" => Self::Health,
            "/status" => Self::Status,
            "/metrics" => Self::Metrics,
            _ => return None,
        })
    }

    pub(super) async fn answer(self, context: &AdminContext, reading: &Reading) -> HttpResponse {
        match self {
            Self::Live => verdict(&Health::from_reasons(liveness::amiss(context))),
            Self::Ready => verdict(&Health::from_reasons(reading.status().await.unready)),
            Self::Health => verdict(&reading.status().await.health),
            Self::Status => json(200, &reading.status().await),
            Self::Metrics => {
                record(&reading.status().await);
                text(200, "text/plain; version=0.0.4", context.metrics.render())
            }
        }
    }
}

fn verdict(health: &Health) -> HttpResponse {
    let status = match health.status {
        HealthStatus::Ok => 200,
        HealthStatus::Failing => 503,
    };
    json(status, health)
}

pub(super) fn json<T: Serialize>(status: u16, body: &T) -> HttpResponse {
    text(
        status,
        "application/json",
        serde_json::to_string(body).expect("answers are plain data, which always serialises"),
    )
}

fn text(status: u16, content_type: &str, body: String) -> HttpResponse {
    let response = HttpResponse::builder().status(status).header("content-type", content_type);
    response.header("cache-control", "no-store").body(HttpBody::from(body)).expect("the status and headers are valid")
}
