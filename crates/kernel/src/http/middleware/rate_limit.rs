//! Rate limits: by address before authentication, by principal after it.
//!
//! [`AddressLimit`] is in the outer part of the stack, around REST and gRPC alike, so that unauthenticated requests are
//! limited too. [`PrincipalLimit`] comes right after authentication, before anything expensive. Both of one stack share
//! one [`Credentials`], so the two limits usually cost a single round trip. Health checks are never limited: a load
//! balancer that receives a 429 would remove the instance.

mod due;
mod headers;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    caller::{ClientAddress, Permit},
    contract::Method,
    http::middleware::{
        extensions::Principal,
        layer::{Middleware, Next, Request, ResponseFuture},
        protocol,
    },
    rate_limit::{Charge, Limiter, Work},
};
use due::Due;
use headers::{describe, refusal};

pub use due::Credentials;
pub use headers::{RATE_LIMIT, RATE_LIMIT_POLICY};

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
        let Self { limiter, credentials } = self.clone();
        let charge = Charge::address(client(&request));
        let known = credentials.of(request.headers()).filter(|&credential| credentials.has_passed(credential));
        let Some(credential) = known else {
            let mut next = next.clone();
            return Box::pin(async move {
                let decision = limiter.charge(&[charge]).await;
                if !decision.allowed {
                    return Ok(refusal(&limiter, &decision));
                }
                let mut response = next.run(request).await;
                describe(&mut response, &limiter, &decision);
                Ok(response)
            });
        };
        let due = Due::new(charge);
        request.extensions_mut().insert(due.clone());
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            if let Some(charge) = due.take() {
                credentials.forget(credential);
                let decision = limiter.charge(&[charge]).await;
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
        if permit.is_some()
            && let Some(credential) = self.credentials.of(request.headers())
        {
            self.credentials.remember(credential);
        }
        let id = permit.map(|permit| permit.caller().principal());
        let principal =
            permit.zip(Work::of(method.rate_class)).map(|(permit, work)| Charge::principal(work, permit.caller()));
        // A service has limits of its own, whatever else comes from its address.
        let has_own = principal.is_some() && permit.is_some_and(|permit| permit.caller().is_service());
        let due = extensions.get::<Due>().and_then(Due::take).filter(|_| !has_own);
        let (limiter, mut next) = (self.limiter.clone(), next.clone());
        Box::pin(async move {
            let decision = match (principal, due) {
                (Some(principal), Some(address)) => Some(limiter.charge(&[principal, address]).await),
                (Some(charge), None) | (None, Some(charge)) => Some(limiter.charge(&[charge]).await),
                (None, None) => None,
            };
            if let Some(decision) = decision.filter(|decision| !decision.allowed) {
                return Ok(refusal(&limiter, &decision));
            }
            let mut response = next.run(request).await;
            if let Some(id) = id {
                response.extensions_mut().insert(Principal(id));
            }
            if let Some(decision) = &decision {
                describe(&mut response, &limiter, decision);
            }
            Ok(response)
        })
    }
}

/// Returns the client's address. Requests without one bypassed the server's listener; all of them share a limit.
pub(super) fn client(request: &Request) -> IpAddr {
    request.extensions().get().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |&ClientAddress(address)| address)
}
