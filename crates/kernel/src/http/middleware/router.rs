//! Routes each request by its protocol: gRPC and gRPC-Web to the inner stack, paths of the contract to the transcoder,
//! the rest to the pages.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use mainstay_transcoder::RuleTable;
use tower::Service;

use crate::http::middleware::{
    layer::{Next, Request, ResponseFuture, refuse},
    protocol,
};

/// Returns the path prefixes of the contract's routes, up to the second slash: `/api/`.
pub fn prefixes(rules: &RuleTable) -> Arc<[String]> {
    let templates = rules.routes().map(|route| route.template.to_string());
    let prefix = |template: String| match first_segment(&template) {
        None => "/".to_owned(),
        Some(first) => format!("/{first}/"),
    };
    templates.map(prefix).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether the router could take a request for one of two paths, whose segments may be variables, for one for the other.
pub fn share_first_segment(path: &str, other: &str) -> bool {
    match (first_segment(path), first_segment(other)) {
        (Some(first), Some(other)) => first == other,
        _ => true,
    }
}

/// Returns the first segment of a path; `None` for a variable, which may be any.
fn first_segment(path: &str) -> Option<&str> {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    (!first.starts_with(['{', '*'])).then_some(first)
}

/// The services that a request may be for.
#[derive(Debug, Clone)]
pub struct Router<G, W, P, R> {
    /// The path prefixes of REST; every other path is a page.
    pub prefixes: Arc<[String]>,
    /// Native gRPC.
    pub grpc: G,
    /// gRPC-Web.
    pub grpc_web: W,
    /// Probes, keys and documents.
    pub pages: P,
    /// REST.
    pub rest: R,
}

impl<G: Next, W: Next, P: Next, R: Next> Service<Request> for Router<G, W, P, R> {
    type Response = crate::http::middleware::layer::Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> ResponseFuture {
        if let Err(error) = protocol::check_host(&request) {
            return refuse(error);
        }
        match protocol::name(&request) {
            "grpc" => self.grpc.pass(request),
            "envoy" => match protocol::adopt(&mut request) {
                Ok(()) => self.grpc.pass(request),
                Err(error) => refuse(error),
            },
            "grpc-web" => self.grpc_web.pass(request),
            _ if self.prefixes.iter().any(|prefix| request.uri().path().starts_with(prefix)) => self.rest.pass(request),
            _ => self.pages.pass(request),
        }
    }
}
