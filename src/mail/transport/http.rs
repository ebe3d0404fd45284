//! Mail providers with an HTTP API: Resend, SendGrid and Amazon SES.

mod request;
mod sigv4;

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Uri, header};
use mainstay_kernel::{
    breaker::Circuit,
    clock::Clock,
    outbound::{self, Confidential, Kind},
};

use crate::mail::{
    config::Provider,
    transport::{Failure, OutgoingMail, Sender, refusal::Refusal},
};

/// A client of one provider.
pub(super) struct Api {
    provider: Provider,
    client: outbound::Client,
    clock: Clock,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

impl Api {
    pub(super) fn new(provider: Provider, client: outbound::Client, clock: Clock) -> Self {
        Self { provider, client, clock }
    }

    pub(super) fn circuit(&self) -> Circuit {
        self.client.circuit()
    }

    /// Sends a mail.
    pub(super) async fn send(&self, mail: &OutgoingMail, from: &Sender) -> Result<(), Refusal> {
        let mut request = self.request(mail, from)?;
        if mail.kind.is_for_any_address {
            request.extensions_mut().insert(Confidential);
        }
        match self.client.send(request).await {
            Ok(_) => Ok(()),
            Err(error) => match refusal(&error, &mail.to) {
                None => Ok(()),
                Some(refusal) => Err(refusal),
            },
        }
    }

    fn request(&self, mail: &OutgoingMail, from: &Sender) -> Result<outbound::Request, Refusal> {
        let message = from.write(mail).map_err(|failure| match failure {
            Failure::Rejected(why)
            | Failure::Withheld(why)
            | Failure::Postponed { why, .. }
            | Failure::Unavailable(why) => Refusal { kind: Kind::Rejected, why },
        })?;
        let mut headers = HeaderMap::new();
        let (uri, body) = match &self.provider {
            Provider::Resend { url, .. } => (format!("{url}/emails"), request::resend(mail, from)),
            Provider::SendGrid { url, .. } => (format!("{url}/v3/mail/send"), request::sendgrid(mail, from)),
            Provider::Ses { url, .. } => (
                format!("{url}/v2/email/outbound-emails"),
                request::ses(mail, from, &STANDARD.encode(message.formatted())),
            ),
            Provider::Smtp(_) => return Err(misconfigured("it speaks SMTP")),
        };
        let (uri, body): (Uri, Bytes) =
            (uri.parse().map_err(|_| misconfigured("its URL is invalid"))?, body.to_string().into());
        request::authorize(&mut headers, &self.provider, mail, &uri, &body, self.clock.now())
            .map_err(|()| misconfigured("its key can't be sent in a header"))?;
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        let mut request = outbound::Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

fn misconfigured(why: &str) -> Refusal {
    Refusal { kind: Kind::Auth, why: format!("the provider can't be called: {why}") }
}

/// The errors with status 400 for which SES blames the account or its rate, not the mail.
const SES_ACCOUNT_ERRORS: [&str; 5] = [
    "AccountSuspendedException",
    "SendingPausedException",
    "LimitExceededException",
    "MailFromDomainNotVerifiedException",
    "NotFoundException",
];

/// Resend's error while an earlier attempt under the same key is in progress.
const IN_PROGRESS: &str = "concurrent_idempotent_requests";
/// Resend's error if it accepted an earlier attempt under the same key with other content: a template was changed since.
const SENT_WITH_OTHER_CONTENT: &str = "invalid_idempotent_request";

/// Returns the reason why a mail was not accepted: the provider's answer, without addresses. `None` if an earlier
/// attempt was accepted.
fn refusal(error: &outbound::Error, to: &str) -> Option<Refusal> {
    let Some(answer) = &error.answer else {
        return Some(Refusal::new(error.kind, &error.to_string(), to));
    };
    let kind_of_error = answer.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let is_about_account =
        kind_of_error.is_some_and(|kind| SES_ACCOUNT_ERRORS.iter().any(|name| kind.starts_with(name)));
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let kind = match body["name"].as_str() {
        Some(SENT_WITH_OTHER_CONTENT) => return None,
        Some(IN_PROGRESS) => Kind::Unavailable,
        _ if is_about_account => Kind::RateLimited,
        _ => error.kind,
    };
    // Resend and SES have `message`; SendGrid has a list of errors.
    let detail = [&body["message"], &body["errors"][0]["message"]].into_iter().find_map(serde_json::Value::as_str);
    let why =
        format!("{} {} {}", answer.status().as_u16(), kind_of_error.unwrap_or_default(), detail.unwrap_or_default());
    Some(Refusal::new(kind, &why, to))
}
