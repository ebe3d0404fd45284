//! The settings of mail: its transport and its sender.

mod brand;
mod providers;
mod server;

use std::{path::PathBuf, time::Duration};

use lettre::message::Mailbox;

use mainstay_kernel::config::{Reader, Requirement, Section, Variable, Verdict};

pub use brand::{Brand, Color};
pub use providers::{AwsCredentials, Provider};
pub(crate) use server::Encryption;
pub use server::Server;

#[derive(Debug, Clone)]
pub struct MailConfig {
    pub transport: MailTransport,
    pub from: Mailbox,
    /// The appearance of mail, and the base URLs of its links.
    pub brand: Brand,
    /// The directory of templates that replace the built-in ones.
    pub templates: Option<PathBuf>,
    /// The timeout of one provider for one mail.
    pub timeout: Duration,
    /// The maximum number of concurrent urgent mails per worker, and of concurrent other mails.
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
    /// Providers: the primary, and optionally a fallback for mail that the primary does not accept.
    Providers(Vec<Provider>),
}

impl Section for MailConfig {
    const VARIABLES: &'static [Variable] = &[
        providers::TRANSPORT,
        Variable::plain("MAIL_FROM", "Mainstay <no-reply@localhost>", "Sender of mail"),
        providers::FALLBACK,
        providers::SMTP_URL,
        providers::SMTP_FALLBACK_URL,
        providers::RESEND_KEY,
        providers::RESEND_URL,
        providers::SENDGRID_KEY,
        providers::SENDGRID_URL,
        providers::AWS_REGION,
        providers::AWS_KEY_ID,
        providers::AWS_SECRET,
        providers::AWS_TOKEN,
        providers::SES_URL,
        Variable::plain("MAIL_TIMEOUT", "10s", "Timeout of one provider for one mail, at most 60s"),
        Variable::plain(
            "MAIL_CONCURRENCY",
            "4",
            "Maximum concurrent urgent mails (registrations, resets, sign-in notices); other mails have the same limit",
        ),
        Variable::plain(
            "MAIL_RETRY_WAIT",
            "5s",
            "Longest wait before a mail's second attempt; triples with each attempt, up to 1h",
        ),
        Variable::plain(
            "MAIL_TEMPLATES",
            "",
            "Directory of templates that replace the built-in ones of the same names",
        ),
        brand::NAME,
        brand::APP_URL,
        brand::PUBLIC_URL,
        brand::LOGO,
        brand::COLOR,
    ];

    fn read(read: &mut Reader) -> Self {
        let mail = Self {
            from: read.parse("MAIL_FROM"),
            brand: Brand::read(read),
            templates: read.optional("MAIL_TEMPLATES"),
            timeout: read.duration("MAIL_TIMEOUT"),
            concurrency: read.positive("MAIL_CONCURRENCY"),
            retry_wait: read.duration("MAIL_RETRY_WAIT"),
            transport: providers::transport(read),
        };
        if matches!(mail.transport, MailTransport::Providers(_)) && mail.from.email.domain() == "localhost" {
            read.fault("MAIL_FROM", "required when mail is delivered: an address that receives replies");
        }
        if matches!(mail.transport, MailTransport::Providers(_)) && read.optional::<String>("PUBLIC_URL").is_none() {
            read.fault("PUBLIC_URL", "required when mail is delivered: links in mail use it");
        }
        if mail.timeout.is_zero() || mail.timeout > MAX_TIMEOUT {
            read.fault("MAIL_TIMEOUT", "must be at least 1ms and at most 60s");
        }
        if mail.retry_wait.is_zero() {
            read.fault("MAIL_RETRY_WAIT", "must be at least 1ms");
        }
        mail
    }
}

impl MailConfig {
    /// Returns a warning for the operator, if the settings call for one.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        match self.transport {
            MailTransport::Outbox => Some("MAIL_TRANSPORT=outbox: mail is written to files and not delivered"),
            MailTransport::Log => Some("MAIL_TRANSPORT=log: mail is logged and not delivered"),
            MailTransport::Providers(_) => None,
        }
    }
}

