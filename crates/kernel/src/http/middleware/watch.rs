//! Bounds watches: streams of changes that last until their caller disconnects.
//!
//! A caller may have only a few. A watch ends when the server drains, which would otherwise wait for it, and when its caller
//! loses access: the credential with which it began is checked periodically. A watch takes no turn of other requests.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture, stream};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use crate::{
    caller::{Authenticator, Permit},
    contract::Method,
    error::{Error, Reason},
    fair_share::{FairShare, Full, Rule, Share},
    http::middleware::{
        auth,
        extensions::IsWatch,
        layer::{Body, Middleware, Next, Request, ResponseFuture, refuse, trailers},
    },
};

/// The maximum number of watches of all callers.
pub(crate) const MAX_WATCHES: usize = 10_000;
const MAX_PER_PRINCIPAL: usize = 32;
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The number of consecutive checks that may fail because Postgres is unavailable, as during a failover.
const MAX_FAILED_CHECKS: usize = 2;

#[derive(Debug, Clone)]
pub(crate) struct BoundWatch {
    authenticator: Arc<dyn Authenticator>,
    draining: CancellationToken,
    open: FairShare<Uuid>,
}

impl BoundWatch {
    /// Creates a middleware whose watches end once `draining` is cancelled.
    pub(crate) fn new(authenticator: Arc<dyn Authenticator>, draining: CancellationToken) -> Self {
        // The series exists from the start.
        gauge!("mainstay_watches").increment(0);
        let open = FairShare::new(MAX_WATCHES, Rule::Fixed(MAX_PER_PRINCIPAL));
        Self { authenticator, draining, open }
    }
}

impl<S: Next> Middleware<S> for BoundWatch {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let method = request.extensions().get::<&'static Method>().copied();
        let permit = request.extensions().get::<Permit>().filter(|_| method.is_some_and(|method| method.watch));
        let Some(permit) = permit else { return next.pass(request) };
        if self.draining.is_cancelled() {
            return refuse(Error::new(Reason::Unavailable).retry_after(Duration::from_secs(1)));
        }
        let place = match Place::take(&self.open, permit.caller().limited_as()) {
            Ok(place) => place,
            Err(reason) => return refuse(Error::new(reason).retry_after(Duration::from_secs(1))),
        };
        // A client certificate ends with its connection.
        let access: BoxFuture<'static, Error> = match auth::bearer(request.headers()) {
            Some(credential) => {
                lost_access(self.authenticator.clone(), credential.to_owned(), auth::client(&request)).boxed()
            }
            None => std::future::pending().boxed(),
        };
        let draining = self.draining.clone();
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            let outcome = Outcome("left");
            response.extensions_mut().insert(IsWatch);
            // A status without messages has to stay one frame.
            if response.body().is_end_stream() {
                return Ok(response);
            }
            let watched = |body| Watched { body, access, draining, outcome, _place: place };
            Ok(response.map(|body| Body::new(StreamBody::new(stream::unfold(Some(watched(body)), Watched::next)))))
        })
    }
}

/// Returns when the caller may no longer watch, or when access could not be checked for some time.
async fn lost_access(authenticator: Arc<dyn Authenticator>, credential: String, from: Option<IpAddr>) -> Error {
    let mut failed = 0;
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        if authenticator.cached(&credential, from).is_some() {
            failed = 0;
            continue;
        }
        match authenticator.verify(&credential, from).await {
            Ok(_) => failed = 0,
            Err(error) if error.is_unavailable() && failed < MAX_FAILED_CHECKS => failed += 1,
            Err(error) => return error,
        }
    }
}

struct Place {
    _share: Share<Uuid>,
}

impl Place {
    fn take(open: &FairShare<Uuid>, principal: Uuid) -> Result<Self, Reason> {
        let share = open.take(principal, 1).map_err(|full| match full {
            Full::Total => Reason::Overloaded,
            Full::Key(_) => Reason::TooManyWatches,
        })?;
        gauge!("mainstay_watches").increment(1);
        Ok(Self { _share: share })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        gauge!("mainstay_watches").decrement(1);
    }
}

struct Watched {
    body: Body,
    access: BoxFuture<'static, Error>,
    draining: CancellationToken,
    outcome: Outcome,
    _place: Place,
}

/// The outcome so far, which is counted at the end.
struct Outcome(&'static str);

impl Drop for Outcome {
    fn drop(&mut self) {
        counter!("mainstay_watches_ended_total", "outcome" => self.0).increment(1);
    }
}

impl Watched {
    async fn next(state: Option<Self>) -> Option<(Result<Frame<Bytes>, Status>, Option<Self>)> {
        let mut this = state?;
        let (outcome, error) = tokio::select! {
            // The body is last, because it may always have another message.
            biased;
            error = &mut this.access => ("access", error),
            () = this.draining.cancelled() => ("drain", Error::new(Reason::Unavailable)),
            frame = this.body.frame() => {
                this.outcome.0 = match &frame {
                    Some(Ok(frame)) => match frame.trailers_ref().map(|trailers| trailers.get("grpc-status")) {
                        None => this.outcome.0,
                        Some(status) if status.is_some_and(|status| status == "0") => "finished",
                        Some(_) => "failed",
                    },
                    Some(Err(_)) => "failed",
                    None => "finished",
                };
                let is_over = this.outcome.0 != "left";
                return Some((frame?, Some(this).filter(|_| !is_over)));
            }
        };
        this.outcome.0 = outcome;
        Some((trailers(&error.into()), None))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{caller::Caller, error::Result};

    /// Refuses for these reasons, one after the other, the last one again and again.
    #[derive(Debug)]
    struct Refusing(Mutex<&'static [Reason]>);

    impl Authenticator for Refusing {
        fn cached(&self, _: &str, _: Option<IpAddr>) -> Option<Caller> {
            None
        }

        fn verify<'a>(&'a self, _: &'a str, _: Option<IpAddr>) -> BoxFuture<'a, Result<Caller>> {
            let mut reasons = self.0.lock().unwrap();
            let reason = reasons[0];
            if reasons.len() > 1 {
                *reasons = &reasons[1..];
            }
            std::future::ready(Err(reason.into())).boxed()
        }
    }

    /// Whether access is lost for a reason after so many checks.
    async fn is_lost(reasons: &'static [Reason], reason: Reason, checks: u64) -> bool {
        let since = tokio::time::Instant::now();
        let error = lost_access(Arc::new(Refusing(Mutex::new(reasons))), "token".to_owned(), None).await;
        error.reason() == reason && since.elapsed().as_secs() == checks * CHECK_INTERVAL.as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn access_that_cannot_be_checked_for_a_moment_is_not_lost() {
        let reasons = &[Reason::Unavailable, Reason::DeadlineExceeded, Reason::SessionRevoked];
        assert!(is_lost(reasons, Reason::SessionRevoked, 3).await);
        assert!(is_lost(&[Reason::Unavailable], Reason::Unavailable, 3).await);
    }
}
