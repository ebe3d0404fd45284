//! The context of a request or a job: its id, its deadline, its trace, the domain of its errors, the bounds of its lists, the
//! alerts of the server, and its failure.
//!
//! The middleware and the worker open the scope; transactions, outbound calls, errors, jobs and the codec read it. It is not
//! passed as an argument, because conversions by `From`, tonic's codecs and the clients of libraries have no argument for it.

mod origin;

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tokio::task::futures::TaskLocalFuture;

use crate::{alert::Alerts, contract::lists::Lists};

pub use origin::{ActorKind, Origin};

tokio::task_local! {
    static CONTEXT: Context;
}

/// The context of a request or a job.
#[derive(Debug, Clone)]
pub struct Context {
    /// Identifies the request or the run of a job in the logs.
    pub request_id: Arc<str>,
    /// The end of the caller's wait.
    pub deadline: Option<Instant>,
    traceparent: Option<Arc<str>>,
    error_domain: Option<Arc<str>>,
    lists: Option<&'static Lists>,
    alerts: Option<Alerts>,
    /// `None` once the log line is certain.
    failure: Option<Arc<OnceLock<Failure>>>,
    origin: Arc<OnceLock<Origin>>,
}

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) cause: Option<String>,
    /// The place where a defect was detected.
    pub(crate) backtrace: Option<String>,
}

impl Context {
    /// Creates a context without a deadline.
    pub fn new(request_id: impl Into<Arc<str>>) -> Self {
        let (deadline, traceparent, error_domain, lists, alerts) = Default::default();
        let failure = Some(Arc::default());
        let (request_id, origin) = (request_id.into(), Arc::default());
        Self { request_id, deadline, traceparent, error_domain, lists, alerts, failure, origin }
    }

    /// Returns the current context; `None` outside of any request or job.
    pub fn current() -> Option<Self> {
        CONTEXT.try_with(Clone::clone).ok()
    }

    /// Sets the deadline.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    #[must_use]
    pub(crate) fn with_traceparent(mut self, traceparent: Option<&str>) -> Self {
        self.traceparent = traceparent.map(Arc::from);
        self
    }

    /// Sets the domain of the reasons of errors; otherwise it is that of the reason's module.
    #[must_use]
    pub(crate) fn with_error_domain(mut self, domain: Option<Arc<str>>) -> Self {
        self.error_domain = domain;
        self
    }

    /// Sets the bounds of the lists in requests; otherwise there are none.
    #[must_use]
    pub(crate) fn with_lists(mut self, lists: &'static Lists) -> Self {
        self.lists = Some(lists);
        self
    }

    #[must_use]
    pub(crate) fn with_alerts(mut self, alerts: &Alerts) -> Self {
        self.alerts = Some(alerts.clone());
        self
    }

    /// Sets the origin of the changes within this context, in place of an earlier one.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = Arc::new(OnceLock::from(origin));
        self
    }

    /// Continues after the head of the response: a failure does not change the log line of the request any more.
    pub(crate) fn after_the_head(self) -> Self {
        Self { failure: None, ..self }
    }

    pub(crate) fn enter<T>(&self, run: impl FnOnce() -> T) -> T {
        CONTEXT.sync_scope(self.clone(), run)
    }

    /// Runs `future` within this context.
    pub fn scope<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        CONTEXT.scope(self, future)
    }

    pub(crate) fn scope_all<F: Future>(self, begin: impl FnOnce() -> F) -> TaskLocalFuture<Self, F> {
        let future = self.enter(begin);
        CONTEXT.scope(self, future)
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()?.get()
    }
}

/// Returns the id of the current request.
pub fn request_id() -> Option<Arc<str>> {
    CONTEXT.try_with(|context| context.request_id.clone()).ok()
}

/// Returns the time left until the deadline; `None` without a deadline.
pub fn remaining() -> Option<Duration> {
    let deadline = CONTEXT.try_with(|context| context.deadline).ok().flatten()?;
    Some(deadline.saturating_duration_since(Instant::now()))
}

pub(crate) fn traceparent() -> Option<Arc<str>> {
    CONTEXT.try_with(|context| context.traceparent.clone()).ok().flatten()
}

pub(crate) fn error_domain() -> Option<Arc<str>> {
    CONTEXT.try_with(|context| context.error_domain.clone()).ok().flatten()
}

pub(crate) fn lists() -> Option<&'static Lists> {
    CONTEXT.try_with(|context| context.lists).ok().flatten()
}

/// Returns the alerts of the server, for transitions within a transaction, which have no [`App`](crate::app::App). Outside of
/// any request or job, these alerts are counted and logged only.
pub fn alerts() -> Alerts {
    CONTEXT.try_with(|context| context.alerts.clone()).ok().flatten().unwrap_or_default()
}

/// Returns the origin of changes: that of the current request or job, and otherwise a command of an operator. Every entrance
/// sets it: the call of a method that writes, a page, a job and a task.
pub fn origin() -> Origin {
    let origin = CONTEXT.try_with(|context| context.origin.get().cloned()).ok().flatten();
    origin.unwrap_or_else(|| Origin::system("command"))
}

pub(crate) fn set_origin(origin: impl FnOnce() -> Origin) {
    CONTEXT.try_with(|context| context.origin.set(origin()).is_ok()).ok();
}

/// Records the failure of the current request. A later failure without a cause, such as that of an outer layer, is ignored.
/// Errors: the failure, outside of any request, after the head of its response, and if another one is recorded and this
/// one has a cause.
pub(crate) fn fail(failure: Failure) -> Result<(), Failure> {
    let Some(recorded) = Context::current().and_then(|context| context.failure) else { return Err(failure) };
    recorded.set(failure).or_else(|again| if again.cause.is_none() { Ok(()) } else { Err(again) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_failure_is_recorded_and_a_later_one_with_a_cause_is_returned() {
        let failure = |code, cause: Option<&str>| Failure { code, cause: cause.map(str::to_owned), backtrace: None };
        assert!(fail(failure("OVERLOADED", None)).is_err(), "there is no request");
        let context = Context::new("1");
        let again = context.clone().scope(async move {
            assert!(fail(failure("OVERLOADED", None)).is_ok());
            assert!(fail(failure("MALFORMED_REQUEST", None)).is_ok(), "the body was abandoned");
            fail(failure("INTERNAL_ERROR", Some("a defect")))
        });
        assert_eq!(again.await.expect_err("it is another one").code, "INTERNAL_ERROR");
        assert_eq!(context.failure().map(|failure| failure.code), Some("OVERLOADED"));
        let of_body = Context::new("2").after_the_head();
        assert!(of_body.enter(|| fail(failure("INTERNAL_ERROR", None))).is_err(), "the failure has a separate line");
    }

    #[tokio::test]
    async fn a_future_is_created_within_its_context() {
        let of_future = Context::new("this one").scope_all(|| {
            let at_first = request_id();
            async move { (at_first, request_id()) }
        });
        assert_eq!(request_id(), None);
        let expected: Option<Arc<str>> = Some("this one".into());
        assert_eq!(of_future.await, (expected.clone(), expected));
    }
}
