//! The format of mail (MIME), and the transports that send it. [`ops`](crate::mail::ops) decides which mail is sent,
//! when and how often.
//!
//! A mail may contain a secret, such as a password reset token, and always contains an address: neither is ever logged.

mod http;
mod outbox;
mod provider;
mod refusal;
mod smtp;

use crate::mail::config::MailConfig;
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

use crate::mail::config::MailTransport;
use crate::mail::{id::MailId, kind::Kind, templates::RenderedMail};
use mainstay_kernel::{alert::Alerts, breaker::Circuit, clock::Clock, config::Config};

pub use outbox::Outbox;
pub use provider::Providers;

/// A rendered mail to be sent. Its `Debug` output shows neither the address nor the text.
#[derive(Clone)]
pub struct OutgoingMail {
    /// The mail's id. The `Message-ID` is derived from it, so it is the same for every attempt.
    pub id: MailId,
    pub kind: &'static Kind,
    /// When the mail was created.
    pub date: DateTime<Utc>,
    /// The recipient's address.
    pub to: String,
    pub rendered: RenderedMail,
}

impl fmt::Debug for OutgoingMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingMail").field("id", &self.id).field("kind", &self.kind.name).finish_non_exhaustive()
    }
}

/// The reason why a mail was not accepted. The text contains no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The mail was rejected permanently.
    #[error("rejected: {0}")]
    Rejected(String),
    /// The mail was handed to no provider: its recipient reached the limit of its kind.
    #[error("withheld: {0}")]
    Withheld(String),
    /// The mail was handed to no provider: its recipient reached the short-term limit, and gets the mail later.
    #[error("postponed: {why}")]
    Postponed {
        why: String,
        /// The time until it may be sent.
        wait: std::time::Duration,
    },
    /// The mail may be accepted later; it may also have been accepted already without confirmation.
    #[error("not sent: {0}")]
    Unavailable(String),
}

/// A transport for mail.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends a mail, within `MAIL_TIMEOUT` for each configured provider, plus one second to close an SMTP session. May
    /// be called again for the same mail.
    ///
    /// # Errors
    /// The reason why the mail was not accepted; [`Failure::Rejected`] only if every provider rejected it.
    fn send<'a>(&'a self, mail: &'a OutgoingMail) -> BoxFuture<'a, Result<(), Failure>>;

    /// Returns the state of the circuit.
    fn circuit(&self) -> Circuit {
        Circuit::Closed
    }
}

/// Opens the configured transport.
///
/// # Errors
/// An error if the system has no root certificates.
pub fn open(config: &Config, clock: &Clock, alerts: &Alerts) -> anyhow::Result<Arc<dyn Transport>> {
    let from = Sender::new(config.section::<MailConfig>().from.clone());
    Ok(match &config.section::<MailConfig>().transport {
        MailTransport::Outbox => Arc::new(Outbox::new(config.database.data_dir.join("outbox"), from)),
        MailTransport::Log => Arc::new(Log),
        MailTransport::Providers(all) => {
            // The urgent and the bulk lane each run `concurrency` sends.
            let MailConfig { timeout, concurrency, .. } = config.section();
            Arc::new(Providers::new(all, from, clock, alerts, *timeout, concurrency * 2)?)
        }
    })
}

/// Logs the id and the kind of each mail, and sends nothing.
#[derive(Debug)]
struct Log;

impl Transport for Log {
    fn send<'a>(&'a self, mail: &'a OutgoingMail) -> BoxFuture<'a, Result<(), Failure>> {
        tracing::info!(mail = %mail.id, kind = mail.kind.name, "a mail would be sent");
        std::future::ready(Ok(())).boxed()
    }
}

/// The sender of all mail.
#[derive(Debug, Clone)]
pub struct Sender(Mailbox);

impl Sender {
    /// Creates a sender from a mailbox.
    pub fn new(mailbox: Mailbox) -> Self {
        Self(mailbox)
    }

    /// Returns the domain of `Message-ID`s.
    fn domain(&self) -> &str {
        self.0.email.domain()
    }

    /// Returns the sender.
    fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    /// Returns the `Message-ID`, which is the same for every attempt.
    fn message_id(&self, mail: &OutgoingMail) -> String {
        format!("<{}@{}>", mail.id, self.domain())
    }

    /// Returns the headers for automatic processing: `Auto-Submitted` (RFC 3834) prevents automatic replies,
    /// `List-Unsubscribe` (RFC 8058) ends notifications.
    fn automation_headers(&self, mail: &OutgoingMail) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Auto-Submitted", "auto-generated".to_owned())];
        if let Some(url) = &mail.rendered.unsubscribe {
            headers.push(("List-Unsubscribe", format!("<{url}>")));
            headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        headers
    }

    /// Writes a mail as MIME (RFC 5322, RFC 2045): text and HTML, with encoded headers (RFC 2047).
    fn write(&self, mail: &OutgoingMail) -> Result<Message, Failure> {
        // The parser's message is dropped, because it might quote the address.
        let to: Address = mail.to.parse().map_err(|_| Failure::Rejected("invalid address".to_owned()))?;
        let RenderedMail { subject, text, html, .. } = &mail.rendered;
        let mut message = Message::builder()
            .message_id(Some(self.message_id(mail)))
            .date(mail.date.into())
            .from(self.0.clone())
            .to(Mailbox::new(None, to))
            .subject(subject.clone());
        for (name, value) in self.automation_headers(mail) {
            message = message.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
        }
        message
            .multipart(MultiPart::alternative_plain_html(text.clone(), html.clone()))
            .map_err(|error| Failure::Rejected(format!("it can't be written: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sender() -> Sender {
        Sender::new("Mainstay <no-reply@shop.example>".parse().expect("a mailbox"))
    }

    pub(crate) fn mail(to: &str, subject: &str) -> OutgoingMail {
        let date = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let (text, html) = ("one\ntwo".into(), "<p>1</p>".into());
        let rendered = RenderedMail { subject: subject.into(), text, html, unsubscribe: None };
        OutgoingMail {
            id: MailId(uuid::Uuid::from_u128(7)),
            kind: Kind::of::<crate::identity::mails::SignIn>(),
            date,
            to: to.into(),
            rendered,
        }
    }

    fn render(mail: &OutgoingMail) -> String {
        String::from_utf8(sender().write(mail).expect("written").formatted()).expect("ASCII")
    }

    #[test]
    fn the_same_mail_has_the_same_message_id() {
        let text = render(&mail("a@b.example", "Grüße"));
        assert!(text.contains("Message-ID: <00000000-0000-0000-0000-000000000007@shop.example>\r\n"), "{text}");
        assert!(text.contains("Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"), "{text}");
        assert!(text.contains("To: a@b.example\r\n") && text.contains("Date: Mon, 21 Sep 2026"), "{text}");
        assert!(text.contains("Auto-Submitted: auto-generated\r\n"), "{text}");
        assert!(text.contains("text/plain") && text.contains("text/html"), "{text}");
    }

    #[test]
    fn headers_cannot_be_injected() {
        let text = render(&mail("a@b.example", "Hello\r\nBcc: c@d.example\r\n\r\nBody"));
        assert!(!text.contains("\nBcc:"), "{text}");
        for to in ["a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example", "A <a@b.example>", "nobody"] {
            assert!(matches!(sender().write(&mail(to, "Hello")), Err(Failure::Rejected(why)) if !why.contains('@')));
        }
    }
}
