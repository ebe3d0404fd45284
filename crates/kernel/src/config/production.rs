//! What a configuration needs before it serves real users: the checklist of `config check --production`.

use std::net::IpAddr;

use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::config::{Host, SslMode};

use super::{Config, Quota, separate};

/// An item of the checklist.
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    /// The name, in words joined by hyphens. Parts of one requirement have the same name and text.
    pub name: &'static str,
    /// What must hold.
    pub text: &'static str,
    /// Decides from the configuration.
    pub check: fn(&Config) -> Verdict,
}

/// Whether a requirement is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is met.
    Met,
    /// It is not met, and why.
    Missed(&'static str),
    /// The configuration does not tell; the operator has to look.
    Unknown(&'static str),
}

impl Verdict {
    /// Returns whether a condition holds, with the reason if it does not.
    pub fn of(is_met: bool, otherwise: &'static str) -> Self {
        if is_met { Self::Met } else { Self::Missed(otherwise) }
    }
}

/// The factor by which a limit may be higher than its default.
const MAX_LIMIT_FACTOR: f64 = 10.0;

pub(crate) const KERNEL: &[Requirement] = &[
    Requirement { name: "tls", text: "Callers are encrypted up to the server or to a trusted proxy", check: tls },
    Requirement {
        name: "cors",
        text: "Browsers may call from https origins only",
        check: |config| {
            let is_https = config.server.allowed_origins.iter().all(|origin| origin.starts_with("https://"));
            Verdict::of(is_https, "ALLOWED_ORIGINS has an origin without TLS")
        },
    },
    Requirement {
        name: "private-listener",
        text: "Health and metrics are reachable from the own network only",
        check: private_listener,
    },
    Requirement {
        name: "secret-key",
        text: "The key that seals secrets in the database is given, and kept apart from the database's backups",
        check: |config| {
            Verdict::of(config.secret_key.is_some(), "SECRET_KEY is absent: it is generated into the data directory")
        },
    },
    Requirement {
        name: "postgres",
        text: "The data are in a Postgres that an operator runs",
        check: |config| {
            let is_given = config.database.url.is_some();
            Verdict::of(is_given, "DATABASE_URL is absent: a private Postgres ends with the server")
        },
    },
    Requirement {
        name: "postgres-tls",
        text: "Connections to Postgres and its replicas are encrypted, or do not leave the machine",
        check: |config| {
            let mut urls = config.database.url.iter().chain(&config.replicas.urls);
            Verdict::of(urls.all(is_safe_postgres), "a URL of Postgres lacks sslmode=require")
        },
    },
    Requirement {
        name: "postgres-role",
        text: "The login of the servers owns no table and bypasses no policy",
        check: |_| Verdict::Unknown("the URL does not tell the attributes of the login"),
    },
    Requirement { name: "redis", text: "Rate limits are shared by all instances", check: redis },
    Requirement {
        name: "redis-tls",
        text: "Connections to Redis are encrypted, or do not leave the machine",
        check: |config| {
            let urls = config.redis.url.as_ref().map(separate).unwrap_or_default();
            let is_safe = urls.iter().chain(&config.redis.sentinels).all(is_safe_redis);
            Verdict::of(is_safe, "a URL of Redis begins with redis:// and not with rediss://")
        },
    },
    Requirement {
        name: "rate-limits",
        text: "No limit per address, for reads, writes or bulk requests is more than ten times its default",
        check: |config| {
            let limits = &config.limits;
            let defaults = [(limits.address, 1200.0), (limits.read, 300.0), (limits.write, 100.0), (limits.bulk, 20.0)];
            let is_bounded = |(quota, default): &(Quota, f64)| per_minute(*quota) <= default * MAX_LIMIT_FACTOR;
            Verdict::of(defaults.iter().all(is_bounded), "a RATE_LIMIT variable admits too much")
        },
    },
    Requirement {
        name: "on-call",
        text: "Alerts of the server reach an on-call service",
        check: |config| {
            let is_given = config.on_call.routing_key.is_some();
            Verdict::of(is_given, "ON_CALL_ROUTING_KEY is absent: alerts are counted and logged only")
        },
    },
    Requirement {
        name: "alerts",
        text: "Prometheus reads the private listener and has the rules of deploy/prometheus/alerts.yaml",
        check: |_| Verdict::Unknown("docs/operations.md describes the metrics and the alerts"),
    },
    Requirement {
        name: "backups",
        text: "Postgres, the files and the secret key are backed up, and a restore was tried",
        check: |_| Verdict::Unknown("docs/backup.md describes both"),
    },
];

fn tls(config: &Config) -> Verdict {
    match (&config.server.tls, config.server.trusted_proxy_hops) {
        (Some(_), _) => Verdict::Met,
        (None, 0) => Verdict::Missed("neither TLS_CERT nor TRUSTED_PROXY_HOPS is set"),
        (None, _) => {
            Verdict::Unknown("the proxy in front must terminate TLS; TRUSTED_PROXY_HOPS is the number of proxies")
        }
    }
}

fn private_listener(config: &Config) -> Verdict {
    match config.server.metrics_listen.ip() {
        address if is_private(address) => Verdict::Met,
        address if address.is_unspecified() => {
            Verdict::Unknown("METRICS_LISTEN_ADDR is every address: a firewall or network policy must close its port")
        }
        _ => Verdict::Missed("METRICS_LISTEN_ADDR is a public address"),
    }
}

/// Returns whether an address is that of this machine or of a private network (RFC 1918, RFC 4193, link-local), or shared
/// behind a provider's translation (RFC 6598), as in some clusters and private overlays.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            address.is_loopback() || address.is_private() || address.is_link_local() || is_shared
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

fn redis(config: &Config) -> Verdict {
    match (&config.redis.url, &config.database.url) {
        (Some(_), _) => Verdict::Met,
        (None, Some(_)) => Verdict::Unknown("SINGLE_INSTANCE declares a single instance: never start a second one"),
        (None, None) => Verdict::Missed("REDIS_URL is absent"),
    }
}

fn is_safe_postgres(url: &SecretString) -> bool {
    let Ok(config) = url.expose_secret().parse::<tokio_postgres::Config>() else { return false };
    let is_local = |host: &Host| match host {
        Host::Tcp(name) => is_local_host(name),
        Host::Unix(_) => true,
    };
    config.get_ssl_mode() == SslMode::Require || config.get_hosts().iter().all(is_local)
}

fn is_safe_redis(url: &SecretString) -> bool {
    use redis::ConnectionAddr::{Tcp, TcpTls, Unix};
    let client = redis::Client::open(url.expose_secret());
    client.is_ok_and(|client| match client.get_connection_info().addr() {
        Tcp(host, _) => is_local_host(host),
        TcpTls { insecure, .. } => !insecure,
        Unix(_) => true,
        _ => false,
    })
}

fn is_local_host(name: &str) -> bool {
    name == "localhost" || name.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn per_minute(quota: Quota) -> f64 {
    f64::from(quota.requests) * 60.0 / quota.window.as_secs_f64()
}
