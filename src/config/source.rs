//! The sources of values, and the table of all variables: name, default, meaning. `mainstay config check` prints the
//! table, and a test compares docs/configuration.md with it.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use secrecy::SecretString;

use super::Quota;

/// A variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// The name, in the environment and in the file.
    pub name: &'static str,
    /// The default; empty: none.
    pub default: &'static str,
    /// The meaning.
    pub meaning: &'static str,
    /// Whether the value is a secret, which is never shown and may be given as `NAME_FILE`.
    pub secret: bool,
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning, secret: false }
}

const fn secret(name: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default: "", meaning, secret: true }
}

/// All variables.
pub const VARIABLES: &[Variable] = &[
    plain("LISTEN_ADDR", "127.0.0.1:8080", "Address that gRPC, REST and the web pages listen on"),
    plain(
        "METRICS_LISTEN_ADDR",
        "",
        "Address of a second listener, for health and metrics only; `mainstay worker` has no other",
    ),
    plain("TLS_CERT", "", "PEM file with the certificate chain, reloaded when it changes; if absent, no TLS"),
    plain("TLS_KEY", "", "PEM file with the private key of the certificate"),
    plain("TLS_CLIENT_CA", "", "PEM file with the authorities of client certificates; if absent, none are requested"),
    plain(
        "TLS_PRINCIPALS",
        "",
        "Client certificates that act as service principals: URI=scope+scope, separated by commas",
    ),
    plain("ALLOWED_ORIGINS", "", "Origins from which browsers may call (CORS), separated by commas"),
    plain("TRUSTED_PROXY_HOPS", "0", "Number of trusted proxies that append to X-Forwarded-For"),
    plain("MAX_IN_FLIGHT", "1024", "Maximum concurrent requests; further ones are refused with 503"),
    plain("MAX_CONNECTIONS", "10000", "Maximum open connections; further ones wait to be accepted"),
    plain("MAX_REQUEST_BYTES", "1MiB", "Maximum size of a request message, unless the method defines its own"),
    plain("DRAIN_TIMEOUT", "30s", "Time for requests in flight to finish on shutdown; then they are cut off"),
    plain("DRAIN_DELAY", "0s", "Time to keep accepting connections after readiness is withdrawn"),
    secret("DATABASE_URL", "Postgres; if absent, a private one is started"),
    plain("DATABASE_POOL_SIZE", "16", "Size of the Postgres connection pool"),
    plain("DATABASE_POOL_WAIT", "800ms", "Maximum wait for a pooled connection"),
    plain("DATABASE_STATEMENT_TIMEOUT", "60s", "Upper bound on any statement; request deadlines are shorter"),
    plain(
        "MAINSTAY_DATA_DIR",
        "",
        "Directory of the private Postgres, generated secrets, mail outbox; default: the user's data directory",
    ),
    secret("REDIS_URL", "Redis; if absent, an in-process stand-in"),
    plain("REDIS_TIMEOUT", "20ms", "Maximum wait for Redis, after which it counts as unavailable"),
    plain("SINGLE_INSTANCE", "false", "Allows DATABASE_URL without REDIS_URL"),
    plain("INSTANCES", "1", "Number of instances that divide the rate limits while Redis is unavailable"),
    secret(
        "SECRET_KEY",
        "32 bytes in base64 that seal signing keys and webhook secrets; if absent, generated into the data directory",
    ),
    plain("TOKEN_ISSUER", "mainstay", "Issuer (iss) and audience (aud) of access tokens"),
    plain("ACCESS_TOKEN_TTL", "5m", "Lifetime of an access token"),
    plain("REFRESH_TOKEN_TTL", "30d", "Lifetime of a session without a refresh"),
    plain("SIGNING_KEY_AGE", "30d", "Age at which a signing key is rotated"),
    plain("MAX_PASSWORD_HASHING", "4", "Maximum concurrent password hashes; each needs 19 MiB"),
    plain("RATE_LIMIT_ADDRESS", "1200/1m", "Requests per IP address, before authentication"),
    plain("RATE_LIMIT_READ", "300/1m", "Reads per principal"),
    plain("RATE_LIMIT_WRITE", "100/1m", "Writes per principal"),
    plain("RATE_LIMIT_BULK", "20/1m", "Imports, exports and batches per principal"),
    plain(
        "RATE_LIMIT_LOGIN",
        "10/15m",
        "Sign-in, registration and reset attempts per IP address, and per e-mail address",
    ),
    plain("RATE_LIMIT_SERVICE_FACTOR", "100", "Factor by which the limits of service principals are higher"),
    plain("OPEN_TICKET_LIMIT", "10", "Maximum open tickets per customer"),
    plain("MAX_IMPORT_BYTES", "64MiB", "Maximum size of an import file"),
    plain("MAX_UPLOADS", "4", "Maximum concurrent file uploads; further ones are refused with 503"),
    plain("PAYMENT_GATEWAY", "sandbox", "Payment gateway: stripe, or sandbox, which moves no money"),
    secret("STRIPE_SECRET_KEY", "Secret API key of Stripe"),
    plain("STRIPE_BASE_URL", "https://api.stripe.com", "Base URL of the Stripe API; plain http only for loopback"),
    plain("GATEWAY_TIMEOUT", "5s", "Timeout of one attempt to call the gateway"),
    plain("GATEWAY_MAX_IN_FLIGHT", "64", "Maximum concurrent calls to the gateway"),
    plain("GATEWAY_LOOKUP_LAG", "1h", "Maximum lag of the gateway's search index behind its writes"),
    plain("PAYMENT_SETTLE_TIMEOUT", "15s", "Lease on a payment, after which another worker may take over"),
    plain("PAYMENT_RETRY_WAIT", "5s", "First wait before an unknown outcome is queried again; doubles up to 64-fold"),
    plain("JOBS_IN_SERVE", "true", "Whether serve also runs background jobs"),
    plain("JOBS_CONCURRENCY", "4", "Concurrent jobs other than imports, webhooks and mail"),
    plain("IMPORT_CONCURRENCY", "2", "Concurrent imports"),
    plain(
        "MAIL_TRANSPORT",
        "outbox",
        "How mail is sent: smtp, outbox (.eml files in the data directory), or log (one log line per mail)",
    ),
    plain("MAIL_FROM", "Mainstay <no-reply@localhost>", "Sender of mail"),
    secret("SMTP_URL", "Mail provider: smtps://user:password@host, or smtp:// with ?tls=required or ?tls=none"),
    secret("SMTP_FALLBACK_URL", "Second mail provider, for mail that the first does not accept"),
    plain("MAIL_TIMEOUT", "10s", "Timeout of one provider for one mail, at most 60s"),
    plain("MAIL_CONCURRENCY", "4", "Concurrent mails"),
    plain("MAIL_RETRY_WAIT", "5s", "Longest wait before a mail's second attempt; triples with each attempt, up to 1h"),
    secret(
        "WEBHOOK_SECRETS_STRIPE",
        "Signing secrets of Stripe webhooks, separated by commas; if absent, they are not accepted",
    ),
    secret("WEBHOOK_SECRETS_STANDARD", "Signing secrets (whsec_ and base64) of Standard Webhooks senders, likewise"),
    secret("WEBHOOK_SECRETS_GITHUB", "Signing secrets of GitHub webhooks, likewise"),
    plain(
        "WEBHOOK_ALLOW_PRIVATE",
        "false",
        "Allows webhook endpoints in private networks and without TLS; for development only",
    ),
    plain("WEBHOOK_CONCURRENCY", "16", "Concurrent webhook endpoints, each with up to 8 concurrent deliveries"),
    plain("WEBHOOK_FIRST_WAIT", "10s", "Longest wait before a webhook's second attempt; triples with each attempt"),
    plain("WEBHOOK_PATIENCE", "5d", "Time without an accepted delivery after which an endpoint is disabled"),
];

