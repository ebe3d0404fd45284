//! The requests of the providers' APIs.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, Uri, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::sigv4;
use crate::mail::{
    config::Provider,
    transport::{OutgoingMail, Sender},
};

/// Returns the headers of a mail for which an API has no field.
fn headers(mail: &OutgoingMail, from: &Sender) -> Map<String, Value> {
    let automation = from.automation_headers(mail).into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    std::iter::once(("Message-ID".to_owned(), from.message_id(mail).into())).chain(automation).collect()
}

/// Returns the body for Resend: <https://resend.com/docs/api-reference/emails/send-email>.
pub(super) fn resend(mail: &OutgoingMail, from: &Sender) -> Value {
    let rendered = &mail.rendered;
    json!({
        "from": from.mailbox().to_string(), "to": [mail.to], "subject": rendered.subject, "text": rendered.text,
        "html": rendered.html, "headers": headers(mail, from),
    })
}

/// Returns the body for SendGrid: <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send>. Links are
/// not replaced by tracking links, because some hold secrets.
pub(super) fn sendgrid(mail: &OutgoingMail, from: &Sender) -> Value {
    let (rendered, mailbox, off) = (&mail.rendered, from.mailbox(), json!({ "enable": false }));
    json!({
        "personalizations": [{ "to": [{ "email": mail.to }] }],
        "from": { "email": mailbox.email.to_string(), "name": mailbox.name },
        "subject": rendered.subject,
        "content": [
            { "type": "text/plain", "value": rendered.text }, { "type": "text/html", "value": rendered.html },
        ],
        "headers": headers(mail, from),
        "tracking_settings": { "click_tracking": off, "open_tracking": off, "subscription_tracking": off },
    })
}

/// Returns the body for Amazon SES: <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>.
pub(super) fn ses(mail: &OutgoingMail, from: &Sender, mime_base64: &str) -> Value {
    json!({
        "FromEmailAddress": from.mailbox().to_string(),
        "Destination": { "ToAddresses": [mail.to] },
        "Content": { "Raw": { "Data": mime_base64 } },
    })
}

/// Adds the headers that authenticate the request, and for Resend the idempotency key.
pub(super) fn authorize(
    headers: &mut HeaderMap,
    provider: &Provider,
    mail: &OutgoingMail,
    uri: &Uri,
    body: &Bytes,
    now: DateTime<Utc>,
) -> Result<(), ()> {
    match provider {
        Provider::Resend { key, .. } => {
            headers.insert(header::AUTHORIZATION, bearer(key)?);
            let id = HeaderValue::from_str(&mail.id.to_string()).map_err(drop)?;
            headers.insert("idempotency-key", id);
        }
        Provider::SendGrid { key, .. } => drop(headers.insert(header::AUTHORIZATION, bearer(key)?)),
        Provider::Ses { credentials, .. } => {
            for (name, value) in sigv4::sign(credentials, "ses", "POST", uri, body, now) {
                let mut value = HeaderValue::from_str(&value).map_err(drop)?;
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        Provider::Smtp(_) => {}
    }
    Ok(())
}

fn bearer(key: &SecretString) -> Result<HeaderValue, ()> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret())).map_err(drop)?;
    value.set_sensitive(true);
    Ok(value)
}
