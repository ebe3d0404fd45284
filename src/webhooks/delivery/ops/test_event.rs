//! Test events: sent once, immediately, and not recorded.

use std::time::{Duration, Instant};

use crate::webhooks::{endpoint::store as endpoints, id::WebhookEndpointId};
use mainstay_kernel::{app::App, caller::Permit, error::Result, id, outbound::Receivers};

/// The receiver's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestAnswer {
    /// The HTTP status, always a success.
    pub status: u16,
    /// How long the answer took.
    pub duration: Duration,
}

/// Sends a test event to an endpoint.
///
/// # Errors
/// `NOT_FOUND`; `UPSTREAM_FAILED` or `UPSTREAM_TIMEOUT` if the receiver does not accept it.
pub async fn send_test(app: &App, _: Permit, endpoint: WebhookEndpointId) -> Result<TestAnswer> {
    let endpoint = app.database.autocommit(async move |connection| endpoints::get(connection, endpoint).await).await?;
    let now = app.clock.now();
    let payload = serde_json::json!({
        "type": "webhooks.endpoint.test",
        "timestamp": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        "data": { "endpointId": endpoint.id.to_string() },
    });
    let request = super::request(&app.secret, &endpoint, id::new(now), &payload.to_string(), now)?;
    let since = Instant::now();
    let answer = match request {
        Ok(request) => app.part::<Receivers>().send(request).await,
        Err(error) => Err(Receivers::invalid_request(&error)),
    };
    Ok(TestAnswer { status: answer?.status().as_u16(), duration: since.elapsed() })
}
