//! The keys that sign access tokens: loaded, rotated by age or on request, and refreshed on every instance.

use std::time::Duration;

use chrono::TimeDelta;

use crate::identity::{
    config::IdentityConfig,
    signing_key::{
        keys::{KeyRing, SealedKey},
        model::{CLOCK_MARGIN, Life, PUBLICATION_LEAD},
        store,
    },
    tokens::Tokens,
};
use mainstay_kernel::{
    app::App,
    audit::Record,
    clock::Clock,
    database::Database,
    error::{Error, Result},
    unit_of_work::Work,
};

/// The interval at which an instance loads new keys: half the time for which a key is published before it signs.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// The interval between retries after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Loads the keys. Creates a new key if no key signs, or if the signing key is too old.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable; the keys in memory stay in use.
pub async fn refresh(app: &App) -> Result<()> {
    KeyRotation::of(app).refresh().await
}

/// Creates a new key, which signs once every instance has had time to load it. Tokens signed by the old key remain
/// valid. Returns the new key's id.
pub async fn rotate(app: &App) -> Result<String> {
    let rotation = KeyRotation::of(app);
    let id = rotation.rotate(true).await?;
    rotation.load().await?;
    Ok(id)
}

/// Loads the keys now and periodically until the app is dropped. Retries while Postgres is unreachable.
pub async fn start_refresh(app: &App) {
    let mut rotation = Some(KeyRotation::of(app));
    let (database, clock, age) = (app.database.clone(), app.clock.clone(), age(app));
    let (dropped, upgrade) = (app.part::<Tokens>().dropped(), app.part::<Tokens>().downgrade());
    let mut delay = refresh_once(rotation.take()).await;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = dropped.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
            let rotation =
                upgrade().map(|tokens| KeyRotation { database: database.clone(), clock: clock.clone(), age, tokens });
            delay = refresh_once(rotation).await;
        }
    });
}

/// Refreshes the keys, and returns the delay until the next time.
async fn refresh_once(rotation: Option<KeyRotation>) -> Duration {
    let Some(rotation) = rotation else { return REFRESH_INTERVAL };
    match rotation.refresh().await {
        Ok(()) => REFRESH_INTERVAL,
        Err(error) => {
            let cause = error.source().map(|source| format!("{source:#}"));
            tracing::warn!(cause, "the signing keys could not be read; those in memory stay in use");
            RETRY_INTERVAL
        }
    }
}

fn age(app: &App) -> TimeDelta {
    TimeDelta::from_std(app.config.section::<IdentityConfig>().signing_key_age).unwrap_or(TimeDelta::MAX)
}

/// The state of the refresh task. It excludes [`App`], which the task would otherwise keep alive.
struct KeyRotation {
    database: Database,
    clock: Clock,
    age: TimeDelta,
    tokens: Tokens,
}

impl KeyRotation {
    fn of(app: &App) -> Self {
        Self {
            database: app.database.clone(),
            clock: app.clock.clone(),
            age: age(app),
            tokens: app.part::<Tokens>().clone(),
        }
    }

    async fn refresh(&self) -> Result<()> {
        self.load().await?;
        if self.tokens.ring().wants_rotation(self.clock.now(), self.age) {
            self.rotate(false).await?;
            self.load().await?;
        }
        Ok(())
    }

    async fn load(&self) -> Result<()> {
        let retired_after = self.clock.now() - self.tokens.life() - CLOCK_MARGIN;
        let sealed =
            self.database.autocommit(async move |connection| store::list(connection, retired_after).await).await?;
        self.tokens.install(KeyRing::open(sealed, self.tokens.secret())?);
        Ok(())
    }

    /// Creates a key if one is due, or always if `force`. Only one instance rotates at a time; the others use the key
    /// it created.
    async fn rotate(&self, force: bool) -> Result<String> {
        let (now, age, tokens) = (self.clock.now(), self.age, self.tokens.clone());
        let rotation = self.database.transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            store::lock(connection).await?;
            let retired_after = now - tokens.life() - CLOCK_MARGIN;
            let sealed = store::list(connection, retired_after).await?;
            check_secret(&sealed, &tokens, now)?;
            let ring = KeyRing::open(sealed, tokens.secret())?;
            if let Some(key) = ring.signing(now).filter(|_| !force && !ring.wants_rotation(now, age)) {
                return Ok(key.id().to_owned());
            }
            let key = SealedKey::generate(tokens.secret(), Life::begin(now, ring.signing(now).is_none()))?;
            let id = key.id.clone();
            store::rotate(connection, key, retired_after).await?;
            if force {
                work.audit(Record::about("identity.signing_key", None, None).with("key", id.as_str()));
            }
            Ok(id)
        });
        let id = rotation.await?;
        tracing::info!(key = id, "a signing key is in use");
        Ok(id)
    }
}

/// Returns an error if another instance uses a different secret. Otherwise each would keep retiring the other's keys.
fn check_secret(sealed: &[SealedKey], tokens: &Tokens, now: chrono::DateTime<chrono::Utc>) -> Result<()> {
    let newest = sealed.iter().max_by_key(|key| key.life.created_at);
    match newest.filter(|key| now - key.life.created_at < PUBLICATION_LEAD * 2) {
        Some(key) if tokens.secret().unseal(&key.id, &key.private_key).is_none() => {
            Err(Error::unavailable(anyhow::anyhow!("another instance has just sealed a key with another SECRET_KEY")))
        }
        _ => Ok(()),
    }
}
