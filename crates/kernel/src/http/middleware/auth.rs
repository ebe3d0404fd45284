//! Authenticates the caller and grants the permit that the method's policy allows.
//!
//! The request's credential identifies the caller; without one, the client certificate of its connection does.
//!
//! A recently verified credential is answered from memory, without waiting or allocating. A public method accepts any
//! caller, so its credential is ignored, valid or not, unless the method grants more to some roles: then a valid credential
//! earns its permit, and an invalid one is rejected instead of being treated as anonymous.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use http::{
    HeaderMap,
    header::{AUTHORIZATION, CONTENT_ENCODING},
};

use crate::{
    caller::{Authenticator, Caller, ClientAddress, PeerCaller, Permit},
    clock::Clock,
    contract::{Contract, Method, policy::Access},
    error::Reason,
    http::middleware::{
        layer::{Middleware, Next, Request, ResponseFuture, refuse},
        record,
    },
};

/// A middleware that puts the [`Permit`] into the request extensions, or rejects the request.
#[derive(Debug, Clone)]
pub(crate) struct Authenticate {
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) clock: Clock,
}

impl<S: Next> Middleware<S> for Authenticate {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let method = request.extensions().get::<&'static Method>().copied();
        // Requests without a method are health and reflection calls, which are public.
        let Some(method) = method.filter(|method| !method.grants.is_empty()) else {
            return next.pass(request);
        };
        if let Err(error) = crate::fault::point("authenticate") {
            return refuse(error);
        }
        authenticate(self, method, request, next, admit)
    }
}

/// A middleware of REST that accepts a compressed body only from a caller who may call its method: to decompress and read a
/// body costs a thousand times what it costs to send. [`Authenticate`] follows, as for all requests.
#[derive(Debug, Clone)]
pub(crate) struct AuthenticateFirst {
    pub(crate) authenticate: Authenticate,
    pub(crate) contract: &'static Contract,
}

impl<S: Next> Middleware<S> for AuthenticateFirst {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let Some(method) = self.compressed_call(&request) else { return next.pass(request) };
        record::method(&request, method);
        authenticate(&self.authenticate, method, request, next, |method, (caller, now), request, next| {
            match Permit::granted(method, caller, now) {
                Ok(_) => next.pass(request),
                Err(error) => refuse(error),
            }
        })
    }
}

type Dated = (Caller, DateTime<Utc>);

fn authenticate<S: Next>(
    Authenticate { authenticator, clock }: &Authenticate,
    method: &'static Method,
    request: Request,
    next: &mut S,
    admit: fn(&Method, Dated, Request, &mut S) -> ResponseFuture,
) -> ResponseFuture {
    match identity(&**authenticator, &request) {
        Identity::Known(caller) => admit(method, (caller, clock.now()), request, next),
        Identity::Anonymous if method.access == Access::Public => next.pass(request),
        Identity::Anonymous | Identity::Unreadable => refuse(Reason::Unauthenticated.into()),
        Identity::Claimed(credential) => {
            let (authenticator, clock, mut next) = (authenticator.clone(), clock.clone(), next.clone());
            let from = client(&request);
            Box::pin(async move {
                let verified = tokio::time::timeout(method.deadline, authenticator.verify(&credential, from)).await;
                match verified.unwrap_or_else(|_| Err(Reason::DeadlineExceeded.into())) {
                    Ok(caller) => admit(method, (caller, clock.now()), request, &mut next).await,
                    Err(error) => refuse(error).await,
                }
            })
        }
    }
}

impl AuthenticateFirst {
    fn compressed_call(&self, request: &Request) -> Option<&'static Method> {
        if !request.headers().contains_key(CONTENT_ENCODING) {
            return None;
        }
        let route = self.contract.rules.route(request.method(), request.uri().path())?;
        self.contract.policies.get(route.grpc_path.path()).filter(|method| method.access == Access::Granted)
    }
}

enum Identity {
    Known(Caller),
    Claimed(String),
    Anonymous,
    Unreadable,
}

fn identity(authenticator: &dyn Authenticator, request: &Request) -> Identity {
    let headers = request.headers();
    if !headers.contains_key(AUTHORIZATION) {
        let peer = request.extensions().get::<PeerCaller>().cloned();
        return peer.map_or(Identity::Anonymous, |PeerCaller(caller)| Identity::Known(caller));
    }
    let Some(credential) = bearer(headers) else { return Identity::Unreadable };
    authenticator
        .cached(credential, client(request))
        .map_or_else(|| Identity::Claimed(credential.to_owned()), Identity::Known)
}

pub(super) fn client(request: &Request) -> Option<IpAddr> {
    request.extensions().get().map(|&ClientAddress(address)| address)
}

fn attach(permit: Option<Permit>, request: &mut Request) {
    if let Some(permit) = permit {
        request.extensions_mut().insert(permit);
    }
}

fn admit<S: Next>(method: &Method, (caller, now): Dated, mut request: Request, next: &mut S) -> ResponseFuture {
    record::caller(&request, &caller);
    match Permit::granted(method, caller, now) {
        Ok(permit) => {
            attach(permit, &mut request);
            next.pass(request)
        }
        Err(error) => refuse(error),
    }
}

/// Returns the credential of a request (RFC 6750, 2.1). Two `Authorization` headers count as none: which one applies
/// would depend on the reader.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
    // The scheme is case-insensitive (RFC 9110, 11.1).
    let credential = Some(credential.trim()).filter(|credential| !credential.is_empty());
    credential.filter(|_| scheme.eq_ignore_ascii_case("bearer"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn one_bearer_credential_is_read() {
        assert_eq!(bearer(&headers(&["Bearer abc"])), Some("abc"));
        assert_eq!(bearer(&headers(&["bEARER  abc "])), Some("abc"));
        for none in [&[][..], &["Bearer"], &["Bearer "], &["Basic abc"], &["abc"], &["Bearer a", "Bearer b"]] {
            assert_eq!(bearer(&headers(none)), None, "{none:?}");
        }
    }
}
