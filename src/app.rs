//! The dependencies of a request, built once and passed down: pools, clock, clients.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Semaphore;

use crate::{
    clock::Clock,
    config::{Config, PER_ENDPOINT},
    email::{self, Transport},
    ephemeral::{Ephemeral, Sessions, limit::Limiter},
    gateway::{self, Gateway},
    identity::{Passwords, SecretKey, ServiceKeys, Tokens},
    outbound::Receivers,
    store::Database,
    turns::Turns,
    webhooks::{self, Handlers, Verifiers},
};

/// Everything that the operations and the middleware work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// The configuration.
    pub config: Arc<Config>,
    /// The Postgres connection pool.
    pub database: Database,
    /// The clock.
    pub clock: Clock,
    /// Slots for file uploads; each upload may use as much memory as the largest file.
    pub uploads: Arc<Semaphore>,
    /// Queues in which the creates of one customer wait for each other.
    pub turns: Turns,
    /// Shared state that may be lost: Redis, or its in-process stand-in.
    pub ephemeral: Ephemeral,
    /// The rate limiter.
    pub limiter: Limiter,
    /// The session store.
    pub sessions: Sessions,
    /// Issues and verifies tokens.
    pub tokens: Tokens,
    /// Hashes passwords, a few at a time.
    pub passwords: Passwords,
    /// A short-lived cache of verified service keys.
    pub service_keys: ServiceKeys,
    /// The payment gateway.
    pub gateway: Arc<dyn Gateway>,
    /// The mail transport.
    pub mail: Arc<dyn Transport>,
    /// The server's secret.
    pub secret: SecretKey,
    /// The client that delivers webhooks to their endpoints.
    pub receivers: Receivers,
    /// Verifies the signatures of inbound webhooks.
    pub verifiers: Verifiers,
    /// Handles inbound webhook events, by kind.
    pub handlers: Handlers,
}

impl App {
    /// Builds everything. Postgres and Redis may be unavailable; an invalid setting is an error.
    ///
    /// # Errors
    /// Settings that can't be used, and a secret that can't be read or generated.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let clock = Clock::default();
        let secret = SecretKey::open(&config)?;
        let url = config.database.url.as_ref().context("there is no DATABASE_URL")?;
        let database = Database::new(url, &config.database).await?;
        let ephemeral = Ephemeral::new(&config.redis, clock.clone()).await?;
        let verifiers = Verifiers::new(config.webhooks.secrets()).map_err(anyhow::Error::msg)?;
        Ok(Self {
            uploads: Arc::new(Semaphore::new(config.support.max_uploads)),
            receivers: Receivers::new(config.webhooks.allow_private, config.webhooks.concurrency * PER_ENDPOINT)?,
            secret: secret.clone(),
            verifiers,
            handlers: webhooks::all(),
            turns: Turns::default(),
            limiter: Limiter::new(ephemeral.clone(), database.clone(), &config.limits, clock.clone()),
            sessions: Sessions::new(ephemeral.clone(), config.identity.refresh_ttl),
            tokens: Tokens::new(&config.identity, secret, clock.clone()),
            passwords: Passwords::new(config.identity.max_hashing),
            service_keys: ServiceKeys::new(clock.clone()),
            gateway: gateway::open(&config.payments, &database, &clock)?,
            mail: email::open(&config)?,
            config: Arc::new(config),
            database,
            clock,
            ephemeral,
        })
    }
}
