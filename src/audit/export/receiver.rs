//! The receiver of the export: a syslog server, or a webhook.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use http::{StatusCode, header};
use mainstay_kernel::{
    alert::Alerts,
    config::{Config, ConfigError},
    contribution::Contributions,
    error::{Error, Reason, Result},
    outbound::{Bounds, Client, Request},
};
use serde_json::json;

use crate::audit::{
    config::{AuditConfig, ExportTarget, signing_key},
    export::{model::Item, stream::StreamReceiver},
};

pub(crate) const PROVIDER: &str = "audit_export";
/// The time limit of a batch.
const TOTAL: Duration = Duration::from_secs(10);
const BOUNDS: Bounds = Bounds {
    total: TOTAL,
    attempt_timeout: TOTAL,
    max_concurrency: 2,
    // The task is repeated every minute.
    max_attempts: 1,
};

/// The receiver that the configuration names, if any.
#[derive(Debug)]
pub struct Receiver(Option<Target>);

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has one")]
enum Target {
    /// With the host that the messages name.
    Syslog(StreamReceiver, String),
    Webhook {
        client: Client,
        url: String,
        key: hmac::Key,
    },
}

/// Returns what is wrong with the file that the configuration names.
pub(crate) fn check(_: &Contributions, config: &Config) -> Vec<ConfigError> {
    let error = syslog(config.section::<AuditConfig>()).err();
    let error = error.map(|error| ConfigError::new("AUDIT_EXPORT_CA", format!("{error:#}")));
    error.into_iter().collect()
}

/// Returns the syslog server of a configuration.
fn syslog(config: &AuditConfig) -> anyhow::Result<Option<StreamReceiver>> {
    let Some(ExportTarget::Syslog { host, port, is_tls }) = &config.export else { return Ok(None) };
    if !is_tls {
        return Ok(Some(StreamReceiver::plain(host, *port)));
    }
    let read = |path: &Path| std::fs::read(path).with_context(|| path.display().to_string());
    let authorities = config.export_authorities.as_deref().map(read).transpose()?;
    let receiver = StreamReceiver::tls(host, *port, authorities.as_deref())?;
    Ok(Some(receiver))
}

impl Receiver {
    /// Opens the receiver that the configuration names.
    ///
    /// # Errors
    /// If a file can't be read, or the system has no root certificates.
    pub fn open(config: &Config, alerts: &Alerts) -> anyhow::Result<Self> {
        let config = config.section::<AuditConfig>();
        if let Some(receiver) = syslog(config)? {
            return Ok(Self(Some(Target::Syslog(receiver, config.host.clone().unwrap_or_else(|| "-".to_owned())))));
        }
        let Some(ExportTarget::Webhook { url, secret }) = &config.export else { return Ok(Self(None)) };
        let key = signing_key(secret).context("AUDIT_EXPORT_SECRET")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let client = Client::new(PROVIDER, BOUNDS, alerts)?;
        Ok(Self(Some(Target::Webhook { client, url: url.clone(), key })))
    }

    /// Returns whether there is a receiver.
    pub fn is_configured(&self) -> bool {
        self.0.is_some()
    }

    /// Sends a batch. Returns `false` if the receiver refuses the size of several items (413).
    ///
    /// # Errors
    /// `UPSTREAM_FAILED` and others unless the receiver has taken it.
    pub async fn send(&self, items: &[Item], now: DateTime<Utc>) -> Result<bool> {
        match &self.0 {
            None => Ok(true),
            Some(Target::Syslog(receiver, host)) => {
                let frames: String = items.iter().map(|item| item.syslog(host)).collect();
                let sent = tokio::time::timeout(TOTAL, receiver.send(frames.as_bytes())).await;
                let sent = sent.map_err(|_| Error::from(Reason::UpstreamTimeout))?;
                sent.map(|()| true).map_err(|error| Error::from(Reason::UpstreamFailed).caused_by(error))
            }
            Some(Target::Webhook { client, url, key }) => {
                let request = request(url, key, items, now).map_err(Error::internal)?;
                match client.send(request).await {
                    Ok(_) => Ok(true),
                    Err(error) if items.len() > 1 && error.status() == Some(StatusCode::PAYLOAD_TOO_LARGE) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}

/// Returns the request of Standard Webhooks. The id of a repeated batch is the same.
fn request(url: &str, key: &hmac::Key, items: &[Item], now: DateTime<Utc>) -> anyhow::Result<Request> {
    let data: Vec<_> = items.iter().map(Item::json).collect();
    let [first, last] = [data.first(), data.last()].map(|item| item.and_then(|item| item["number"].as_str()));
    let id = format!("audit-{}-{}", first.unwrap_or_default(), last.unwrap_or_default());
    let (timestamp, body) = (now.timestamp(), json!({ "type": "audit.entries", "data": data }).to_string());
    let signature = hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
    Ok(http::Request::post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", format!("v1,{}", STANDARD.encode(signature)))
        .body(body.into())?)
}
