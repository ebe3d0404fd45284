//! The kernel's settings. A test compares docs/configuration.md with them and those of the modules.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use secrecy::SecretString;

use super::{
    OnCall, Quota, Tls, separate,
    source::{Reader, Variable},
};

macro_rules! variable {
    ($name:literal = $default:literal, $meaning:literal) => {
        Variable::plain($name, $default, $meaning)
    };
    ($name:literal, $meaning:literal) => {
        Variable::secret($name, $meaning)
    };
}

/// Declares a section: each setting once, as a field, its type and its reader, with the name, the default and the meaning
/// of the variable, which documents the field. A secret has no default. Another section may be a part.
macro_rules! section {
    (
        $(#[$doc:meta])*
        $section:ident {
            $($field:ident: $type:ty = $read:ident($name:literal $(= $default:literal)?, $meaning:literal),)*
        }
        $($part:ident: $part_type:ty = $part_read:path, $part_doc:literal)?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $section {
            $(#[doc = $meaning] pub $field: $type,)*
            $(#[doc = $part_doc] pub $part: $part_type,)?
        }

        impl $section {
            const VARIABLES: &'static [Variable] = &[$(variable!($name $(= $default)?, $meaning)),*];

            pub(super) fn read(read: &mut Reader) -> Self {
                Self { $($field: read.$read($name),)* $($part: $part_read(read),)? }
            }
        }
    };
}

section! {
    /// The listener.
    Server {
        listen: SocketAddr = parse("LISTEN_ADDR" = "127.0.0.1:8080",
            "Address that gRPC, REST and the web pages listen on"),
        metrics_listen: SocketAddr = parse("METRICS_LISTEN_ADDR" = "127.0.0.1:9464",
            "Address of the private listener, for health and metrics"),
        allowed_origins: Vec<String> = list("ALLOWED_ORIGINS" = "",
            "Origins from which browsers may call (CORS), separated by commas"),
        trusted_proxy_hops: usize = parse("TRUSTED_PROXY_HOPS" = "0",
            "Number of trusted proxies that append to X-Forwarded-For"),
        error_domain: Option<String> = optional("ERROR_DOMAIN" = "",
            "Domain of all error reasons in google.rpc.ErrorInfo, such as api.example.com; default: that of the module"),
        max_in_flight: usize = positive("MAX_IN_FLIGHT" = "1024",
            "Maximum concurrent requests. Unread responses do not count. The limit adapts between 128 and this value. Up to four times as many requests queue for at most 1 s, and are then rejected with 503. Further requests are rejected after the same time; at most MAX_CONNECTIONS rejections are delayed. Half as many requests may also wait for late bodies; one network may use an eighth of what other networks leave free"),
        max_connections: usize = positive("MAX_CONNECTIONS" = "10000",
            "Maximum open connections. One network (an IPv4 address or an IPv6 /64) may have a quarter, and one IPv6 /48 half; behind a trusted proxy (TRUSTED_PROXY_HOPS) there is no such share. At the maximum, a new connection replaces the one that has been idle for longest. Up to a quarter more may still be closing"),
        max_unread_bytes: usize = positive_bytes("MAX_UNREAD_BYTES" = "64MiB",
            "Maximum memory of responses that clients have not read, a quarter of it for one connection or principal"),
        max_received_bytes: usize = positive_bytes("MAX_RECEIVED_BYTES" = "64MiB",
            "Maximum memory of requests that are being received or processed; at least four times MAX_REQUEST_BYTES. One network may use a quarter of what other networks leave free. Bodies of up to 16 KiB and streams do not count"),
        write_timeout: Duration = positive_duration("WRITE_TIMEOUT" = "30s",
            "How long a client may go without reading a response; then it is cut off; on shutdown, 3 s at most"),
        keep_alive_timeout: Duration = positive_duration("KEEP_ALIVE_TIMEOUT" = "75s",
            "How long a connection of HTTP/1.1 stays open without a request. A proxy in front must close idle connections earlier: a request on a connection that the server is closing is lost"),
        max_request_bytes: usize = positive_bytes("MAX_REQUEST_BYTES" = "1MiB",
            "Maximum size of a request message once it is decompressed, unless the method defines its own; at most 8MiB"),
        drain: Duration = duration("DRAIN_TIMEOUT" = "30s",
            "Time for requests in flight to finish on shutdown; then they are cut off"),
        drain_delay: Duration = duration("DRAIN_DELAY" = "0s",
            "Time to keep accepting connections after readiness is withdrawn"),
    }
    tls: Option<Tls> = Tls::read, "TLS; `None`: none."
}

section! {
    /// Postgres.
    Database {
        url: Option<SecretString> = secret("DATABASE_URL", "Postgres; if absent, a private one is started"),
        pool_size: u32 = positive("DATABASE_POOL_SIZE" = "16", "Size of the Postgres connection pool"),
        pool_wait: Duration = positive_duration("DATABASE_POOL_WAIT" = "800ms", "Maximum wait for a pooled connection"),
        statement_timeout: Duration = positive_duration("DATABASE_STATEMENT_TIMEOUT" = "60s",
            "Upper bound on any statement, at most 24d; request deadlines are shorter"),
        trace_context: bool = parse("DATABASE_TRACE_CONTEXT" = "false",
            "Whether pg_stat_activity and the log of Postgres name the trace of a sampled request: application_name is its traceparent until its transaction ends"),
        data_dir: PathBuf = data_dir("MAINSTAY_DATA_DIR" = "",
            "Directory of the private Postgres, generated secrets, mail outbox; default: the user's data directory"),
    }
}

section! {
    /// The replicas of Postgres, from which requests may read.
    Replicas {
        urls: Vec<SecretString> = urls("DATABASE_REPLICA_URLS",
            "Replicas of Postgres, separated by commas, from which requests that only read are served; if absent, the primary is read"),
        max_lag: Duration = positive_duration("DATABASE_REPLICA_MAX_LAG" = "1s",
            "How far a replica that is read may be behind the primary; at least 300ms, as it is measured ten times a second"),
    }
}

section! {
    /// Redis.
    Redis {
        url: Option<SecretString> = secret("REDIS_URL", "Redis; if absent, an in-process stand-in"),
        cluster: bool = parse("REDIS_CLUSTER" = "false",
            "Whether Redis is a Redis Cluster; REDIS_URL then names one or more of its nodes, separated by commas"),
        sentinels: Vec<SecretString> = urls("REDIS_SENTINELS",
            "URLs of Redis Sentinels, separated by commas; the host of REDIS_URL is then the name of the primary they watch"),
        timeout: Duration = positive_duration("REDIS_TIMEOUT" = "20ms",
            "Maximum wait for Redis, after which it counts as unavailable"),
    }
}

section! {
    /// Rate limits.
    Limits {
        address: Quota = quota("RATE_LIMIT_ADDRESS" = "1200/1m",
            "Requests per IP address, or /64 of IPv6, before authentication; ten times as many per /48"),
        read: Quota = quota("RATE_LIMIT_READ" = "300/1m", "Reads per principal"),
        write: Quota = quota("RATE_LIMIT_WRITE" = "100/1m", "Writes per principal"),
        bulk: Quota = quota("RATE_LIMIT_BULK" = "20/1m", "Imports, exports and batches per principal"),
        service_factor: u32 = positive("RATE_LIMIT_SERVICE_FACTOR" = "100",
            "Factor by which the limits of services of the platform are higher"),
        instances: u32 = positive("INSTANCES" = "1",
            "Number of instances that divide the rate limits while Redis is unavailable"),
    }
}

section! {
    /// Background work.
    Jobs {
        in_serve: bool = parse("JOBS_IN_SERVE" = "true", "Whether serve also runs background jobs"),
        concurrency: usize = positive("JOBS_CONCURRENCY" = "4",
            "Concurrent jobs other than imports, webhooks and mail"),
    }
}

/// Settings that are a section each, or are only checked.
const OTHERS: &[Variable] = &[
    Variable::plain("CACHE_MEMORY", "64MiB", "Memory for cached values in each process"),
    Variable::plain("SINGLE_INSTANCE", "false", "Allows DATABASE_URL without REDIS_URL"),
    Variable::secret(
        "SECRET_KEY",
        "32 bytes in base64 that seal signing keys, webhook secrets and second factors; after a rotation, the earlier ones follow, separated by commas, and only open what they sealed; if absent, generated into the data directory",
    ),
];

pub(super) fn variables() -> impl Iterator<Item = Variable> {
    let all = [
        Server::VARIABLES,
        Tls::VARIABLES,
        Database::VARIABLES,
        Replicas::VARIABLES,
        Redis::VARIABLES,
        Limits::VARIABLES,
        Jobs::VARIABLES,
        OnCall::VARIABLES,
        OTHERS,
    ];
    all.into_iter().flatten().copied()
}

impl Reader {
    fn urls(&mut self, name: &str) -> Vec<SecretString> {
        self.secret(name).as_ref().map(separate).unwrap_or_default()
    }

    fn data_dir(&mut self, name: &str) -> PathBuf {
        self.path(name, data_dir)
    }
}

/// Returns the default directory of the private data of `mainstay serve`.
///
/// For root it is `/var/lib/mainstay`, because the account that then runs Postgres can't enter root's home. For any
/// other user it is `$XDG_DATA_HOME/mainstay` or `~/.local/share/mainstay`. Without an absolute path in either
/// variable, it is `.mainstay` in the working directory.
#[expect(clippy::disallowed_methods, reason = "the default of a setting depends on the user and the environment")]
fn data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/mainstay");
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| PathBuf::from(".mainstay"), |base| base.join("mainstay"))
}

/// Returns a local address of a listener. Loopback stands for an unspecified address.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port()),
        _ => listen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_on_this_machine() {
        let of = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(of("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(of("[::]:8080"), "127.0.0.1:8080");
        assert_eq!(of("192.0.2.1:80"), "192.0.2.1:80");
    }
}
