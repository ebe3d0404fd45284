//! Sends alerts to an on-call service, in the format of PagerDuty's Events API v2, which other services support, or of
//! Opsgenie's Alert API.
//!
//! An alert is sent once per subject in 15 minutes, like its log line. Its key identifies one incident, so the service merges
//! the alerts of all instances and recognizes the end of the incident. Delivery is retried for about an hour. Waiting alerts
//! are in memory only, so rules over `mainstay_alerts_total` are still needed: they also detect a process that has ended.

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
    alert::{Alert, AlertEvent, Alerts},
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
/// Calls for one alert, each with several attempts.
const CALLS: u32 = 60;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The maximum lengths of the services, in characters: PagerDuty's summary; Opsgenie's message and description.
const MAX_SUMMARY: usize = 1024;
const MAX_MESSAGE: usize = 130;
const MAX_DESCRIPTION: usize = 15_000;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Returns the alerts of a server, and starts to send them if the configuration names a service.
pub(crate) fn start(config: &config::OnCall, clock: &Clock) -> anyhow::Result<Alerts> {
    let Some(key) = config.routing_key.clone() else { return Ok(Alerts::default()) };
    let (alerts, receiver) = Alerts::with_receiver();
    let url = config.url.trim_end_matches('/').to_owned();
    // An alert about the service itself can't be delivered: it is counted and logged only.
    let (client, clock) = (Client::new(PROVIDER, BOUNDS, &Alerts::default())?, clock.clone());
    let service = Service { client, format: config.format, url, key, clock };
    tokio::spawn(service.run(receiver));
    Ok(alerts)
}

struct Service {
    client: Client,
    format: OnCallFormat,
    url: String,
    key: SecretString,
    clock: Clock,
}

impl Service {
    async fn run(self, mut alerts: mpsc::Receiver<Alert>) {
        loop {
            match tokio::time::timeout(LONGEST_WAIT, alerts.recv()).await {
                Ok(Some(alert)) => self.deliver(&alert).await,
                Ok(None) => return,
                // Without a probe, the circuit, and the page about it, would outlast the outage.
                Err(_) if self.client.circuit() != Circuit::Closed => self.probe().await,
                Err(_) => {}
            }
        }
    }

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

    /// Ends an incident that does not exist, to determine whether the service responds.
    async fn probe(&self) {
        let over = Alert { provider: PROVIDER, cause: "probe", subject: String::new(), event: AlertEvent::Resolved };
        if let Ok(request) = self.request(&over) {
            // The result changes the circuit. Probes are repeated until the circuit is closed.
            self.client.send(request).await.ok();
        }
    }

    fn request(&self, alert: &Alert) -> http::Result<Request> {
        let name = format!("mainstay/{}/{}/{}", alert.provider, alert.cause, alert.subject);
        // The services accept 255 characters and more, and subjects may be longer.
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
        // The key of the incident makes a repetition safe, so the client may retry.
        .header(IDEMPOTENCY_KEY, format!("{key}-{step}"));
    if let Some(credentials) = credentials {
        request = request.header(AUTHORIZATION, credentials);
    }
    request.body(Bytes::from(body.to_string()))
}

fn summary(alert: &Alert, max_chars: usize) -> String {
    truncate(&format!("{}: {} ({})", alert.provider, alert.cause, alert.subject), max_chars)
}

fn truncate(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).collect()
}

#[cfg(test)]
mod tests;
