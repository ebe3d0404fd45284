//! The configuration: one struct per section, read from the environment over an optional file.
//!
//! A file holds the same names as the environment (`LISTEN_ADDR = "127.0.0.1:8080"`, TOML). All errors are collected
//! before the server refuses to start, so that one look at the log is enough to fix them. A secret `NAME` may instead
//! be given as `NAME_FILE`, the path of a file that holds it.
//!
//! The sections here are the kernel's; a module adds its own with [`Section`].

mod address;
mod check;
mod data_dir;
mod effective;
mod on_call;
mod production;
mod retention;
mod section;
mod source;
mod tls;
mod variables;

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, time::Duration};

use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};

pub use address::reachable;
pub use check::is_https_or_loopback;
pub use effective::{Setting, Settings};
pub use on_call::{OnCall, OnCallFormat};
pub(crate) use production::KERNEL as PRODUCTION;
pub use production::{Requirement, Verdict};
pub use retention::Retention;
use section::Sections;
pub use section::{Section, SectionReader};
pub use source::{ConfigError, Origin, Reader, Source, Variable};
pub use tls::Tls;

/// The configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The listener.
    pub server: Server,
    /// Postgres.
    pub database: Database,
    /// The replicas of Postgres.
    pub replicas: Replicas,
    /// Redis, or its in-process stand-in.
    pub redis: Redis,
    /// The memory of the cache of this process, in bytes.
    pub cache_bytes: usize,
    /// The secret that seals keys and secrets in the database; 32 bytes in base64. `None`: generated into the data
    /// directory.
    pub secret_key: Option<SecretString>,
    /// Rate limits.
    pub limits: Limits,
    /// Background work.
    pub jobs: Jobs,
    /// The service that wakes an operator.
    pub on_call: OnCall,
    /// By the name of the variable; `None`: forever.
    retentions: HashMap<&'static str, Option<TimeDelta>>,
    sections: Sections,
    settings: Vec<Setting>,
}

/// One network gets at most [`Server::max_received_bytes`] divided by this, so the largest request must be as small.
pub(crate) const RECEIVED_SHARE_DIVISOR: usize = 4;

/// The listener.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address shared by gRPC, REST and the pages.
    pub listen: SocketAddr,
    /// The address of health and metrics.
    pub metrics_listen: SocketAddr,
    /// TLS; `None`: none.
    pub tls: Option<Tls>,
    /// Origins from which browsers may call; empty: none.
    pub allowed_origins: Vec<String>,
    /// The number of trusted proxies that append to `X-Forwarded-For`.
    pub trusted_proxy_hops: usize,
    /// The domain of all error reasons; `None`: that of the module that defines each.
    pub error_domain: Option<String>,
    /// Maximum concurrent requests; further ones are refused with 503.
    pub max_in_flight: usize,
    /// Maximum open connections; a further one takes the place of an idle one, or waits.
    pub max_connections: usize,
    /// The bytes of responses that clients have not read.
    pub max_unread_bytes: usize,
    /// The bytes of requests that are read whole, a quarter of them for one network.
    pub max_received_bytes: usize,
    /// How long a client may go without reading a response; then it is cut off.
    pub write_timeout: Duration,
    /// How long a connection of HTTP/1.1 stays open without a request.
    pub keep_alive_timeout: Duration,
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
    /// Whether transactions of a sampled request are named after its trace.
    pub trace_context: bool,
    /// The directory of the private Postgres and of generated secrets.
    pub data_dir: PathBuf,
}

/// The replicas of Postgres, from which requests may read.
#[derive(Debug, Clone)]
pub struct Replicas {
    /// The URLs; each names one server.
    pub urls: Vec<SecretString>,
    /// The most by which a replica that is read may be behind the primary.
    pub max_lag: Duration,
}

/// Redis.
#[derive(Debug, Clone)]
pub struct Redis {
    /// The URL, or those of nodes of a cluster, separated by commas; `None`: the in-process stand-in.
    pub url: Option<SecretString>,
    /// Whether it is a Redis Cluster.
    pub cluster: bool,
    /// The URLs of Redis Sentinels. If there are any, the host of `url` is the name of the primary that they watch.
    pub sentinels: Vec<SecretString>,
    /// The longest wait for an answer, after which Redis counts as unavailable.
    pub timeout: Duration,
}

/// A quota: `requests` per `window`, sustained, and a quarter of them at once on top (for logins: all of them at once, and
/// no more in any window).
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
    /// The factor by which the limits of a service principal are higher.
    pub service_factor: u32,
    /// The number of instances that divide the limits while Redis is unavailable.
    pub instances: u32,
}

/// Background work.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// Whether `serve` also runs jobs.
    pub in_serve: bool,
    /// Concurrent jobs, besides the jobs of lanes with separate slots.
    pub concurrency: usize,
}

