//! Propagates revocations, so that every instance rejects revoked access tokens within a second.
//!
//! Each instance polls a small table in Postgres twice a second. Polling is chosen over Redis pub/sub because an
//! instance that missed a message would not notice the loss. An instance that can't poll asks Postgres about each token
//! instead ([`MAX_STALENESS`](super::model::MAX_STALENESS)), and rejects tokens that it can't check.

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

/// The interval between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The longest time that a poll may take; a connection that is silent for longer is replaced.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much further back than the previous poll each poll reads. A revocation is timestamped before its transaction
/// commits and becomes visible only then; no revoking transaction lasts as long as this overlap.
const OVERLAP: Duration = Duration::from_secs(60);

/// Revokes the access tokens of a session in the caller's transaction. This instance learns of the revocation by
/// polling, like the others, unless it is told after the commit.
pub async fn revoke_session(connection: &mut Connection, session: SessionId) -> Result<()> {
    store::end_session(connection, session).await
}

/// Revokes the access tokens of a session.
pub async fn end_session(app: &App, session: SessionId) -> Result<()> {
    app.database.autocommit(async move |connection| revoke_session(connection, session).await).await?;
    app.part::<Tokens>().invalidate_session(session);
    Ok(())
}

/// Polls for revocations now and periodically until the app is dropped.
pub async fn watch(app: &App) {
    let tokens = app.part::<Tokens>();
    // Longer than the life of any token, including clock differences.
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

/// The state of the polling task. It excludes [`App`], which the task would otherwise keep alive.
struct Watcher {
    database: Database,
    revocations: Weak<RwLock<RevocationSet>>,
    life: Duration,
}

impl Watcher {
    /// Polls once. Returns `false` when the app was dropped.
    async fn look(&self, connection: &mut Option<Connection>) -> bool {
        let Some(revocations) = KnownRevocations::upgrade(&self.revocations) else { return false };
        let since = revocations.age().map_or(self.life, |age| (age + OVERLAP).min(self.life));
        let read_at = Instant::now();
        // A dedicated connection, so that a busy pool does not delay revocations.
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
