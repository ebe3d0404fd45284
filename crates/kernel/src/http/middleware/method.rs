//! Looks up the policy of the called method, which the inner layers use, and announces the end of a deprecated one.

use crate::{
    app::App,
    clock::Clock,
    contract::{Policies, policy::EXEMPT},
    deprecated_calls::DeprecatedCalls,
    error::Reason,
    http::middleware::{
        layer::{Middleware, Next, Request, ResponseFuture, refuse},
        record,
    },
};

/// A middleware that adds the `&'static Method` to request and response, and the clock to the request, as extensions.
#[derive(Debug, Clone)]
pub struct FindMethod {
    policies: &'static Policies,
    /// The clock of the rules about the present time.
    clock: Clock,
    deprecated_calls: DeprecatedCalls,
}

impl FindMethod {
    /// Creates the middleware of an application.
    pub fn new(app: &App) -> Self {
        let policies = &app.contract.policies;
        Self { policies, clock: app.clock.clone(), deprecated_calls: DeprecatedCalls::new(app) }
    }
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
        let deprecated =
            method.deprecation.as_ref().map(|end| (end, self.deprecated_calls.clone(), record::of(&request)));
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            response.extensions_mut().insert(method);
            if let Some((deprecation, calls, record)) = deprecated {
                deprecation.describe(response.headers_mut());
                calls.count(method, record.as_ref().and_then(|record| record.caller.get())).await;
            }
            Ok(response)
        })
    }
}
