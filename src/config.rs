//! The configuration: one struct per section, read from the environment over an optional file.
//!
//! A file holds the same names as the environment (`LISTEN_ADDR = "127.0.0.1:8080"`, TOML). All errors are collected
//! before the server refuses to start, so that one look at the log is enough to fix them. A secret `NAME` may instead
//! be given as `NAME_FILE`, the path of a file that holds it.

mod mail;
mod payments;
mod source;
mod tls;
mod webhooks;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;

use crate::identity::SecretKey;

pub use mail::{Mail, MailTransport};
pub use payments::{Gateway, Payments};
pub use source::{Fault, Source, VARIABLES, Variable};
pub use tls::Tls;
pub use webhooks::{PER_ENDPOINT, Webhooks};

/// The configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The listener.
    pub server: Server,
    /// Postgres.
    pub database: Database,
    /// Redis, or its in-process stand-in.
    pub redis: Redis,
    /// Sign-in.
    pub identity: Identity,
    /// Rate limits.
    pub limits: Limits,
    /// Support tickets.
    pub support: Support,
    /// Payments.
    pub payments: Payments,
    /// Background work.
    pub jobs: Jobs,
    /// Mail.
    pub mail: Mail,
    /// Webhooks, inbound and outbound.
    pub webhooks: Webhooks,
}

/// The listener.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address shared by gRPC, REST and the pages.
    pub listen: SocketAddr,
    /// Health and metrics have this address too; `None`: no other than the one above.
    pub metrics_listen: Option<SocketAddr>,
    /// TLS; `None`: none.
    pub tls: Option<Tls>,
    /// Origins from which browsers may call; empty: none.
    pub allowed_origins: Vec<String>,
    /// The number of trusted proxies that append to `X-Forwarded-For`.
    pub trusted_proxy_hops: usize,
    /// Maximum concurrent requests; further ones are refused with 503.
    pub max_in_flight: usize,
    /// Maximum open connections; further ones wait to be accepted.
    pub max_connections: usize,
    /// The maximum size of a request message in bytes, unless the method's policy allows more.
    pub max_request_bytes: usize,
    /// The time that requests in flight have to finish after a stop is requested.
    pub drain: Duration,
    /// How long to keep accepting connections after readiness is withdrawn, so that load balancers notice.
    pub drain_delay: Duration,
}

/// Postgres.
#[derive(Debug, Clone)]
pub struct Database {
    /// The URL; `None`: a private Postgres is started.
    pub url: Option<SecretString>,
    /// The size of the connection pool.
    pub pool_size: u32,
    /// The longest wait for a connection.
    pub pool_wait: Duration,
    /// The upper bound on any statement; a request's own deadline cancels earlier.
    pub statement_timeout: Duration,
    /// The directory of the private Postgres and of generated secrets.
    pub data_dir: PathBuf,
}

/// Redis.
#[derive(Debug, Clone)]
pub struct Redis {
    /// The URL; `None`: the in-process stand-in.
    pub url: Option<SecretString>,
    /// The longest wait for an answer, after which Redis counts as unavailable.
    pub timeout: Duration,
}

/// Sign-in.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The key that seals the signing keys in the database; 32 bytes in base64. `None`: generated into the data
    /// directory.
    pub secret_key: Option<SecretString>,
    /// The `iss` and `aud` of access tokens.
    pub issuer: String,
    /// The lifetime of an access token.
    pub access_ttl: Duration,
    /// The lifetime of a session without a refresh.
    pub refresh_ttl: Duration,
    /// The age at which a signing key is replaced.
    pub signing_key_age: Duration,
    /// Maximum concurrent password hashes; each needs 19 MiB.
    pub max_hashing: usize,
}

/// A quota: `requests` in any `window`, of which half may come at once (for logins, all).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The number of requests.
    pub requests: u32,
    /// The length of the window.
    pub window: Duration,
}

/// Rate limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests of one IP address, before authentication.
    pub address: Quota,
    /// Reads of one principal.
    pub read: Quota,
    /// Writes of one principal.
    pub write: Quota,
    /// Imports, exports and batches of one principal.
    pub bulk: Quota,
    /// Sign-in attempts from one IP address, and for one e-mail address.
    pub login: Quota,
    /// The factor by which the limits of a service principal are higher.
    pub service_factor: u32,
    /// The number of instances that divide the limits while Redis is unavailable.
    pub instances: u32,
}

/// Support tickets.
#[derive(Debug, Clone)]
pub struct Support {
    /// Maximum open tickets per customer.
    pub open_ticket_limit: i64,
    /// The maximum size of an import file in bytes.
    pub max_import_bytes: usize,
    /// Maximum concurrent uploads; each may use as much memory as the largest file.
    pub max_uploads: usize,
}

