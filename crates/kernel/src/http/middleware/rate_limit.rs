//! Rate limits: by address before authentication, by principal after it.
//!
//! [`AddressLimit`] is in the outer part of the stack, around REST and gRPC alike, so that unauthenticated requests are
//! limited too. [`PrincipalLimit`] comes right after authentication, before anything expensive. Both of one stack share
//! one [`Credentials`], so the two limits usually cost a single round trip. Health checks are never limited: a load
//! balancer that receives a 429 would remove the instance.

mod headers;
mod pending_charges;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use uuid::Uuid;

use crate::{
    caller::{ClientAddress, PeerCaller, Permit},
    contract::Method,
    http::middleware::{
        extensions::Principal,
        layer::{Middleware, Next, Request, Response, ResponseFuture},
        protocol,
    },
    rate_limit::{Charge, Charges, Limiter, Work},
};
use headers::{describe, refusal};
use pending_charges::PendingCharges;

pub use headers::{RATE_LIMIT, RATE_LIMIT_POLICY};
pub use pending_charges::Credentials;

/// A middleware that limits the requests of one address.
#[derive(Debug, Clone)]
pub struct AddressLimit {
    /// The limiter.
    pub limiter: Limiter,
    /// Shared with the [`PrincipalLimit`] of the same stack.
    pub credentials: Credentials,
}

impl<S: Next> Middleware<Request, S> for AddressLimit {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        if protocol::is_probe(&request) {
            return next.pass(request);
        }
        let charges = Charges::of_address(client(&request));
        let credential = self.credentials.of(request.headers());
        let will_pass = match credential {
            Some(credential) => self.credentials.has_passed(credential),
            // Its certificate was verified with the connection, and nobody can guess one.
            None => request.extensions().get::<PeerCaller>().is_some(),
        };
        if !will_pass {
            return limit(&self.limiter, &charges, None, request, next);
        }
        let Self { limiter, credentials } = self.clone();
        let due = PendingCharges::new(charges);
        request.extensions_mut().insert(due.clone());
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            if let Some(charges) = due.take() {
                if let Some(credential) = credential {
                    credentials.forget(credential);
                }
                let decision = limiter.charge(&charges).await;
                if !decision.allowed {
                    return Ok(refusal(&limiter, &decision));
                }
                describe(&mut response, &limiter, &decision);
            }
            Ok(response)
        })
    }
}

/// A middleware that limits the requests of one principal per rate class.
///
/// Attempts to sign in have no principal; the operation limits them itself: [`Limiter::attempt`].
#[derive(Debug, Clone)]
pub struct PrincipalLimit {
    /// The limiter.
    pub limiter: Limiter,
    /// Shared with the [`AddressLimit`] of the same stack.
    pub credentials: Credentials,
}

impl<S: Next> Middleware<Request, S> for PrincipalLimit {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let extensions = request.extensions();
        // Requests without a method are health and reflection calls, which pass.
        let Some(method) = extensions.get::<&'static Method>().copied() else {
            return next.pass(request);
        };
        let permit = extensions.get::<Permit>();
        let due = extensions.get::<PendingCharges>();
        // With charges due, it is known to have passed.
        if permit.is_some()
            && due.is_none()
            && let Some(credential) = self.credentials.of(request.headers())
        {
            self.credentials.remember(credential);
        }
        let id = permit.map(|permit| permit.caller().principal());
        let principal =
            permit.zip(Work::of(method.rate_class)).map(|(permit, work)| Charge::principal(work, permit.caller()));
        // A service has limits of its own, whatever else comes from its address.
        let has_own = principal.is_some() && permit.is_some_and(|permit| permit.caller().is_service());
        let due = due.and_then(PendingCharges::take).filter(|_| !has_own);
        let charges: Charges = principal.into_iter().chain(due.iter().flat_map(|due| due.iter().copied())).collect();
        if charges.is_empty() {
            let response = next.run(request);
            return Box::pin(async move { Ok(named(response.await, id)) });
        }
        limit(&self.limiter, &charges, id, request, next)
    }
}

/// Passes a request on if its charges are admitted, and describes the limit in the response, which is for `principal`.
fn limit<S: Next>(
    limiter: &Limiter,
    charges: &[Charge],
    principal: Option<Uuid>,
    request: Request,
    next: &mut S,
) -> ResponseFuture {
    let limiter = limiter.clone();
    match limiter.try_charge(charges) {
        Ok(decision) if !decision.allowed => Box::pin(std::future::ready(Ok(refusal(&limiter, &decision)))),
        Ok(decision) => {
            let response = next.run(request);
            Box::pin(async move {
                let mut response = named(response.await, principal);
                describe(&mut response, &limiter, &decision);
                Ok(response)
            })
        }
        Err(charges) => {
            let mut next = next.clone();
            Box::pin(async move {
                let decision = limiter.charge_via_redis(charges).await;
                if !decision.allowed {
                    return Ok(refusal(&limiter, &decision));
                }
                let mut response = named(next.run(request).await, principal);
                describe(&mut response, &limiter, &decision);
                Ok(response)
            })
        }
    }
}

/// Notes whom a response is for.
fn named(mut response: Response, principal: Option<Uuid>) -> Response {
    if let Some(principal) = principal {
        response.extensions_mut().insert(Principal(principal));
    }
    response
}

/// Returns the client's address. Requests without one bypassed the server's listener; all of them share a limit.
pub(super) fn client(request: &Request) -> IpAddr {
    request.extensions().get().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |&ClientAddress(address)| address)
}
