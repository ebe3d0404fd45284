//! Mail: what it says ([`letters`]), how it is written down (MIME), and who takes it from us. What has to be sent, when
//! and how often is [`ops::mail`](crate::ops::mail).
//!
//! A mail may hold a secret, as that of a password reset does, and always an address: neither is ever logged.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture};
use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};

use crate::{
    config::{Config, MailTransport},
    id::MailId,
    outbound::Circuit,
};

pub mod letters;
mod outbox;
mod provider;
mod smtp;

pub use outbox::Outbox;
pub use provider::Providers;
pub use smtp::Server;

/// What a mail says, and to whom. It has no `Debug` that shows any of it.
#[derive(Clone)]
pub struct Letter {
    /// The address.
    pub to: String,
    /// The subject. It holds no secret and no address, for it may be logged.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letter")
    }
}

/// A letter to be handed over.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The mail. Its `Message-ID` is made of it, so it is the same however often it is handed over.
    pub id: MailId,
    /// The name of what it is about.
    pub kind: &'static str,
    /// When it was caused.
    pub date: DateTime<Utc>,
    /// What it says.
    pub letter: Letter,
}

/// Why a mail was not taken. What they say holds no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It never will be.
    #[error("rejected: {0}")]
    Rejected(String),
    /// It may be, later; it may also have been taken without our hearing of it.
    #[error("not sent: {0}")]
    Unavailable(String),
}

/// Somebody who takes mail from us.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Hands a mail over. Bounded in time; may be asked for the same mail again.
    fn send<'a>(&'a self, mail: &'a Outgoing) -> BoxFuture<'a, Result<(), Failure>>;

    /// Whether it takes any.
    fn circuit(&self) -> Circuit {
        Circuit::Closed
    }
}

/// Who the configuration says.
///
/// # Errors
/// When the system has no root certificates.
pub fn open(config: &Config) -> anyhow::Result<Arc<dyn Transport>> {
    let from = Sender::new(config.mail.from.clone());
    Ok(match &config.mail.transport {
        MailTransport::Outbox => Arc::new(Outbox::new(config.database.data_dir.join("outbox"), from)),
        MailTransport::Log => Arc::new(Log),
        MailTransport::Smtp(servers) => Arc::new(Providers::new(servers, from, config.mail.timeout)?),
    })
}

/// Logs that there is a mail, and what it is about. What it says goes nowhere.
#[derive(Debug)]
struct Log;

impl Transport for Log {
    fn send<'a>(&'a self, mail: &'a Outgoing) -> BoxFuture<'a, Result<(), Failure>> {
        tracing::info!(mail = %mail.id, kind = mail.kind, subject = mail.letter.subject, "a mail would go out");
        std::future::ready(Ok(())).boxed()
    }
}

/// In whose name mail is sent.
#[derive(Debug, Clone)]
pub struct Sender(Mailbox);

impl Sender {
    /// By a mailbox.
    pub fn new(mailbox: Mailbox) -> Self {
        Self(mailbox)
    }

    /// The domain that `Message-ID`s are of.
    fn domain(&self) -> &str {
        self.0.email.domain()
    }

    /// A mail as MIME (RFC 5322, RFC 2045): text and HTML, headers encoded (RFC 2047). `Auto-Submitted` (RFC 3834) keeps
    /// vacations from answering.
    fn write(&self, mail: &Outgoing) -> Result<Message, Failure> {
        // What the server says of a bad one might quote it.
        let to: Address = mail.letter.to.parse().map_err(|_| Failure::Rejected("the address is none".to_owned()))?;
        let Letter { subject, text, html, .. } = &mail.letter;
        Message::builder()
            .message_id(Some(format!("<{}@{}>", mail.id, self.domain())))
            .date(mail.date.into())
            .from(self.0.clone())
            .to(Mailbox::new(None, to))
            .subject(subject.clone())
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(text.clone(), html.clone()))
            .map_err(|error| Failure::Rejected(format!("it can't be written: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn sender() -> Sender {
        Sender::new("Mainstay <no-reply@shop.example>".parse().expect("a mailbox"))
    }

    pub(super) fn mail(to: &str, subject: &str) -> Outgoing {
        let date = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let letter =
            Letter { to: to.into(), subject: subject.into(), text: "one\ntwo".into(), html: "<p>1</p>".into() };
        Outgoing { id: MailId(uuid::Uuid::from_u128(7)), kind: "order_confirmation", date, letter }
    }

    fn written(mail: &Outgoing) -> String {
        String::from_utf8(sender().write(mail).expect("written").formatted()).expect("ASCII")
    }

    #[test]
    fn the_same_mail_has_the_same_message_id() {
        let text = written(&mail("a@b.example", "Grüße"));
        assert!(text.contains("Message-ID: <00000000-0000-0000-0000-000000000007@shop.example>\r\n"), "{text}");
        assert!(text.contains("Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"), "{text}");
        assert!(text.contains("To: a@b.example\r\n") && text.contains("Date: Mon, 21 Sep 2026"), "{text}");
        assert!(text.contains("Auto-Submitted: auto-generated\r\n"), "{text}");
        assert!(text.contains("text/plain") && text.contains("text/html"), "{text}");
    }

    #[test]
    fn nobody_adds_a_header() {
        let text = written(&mail("a@b.example", "Hello\r\nBcc: c@d.example\r\n\r\nBody"));
        assert!(!text.contains("\nBcc:"), "{text}");
        for to in ["a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example", "A <a@b.example>", "nobody"] {
            assert!(matches!(sender().write(&mail(to, "Hello")), Err(Failure::Rejected(why)) if !why.contains('@')));
        }
    }
}
