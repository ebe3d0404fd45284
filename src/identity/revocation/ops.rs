//! Makes every instance refuse revoked access tokens within a second.
//!
//! Redis could tell the instances sooner, and an instance that Redis did not reach would not know what it missed. A look
//! at a small table twice a second knows; an instance that can't look asks Postgres about each token instead
//! ([`MAX_STALENESS`](super::model::MAX_STALENESS)), and refuses those that it can't ask about.

use std::{
    sync::{RwLock, Weak},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use crate::identity::{
    revocation::{known::KnownRevocations, model::RevocationSet, store},
    tokens::Tokens,
};
use mainstay_kernel::{
    app::App,
    database::{Connection, Database},
    error::Result,
    id::SessionId,
};

/// The interval between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The longest that a look may take; a connection that is silent for longer is replaced.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much further back than the previous look each look goes: a revocation has its time before its transaction
/// commits, and appears only then. No transaction that revokes lasts as long.
const OVERLAP: Duration = Duration::from_secs(60);

/// Revokes the access tokens of a session in the caller's transaction. This instance learns of it as the others do,
/// unless it is told after the commit.
///
/// # Errors
/// Any error of Postgres.
pub async fn revoke_session(connection: &mut Connection, session: SessionId) -> Result<()> {
    store::end_session(connection, session).await
}

/// Revokes the access tokens of a session.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub async fn end_session(app: &App, session: SessionId) -> Result<()> {
    app.database.autocommit(async move |connection| revoke_session(connection, session).await).await?;
    app.part::<Tokens>().invalidate_session(session);
    Ok(())
}

/// Looks for revocations now and periodically until the app is dropped.
pub async fn watch(app: &App) {
    let tokens = app.part::<Tokens>();
    // Longer than any token lives, whatever the clocks say.
    let life = tokens.life().to_std().unwrap_or_default() + 2 * OVERLAP;
    let watcher = Watcher { database: app.database.clone(), revocations: tokens.revocations().downgrade(), life };
    let mut connection = None;
    watcher.look(&mut connection).await;
    tokio::spawn(async move {
        loop {
            sleep(POLL_INTERVAL).await;
            if !watcher.look(&mut connection).await {
                return;
            }
        }
    });
}

/// What the task needs; not a whole [`App`], which it would otherwise keep alive.
struct Watcher {
    database: Database,
    revocations: Weak<RwLock<RevocationSet>>,
    life: Duration,
}

impl Watcher {
    /// Returns `false` when nobody needs to know any more.
    async fn look(&self, connection: &mut Option<Connection>) -> bool {
        let Some(revocations) = KnownRevocations::upgrade(&self.revocations) else { return false };
        let since = revocations.age().map_or(self.life, |age| (age + OVERLAP).min(self.life));
        let read_at = Instant::now();
        // A connection of its own, so that a busy pool does not make the news late.
        let looked = timeout(TIMEOUT, async {
            if connection.is_none() {
                *connection = Some(self.database.dedicated().await?);
            }
            let Some(connection) = connection else { anyhow::bail!("there is no connection") };
            let news = store::since(connection, since).await;
            news.map_err(|error| anyhow::anyhow!(error.detail()))
        });
        match looked.await {
            Ok(Ok(news)) => revocations.learn(news, read_at, self.life),
            Ok(Err(error)) => {
                *connection = None;
                tracing::debug!(error = format!("{error:#}"), "revocations could not be read");
            }
            Err(_) => *connection = None,
        }
        true
    }
}