/// A value that is missing or invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable.
    pub name: String,
    /// The error; never contains the value of a secret.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// The values given.
#[derive(Debug, Clone, Default)]
pub struct Source {
    values: BTreeMap<String, String>,
    faults: Vec<Fault>,
}

impl Source {
    /// Reads the environment and an optional TOML file; the environment takes precedence.
    pub fn read(file: Option<&Path>) -> Self {
        let mut source = file.map_or_else(Self::default, Self::file);
        for variable in VARIABLES {
            for name in [variable.name.to_owned(), format!("{}_FILE", variable.name)] {
                #[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
                if let Ok(value) = std::env::var(&name) {
                    source.values.insert(name, value);
                }
            }
        }
        source
    }

    /// Makes a source of just these values.
    pub fn of<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { values, faults: Vec::new() }
    }

    fn file(path: &Path) -> Self {
        let mut source = Self::default();
        let table = fs::read_to_string(path)
            .map_err(|e| e.to_string())
            .and_then(|text| toml::from_str::<toml::Table>(&text).map_err(|e| e.message().to_owned()));
        match table {
            Err(message) => source.faults.push(Fault { name: path.display().to_string(), message }),
            Ok(table) => {
                for (name, value) in table {
                    let known =
                        VARIABLES.iter().any(|v| v.name == name || (v.secret && format!("{}_FILE", v.name) == name));
                    if !known {
                        source.faults.push(Fault { name: name.clone(), message: "there is no such variable".into() });
                    }
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    source.values.insert(name, text);
                }
            }
        }
        source
    }
}

