//! The providers that send mail.

use std::fmt;

use secrecy::SecretString;
use url::Url;

use mainstay_kernel::config::{Reader, Variable, is_https_or_loopback};

use super::{MailTransport, server::Server};

/// A provider, with its credentials.
#[derive(Clone)]
pub enum Provider {
    /// A mail server.
    Smtp(Server),
    Resend {
        key: SecretString,
        /// The base URL of the API.
        url: String,
    },
    SendGrid {
        key: SecretString,
        /// The base URL of the API.
        url: String,
    },
    /// Amazon SES.
    Ses {
        credentials: AwsCredentials,
        /// The base URL of the API.
        url: String,
    },
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smtp(server) => server.fmt(f),
            Self::Resend { url, .. } | Self::SendGrid { url, .. } | Self::Ses { url, .. } => f.write_str(url),
        }
    }
}

/// The credentials of a service at AWS.
#[derive(Clone)]
pub struct AwsCredentials {
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    /// For temporary credentials.
    pub session_token: Option<SecretString>,
}

const KINDS: &str = "smtp, resend, sendgrid or ses";

pub(super) const TRANSPORT: Variable = Variable::plain(
    "MAIL_TRANSPORT",
    "outbox",
    "How mail is sent: smtp, resend, sendgrid, ses, outbox (.eml files in the data directory), or log (one log line per \
     mail)",
);
pub(super) const FALLBACK: Variable = Variable::plain(
    "MAIL_FALLBACK",
    "",
    "Second provider, for mail that the first does not accept: smtp (SMTP_FALLBACK_URL), resend, sendgrid or ses",
);
pub(super) const SMTP_URL: Variable =
    Variable::secret("SMTP_URL", "Mail server: smtps://user:password@host, or smtp:// with ?tls=required or ?tls=none");
pub(super) const SMTP_FALLBACK_URL: Variable =
    Variable::secret("SMTP_FALLBACK_URL", "Mail server of MAIL_FALLBACK=smtp, likewise");
pub(super) const RESEND_KEY: Variable = Variable::secret("RESEND_API_KEY", "API key of Resend");
pub(super) const RESEND_URL: Variable =
    Variable::plain("RESEND_BASE_URL", "https://api.resend.com", "Base URL of Resend; plain http only for loopback");
pub(super) const SENDGRID_KEY: Variable = Variable::secret("SENDGRID_API_KEY", "API key of SendGrid");
pub(super) const SENDGRID_URL: Variable = Variable::plain(
    "SENDGRID_BASE_URL",
    "https://api.sendgrid.com",
    "Base URL of SendGrid; https://api.eu.sendgrid.com for European subusers",
);
pub(super) const AWS_REGION: Variable = Variable::plain("AWS_REGION", "", "Region of Amazon SES, such as eu-central-1");
pub(super) const AWS_KEY_ID: Variable = Variable::plain("AWS_ACCESS_KEY_ID", "", "Access key of Amazon SES");
pub(super) const AWS_SECRET: Variable = Variable::secret("AWS_SECRET_ACCESS_KEY", "Secret of the access key");
pub(super) const AWS_TOKEN: Variable = Variable::secret("AWS_SESSION_TOKEN", "Token of a temporary access key");
pub(super) const SES_URL: Variable =
    Variable::plain("SES_BASE_URL", "", "Base URL of Amazon SES; if absent, that of the region");

/// Reads the transport, with its providers.
pub(super) fn transport(read: &mut Reader) -> MailTransport {
    let (first, second): (String, Option<String>) = (read.parse(TRANSPORT.name), read.optional(FALLBACK.name));
    if second.is_some() && matches!(first.as_str(), "outbox" | "log") {
        read.fault(FALLBACK.name, format!("has no effect beside {}={first}, which sends no mail", TRANSPORT.name));
    }
    let first = match first.as_str() {
        "outbox" => return MailTransport::Outbox,
        "log" => return MailTransport::Log,
        kind => provider(read, TRANSPORT.name, kind, SMTP_URL.name),
    };
    let second = match second.as_deref() {
        Some(kind) => Some(provider(read, FALLBACK.name, kind, SMTP_FALLBACK_URL.name)),
        None => {
            if read.secret(SMTP_FALLBACK_URL.name).is_some() {
                read.fault(SMTP_FALLBACK_URL.name, "has no effect without MAIL_FALLBACK=smtp");
            }
            None
        }
    };
    // The missing setting was recorded as a fault.
    MailTransport::Providers(first.into_iter().chain(second.into_iter().flatten()).collect())
}

fn provider(read: &mut Reader, variable: &str, kind: &str, server: &str) -> Option<Provider> {
    let needed_for = format!("needed for {variable}={kind}");
    match kind {
        "smtp" => match require(read, server, &needed_for).map(|url| Server::parse(&url)) {
            Some(Ok(server)) => Some(Provider::Smtp(server)),
            Some(Err(why)) => {
                read.fault(server, why);
                None
            }
            None => None,
        },
        "resend" => {
            let (key, url) = (require(read, RESEND_KEY.name, &needed_for), base(read, RESEND_URL.name));
            Some(Provider::Resend { key: key?, url: url? })
        }
        "sendgrid" => {
            let (key, url) = (require(read, SENDGRID_KEY.name, &needed_for), base(read, SENDGRID_URL.name));
            Some(Provider::SendGrid { key: key?, url: url? })
        }
        "ses" => {
            let mut plain = |name: &str| {
                let value = read.optional::<String>(name);
                if value.is_none() {
                    read.fault(name, needed_for.clone());
                }
                value
            };
            let (region, access_key_id) = (plain(AWS_REGION.name), plain(AWS_KEY_ID.name));
            let secret_access_key = require(read, AWS_SECRET.name, &needed_for);
            let session_token = read.secret(AWS_TOKEN.name);
            let region = region?;
            if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                read.fault(AWS_REGION.name, "must be letters, digits and hyphens");
            }
            let url = match read.optional::<String>(SES_URL.name) {
                Some(_) => base(read, SES_URL.name)?,
                None => format!("https://email.{region}.amazonaws.com"),
            };
            let (access_key_id, secret_access_key) = (access_key_id?, secret_access_key?);
            let credentials = AwsCredentials { region, access_key_id, secret_access_key, session_token };
            Some(Provider::Ses { credentials, url })
        }
        _ => {
            let rest = if variable == TRANSPORT.name { ", outbox or log" } else { "" };
            read.fault(variable, format!("must be {KINDS}{rest}"));
            None
        }
    }
}

fn require(read: &mut Reader, name: &str, why: &str) -> Option<SecretString> {
    let secret = read.secret(name);
    if secret.is_none() {
        read.fault(name, why);
    }
    secret
}

/// Reads the base URL of an API.
fn base(read: &mut Reader, name: &str) -> Option<String> {
    let url: Url = read.optional(name)?;
    if !is_https_or_loopback(&url) {
        read.fault(name, "must be an https URL, or an http one of this machine");
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}