impl Config {
    /// Reads the kernel's sections, those of the modules, and the retentions.
    pub(crate) fn read(source: Source, sections: &[SectionReader], retentions: &[Retention]) -> Settings {
        let variables = Self::variables(sections, retentions);
        let mut read = Reader::new(source, variables.clone());
        let config = Self {
            server: Server::read(&mut read),
            database: Database::read(&mut read),
            replicas: Replicas::read(&mut read),
            redis: Redis::read(&mut read),
            cache_bytes: read.bytes("CACHE_MEMORY"),
            secret_key: read.secret("SECRET_KEY"),
            limits: Limits::read(&mut read),
            jobs: Jobs { in_serve: read.parse("JOBS_IN_SERVE"), concurrency: read.positive("JOBS_CONCURRENCY") },
            on_call: OnCall::read(&mut read),
            retentions: retention::read(retentions, &mut read),
            sections: Sections::read(sections, &mut read),
            settings: Vec::new(),
        };
        check::run(&config, &mut read);
        Settings::new(config, &variables, read.finish())
    }

    /// Returns every variable: the kernel's, those of the sections, and those of the retentions.
    pub(crate) fn variables(sections: &[SectionReader], retentions: &[Retention]) -> Vec<Variable> {
        let of_modules = sections.iter().flat_map(|section| section.variables.iter());
        let ages = retentions.iter().filter_map(Retention::setting).map(|setting| &setting.variable);
        variables::KERNEL.iter().chain(of_modules).chain(ages).copied().collect()
    }

    /// Returns every variable with the value in effect, in the order of declaration. No secrets are in it.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Returns the retention that a variable configures; `None`: forever.
    ///
    /// # Panics
    /// If no registered module declares it.
    pub(crate) fn retention(&self, name: &str) -> Option<TimeDelta> {
        *self.retentions.get(name).unwrap_or_else(|| panic!("no module declares the retention {name}"))
    }

    /// Returns the section of a module.
    ///
    /// # Panics
    /// If no registered module has this section.
    pub fn section<S: Section>(&self) -> &S {
        self.sections.get()
    }
}

impl Server {
    fn read(read: &mut Reader) -> Self {
        Self {
            listen: read.parse("LISTEN_ADDR"),
            metrics_listen: read.parse("METRICS_LISTEN_ADDR"),
            tls: Tls::read(read),
            allowed_origins: read.list("ALLOWED_ORIGINS"),
            trusted_proxy_hops: read.parse("TRUSTED_PROXY_HOPS"),
            error_domain: read.optional("ERROR_DOMAIN"),
            max_in_flight: read.positive("MAX_IN_FLIGHT"),
            max_connections: read.positive("MAX_CONNECTIONS"),
            max_unread_bytes: read.positive_bytes("MAX_UNREAD_BYTES"),
            max_received_bytes: read.positive_bytes("MAX_RECEIVED_BYTES"),
            write_timeout: read.positive_duration("WRITE_TIMEOUT"),
            keep_alive_timeout: read.positive_duration("KEEP_ALIVE_TIMEOUT"),
            max_request_bytes: read.positive_bytes("MAX_REQUEST_BYTES"),
            drain: read.duration("DRAIN_TIMEOUT"),
            drain_delay: read.duration("DRAIN_DELAY"),
        }
    }
}

impl Database {
    fn read(read: &mut Reader) -> Self {
        Self {
            url: read.secret("DATABASE_URL"),
            pool_size: read.positive("DATABASE_POOL_SIZE"),
            pool_wait: read.positive_duration("DATABASE_POOL_WAIT"),
            statement_timeout: read.positive_duration("DATABASE_STATEMENT_TIMEOUT"),
            trace_context: read.parse("DATABASE_TRACE_CONTEXT"),
            data_dir: read.path("MAINSTAY_DATA_DIR", data_dir::default),
        }
    }
}

impl Replicas {
    fn read(read: &mut Reader) -> Self {
        Self { urls: urls(read, "DATABASE_REPLICA_URLS"), max_lag: read.positive_duration("DATABASE_REPLICA_MAX_LAG") }
    }
}

impl Redis {
    fn read(read: &mut Reader) -> Self {
        Self {
            url: read.secret("REDIS_URL"),
            cluster: read.parse("REDIS_CLUSTER"),
            sentinels: urls(read, "REDIS_SENTINELS"),
            timeout: read.positive_duration("REDIS_TIMEOUT"),
        }
    }
}

/// Reads URLs that may hold passwords, separated by commas.
fn urls(read: &mut Reader, name: &str) -> Vec<SecretString> {
    read.secret(name).as_ref().map(separate).unwrap_or_default()
}

/// Returns the URLs of a text that separates them by commas.
pub(crate) fn separate(urls: &SecretString) -> Vec<SecretString> {
    urls.expose_secret().split(',').map(|url| url.trim().into()).collect()
}

impl Limits {
    fn read(read: &mut Reader) -> Self {
        Self {
            address: read.quota("RATE_LIMIT_ADDRESS"),
            read: read.quota("RATE_LIMIT_READ"),
            write: read.quota("RATE_LIMIT_WRITE"),
            bulk: read.quota("RATE_LIMIT_BULK"),
            service_factor: read.positive("RATE_LIMIT_SERVICE_FACTOR"),
            instances: read.positive("INSTANCES"),
        }
    }
}