/// Reads values and collects their errors.
#[derive(Debug)]
pub(super) struct Reader {
    source: Source,
}

impl Reader {
    pub(super) fn new(source: Source) -> Self {
        Self { source }
    }

    pub(super) fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.source.faults.push(Fault { name: name.to_owned(), message: message.into() });
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.source.faults.is_empty() { Ok(value) } else { Err(self.source.faults) }
    }

    fn text(&self, name: &str) -> String {
        let variable = VARIABLES.iter().find(|variable| variable.name == name).expect("every variable is in the table");
        self.source.values.get(name).map_or(variable.default, String::as_str).trim().to_owned()
    }

    /// Records an invalid value and continues with its default, so that the other errors are found too.
    fn convert<T>(&mut self, name: &str, convert: impl Fn(&str) -> Result<T, String>) -> T {
        match convert(&self.text(name)) {
            Ok(value) => value,
            Err(message) => {
                self.fault(name, message);
                let default = VARIABLES.iter().find(|variable| variable.name == name).expect("in the table").default;
                convert(default).unwrap_or_else(|_| panic!("the default of {name} is a value of its type"))
            }
        }
    }

    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> T {
        self.convert(name, |text| text.parse().map_err(|e: T::Err| e.to_string()))
    }

    /// `None` when nothing is set.
    pub(super) fn optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        self.convert(name, |text| {
            let set = Some(text).filter(|text| !text.is_empty());
            set.map(|text| text.parse().map_err(|e: T::Err| e.to_string())).transpose()
        })
    }

    pub(super) fn list(&mut self, name: &str) -> Vec<String> {
        self.text(name).split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    pub(super) fn path(&mut self, name: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
        let text = self.text(name);
        if text.is_empty() { default() } else { PathBuf::from(text) }
    }

    pub(super) fn duration(&mut self, name: &str) -> Duration {
        self.convert(name, duration)
    }

    pub(super) fn bytes(&mut self, name: &str) -> usize {
        self.convert(name, bytes)
    }

    pub(super) fn quota(&mut self, name: &str) -> Quota {
        self.convert(name, |text| {
            let wrong = || "must be COUNT/WINDOW, like 100/1m".to_owned();
            let (requests, window) = text.split_once('/').ok_or_else(wrong)?;
            let requests = requests.parse().ok().filter(|&n: &u32| n > 0).ok_or_else(wrong)?;
            let window = duration(window).ok().filter(|window| !window.is_zero()).ok_or_else(wrong)?;
            Ok(Quota { requests, window })
        })
    }

    pub(super) fn secret(&mut self, name: &str) -> Option<SecretString> {
        let file_name = format!("{name}_FILE");
        let value = match self.source.values.get(&file_name) {
            None => self.text(name),
            Some(path) => match fs::read_to_string(path) {
                Ok(text) => text.trim().to_owned(),
                Err(error) => {
                    self.fault(&file_name, error.to_string());
                    return None;
                }
            },
        };
        if value.is_empty() { None } else { Some(SecretString::from(value)) }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let wrong = || "must be a number with a unit: ms, s, m, h or d".to_owned();
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let wrong = || "must be a number of bytes, or one with KiB or MiB".to_owned();
    let number: usize = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}
