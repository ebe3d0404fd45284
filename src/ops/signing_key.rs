//! The keys that sign access tokens: loaded, rotated by age or on request, kept fresh in every instance.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::FutureExt as _;

use crate::{
    app::App,
    clock::Clock,
    domain::signing_key::{LEAD, Life, MARGIN},
    error::{Error, Result},
    identity::{Ring, SealedKey, Tokens},
    store::{Connection, Database, signing_key as store},
};

/// How often an instance looks for new keys; half the time that a key is published before it signs.
const EVERY: Duration = Duration::from_secs(30);
/// How soon it looks again after it failed.
const RETRY: Duration = Duration::from_secs(1);

/// Looks for new keys now; makes one where none signs or the one that does is old.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away; the keys in memory stay in use.
pub async fn refresh(app: &App) -> Result<()> {
    Keeper::of(app).refresh().await
}

/// Makes a new key now, which signs after every instance has had time to learn of it. Tokens that the old one signed stay
/// good. Returns its id.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away.
pub async fn rotate(app: &App) -> Result<String> {
    let keeper = Keeper::of(app);
    let id = keeper.rotate(true).await?;
    keeper.load().await?;
    Ok(id)
}

/// Looks for keys now and from then on, until the app is dropped. A Postgres that is away is waited for.
pub async fn keep(app: &App) {
    let mut keeper = Some(Keeper::of(app));
    let (database, clock, age) = (app.database.clone(), app.clock.clone(), age(app));
    let (dropped, upgrade) = (app.tokens.dropped(), app.tokens.downgrade());
    let mut wait = look(keeper.take()).await;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = dropped.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let keeper =
                upgrade().map(|tokens| Keeper { database: database.clone(), clock: clock.clone(), age, tokens });
            wait = look(keeper).await;
        }
    });
}

async fn look(keeper: Option<Keeper>) -> Duration {
    let Some(keeper) = keeper else { return EVERY };
    match keeper.refresh().await {
        Ok(()) => EVERY,
        Err(error) => {
            let cause = error.source().map(|source| format!("{source:#}"));
            tracing::warn!(cause, "the signing keys could not be read; those in memory stay in use");
            RETRY
        }
    }
}

fn age(app: &App) -> TimeDelta {
    TimeDelta::from_std(app.config.identity.signing_key_age).unwrap_or(TimeDelta::MAX)
}

/// What keeping keys takes; less than an [`App`], so that the task that does it does not keep the app in use.
struct Keeper {
    database: Database,
    clock: Clock,
    age: TimeDelta,
    tokens: Tokens,
}

impl Keeper {
    fn of(app: &App) -> Self {
        Self { database: app.database.clone(), clock: app.clock.clone(), age: age(app), tokens: app.tokens.clone() }
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
        let retired_after = self.clock.now() - self.tokens.life() - MARGIN;
        let sealed = self.database.read(move |connection| store::list(connection, retired_after).boxed()).await?;
        self.tokens.install(Ring::open(sealed, self.tokens.secret())?);
        Ok(())
    }

    /// One instance rotates; another that wanted to finds it done, and takes what is there.
    async fn rotate(&self, anyway: bool) -> Result<String> {
        let (now, age, tokens) = (self.clock.now(), self.age, self.tokens.clone());
        let rotated = self.database.write(move |connection: &mut Connection| {
            async move {
                store::lock(connection).await?;
                let retired_after = now - tokens.life() - MARGIN;
                let sealed = store::list(connection, retired_after).await?;
                check_secret(&sealed, &tokens, now)?;
                let ring = Ring::open(sealed, tokens.secret())?;
                if let Some(key) = ring.signing(now).filter(|_| !anyway && !ring.wants_rotation(now, age)) {
                    return Ok(key.id().to_owned());
                }
                let key = SealedKey::generate(tokens.secret(), Life::begin(now, ring.signing(now).is_none()))?;
                let id = key.id.clone();
                store::succeed(connection, key, retired_after).await?;
                Ok::<_, Error>(id)
            }
            .boxed()
        });
        let id = rotated.await?;
        tracing::info!(key = id, "a signing key is in use");
        Ok(id)
    }
}

/// Two instances with different secrets would each retire the other's key for ever; better one of them stands still.
fn check_secret(sealed: &[SealedKey], tokens: &Tokens, now: chrono::DateTime<chrono::Utc>) -> Result<()> {
    let newest = sealed.iter().max_by_key(|key| key.life.created_at);
    match newest.filter(|key| now - key.life.created_at < LEAD * 2) {
        Some(key) if tokens.secret().unseal(&key.id, &key.private_key).is_none() => {
            Err(Error::unavailable(anyhow::anyhow!("another instance has just sealed a key with another SECRET_KEY")))
        }
        _ => Ok(()),
    }
}
