//! Finds the policy of the method that is called; everything further in reads it.

use super::layer::{Inside, Request, Responding, Step, refuse};
use crate::{
    contract::{Policies, policy::EXEMPT},
    error::Reason,
};

/// Puts the `&'static Method` into the extensions of request and response.
#[derive(Debug, Clone)]
pub struct FindMethod {
    /// The policies.
    pub policies: &'static Policies,
}

impl Step for FindMethod {
    fn step<S: Inside>(&self, mut request: Request, inside: &mut S) -> Responding {
        let path = request.uri().path();
        let Some(method) = self.policies.get(path) else {
            let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            // Health and reflection have no policy; they are read-only and say nothing about data.
            return if EXEMPT.contains(&service) {
                let response = inside.respond(request);
                Box::pin(async move { Ok(response.await) })
            } else {
                refuse(Reason::RouteNotFound.into())
            };
        };
        request.extensions_mut().insert(method);
        let response = inside.respond(request);
        Box::pin(async move {
            let mut response = response.await;
            response.extensions_mut().insert(method);
            Ok(response)
        })
    }
}
