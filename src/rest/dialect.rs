//! What a house decides for itself: how failures look, which status a success has, what a method takes.

use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, StatusCode, Uri, Version};
use prost_reflect::MethodDescriptor;

use super::rule::Route;

/// The voice of the transcoder. Clones must be cheap: one is kept per stream.
pub trait Dialect: Clone + Send + Sync + 'static {
    /// Renders a failure: the transcoder's own, or the upstream's status.
    ///
    /// The body also serves as the last line of a stream that fails half-way, so it should be one JSON document. The
    /// upstream's headers are added afterwards where the rendered response has none of that name.
    fn error(&self, request: &RequestHead, failure: Failure) -> http::Response<Bytes>;

    /// Status of a successful answer. 1xx, 204, 205 and 304 go out without a body.
    fn success(&self, method: &MethodDescriptor, upstream: &http::response::Parts) -> StatusCode {
        let _ = (method, upstream);
        StatusCode::OK
    }

    /// The media types (`image/png`, `image/*`, `*/*`) that a method takes besides JSON or, where its body is a
    /// `google.api.HttpBody`, that it takes at all: none listed means any.
    fn accepts(&self, method: &MethodDescriptor) -> &[String] {
        let _ = method;
        &[]
    }

    /// The most bytes that a request body to this method may have, a streamed one in total.
    fn body_limit(&self, method: &MethodDescriptor) -> usize {
        let _ = method;
        4 << 20
    }
}

/// The request, without its body, as the client sent it.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub headers: HeaderMap,
    pub extensions: Extensions,
    /// The rule that matched, if one did.
    pub route: Option<Arc<Route>>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// A path, query, header or body that can't become the message. `field` is spelled as the client spells it.
    Malformed {
        field: Option<String>,
        message: String,
    },
    RouteNotFound,
    /// `allow` is what the `Allow` header must say.
    MethodNotAllowed {
        allow: Vec<Method>,
    },
    NotAcceptable,
    UnsupportedMediaType,
    PayloadTooLarge {
        limit: usize,
    },
    /// The status with which the upstream, or the way to it, failed.
    Upstream(tonic::Status),
}

/// Tells the upstream that a call came in over REST, and by which rule; an extension of its request and of the answer.
#[derive(Clone, Debug)]
pub struct Matched(pub Arc<Route>);

impl From<super::json::ReadError> for Failure {
    fn from(error: super::json::ReadError) -> Self {
        Self::Malformed { field: error.field, message: error.message }
    }
}
