//! The dependencies of requests and jobs, built once and passed down: pools, clock, clients, and the parts of modules.

use std::{
    any::{Any, type_name},
    sync::Arc,
};

use anyhow::Context as _;
use http::Extensions;

use crate::{
    alert::Alerts,
    cache::Cache,
    changes::{self, Feed, RecordedChange, ResumeTokens},
    clock::Clock,
    config::Config,
    contract::Contract,
    database::Database,
    keyed_mutex::KeyedMutex,
    large_responses::LargeResponses,
    on_call,
    page::PageTokens,
    rate_limit::Limiter,
    redis::Redis,
    secret::SecretKey,
};

/// The dependencies of operations and middleware. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// The descriptors, policies and error reasons of the modules.
    pub contract: &'static Contract,
    /// The alerts for operators.
    pub alerts: Alerts,
    /// The configuration, as read at the start.
    pub config: Arc<Config>,
    /// The connection pools of Postgres: the primary and its replicas.
    pub database: Database,
    /// The clock of stored times. Waits use `Instant`.
    pub clock: Clock,
    /// The locks in front of the connection pool: the writers of one key run one at a time.
    pub keyed_mutex: KeyedMutex,
    pub(crate) large_responses: LargeResponses,
    /// Redis, or its in-process stand-in.
    pub redis: Redis,
    /// The cache of this process, which the changes of resources invalidate.
    pub cache: Cache,
    /// The rate limits, which all instances share in Redis.
    pub limiter: Limiter,
    /// The secret of all instances, from which other keys are derived.
    pub secret: SecretKey,
    /// The codec of the page tokens of lists. Its key is derived from the secret.
    pub page_tokens: PageTokens,
    /// The changes of resources, for watches and the cache.
    pub changes: Feed<RecordedChange>,
    /// The codec of the resume tokens of watches. Its key is derived from the secret.
    pub resume_tokens: ResumeTokens,
    /// The parts of modules, by type. Each is in an `Arc`, because `Extensions` clones its values.
    parts: Arc<Extensions>,
}

impl App {
    /// Opens the kernel's dependencies. [`Modules::open`](crate::module::Modules::open) adds the parts of the modules.
    /// Errors: unusable settings, and a secret that cannot be read or generated.
    pub(crate) async fn open(
        config: Config,
        contract: &'static Contract,
        listeners: Arc<dyn Any + Send + Sync>,
    ) -> anyhow::Result<Self> {
        let clock = Clock::default();
        let secret = SecretKey::open(&config)?;
        let url = config.database.url.as_ref().context("there is no DATABASE_URL")?;
        let database = Database::new(url, "mainstay", &config.database)?;
        let database = database.with_clock(&clock).with_listeners(listeners).with_replicas("mainstay", &config)?;
        let redis = Redis::new(&config.redis, clock.clone()).await?;
        let changes = changes::open(&database);
        Ok(Self {
            contract,
            alerts: on_call::start(&config.on_call, &clock)?,
            cache: Cache::new(&database, changes.clone(), config.cache_bytes),
            keyed_mutex: KeyedMutex::default(),
            large_responses: LargeResponses::default(),
            limiter: Limiter::new(redis.clone(), database.clone(), &config.limits, clock.clone()),
            config: Arc::new(config),
            page_tokens: PageTokens::new(&secret),
            changes,
            resume_tokens: ResumeTokens::new(&secret),
            secret,
            database,
            clock,
            redis,
            parts: Arc::default(),
        })
    }

    /// Returns the part of a module, by its type.
    ///
    /// # Panics
    /// If no module provides the part. While modules open their parts at the start, only the parts of the modules
    /// registered before exist.
    pub fn part<T: Any + Send + Sync>(&self) -> &T {
        self.parts.get::<Arc<T>>().unwrap_or_else(|| panic!("no module provides {}", type_name::<T>()))
    }

    /// Returns the application with another clock, also for its units of work. The other dependencies keep their clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { database: self.database.with_clock(&clock), clock, ..self }
    }

    /// Returns the application with the part, in place of any part of the same type. Earlier clones do not have the part.
    #[must_use]
    pub fn with_part<T: Any + Send + Sync>(mut self, part: T) -> Self {
        Arc::make_mut(&mut self.parts).insert(Arc::new(part));
        self
    }
}
