//! Settings of the audit log.

use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mainstay_kernel::config::{Reader, Retention, Section, Variable, is_https_or_loopback};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// The entries and their chain.
pub const AUDIT_LOG: Retention = Retention::of(
    &["audit_entries", "audit_links"],
    "AUDIT_LOG_KEPT",
    "400d",
    ["30d", "36500d"],
    "How long the audit log is kept, then removed by the month; if empty, it is kept",
)
.or_forever();

#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// The receiver of all entries, if any.
    pub export: Option<ExportTarget>,
    /// The certificate authorities of a syslog server, a PEM file; `None`: those of the system.
    pub export_authorities: Option<PathBuf>,
    /// The host of `PUBLIC_URL`, which messages of syslog name.
    pub host: Option<String>,
}

/// The receiver of all entries.
#[derive(Debug, Clone)]
pub enum ExportTarget {
    /// A syslog server over TCP or TLS.
    Syslog { host: String, port: u16, is_tls: bool },
    /// A webhook, with the secret of its signatures.
    Webhook { url: String, secret: SecretString },
}

impl Section for AuditConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::plain(
            "AUDIT_EXPORT_URL",
            "",
            "Receiver of all entries of the audit log: syslog+tls://HOST:6514, syslog+tcp://HOST:601, or the https URL of a webhook; if empty, they are not sent",
        ),
        Variable::secret(
            "AUDIT_EXPORT_SECRET",
            "Signing secret (whsec_ and base64) of the webhook in AUDIT_EXPORT_URL, as Standard Webhooks have it",
        ),
        Variable::plain(
            "AUDIT_EXPORT_CA",
            "",
            "PEM file with the certificate authorities of the syslog server in AUDIT_EXPORT_URL; if empty, those of the system",
        ),
    ];

    fn read(read: &mut Reader) -> Self {
        let authorities = read.path("AUDIT_EXPORT_CA", PathBuf::new);
        // The module for mail declares this variable, and says what is wrong with it.
        let public_url = read.optional::<String>("PUBLIC_URL").and_then(|url| url.parse::<Url>().ok());
        Self {
            export: export(read),
            export_authorities: (!authorities.as_os_str().is_empty()).then_some(authorities),
            host: public_url.and_then(|url| url.host_str().map(str::to_owned)),
        }
    }
}

/// Reads the receiver of the export.
fn export(read: &mut Reader) -> Option<ExportTarget> {
    let secret = read.secret("AUDIT_EXPORT_SECRET");
    let url = read.optional::<Url>("AUDIT_EXPORT_URL")?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let (is_tls, port) = match url.scheme() {
        "syslog+tls" => (true, 6514),
        "syslog+tcp" => (false, 601),
        "https" | "http" if is_https_or_loopback(&url) => {
            let Some(secret) = secret.filter(|secret| signing_key(secret).is_some()) else {
                let fault = "must be whsec_ and 24 to 64 bytes in base64 for the webhook in AUDIT_EXPORT_URL";
                read.fault("AUDIT_EXPORT_SECRET", fault);
                return None;
            };
            return Some(ExportTarget::Webhook { url: url.into(), secret });
        }
        _ => {
            read.fault(
                "AUDIT_EXPORT_URL",
                "must begin with syslog+tls://, syslog+tcp:// or https:// (http:// for this machine alone)",
            );
            return None;
        }
    };
    if host.is_empty() {
        read.fault("AUDIT_EXPORT_URL", "must name a host");
        return None;
    }
    Some(ExportTarget::Syslog { host, port: url.port().unwrap_or(port), is_tls })
}

/// Returns the key of the signatures; `None` for a secret of another form.
pub(super) fn signing_key(secret: &SecretString) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.expose_secret().strip_prefix("whsec_")?).ok();
    key.filter(|key| (24..=64).contains(&key.len()))
}