/// Background work.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// Whether `serve` also runs jobs.
    pub in_serve: bool,
    /// Concurrent jobs, besides those whose lane has slots of its own.
    pub concurrency: usize,
    /// Concurrent imports; they use no slot of other jobs.
    pub imports: usize,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Every value that is missing or invalid.
    pub fn read(source: Source) -> Result<Self, Vec<Fault>> {
        let mut read = source::Reader::new(source);
        let config = Self {
            server: Server::read(&mut read),
            database: Database::read(&mut read),
            redis: Redis { url: read.secret("REDIS_URL"), timeout: read.duration("REDIS_TIMEOUT") },
            identity: Identity::read(&mut read),
            limits: Limits::read(&mut read),
            support: Support {
                open_ticket_limit: read.parse("OPEN_TICKET_LIMIT"),
                max_import_bytes: read.bytes("MAX_IMPORT_BYTES"),
                max_uploads: read.parse("MAX_UPLOADS"),
            },
            payments: Payments::read(&mut read),
            jobs: Jobs {
                in_serve: read.parse("JOBS_IN_SERVE"),
                concurrency: read.parse("JOBS_CONCURRENCY"),
                imports: read.parse("IMPORT_CONCURRENCY"),
            },
            mail: Mail::read(&mut read),
            webhooks: Webhooks::read(&mut read),
        };
        let single: bool = read.parse("SINGLE_INSTANCE");
        if config.database.url.is_some() && config.redis.url.is_none() && !single {
            let why = "needed beside DATABASE_URL: without it every instance has its own limits and sessions; \
                       SINGLE_INSTANCE=true says there is only one";
            read.fault("REDIS_URL", why);
        }
        match &config.identity.secret_key {
            Some(text) if !SecretKey::is_one(text) => {
                read.fault("SECRET_KEY", "must be 32 bytes in base64 (openssl rand -base64 32)");
            }
            None if config.database.url.is_some() => {
                read.fault("SECRET_KEY", "needed beside DATABASE_URL: 32 bytes in base64 (openssl rand -base64 32)");
            }
            _ => {}
        }
        let places = [
            ("MAX_IN_FLIGHT", config.server.max_in_flight == 0),
            ("DATABASE_POOL_SIZE", config.database.pool_size == 0),
            ("MAX_UPLOADS", config.support.max_uploads == 0),
            ("JOBS_CONCURRENCY", config.jobs.concurrency == 0),
            ("IMPORT_CONCURRENCY", config.jobs.imports == 0),
            ("MAIL_CONCURRENCY", config.mail.concurrency == 0),
            ("WEBHOOK_CONCURRENCY", config.webhooks.concurrency == 0),
        ];
        for (name, _) in places.iter().filter(|(_, none)| *none) {
            read.fault(name, "must be at least 1");
        }
        read.finish(config)
    }
}

impl Server {
    fn read(read: &mut source::Reader) -> Self {
        Self {
            listen: read.parse("LISTEN_ADDR"),
            metrics_listen: read.optional("METRICS_LISTEN_ADDR"),
            tls: Tls::read(read),
            allowed_origins: read.list("ALLOWED_ORIGINS"),
            trusted_proxy_hops: read.parse("TRUSTED_PROXY_HOPS"),
            max_in_flight: read.parse("MAX_IN_FLIGHT"),
            max_connections: read.parse("MAX_CONNECTIONS"),
            max_request_bytes: read.bytes("MAX_REQUEST_BYTES"),
            drain: read.duration("DRAIN_TIMEOUT"),
            drain_delay: read.duration("DRAIN_DELAY"),
        }
    }
}

impl Database {
    fn read(read: &mut source::Reader) -> Self {
        Self {
            url: read.secret("DATABASE_URL"),
            pool_size: read.parse("DATABASE_POOL_SIZE"),
            pool_wait: read.duration("DATABASE_POOL_WAIT"),
            statement_timeout: read.duration("DATABASE_STATEMENT_TIMEOUT"),
            data_dir: read.path("MAINSTAY_DATA_DIR", crate::embedded::default_data_dir),
        }
    }
}

impl Identity {
    fn read(read: &mut source::Reader) -> Self {
        Self {
            secret_key: read.secret("SECRET_KEY"),
            issuer: read.parse("TOKEN_ISSUER"),
            access_ttl: read.duration("ACCESS_TOKEN_TTL"),
            refresh_ttl: read.duration("REFRESH_TOKEN_TTL"),
            signing_key_age: read.duration("SIGNING_KEY_AGE"),
            max_hashing: read.parse("MAX_PASSWORD_HASHING"),
        }
    }
}

impl Limits {
    fn read(read: &mut source::Reader) -> Self {
        Self {
            address: read.quota("RATE_LIMIT_ADDRESS"),
            read: read.quota("RATE_LIMIT_READ"),
            write: read.quota("RATE_LIMIT_WRITE"),
            bulk: read.quota("RATE_LIMIT_BULK"),
            login: read.quota("RATE_LIMIT_LOGIN"),
            service_factor: read.parse("RATE_LIMIT_SERVICE_FACTOR"),
            instances: read.parse("INSTANCES"),
        }
    }
}

#[cfg(test)]
mod tests;
