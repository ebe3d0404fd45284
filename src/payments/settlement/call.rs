//! Calls that change something at the gateway: the intent is committed, then carried out while the caller waits, and
//! the response is its state when it is settled or the caller's time is up.

use mainstay_kernel::{
    app::App,
    caller::Permit,
    database::Connection,
    error::Result,
    grpc::{Call, Reply},
    unit_of_work::Answer,
};
use prost::Message;
use uuid::Uuid;

use crate::payments::settlement::ops::{self as settlement, GatewayRequest};

/// Commits a gateway request with `decide`, starts it, and renders its state as `read` finds it when it is settled or
/// the caller's time is up. Another request with the same key resumes the same gateway request.
///
/// # Errors
/// The errors of `decide` and of the idempotency key, in which case nothing was started; `UNAVAILABLE` if Postgres is
/// lost and the commit can't be looked up; the reason the gateway request failed.
pub async fn gateway_request<M, E: GatewayRequest, R: Message + Default>(
    call: &mut Call<M>,
    app: &App,
    decide: impl AsyncFnOnce(&mut Connection) -> Result<E>,
    read: impl AsyncFnOnce(&mut Connection, Permit, Uuid) -> Result<E::Shown>,
    render: fn(E::Shown) -> R,
) -> Reply<R> {
    let permit = call.permit()?;
    let committed = call.run_or_recall(app, decide, move |request: E| (render(request.shown()), request)).await?;
    let (id, known) = match committed {
        Answer::Fresh(_, request) => {
            let (id, shown) = (request.id(), request.shown());
            settlement::run_detached(app, request).await;
            (id, Some(shown))
        }
        Answer::Pending(id) => {
            settlement::resume::<E>(app, id).await?;
            (id, None)
        }
        Answer::Replayed(message) => return call.respond(Answer::Replayed(message)),
    };
    let is_new = known.is_some();
    let found = app.database.autocommit(async |connection| read(connection, permit, id).await).await;
    // Once the gateway request has started, a failed read is not an error: the last known state is returned.
    let shown = match (found, known) {
        (Ok(shown), _) | (Err(_), Some(shown)) => shown,
        (Err(error), None) => return Err(error.into()),
    };
    if let Some(error) = E::failure(&shown).map(|failure| failure.error()) {
        return Err(if is_new { error } else { error.replayed() }.into());
    }
    let message = render(shown);
    call.respond(if is_new { Answer::Fresh(message, ()) } else { Answer::Replayed(message) })
}
