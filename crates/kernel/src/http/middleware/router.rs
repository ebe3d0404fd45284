//! Routes each request by its protocol: gRPC and gRPC-Web to the inner stack, paths of the contract to the transcoder,
//! all others to the pages.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, header};
use mainstay_transcoder::RuleTable;
use tower::Service;

use crate::{
    error::{Error, Reason},
    http::middleware::{
        envelope,
        layer::{Next, Request, ResponseFuture, refuse},
        protocol,
    },
};

/// Returns the first path segments of the contract's routes, as prefixes: `/api`. The prefix is empty for a rule that
/// begins with a variable, which matches any path.
pub(crate) fn prefixes(rules: &RuleTable) -> Arc<[String]> {
    let templates = rules.routes().map(|route| route.template.to_string());
    let prefix = |template: String| first_segment(&template).map_or_else(String::new, |first| format!("/{first}"));
    templates.map(prefix).collect::<BTreeSet<_>>().into_iter().collect()
}

fn is_within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns whether a route of the contract shadows a page, judged by the first segments of both paths. A page whose
/// first segment is a variable keeps all paths without a route.
pub(crate) fn hides(template: &str, page: &str) -> bool {
    let first = first_segment(template);
    first.is_none() || first == first_segment(page)
}

/// Returns the first segment of a path; `None` for a variable that matches anything. `{name=shelves/*}` begins with
/// `shelves`.
fn first_segment(path: &str) -> Option<String> {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let pattern = match first.strip_prefix('{') {
        Some(variable) => variable.split_once('=')?.1,
        None => first,
    };
    (!pattern.starts_with('*')).then(|| pattern.replace('}', ""))
}

#[derive(Debug, Clone)]
pub(crate) struct Router<G, W, P, R> {
    /// The path prefixes of REST; all other paths are pages.
    pub(crate) prefixes: Arc<[String]>,
    pub(crate) grpc: G,
    pub(crate) grpc_web: W,
    /// Probes, keys and documents.
    pub(crate) pages: P,
    pub(crate) rest: R,
}

impl<G: Next, W: Next, P: Next, R: Next> Service<Request> for Router<G, W, P, R> {
    type Response = crate::http::middleware::layer::Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> ResponseFuture {
        let protocol = protocol::name(&request);
        // Proxies repeat other methods, and a successful response to CONNECT opens a tunnel (RFC 9110, 9.3.6).
        if protocol != "rest" && request.method() != Method::POST {
            let mut response = envelope::refusal("rest", Error::new(Reason::MethodNotAllowed));
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return Box::pin(std::future::ready(Ok(response)));
        }
        if let Err(error) = protocol::check_host(&request).and_then(|()| protocol::check_transfer_coding(&request)) {
            return refuse(error);
        }
        match protocol {
            "grpc" => self.grpc.pass(request),
            "envoy" => match protocol::headers_to_metadata(&mut request) {
                Ok(()) => self.grpc.pass(request),
                Err(error) => refuse(error),
            },
            "grpc-web" => {
                protocol::remove_parameters(&mut request);
                self.grpc_web.pass(request)
            }
            _ if self.prefixes.iter().any(|prefix| is_within(request.uri().path(), prefix)) => self.rest.pass(request),
            _ => self.pages.pass(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{first_segment, hides, is_within};

    #[test]
    fn a_path_begins_with_a_segment_or_with_a_variable() {
        for (path, first) in [
            ("/", Some("")),
            ("/vehicles", Some("vehicles")),
            ("/vehicles:search", Some("vehicles:search")),
            ("/api/v1/{id}", Some("api")),
            ("/{name=shelves/*}", Some("shelves")),
            ("/{name=shelves}/books", Some("shelves")),
            ("/{id}/books", None),
            ("/{name=**}", None),
            ("/*/books", None),
            ("/{*path}", None),
        ] {
            assert_eq!(first_segment(path).as_deref(), first, "{path}");
        }
    }

    #[test]
    fn a_route_is_reached_also_if_it_has_one_segment() {
        assert!(is_within("/vehicles", "/vehicles") && is_within("/vehicles/1", "/vehicles"));
        assert!(!is_within("/vehicles:search", "/vehicles") && !is_within("/", "/vehicles"));
        assert!(is_within("/vehicles", "") && is_within("/", ""), "a rule that may match any path");
    }

    #[test]
    fn a_page_for_all_other_paths_is_hidden_only_by_such_a_route() {
        assert!(hides("/docs/{id}", "/docs") && hides("/{id}", "/docs") && hides("/{id}", "/{*path}"));
        assert!(!hides("/api/v1/tickets", "/docs") && !hides("/api/v1/tickets", "/{*path}"));
        assert!(!hides("/{name=shelves/*}", "/docs"));
    }
}
