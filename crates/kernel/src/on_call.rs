//! Hands alerts to the service that wakes an operator, in the form of PagerDuty's Events API v2, which others read too, or of
//! Opsgenie's Alert API.
//!
//! An alert is handed over once per subject in 15 minutes, like its log line, and under a key of its own by which the
//! service takes repetitions, of all instances, for one incident; under the same key it learns that the incident is over. It
//! is tried for about an hour. Alerts that wait are in memory only, so rules over `mainstay_alerts_total` are still needed:
//! they also see a process that is gone.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::{
    alert::{self, Alert, AlertEvent},
    breaker::Circuit,
    clock::Clock,
    config::{self, OnCallFormat},
    outbound::{Bounds, Client, Kind, Request},
};

pub(crate) const PROVIDER: &str = "on_call";
const BOUNDS: Bounds = Bounds {
    total: Duration::from_secs(20),
    attempt_timeout: Duration::from_secs(5),
    max_concurrency: 4,
    max_attempts: 3,
};
/// Calls for one alert, each with its own attempts.
const CALLS: u32 = 60;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The longest that the services take, in characters: PagerDuty's summary; Opsgenie's message and description.
const MAX_SUMMARY: usize = 1024;
const MAX_MESSAGE: usize = 130;
const MAX_DESCRIPTION: usize = 15_000;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Starts to hand over the alerts of this process, if the configuration names a service.
///
/// # Errors
/// If the system has no root certificates.
pub(crate) fn start(config: &config::OnCall, clock: &Clock) -> anyhow::Result<()> {
    let Some(key) = config.routing_key.clone() else { return Ok(()) };
    // Of several apps in one process, as in tests, the first one hands them over.
    let Some(alerts) = alert::subscribe() else { return Ok(()) };
    let url = config.url.trim_end_matches('/').to_owned();
    let (client, clock) = (Client::new(PROVIDER, BOUNDS)?, clock.clone());
    let service = Service { client, format: config.format, url, key, clock };
    tokio::spawn(service.hand_over(alerts));
    Ok(())
}

struct Service {
    client: Client,
    format: OnCallFormat,
    url: String,
    key: SecretString,
    clock: Clock,
}

impl Service {
    /// Hands over alerts until there are no more.
    async fn hand_over(self, mut alerts: mpsc::Receiver<Alert>) {
        loop {
            match tokio::time::timeout(LONGEST_WAIT, alerts.recv()).await {
                // It has no incident about itself, because it would have had to accept one.
                Ok(Some(Alert { provider: PROVIDER, event: AlertEvent::Resolved, .. })) => {}
                Ok(Some(alert)) => self.deliver(&alert).await,
                Ok(None) => return,
                // Nothing else would show that it is back: its circuit, and the page about that, would outlast the outage.
                Err(_) if self.client.circuit() != Circuit::Closed => self.probe().await,
                Err(_) => {}
            }
        }
    }

    /// Tries until the service accepts the alert, or its end, or says that it never will.
    async fn deliver(&self, alert: &Alert) {
        let mut wait = FIRST_WAIT;
        for call in 1..=CALLS {
            let outcome = match self.request(alert) {
                Ok(request) => self.client.send(request).await.map(drop),
                Err(error) => return alert.give_up(&error.to_string()),
            };
            match outcome {
                Ok(()) => return,
                Err(error) if matches!(error.kind, Kind::Rejected | Kind::Auth) || call == CALLS => {
                    return alert.give_up(&error.to_string());
                }
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Ends an incident that never was, to find out whether the service answers.
    async fn probe(&self) {
        let over = Alert { provider: PROVIDER, cause: "probe", subject: String::new(), event: AlertEvent::Resolved };
        if let Ok(request) = self.request(&over) {
            // The circuit learns from it, and it is sent again as long as that is not closed.
            self.client.send(request).await.ok();
        }
    }

    fn request(&self, alert: &Alert) -> http::Result<Request> {
        let name = format!("mainstay/{}/{}/{}", alert.provider, alert.cause, alert.subject);
        // The services take 255 characters and more, and subjects may be longer.
        let key: String = Sha256::digest(&name).iter().map(|byte| format!("{byte:02x}")).collect();
        match self.format {
            OnCallFormat::PagerDuty => self.pagerduty(alert, &key),
            OnCallFormat::Opsgenie => self.opsgenie(alert, &key),
        }
    }

    fn pagerduty(&self, alert: &Alert, key: &str) -> http::Result<Request> {
        let mut event = json!({ "routing_key": self.key.expose_secret(), "dedup_key": key });
        match &alert.event {
            AlertEvent::Resolved => event["event_action"] = "resolve".into(),
            AlertEvent::Raised { detail } => {
                event["event_action"] = "trigger".into();
                event["client"] = "Mainstay".into();
                event["payload"] = json!({
                    "summary": summary(alert, MAX_SUMMARY),
                    "source": "mainstay",
                    "severity": "error",
                    "component": alert.provider,
                    "class": alert.cause,
                    "timestamp": self.clock.now().to_rfc3339(),
                    "custom_details": { "subject": alert.subject, "detail": detail },
                });
            }
        }
        post(&self.url, alert, key, None, &event)
    }

    fn opsgenie(&self, alert: &Alert, key: &str) -> http::Result<Request> {
        let mut credentials = HeaderValue::try_from(format!("GenieKey {}", self.key.expose_secret()))?;
        credentials.set_sensitive(true);
        let (url, body) = match &alert.event {
            AlertEvent::Resolved => {
                (format!("{}/{key}/close?identifierType=alias", self.url), json!({ "source": "mainstay" }))
            }
            AlertEvent::Raised { detail } => {
                let alert = json!({
                    "message": summary(alert, MAX_MESSAGE),
                    "alias": key,
                    "description": truncate(detail, MAX_DESCRIPTION),
                    "source": "mainstay",
                    "entity": alert.provider,
                    "tags": ["mainstay", alert.provider, alert.cause],
                    "details": { "subject": alert.subject, "raised": self.clock.now().to_rfc3339() },
                });
                (self.url.clone(), alert)
            }
        };
        post(&url, alert, key, Some(credentials), &body)
    }
}

fn post(url: &str, alert: &Alert, key: &str, credentials: Option<HeaderValue>, body: &Value) -> http::Result<Request> {
    let step = match alert.event {
        AlertEvent::Raised { .. } => "raise",
        AlertEvent::Resolved => "resolve",
    };
    let mut request = http::Request::post(url)
        .header(CONTENT_TYPE, "application/json")
        // The key of the incident makes a repetition harmless, so the client may repeat it.
        .header(IDEMPOTENCY_KEY, format!("{key}-{step}"));
    if let Some(credentials) = credentials {
        request = request.header(AUTHORIZATION, credentials);
    }
    request.body(Bytes::from(body.to_string()))
}

fn summary(alert: &Alert, max_chars: usize) -> String {
    truncate(&format!("{}: {} ({})", alert.provider, alert.cause, alert.subject), max_chars)
}

/// Returns a text without what follows the first `max_chars` characters.
fn truncate(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).collect()
}

#[cfg(test)]
mod tests;
