//! Call deadlines: the caller's timeout or the policy's deadline, whichever is shorter.
//!
//! A stream ends by the deadline too. This middleware ends it with a status; `InFlight` aborts an unread stream.
//!
//! At the deadline the future is dropped, which cancels its statement in Postgres and rolls back its transaction. A
//! disconnect of the caller has the same effect, because the connection drops the request.

use std::time::{Duration, Instant};

use crate::{
    context::Context,
    contract::Method,
    error::Reason,
    http::middleware::{
        extensions::{ArrivalTime, ResponseDeadline},
        layer::{Middleware, Next, Request, ResponseFuture, ended_by, refuse},
        timeout,
    },
};

/// A middleware that opens the request's context, which holds the deadline.
#[derive(Debug, Clone)]
pub(crate) struct Deadline;

impl<S: Next> Middleware<S> for Deadline {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let Some(method) = request.extensions().get::<&'static Method>().copied() else {
            return next.pass(request);
        };
        let allowed =
            timeout::requested_timeout(&request).map_or(method.deadline, |requested| requested.min(method.deadline));
        let arrived =
            request.extensions().get::<ArrivalTime>().map_or_else(Instant::now, |arrived| arrived.0.into_std());
        let deadline = arrived + allowed;
        let context = request.extensions().get::<Context>().cloned().unwrap_or_else(|| Context::new(""));
        let work = context.with_deadline(deadline).scope_all(|| next.run(request));
        Box::pin(async move {
            let answer = tokio::time::timeout_at(deadline.into(), work).await;
            let Ok(mut response) = answer else { return refuse(Reason::DeadlineExceeded.into()).await };
            response.extensions_mut().insert(ResponseDeadline(deadline));
            if method.descriptor.is_server_streaming() {
                let end = tokio::time::sleep_until((deadline + GRACE).into());
                response = response.map(|body| ended_by(body, end, Reason::DeadlineExceeded));
            }
            Ok(response)
        })
    }
}

/// The time in which a stream can end with a specific error.
const GRACE: Duration = Duration::from_millis(500);
