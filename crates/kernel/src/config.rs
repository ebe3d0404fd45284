//! The configuration: one struct per section, read from the environment over an optional file.
//!
//! A file holds the same names as the environment (`LISTEN_ADDR = "127.0.0.1:8080"`, TOML). All errors are collected
//! before the server refuses to start, so that one look at the log is enough to fix them. A secret `NAME` may instead
//! be given as `NAME_FILE`, the path of a file that holds it.
//!
//! The sections here are the kernel's; a module adds its own with [`Section`].

mod check;
mod effective;
mod kernel;
mod on_call;
mod production;
mod retention;
mod section;
mod source;
mod tls;

use std::{any::type_name, collections::HashMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use http::Extensions;
use secrecy::{ExposeSecret as _, SecretString};

pub use check::is_https_or_loopback;
pub use effective::{Setting, Settings};
pub use kernel::{Database, Jobs, Limits, Redis, Replicas, Server, reachable};
pub use on_call::{OnCall, OnCallFormat};
pub(crate) use production::KERNEL as PRODUCTION;
pub use production::{Requirement, Verdict};
pub use retention::Retention;
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
    /// By their types, each in an `Arc`.
    sections: Extensions,
    settings: Vec<Setting>,
}

/// One network gets at most [`Server::max_received_bytes`] divided by this, so the largest request must be as small.
pub(crate) const RECEIVED_SHARE_DIVISOR: usize = 4;

/// A quota: `requests` per `window`, sustained, and a quarter of them at once on top (for logins: all of them at once, and
/// no more in any window).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The number of requests.
    pub requests: u32,
    /// The length of the window.
    pub window: Duration,
}

impl Config {
    pub(crate) fn read(source: Source, sections: &[SectionReader], retentions: &[Retention]) -> Settings {
        let variables = Self::variables(sections, retentions);
        let mut read = Reader::new(source, variables.clone());
        let mut config = Self {
            server: Server::read(&mut read),
            database: Database::read(&mut read),
            replicas: Replicas::read(&mut read),
            redis: Redis::read(&mut read),
            cache_bytes: read.bytes("CACHE_MEMORY"),
            secret_key: read.secret("SECRET_KEY"),
            limits: Limits::read(&mut read),
            jobs: Jobs::read(&mut read),
            on_call: OnCall::read(&mut read),
            retentions: retention::read(retentions, &mut read),
            sections: Extensions::new(),
            settings: Vec::new(),
        };
        sections.iter().for_each(|section| (section.read)(&mut read, &mut config.sections));
        check::run(&config, &mut read);
        Settings::new(config, &variables, read.finish())
    }

    pub(crate) fn variables(sections: &[SectionReader], retentions: &[Retention]) -> Vec<Variable> {
        let of_modules = sections.iter().flat_map(|section| section.variables.iter());
        let ages = retentions.iter().filter_map(Retention::setting).map(|setting| &setting.variable);
        kernel::variables().chain(of_modules.chain(ages).copied()).collect()
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
        self.sections.get::<Arc<S>>().unwrap_or_else(|| panic!("no module has the section {}", type_name::<S>()))
    }
}

pub(crate) fn separate(urls: &SecretString) -> Vec<SecretString> {
    urls.expose_secret().split(',').map(|url| url.trim().into()).collect()
}
