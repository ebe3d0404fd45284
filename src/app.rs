//! Everything a request needs, built once and passed down: pools, clock, clients.

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

/// What every part of the house works with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// The configuration.
    pub config: Arc<Config>,
    /// Postgres.
    pub database: Database,
    /// The time.
    pub clock: Clock,
    /// Places for files that are being uploaded; each may hold as much as a file may be large.
    pub uploads: Arc<Semaphore>,
    /// Where one customer's creates wait for each other.
    pub turns: Turns,
    /// What may be lost: Redis, or its in-process stand-in.
    pub ephemeral: Ephemeral,
    /// Rate limits.
    pub limiter: Limiter,
    /// Where sessions are kept.
    pub sessions: Sessions,
    /// Makes and verifies tokens.
    pub tokens: Tokens,
    /// Hashes passwords, a few at a time.
    pub passwords: Passwords,
    /// Service keys that were found good a moment ago.
    pub service_keys: ServiceKeys,
    /// Moves money.
    pub gateway: Arc<dyn Gateway>,
    /// Sends mail.
    pub mail: Arc<dyn Transport>,
    /// The server's secret.
    pub secret: SecretKey,
    /// Calls those who asked to be told what happens here.
    pub receivers: Receivers,
    /// How those sign who tell us what happened elsewhere.
    pub verifiers: Verifiers,
    /// What that means here.
    pub handlers: Handlers,
}

impl App {
    /// Builds everything. Postgres and Redis may be away; a wrong setting may not.
    ///
    /// # Errors
    /// What in the configuration can't be used, and a secret that can't be read or made.
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
