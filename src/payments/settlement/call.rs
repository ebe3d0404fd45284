//! Calls that change something at the gateway: the intent is committed, then carried out while the caller waits, and
//! the response is its state when it is settled or the caller's time is up.

use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
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
pub async fn gateway_request<M, R: GatewayRequest, A: Message + Default>(
    call: &mut Call<M>,
    app: &App,
    decide: impl AsyncFnOnce(&mut Connection) -> Result<R>,
    read: impl AsyncFnOnce(&mut Connection, Permit, Uuid) -> Result<R::View>,
    render: fn(R::View) -> A,
) -> Reply<A> {
    let permit = call.permit()?;
    let is_staff = permit.visibility() == Visibility::All;
    let committed = call.run_or_recall(app, decide, move |request: R| (render(request.view()), request)).await?;
    let (id, known) = match committed {
        Answer::Fresh(_, request) => {
            let (id, view) = (request.id(), request.view());
            settlement::run_detached(app, request).await;
            (id, Some(view))
        }
        Answer::Pending(id) => {
            settlement::resume::<R>(app, id).await?;
            (id, None)
        }
        Answer::Replayed(message) => return call.respond(Answer::Replayed(message)),
    };
    let is_new = known.is_some();
    let found = app.database.autocommit(async |connection| read(connection, permit, id).await).await;
    // Once the gateway request has started, a failed read is not an error: the last known state is returned.
    let view = match (found, known) {
        (Ok(view), _) | (Err(_), Some(view)) => view,
        (Err(error), None) => return Err(error.into()),
    };
    if let Some(error) = R::failure(&view).map(|failure| failure.error(is_staff).with(R::ID, id.to_string())) {
        return Err(if is_new { error } else { error.replayed() }.into());
    }
    let message = render(view);
    call.respond(if is_new { Answer::Fresh(message, ()) } else { Answer::Replayed(message) })
}
