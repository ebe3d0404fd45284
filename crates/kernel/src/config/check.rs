//! Validation beyond the types of single variables: ranges of values, and constraints between several of them.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use super::{Config, RECEIVED_SHARE_DIVISOR, separate, source::Reader};

/// The lowest bound of the replica lag: a few of the intervals at which the lag is measured. Below it, every replica
/// would appear to lag most of the time.
const MIN_LAG_BOUND: Duration = Duration::from_millis(300);

/// The largest message in bytes that tonic decodes for any method.
const MAX_MESSAGE_BYTES: usize = 8 << 20;

/// Postgres stores a timeout as 31 bits of milliseconds, and rejects a connection with a longer one.
const MAX_STATEMENT_TIMEOUT: Duration = Duration::from_secs(24 * 86_400);

pub(super) fn run(config: &Config, read: &mut Reader) {
    for origin in config.server.allowed_origins.iter().filter(|origin| !is_origin(origin)) {
        let why = match origin.as_str() {
            "*" => "can't be *, because browsers send credentials: list the origins".to_owned(),
            origin => format!("{origin} is not an origin, such as https://app.example.com"),
        };
        read.fault("ALLOWED_ORIGINS", why);
    }
    if config.server.listen == config.server.metrics_listen && config.server.listen.port() != 0 {
        read.fault("METRICS_LISTEN_ADDR", "must differ from LISTEN_ADDR: health and metrics are private");
    }
    if !config.on_call.url.parse::<Url>().is_ok_and(|url| is_https_or_loopback(&url)) {
        read.fault("ON_CALL_URL", "must be an https URL, or an http one of this machine");
    }
    if let Some(url) = config.database.url.as_ref().filter(|url| !is_postgres(url)) {
        let why = format!(
            "must be a URL such as postgres://user:password@host:5432/database, or of one socket, such as \
             postgres:///database?host=/run/postgresql{}",
            tls_hint(url)
        );
        read.fault("DATABASE_URL", why);
    }
    if config.database.statement_timeout > MAX_STATEMENT_TIMEOUT {
        read.fault("DATABASE_STATEMENT_TIMEOUT", "must be at most 24d, the longest that Postgres knows");
    }
    if config.server.max_request_bytes > MAX_MESSAGE_BYTES {
        read.fault("MAX_REQUEST_BYTES", "must be at most 8MiB, the largest message that is read");
    }
    if config.server.max_request_bytes > config.server.max_received_bytes / RECEIVED_SHARE_DIVISOR {
        let why = "must be at least four times MAX_REQUEST_BYTES: one network may use a quarter of it, and would be refused \
                   its largest requests for ever";
        read.fault("MAX_RECEIVED_BYTES", why);
    }
    check_replicas(config, read);
    check_redis(config, read);
    let single: bool = read.parse("SINGLE_INSTANCE");
    if config.database.url.is_some() && config.redis.url.is_none() && !single {
        let why = "needed beside DATABASE_URL: without it every instance has its own limits and sessions; \
                   SINGLE_INSTANCE=true says there is only one";
        read.fault("REDIS_URL", why);
    }
    match &config.secret_key {
        Some(text) if !text.expose_secret().split(',').all(is_secret_key) => {
            read.fault("SECRET_KEY", "must be 32 bytes in base64 (openssl rand -base64 32)");
        }
        None if config.database.url.is_some() => {
            read.fault("SECRET_KEY", "needed beside DATABASE_URL: 32 bytes in base64 (openssl rand -base64 32)");
        }
        _ => {}
    }
}

fn is_secret_key(text: &str) -> bool {
    STANDARD.decode(text.trim()).is_ok_and(|bytes| bytes.len() == 32)
}

fn check_redis(config: &Config, read: &mut Reader) {
    let redis = &config.redis;
    let is_redis = |url: &SecretString| redis::Client::open(url.expose_secret()).is_ok();
    if redis.cluster {
        if redis.url.as_ref().is_none_or(|urls| !are_nodes(urls)) {
            let why = "must be URLs of nodes beside REDIS_CLUSTER, such as redis://host1:6379,redis://host2:6379, with the \
                       same user, password and TLS, and without a database: a cluster has only the first";
            read.fault("REDIS_URL", why);
        }
        if !redis.sentinels.is_empty() {
            let why = "can't be true beside REDIS_SENTINELS: a cluster replaces its primaries by itself";
            read.fault("REDIS_CLUSTER", why);
        }
    } else if redis.url.as_ref().is_some_and(|url| !is_redis(url)) {
        read.fault("REDIS_URL", "must be a URL such as redis://host:6379, or rediss:// for TLS");
    }
    if !redis.sentinels.iter().all(is_redis) {
        read.fault("REDIS_SENTINELS", "must be URLs such as redis://host:26379, separated by commas");
    } else if !redis.sentinels.is_empty() && redis.url.as_ref().is_none_or(is_socket) {
        read.fault("REDIS_URL", "must have a host beside REDIS_SENTINELS: the name of the primary they watch");
    }
}

