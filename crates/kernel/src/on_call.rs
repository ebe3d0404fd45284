//! Hands alerts to the service that wakes an operator, in the form of PagerDuty's Events API v2, which others read too.
//!
//! An alert is handed over once per subject in 15 minutes, like its log line, and under a key of its own by which the
//! service takes repetitions, of all instances, for one incident. It is tried for about an hour. Alerts that wait are in
//! memory only, so rules over `mainstay_alerts_total` are still needed: they also see a process that is gone.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    alert::{self, Alert},
    clock::Clock,
    config,
    outbound::{Bounds, Client, Kind, Request},
};

const PROVIDER: &str = "on_call";
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
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Hands over the alerts of this process from now on, if the configuration names a service.
///
/// # Errors
/// If the system has no root certificates.
pub(crate) fn keep(config: &config::OnCall, clock: &Clock) -> anyhow::Result<()> {
    let Some(key) = config.routing_key.clone() else { return Ok(()) };
    // Of several apps in one process, as in tests, the first one hands them over.
    let Some(mut alerts) = alert::subscribe() else { return Ok(()) };
    alert::declare(PROVIDER, "auth");
    let service =
        Service { client: Client::new(PROVIDER, BOUNDS)?, url: config.url.clone(), key, clock: clock.clone() };
    tokio::spawn(async move {
        while let Some(alert) = alerts.recv().await {
            service.deliver(&alert).await;
        }
    });
    Ok(())
}

struct Service {
    client: Client,
    url: String,
    key: SecretString,
    clock: Clock,
}

impl Service {
    /// Tries until the service accepts the alert or says that it never will.
    async fn deliver(&self, alert: &Alert) {
        let mut wait = FIRST_WAIT;
        for call in 1..=CALLS {
            let sent = match self.event(alert) {
                Ok(event) => self.client.send(event).await.map(drop),
                Err(error) => return alert::count_undelivered(&error.to_string()),
            };
            match sent {
                Ok(()) => return,
                Err(error) if matches!(error.kind, Kind::Rejected | Kind::Auth) || call == CALLS => {
                    return alert::count_undelivered(&error.to_string());
                }
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn event(&self, alert: &Alert) -> http::Result<Request> {
        let name = format!("mainstay/{}/{}/{}", alert.provider, alert.cause, alert.subject);
        // The service takes 255 characters, and subjects may be longer.
        let key: String = Sha256::digest(&name).iter().map(|byte| format!("{byte:02x}")).collect();
        let body = json!({
            "routing_key": self.key.expose_secret(),
            "event_action": "trigger",
            "dedup_key": key,
            "client": "Mainstay",
            "payload": {
                "summary": format!("{}: {} ({})", alert.provider, alert.cause, alert.subject),
                "source": "mainstay",
                "severity": "error",
                "component": alert.provider,
                "class": alert.cause,
                "timestamp": self.clock.now().to_rfc3339(),
                "custom_details": { "subject": alert.subject, "detail": alert.detail },
            },
        });
        http::Request::post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            // The key makes a repetition harmless, so the client may repeat it.
            .header(IDEMPOTENCY_KEY, key)
            .body(Bytes::from(body.to_string()))
    }
}
