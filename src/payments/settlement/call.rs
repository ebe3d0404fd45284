//! Calls that change something at the gateway. The intent is committed, then carried out while the caller waits. The
//! response is the state when it is settled or when the caller's deadline ends.

use std::time::Duration;

use mainstay_kernel::{
    app::App,
    caller::Visibility,
    context,
    error::{Error, Reason, Result},
    grpc::{Call, Reply},
    unit_of_work::{Committed, Work},
};
use prost::Message;
use uuid::Uuid;

use crate::payments::settlement::ops::{self as settlement, GatewayRequest, failure_error};

/// The part of the caller's deadline that is reserved for sending the response once the state is read.
const SEND_TIME: Duration = Duration::from_millis(100);

/// Commits the gateway request that `begin` returns, carries it out, and responds with its outcome, or with its present
/// state if the caller's deadline ends first. Another request with the same key resumes the same gateway request; once
/// that is settled, its response is stored.
///
/// # Errors
/// The errors of `begin` and of the idempotency key, in which case nothing was started; `UNAVAILABLE` if Postgres is
/// lost and the commit can't be looked up; the reason the gateway request failed.
pub async fn gateway_request<M, R: GatewayRequest, A: Message + Default + From<R::View>>(
    call: &Call<M>,
    app: &App,
    begin: impl AsyncFnOnce(&mut Work) -> Result<R>,
) -> Reply<A> {
    let visibility = call.permit()?.visibility();
    let mut new = None;
    let committed = call.commit(app, async |work: &mut Work| {
        let request = begin(work).await?;
        let view = request.view();
        new = Some(request);
        Ok(A::from(view))
    });
    let committed = committed.await?;
    let is_new = matches!(committed, Committed::Fresh(_));
    let (id, intent, settled) = match (committed, new) {
        (Committed::Fresh(_), Some(request)) => {
            let (id, intent) = (request.facts().id, request.view());
            (id, Some(intent), settlement::run_detached(app, request).await)
        }
        // The answer to the COMMIT was lost. The lease is this request's own, so that no other would carry it out before its
        // end.
        (Committed::Pending(id), Some(request)) if request.facts().id == id => {
            let intent = request.view();
            (id, Some(intent), settlement::run_detached(app, request).await)
        }
        (Committed::Pending(id), _) => (id, None, settlement::resume::<R>(app, id).await?),
        (settled, _) => return call.respond(settled),
    };
    let view = match (settled, intent) {
        (Some(settled), _) => settled,
        // The request is pending, or another worker settled it. Since it has started, a read that fails or takes too
        // long is not an error: the last known state is returned.
        (None, intent) => present_state::<R>(app, visibility, id).await.or_else(|error| intent.ok_or(error))?,
    };
    if let Some(error) = failure_error::<R>(id, &view, visibility == Visibility::All) {
        return Err(if is_new { error } else { error.replayed() }.into());
    }
    let message = A::from(view);
    call.respond(if is_new { Committed::Fresh(message) } else { Committed::Replayed(message) })
}

/// Reads the present state of a gateway request within the caller's deadline.
async fn present_state<R: GatewayRequest>(app: &App, visibility: Visibility, id: Uuid) -> Result<R::View> {
    let limit = context::remaining().map_or(Duration::MAX, |left| left.saturating_sub(SEND_TIME));
    let read = app.database.autocommit(async move |connection| R::get(connection, visibility, id).await);
    tokio::time::timeout(limit, read).await.unwrap_or_else(|_| Err(Error::new(Reason::DeadlineExceeded)))
}