/// What mail needs in production.
pub(super) const PRODUCTION: &[Requirement] = &[
    Requirement {
        name: "mail",
        text: "Mail is delivered by a provider",
        check: |config| {
            let is_sent = config.section::<MailConfig>().warning().is_none();
            Verdict::of(is_sent, "MAIL_TRANSPORT writes mail to files or to the log")
        },
    },
    Requirement {
        name: "mail-tls",
        text: "Connections to mail servers are encrypted",
        check: |config| {
            let MailTransport::Providers(providers) = &config.section::<MailConfig>().transport else {
                return Verdict::Met;
            };
            let is_plain = |provider: &Provider| matches!(provider, Provider::Smtp(server) if server.encryption == Encryption::None);
            Verdict::of(!providers.iter().any(is_plain), "the URL of a mail server has tls=none")
        },
    },
    Requirement {
        name: "public-url",
        text: "Links in mail and in the feed lead to an https URL",
        check: |config| {
            let Brand { public_url, app_url, .. } = &config.section::<MailConfig>().brand;
            match app_url {
                _ if !public_url.starts_with("https://") => Verdict::Missed("PUBLIC_URL is absent or not https"),
                Some(url) if !url.starts_with("https://") => Verdict::Missed("APP_URL is not https"),
                _ => Verdict::Met,
            }
        },
    },
];

/// The maximum timeout of a provider for one mail, because the mail occupies a worker slot meanwhile.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use crate::product::tests::invalid_variables;

    #[test]
    fn a_provider_needs_its_url_and_a_sender() {
        let (smtp, from) = (("MAIL_TRANSPORT", "smtp"), ("MAIL_FROM", "Shop <no-reply@shop.example>"));
        let (url, public) = (("SMTP_URL", "smtps://u:p@mail.example"), ("PUBLIC_URL", "https://api.shop.example"));
        assert_eq!(invalid_variables(&[smtp]), ["SMTP_URL", "MAIL_FROM", "PUBLIC_URL"]);
        assert_eq!(invalid_variables(&[smtp, url]), ["MAIL_FROM", "PUBLIC_URL"]);
        assert_eq!(invalid_variables(&[smtp, url, from, public]), [""; 0]);
        let fallback = ("SMTP_FALLBACK_URL", "smtp://mail.example");
        assert_eq!(
            invalid_variables(&[smtp, url, from, public, fallback]),
            ["SMTP_FALLBACK_URL"],
            "for lack of MAIL_FALLBACK"
        );
        let second = ("MAIL_FALLBACK", "smtp");
        assert_eq!(invalid_variables(&[smtp, url, from, public, second]), ["SMTP_FALLBACK_URL"]);
        assert_eq!(
            invalid_variables(&[smtp, url, from, public, second, fallback]),
            ["SMTP_FALLBACK_URL"],
            "without tls=…"
        );
        assert_eq!(invalid_variables(&[smtp, url, from, public, ("MAIL_FALLBACK", "pigeon")]), ["MAIL_FALLBACK"]);
        let resend = [("MAIL_FALLBACK", "resend"), ("RESEND_API_KEY", "re_1")];
        assert_eq!(invalid_variables(&[smtp, url, from, public, resend[0]]), ["RESEND_API_KEY"]);
        assert_eq!(invalid_variables(&[smtp, url, from, public, resend[0], resend[1]]), [""; 0]);
        let base = ("RESEND_BASE_URL", "http://api.resend.example");
        assert_eq!(invalid_variables(&[smtp, url, from, public, resend[0], resend[1], base]), ["RESEND_BASE_URL"]);
        let ses = ("MAIL_TRANSPORT", "ses");
        assert_eq!(
            invalid_variables(&[ses, from, public]),
            ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
        );
        assert_eq!(
            invalid_variables(&[smtp, from, public, ("SMTP_URL", "smtps://"), ("MAIL_TIMEOUT", "0s")]),
            ["SMTP_URL", "MAIL_TIMEOUT"]
        );
        assert_eq!(
            invalid_variables(&[("MAIL_TRANSPORT", "pigeon")]),
            ["MAIL_TRANSPORT", "MAIL_FROM", "PUBLIC_URL"],
            "whichever provider was meant, it needs these"
        );
        assert_eq!(invalid_variables(&[("MAIL_FROM", "nobody")]), ["MAIL_FROM"]);
        assert_eq!(invalid_variables(&[("MAIL_FROM", "Shop <a@b.example>\r\nBcc: c@d.example")]), ["MAIL_FROM"]);
        assert_eq!(invalid_variables(&[("MAIL_TRANSPORT", "log")]), [""; 0]);
        assert_eq!(invalid_variables(&[("MAIL_TRANSPORT", "log"), resend[0]]), ["MAIL_FALLBACK"], "nothing is sent");
        for bad in ["shop.example", "ftp://shop.example", "https://shop.example/?a=b", "https://u@shop.example/#x"] {
            assert_eq!(invalid_variables(&[("APP_URL", bad)]), ["APP_URL"], "{bad}");
        }
        assert_eq!(
            invalid_variables(&[("APP_COLOR", "red"), ("APP_LOGO_URL", "http://a.example/")]),
            ["APP_LOGO_URL", "APP_COLOR"]
        );
    }
}
