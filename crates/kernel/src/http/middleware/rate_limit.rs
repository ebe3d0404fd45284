//! Rate limit middleware: by address before authentication, by principal after it.
//!
//! [`AddressLimit`] is in the outer part of the stack, around REST and gRPC alike, so that it also covers
//! unauthenticated requests. [`PrincipalLimit`] follows authentication and precedes all expensive work. Both share the
//! [`Credentials`] of their stack, so that the two limits usually cost a single round trip. Health checks are exempt,
//! because a load balancer would remove an instance that responds with 429.

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

pub(crate) use pending_charges::Credentials;

/// A middleware that limits the requests of one address.
#[derive(Debug, Clone)]
pub(crate) struct AddressLimit {
    /// The limiter.
    pub(crate) limiter: Limiter,
    /// Shared with the [`PrincipalLimit`] of the stack.
    pub(crate) credentials: Credentials,
}

impl<S: Next> Middleware<S> for AddressLimit {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        if protocol::is_probe(&request) {
            return next.pass(request);
        }
        let charges = Charges::of_address(client(&request));
        let credential = self.credentials.of(request.headers());
        let will_pass = match credential {
            Some(credential) => self.credentials.has_passed(credential),
            // The connection has verified the client certificate, which can't be guessed.
            None => request.extensions().get::<PeerCaller>().is_some(),
        };
        if !will_pass {
            return limit(&self.limiter, &charges, None, request, next);
        }
        let due = DueCharges { charges: PendingCharges::new(charges), credential, limit: self.clone() };
        request.extensions_mut().insert(due.charges.clone());
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            if let Some(charges) = due.take() {
                let limiter = &due.limit.limiter;
                let decision = limiter.charge(&charges).await;
                if !decision.allowed {
                    return Ok(refusal(limiter, &decision));
                }
                describe(&mut response, limiter, &decision);
            }
            Ok(response)
        })
    }
}

/// Charges that are due at the end of a request. A request that its caller cancels is charged, too.
struct DueCharges {
    charges: PendingCharges,
    credential: Option<u64>,
    limit: AddressLimit,
}

impl DueCharges {
    /// Takes the charges, unless an inner middleware has, and forgets the credential, which has not passed.
    fn take(&self) -> Option<Charges> {
        let charges = self.charges.take()?;
        if let Some(credential) = self.credential {
            self.limit.credentials.forget(credential);
        }
        Some(charges)
    }
}

impl Drop for DueCharges {
    fn drop(&mut self) {
        if let (Some(charges), Ok(runtime)) = (self.take(), tokio::runtime::Handle::try_current()) {
            let limiter = self.limit.limiter.clone();
            runtime.spawn(async move { limiter.charge(&charges).await });
        }
    }
}

/// A middleware that limits the requests of one principal per rate class.
///
/// Sign-in attempts have no principal; their operation limits them with [`Limiter::attempt`].
#[derive(Debug, Clone)]
pub(crate) struct PrincipalLimit {
    /// The limiter.
    pub(crate) limiter: Limiter,
    /// Shared with the [`AddressLimit`] of the stack.
    pub(crate) credentials: Credentials,
}

impl<S: Next> Middleware<S> for PrincipalLimit {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let extensions = request.extensions();
        // Requests without a method are calls of the exempt services (health and reflection).
        let Some(method) = extensions.get::<&'static Method>().copied() else {
            return next.pass(request);
        };
        let permit = extensions.get::<Permit>();
        let due = extensions.get::<PendingCharges>();
        // A credential with pending charges is already remembered.
        if permit.is_some()
            && due.is_none()
            && let Some(credential) = self.credentials.of(request.headers())
        {
            self.credentials.remember(credential);
        }
        let id = permit.map(|permit| permit.caller().limited_as());
        let principal =
            permit.zip(Work::of(method.rate_class)).map(|(permit, work)| Charge::principal(work, permit.caller()));
        // A service of the platform has separate limits, independent of other traffic from its address.
        let has_own = principal.is_some() && permit.is_some_and(|permit| permit.caller().is_of_platform());
        let due = due.and_then(PendingCharges::take).filter(|_| !has_own);
        let charges: Charges = principal.into_iter().chain(due.iter().flat_map(|due| due.iter().copied())).collect();
        if charges.is_empty() {
            let response = next.run(request);
            return Box::pin(async move { Ok(named(response.await, id)) });
        }
        limit(&self.limiter, &charges, id, request, next)
    }
}

/// Passes a request on if its charges are admitted, and adds the rate limit headers and `principal` to the response.
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

/// Records the principal of a response.
fn named(mut response: Response, principal: Option<Uuid>) -> Response {
    if let Some(principal) = principal {
        response.extensions_mut().insert(Principal(principal));
    }
    response
}

/// Returns the client's address. Requests without one did not pass the server's listener; all of them share one limit.
pub(super) fn client(request: &Request) -> IpAddr {
    request.extensions().get().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |&ClientAddress(address)| address)
}