fn are_nodes(urls: &SecretString) -> bool {
    let nodes = separate(urls).into_iter().map(|url| redis::Client::open(url.expose_secret()));
    let Ok(nodes) = nodes.collect::<redis::RedisResult<Vec<_>>>() else { return false };
    let infos = nodes.iter().map(redis::Client::get_connection_info);
    infos.clone().all(|info| info.redis_settings().db() == 0)
        && redis::cluster::ClusterClient::new(infos.cloned()).is_ok()
}

fn check_replicas(config: &Config, read: &mut Reader) {
    let replicas = &config.replicas;
    // Each URL names one host, because the lag is measured per server.
    let is_one = |url: &SecretString| is_postgres(url) && url.expose_secret().parse::<Url>().is_ok();
    if let Some(url) = replicas.urls.iter().find(|url| !is_one(url)) {
        let hint = tls_hint(url);
        let why = format!(
            "must be URLs such as postgres://user:password@host:5432/database, of one host each, separated by commas{hint}"
        );
        read.fault("DATABASE_REPLICA_URLS", why);
    } else if !replicas.urls.is_empty() && config.database.url.is_none() {
        read.fault("DATABASE_URL", "needed beside DATABASE_REPLICA_URLS: the primary that they follow");
    }
    if replicas.max_lag < MIN_LAG_BOUND {
        read.fault("DATABASE_REPLICA_MAX_LAG", "must be at least 300ms: the lag is measured ten times a second");
    }
}

/// Returns whether the URL names a Redis on a Unix socket, which has no host.
fn is_socket(url: &SecretString) -> bool {
    let client = redis::Client::open(url.expose_secret());
    client.is_ok_and(|client| matches!(client.get_connection_info().addr(), redis::ConnectionAddr::Unix(_)))
}

/// Returns whether the text is a serialized origin, as a browser sends it in `Origin` (RFC 6454).
fn is_origin(text: &str) -> bool {
    let url = text.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    // URL parsers accept `*` as a host name.
    !text.contains('*') && url.is_some_and(|url| url.origin().ascii_serialization() == text)
}

/// Returns whether a URL is safe for secrets: the transport is encrypted, or the host is this machine.
pub fn is_https_or_loopback(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

/// Returns whether the text is a Postgres URL of hosts or of one socket. `tokio_postgres` also parses `host=… user=…`,
/// which no other reader of this setting does.
fn is_postgres(text: &SecretString) -> bool {
    let text = text.expose_secret();
    let config = text.parse::<tokio_postgres::Config>();
    (text.starts_with("postgres://") || text.starts_with("postgresql://"))
        && config.is_ok_and(|config| has_servers(&config))
}

fn has_servers(config: &tokio_postgres::Config) -> bool {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs().len(), config.get_ports().len());
    let is_socket = |host: &tokio_postgres::config::Host| matches!(host, tokio_postgres::config::Host::Unix(_));
    match hosts {
        [] => false,
        [host] if is_socket(host) => addresses == 0 && ports <= 1,
        hosts => {
            // A single port applies to all hosts.
            let has_ports = ports <= 1 || ports == hosts.len();
            let has_addresses = addresses == 0 || addresses == hosts.len();
            has_ports && has_addresses && !hosts.iter().any(is_socket)
        }
    }
}

/// Returns a hint for TLS options of libpq that `tokio_postgres` does not know. Its TLS always verifies certificates.
fn tls_hint(url: &SecretString) -> &'static str {
    let is_of_libpq = ["sslmode=verify", "sslrootcert="].iter().any(|option| url.expose_secret().contains(option));
    if is_of_libpq {
        "; sslmode may be disable, prefer or require, and with TLS the certificate is always checked, by the authorities \
         of this system or those of the file SSL_CERT_FILE"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_postgres_names_hosts_or_one_socket() {
        for url in [
            "postgres://db/shop",
            "postgresql://me:secret@db1:5432,db2:5433/shop",
            "postgres://me@localhost/shop?hostaddr=127.0.0.1",
            "postgres:///shop?host=/run/postgresql",
            "postgres://me@/shop?host=/run/postgresql&port=5433",
            "postgres://me:secret@%2Frun%2Fpostgresql:5433/shop",
        ] {
            assert!(is_postgres(&url.to_owned().into()), "{url}");
        }
        for url in [
            "postgres:///shop",
            "postgres:///shop?hostaddr=127.0.0.1",
            "postgres://db/shop?host=/run/postgresql",
            "postgres://%2Frun%2Fone,%2Frun%2Ftwo/shop",
            "postgres://db1,db2/shop?hostaddr=127.0.0.1",
            "postgres://db1,db2/shop?port=5433",
            "mysql://db/shop",
            "host=db dbname=shop",
        ] {
            assert!(!is_postgres(&url.to_owned().into()), "{url}");
        }
    }
}
