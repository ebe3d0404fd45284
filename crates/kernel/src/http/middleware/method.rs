//! Looks up the policy of the called method, which the inner layers use, and announces the end of a deprecated one.

use http::StatusCode;

use crate::{
    app::App,
    clock::Clock,
    contract::{Catalogue, Policies, policy::EXEMPT},
    deprecated_calls::DeprecatedCalls,
    error::Reason,
    http::middleware::{
        layer::{Middleware, Next, Request, ResponseFuture, refuse},
        protocol, record,
    },
};

/// The statuses of requests without a valid credential, beyond a limit, or while a dependency or the server is unavailable. They
/// do not count as calls, so that a flood of them costs Redis nothing.
const NO_CALLS: [StatusCode; 3] =
    [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];

/// A middleware that adds the `&'static Method` to request and response, and the clock to the request, as extensions.
#[derive(Debug, Clone)]
pub(crate) struct FindMethod {
    policies: &'static Policies,
    catalogue: &'static Catalogue,
    clock: Clock,
    deprecated_calls: DeprecatedCalls,
}

impl FindMethod {
    pub(crate) fn new(app: &App) -> Self {
        let (policies, catalogue) = (&app.contract.policies, &app.contract.catalogue);
        Self { policies, catalogue, clock: app.clock.clone(), deprecated_calls: DeprecatedCalls::new(app) }
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
        let (catalogue, response) = (self.catalogue, next.run(request));
        Box::pin(async move {
            let mut response = response.await;
            response.extensions_mut().insert(method);
            if let Some((deprecation, calls, record)) = deprecated {
                deprecation.describe(response.headers_mut());
                if !NO_CALLS.contains(&protocol::status(catalogue, &response)) {
                    calls.count(method, record.as_ref().and_then(|record| record.caller.get())).await;
                }
            }
            Ok(response)
        })
    }
}
