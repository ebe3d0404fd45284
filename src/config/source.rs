//! Where values come from, and the table of all variables: name, default, meaning. `mainstay config check` prints it, and
//! a test compares docs/configuration.md with it.

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
    /// Its name, in the environment and in the file.
    pub name: &'static str,
    /// Its default; empty: none.
    pub default: &'static str,
    /// What it is for.
    pub meaning: &'static str,
    /// Whether it is a secret, which is never shown and may be given as `NAME_FILE`.
    pub secret: bool,
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning, secret: false }
}

const fn secret(name: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default: "", meaning, secret: true }
}

/// Every variable there is.
pub const VARIABLES: &[Variable] = &[
    plain("LISTEN_ADDR", "127.0.0.1:8080", "Address of gRPC, REST and the pages"),
    plain("TLS_CERT", "", "Certificate chain of the listener, a PEM file, taken up when it changes; absent: no TLS"),
    plain("TLS_KEY", "", "Private key of the certificate, a PEM file"),
    plain("TLS_CLIENT_CA", "", "Authorities of client certificates, a PEM file; absent: none are asked for"),
    plain(
        "TLS_PRINCIPALS",
        "",
        "Client certificates that are service principals: URI=scope+scope, separated by commas",
    ),
    plain("ALLOWED_ORIGINS", "", "Origins that browsers may call from, separated by commas"),
    plain("TRUSTED_PROXY_HOPS", "0", "How many X-Forwarded-For hops are ours"),
    plain("MAX_IN_FLIGHT", "1024", "Requests served at once; more are refused with 503"),
    plain("MAX_CONNECTIONS", "10000", "Connections held at once"),
    plain("MAX_REQUEST_BYTES", "1MiB", "Largest request message, unless the method allows more"),
    plain("DRAIN_TIMEOUT", "30s", "How long a stop may take before it is forced"),
    plain("DRAIN_DELAY", "0s", "How long to go on accepting after readiness fell"),
    secret("DATABASE_URL", "Postgres; absent: a private one is started"),
    plain("DATABASE_POOL_SIZE", "16", "Connections to Postgres"),
    plain("DATABASE_POOL_WAIT", "800ms", "Longest wait for a connection"),
    plain("DATABASE_STATEMENT_TIMEOUT", "60s", "Backstop for any statement"),
    plain(
        "MAINSTAY_DATA_DIR",
        "",
        "Data of the private Postgres, generated secrets, undelivered mail; absent: the user's data directory",
    ),
    secret("REDIS_URL", "Redis; absent: an in-process stand-in"),
    plain("REDIS_TIMEOUT", "20ms", "Longest wait for Redis; beyond it Redis counts as away"),
    plain("SINGLE_INSTANCE", "false", "Allows DATABASE_URL without REDIS_URL"),
    plain("INSTANCES", "1", "Instances that share the limits while Redis is away"),
    secret("SECRET_KEY", "Seals the signing keys: 32 bytes in base64; absent: generated into the data directory"),
    plain("TOKEN_ISSUER", "mainstay", "iss and aud of access tokens"),
    plain("ACCESS_TOKEN_TTL", "5m", "How long an access token is good"),
    plain("REFRESH_TOKEN_TTL", "30d", "How long a session lives without a refresh"),
    plain("SIGNING_KEY_AGE", "30d", "Age at which the next signing key takes over"),
    plain("MAX_PASSWORD_HASHING", "4", "Passwords hashed at once; each needs 19 MiB"),
    plain("RATE_LIMIT_ADDRESS", "1200/1m", "Requests of one address, before authentication"),
    plain("RATE_LIMIT_READ", "300/1m", "Reads of one principal"),
    plain("RATE_LIMIT_WRITE", "100/1m", "Writes of one principal"),
    plain("RATE_LIMIT_BULK", "20/1m", "Imports, exports and batches of one principal"),
    plain("RATE_LIMIT_LOGIN", "10/15m", "Credentials tried from one address, and for one e-mail"),
    plain("RATE_LIMIT_SERVICE_FACTOR", "100", "How many times as much a service key may do"),
    plain("OPEN_TICKET_LIMIT", "10", "Tickets a customer may have open at once"),
    plain("MAX_IMPORT_BYTES", "64MiB", "Largest file to import"),
    plain("MAX_UPLOADS", "4", "Files uploaded at once; more are refused with 503"),
    plain("PAYMENT_GATEWAY", "sandbox", "Who moves money: stripe, or sandbox, which moves none"),
    secret("STRIPE_SECRET_KEY", "Stripe's secret key"),
    plain("STRIPE_BASE_URL", "https://api.stripe.com", "Where Stripe is; plain http only on this machine"),
    plain("GATEWAY_TIMEOUT", "5s", "Longest wait for one answer of the gateway"),
    plain("GATEWAY_MAX_IN_FLIGHT", "64", "Calls to the gateway at once"),
    plain("GATEWAY_LOOKUP_LAG", "1h", "How long the gateway's search may lag behind what it did"),
    plain("PAYMENT_SETTLE_TIMEOUT", "15s", "Longest one may work on a payment before another takes over"),
    plain("PAYMENT_RETRY_WAIT", "5s", "First wait before an unknown outcome is asked for again; grows 64-fold"),
    plain("JOBS_IN_SERVE", "true", "Whether serve works on jobs too"),
    plain("JOBS_CONCURRENCY", "4", "Jobs worked on at once, besides imports, webhooks and mail"),
    plain("IMPORT_CONCURRENCY", "2", "Imports worked on at once; they hold up nothing else"),
    plain(
        "MAIL_TRANSPORT",
        "outbox",
        "Who takes mail: smtp, outbox (.eml files in the data directory), or log, which says that there is one",
    ),
    plain("MAIL_FROM", "Mainstay <no-reply@localhost>", "In whose name mail is sent"),
    secret("SMTP_URL", "Mail provider: smtps://user:password@host, or smtp:// with ?tls=required or ?tls=none"),
    secret("SMTP_FALLBACK_URL", "Second mail provider, for what the first does not take"),
    plain("MAIL_TIMEOUT", "10s", "Longest one provider may take for one mail"),
    plain("MAIL_CONCURRENCY", "4", "Mails sent at once"),
    plain("MAIL_RETRY_WAIT", "5s", "Longest wait before a mail's second try; it triples with each try, up to 1h"),
    secret(
        "WEBHOOK_SECRETS_STRIPE",
        "Signing secrets of Stripe's webhooks, separated by commas; absent: none are taken",
    ),
    secret("WEBHOOK_SECRETS_STANDARD", "Secrets of senders that follow Standard Webhooks, whsec_ and base64, likewise"),
    secret("WEBHOOK_SECRETS_GITHUB", "Secrets of GitHub's webhooks, likewise"),
    plain("WEBHOOK_ALLOW_PRIVATE", "false", "Lets webhooks go to private networks and without TLS; for development"),
    plain(
        "WEBHOOK_CONCURRENCY",
        "16",
        "Endpoints told at once, each of up to 8 webhooks; one that hangs holds up no other",
    ),
    plain("WEBHOOK_FIRST_WAIT", "10s", "Longest wait before a webhook is sent a second time; it triples with each try"),
    plain("WEBHOOK_PATIENCE", "5d", "How long an endpoint may take nothing before it is disabled"),
];

/// One value that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable.
    pub name: String,
    /// What is wrong; never holds the value of a secret.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// The values that were given.
#[derive(Debug, Clone, Default)]
pub struct Source {
    values: BTreeMap<String, String>,
    faults: Vec<Fault>,
}

impl Source {
    /// The environment over an optional TOML file.
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

    /// Just these values.
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

/// Reads values and gathers what is wrong with them.
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

    /// A wrong value is noted and its default taken, so that the reading goes on and finds the other faults.
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
