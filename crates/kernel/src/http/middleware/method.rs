//! Looks up the policy of the called method, which the inner layers use.

use crate::{
    clock::Clock,
    contract::{Policies, policy::EXEMPT},
    error::Reason,
    http::middleware::{
        layer::{Middleware, Next, Request, ResponseFuture, refuse},
        record,
    },
};

/// A middleware that adds the `&'static Method` to request and response, and the clock to the request, as extensions.
#[derive(Debug, Clone)]
pub struct FindMethod {
    /// The policies.
    pub policies: &'static Policies,
    /// The clock of the rules about the present time.
    pub clock: Clock,
}

impl<S: Next> Middleware<S> for FindMethod {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        let path = request.uri().path();
        let Some(method) = self.policies.get(path) else {
            let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            // The exempt services (health and reflection) have no policy. They are read-only and reveal no data.
            return if EXEMPT.contains(&service) { next.pass(request) } else { refuse(Reason::RouteNotFound.into()) };
        };
        record::method(&request, method);
        request.extensions_mut().insert(method);
        request.extensions_mut().insert(self.clock.clone());
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            response.extensions_mut().insert(method);
            Ok(response)
        })
    }
}
