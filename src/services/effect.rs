//! Calls with an external effect: the intent is committed, then the effect is carried out while the caller waits, and
//! the response is its state when it is settled or the caller's time is up.

use futures_util::future::BoxFuture;
use prost::Message;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Call, Reply};
use crate::{
    app::App,
    caller::Permit,
    error::{Reason, Result},
    ops::{
        settle::{self, Effect},
        work::{self, Answer},
    },
    store::Connection,
};

impl<M> Call<M> {
    /// Commits an effect with `decide`, starts it, and renders its state as `read` finds it when it is settled or the
    /// caller's time is up. Another request with the same key resumes the same effect.
    ///
    /// # Errors
    /// The errors of `decide` and of the idempotency key, in which case nothing was started; `UNAVAILABLE` if Postgres
    /// is lost and the commit can't be looked up; the reason the effect failed.
    pub async fn effect<E, R, D, G>(&mut self, app: &App, decide: D, read: G, render: fn(E::Shown) -> R) -> Reply<R>
    where
        E: Effect,
        R: Message + Default + 'static,
        D: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<E>> + Send + 'static,
        G: for<'c> FnOnce(&'c mut Connection, Permit, Uuid) -> BoxFuture<'c, Result<E::Shown>> + Send + 'static,
    {
        let permit = self.permit()?;
        let (intend, mut intended) = oneshot::channel::<E>();
        let begun = self.begin(app, decide, move |effect| {
            let shown = effect.shown();
            // Received below, once the effect is committed.
            intend.send(effect).ok();
            render(shown)
        });
        let (id, known) = match begun.await? {
            Answer::Pending(id) => {
                settle::resume::<E>(app, id).await?;
                (id, None)
            }
            answer => match intended.try_recv() {
                Ok(effect) => {
                    let (id, shown) = (effect.id(), effect.shown());
                    settle::run_detached(app, effect).await;
                    (id, Some(shown))
                }
                Err(_) => return self.respond(answer),
            },
        };
        let is_new = known.is_some();
        let found = app.database.autocommit(move |connection| read(connection, permit, id)).await;
        // Once the effect has started, a failed read is not an error: the last known state is returned.
        let shown = match (found, known) {
            (Ok(shown), _) | (Err(_), Some(shown)) => shown,
            (Err(error), None) => return Err(error.into()),
        };
        if let Some(error) = E::failure(&shown).map(|failure| failure.error()) {
            return Err(if is_new { error } else { error.replayed() }.into());
        }
        let message = render(shown);
        self.respond(if is_new { Answer::Fresh(message) } else { Answer::Replayed(message) })
    }

    /// Commits an effect. If the connection to Postgres is lost, looks up whether the commit succeeded before returning
    /// an error, because a committed effect will be carried out.
    ///
    /// # Errors
    /// As [`Call::write`]; nothing was started, unless the commit could not be looked up.
    async fn begin<T, R, D, F>(&mut self, app: &App, decide: D, render: F) -> Result<Answer<R>>
    where
        T: Send + 'static,
        R: Message + Default + 'static,
        D: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T>> + Send + 'static,
        F: FnOnce(T) -> R + Send + 'static,
    {
        let claim = self.claim.clone();
        match (self.run(app, decide, render).await, claim) {
            (Err(lost), Some(claim)) if lost.reason() == Reason::Unavailable => work::recall(app, claim, lost).await,
            (begun, _) => begun,
        }
    }
}
