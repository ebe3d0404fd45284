//! Mail: its transport and its sender.

mod server;

use std::time::Duration;

use lettre::message::Mailbox;

use mainstay_kernel::config::{Reader, Section, Variable};

pub(crate) use server::Encryption;
pub use server::Server;

/// Mail.
#[derive(Debug, Clone)]
pub struct MailConfig {
    pub transport: MailTransport,
    /// The sender.
    pub from: Mailbox,
    /// The timeout of one provider for one mail.
    pub timeout: Duration,
    /// Concurrent mails.
    pub concurrency: usize,
    /// The longest wait before the second attempt; it triples with each attempt.
    pub retry_wait: Duration,
}

/// A mail transport.
#[derive(Debug, Clone)]
pub enum MailTransport {
    /// A file per mail in the data directory.
    Outbox,
    /// A log line per mail, without its text.
    Log,
    /// SMTP providers: the first, and optionally a second for mail that the first does not accept.
    Smtp(Vec<Server>),
}

impl Section for MailConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::plain(
            "MAIL_TRANSPORT",
            "outbox",
            "How mail is sent: smtp, outbox (.eml files in the data directory), or log (one log line per mail)",
        ),
        Variable::plain("MAIL_FROM", "Mainstay <no-reply@localhost>", "Sender of mail"),
        Variable::secret(
            "SMTP_URL",
            "Mail provider: smtps://user:password@host, or smtp:// with ?tls=required or ?tls=none",
        ),
        Variable::secret("SMTP_FALLBACK_URL", "Second mail provider, for mail that the first does not accept"),
        Variable::plain("MAIL_TIMEOUT", "10s", "Timeout of one provider for one mail, at most 60s"),
        Variable::plain("MAIL_CONCURRENCY", "4", "Concurrent mails"),
        Variable::plain(
            "MAIL_RETRY_WAIT",
            "5s",
            "Longest wait before a mail's second attempt; triples with each attempt, up to 1h",
        ),
    ];

    fn read(read: &mut Reader) -> Self {
        let mail = Self {
            from: read.parse("MAIL_FROM"),
            timeout: read.duration("MAIL_TIMEOUT"),
            concurrency: read.positive("MAIL_CONCURRENCY"),
            retry_wait: read.duration("MAIL_RETRY_WAIT"),
            transport: transport(read),
        };
        if matches!(mail.transport, MailTransport::Smtp(_)) && mail.from.email.domain() == "localhost" {
            read.fault("MAIL_FROM", "needed for MAIL_TRANSPORT=smtp: an address that answers can go to");
        }
        if mail.timeout.is_zero() || mail.timeout > LONGEST_TIMEOUT {
            read.fault("MAIL_TIMEOUT", "must be at least 1ms and at most 60s");
        }
        if mail.retry_wait.is_zero() {
            read.fault("MAIL_RETRY_WAIT", "must be at least 1ms");
        }
        mail
    }
}

/// Jobs wait for the mail.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

fn transport(read: &mut Reader) -> MailTransport {
    let name: String = read.parse("MAIL_TRANSPORT");
    let mut server = |name| match read.secret(name).map(|url| Server::parse(&url)) {
        Some(Ok(server)) => Ok(Some(server)),
        Some(Err(why)) => {
            read.fault(name, why);
            Err(())
        }
        None => Ok(None),
    };
    let (first, fallback) = (server("SMTP_URL"), server("SMTP_FALLBACK_URL"));
    match (name.as_str(), first, fallback) {
        ("outbox", ..) => return MailTransport::Outbox,
        ("log", ..) => return MailTransport::Log,
        ("smtp", Ok(Some(first)), Ok(fallback)) => {
            return MailTransport::Smtp(std::iter::once(first).chain(fallback).collect());
        }
        ("smtp", Ok(None), _) => read.fault("SMTP_URL", "needed for MAIL_TRANSPORT=smtp"),
        // The fault is recorded above.
        ("smtp", ..) => {}
        _ => read.fault("MAIL_TRANSPORT", "must be outbox, log or smtp"),
    }
    MailTransport::Outbox
}

#[cfg(test)]
mod tests {
    use mainstay_kernel::config::Source;

    fn faults(values: &[(&str, &str)]) -> Vec<String> {
        let faults = crate::product()
            .install()
            .expect("they fit")
            .config(Source::of(values.iter().copied()))
            .err()
            .unwrap_or_default();
        faults.into_iter().map(|fault| fault.name).collect()
    }

    #[test]
    fn a_provider_needs_its_url_and_a_name_to_send_in() {
        let (smtp, from) = (("MAIL_TRANSPORT", "smtp"), ("MAIL_FROM", "Shop <no-reply@shop.example>"));
        let url = ("SMTP_URL", "smtps://u:p@mail.example");
        assert_eq!(faults(&[smtp]), ["SMTP_URL"]);
        assert_eq!(faults(&[smtp, url]), ["MAIL_FROM"]);
        assert_eq!(faults(&[smtp, url, from]), [""; 0]);
        assert_eq!(faults(&[smtp, url, from, ("SMTP_FALLBACK_URL", "smtp://mail.example")]), ["SMTP_FALLBACK_URL"]);
        assert_eq!(
            faults(&[smtp, from, ("SMTP_URL", "smtps://"), ("MAIL_TIMEOUT", "0s")]),
            ["SMTP_URL", "MAIL_TIMEOUT"]
        );
        assert_eq!(faults(&[("MAIL_TRANSPORT", "pigeon")]), ["MAIL_TRANSPORT"]);
        assert_eq!(faults(&[("MAIL_FROM", "nobody")]), ["MAIL_FROM"]);
        assert_eq!(faults(&[("MAIL_FROM", "Shop <a@b.example>\r\nBcc: c@d.example")]), ["MAIL_FROM"]);
        assert_eq!(faults(&[("MAIL_TRANSPORT", "log")]), [""; 0]);
    }
}
