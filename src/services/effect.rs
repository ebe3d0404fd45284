//! Calls that have an effect outside: the intent is committed, the effect is attended to for as long as its caller waits,
//! and the answer is what is known of it by then.

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
    /// Commits to an effect with `decide`, begins to carry it out, and renders what `read` finds of it when it is
    /// settled or its caller's time is over. Whoever sends the same key again attends to the same effect.
    ///
    /// # Errors
    /// What `decide` fails with, or the idempotency key; nothing was begun then. Why the effect failed.
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
            // Taken below, once it is committed.
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
        let found = app.database.read(move |connection| read(connection, permit, id)).await;
        // Once it is begun nothing is a failure: what can't be read now is told as it was last known.
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

    /// Commits to an effect. Once that is committed nothing is a failure, so what is lost with the wire to Postgres is
    /// looked for before the caller is told so.
    ///
    /// # Errors
    /// As [`Call::write`]; nothing was begun then.
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
