//! The conventions of an API: the rendering of failures, the status of successes, the media types and sizes that a
//! method accepts, and the header with the client's timeout.

use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, Method, StatusCode, Uri, Version};
use prost_reflect::MethodDescriptor;

use crate::rule::Route;

/// The API's conventions. Clones must be cheap: each stream keeps one.
///
/// ```
/// use mainstay_transcoder::{Dialect, Failure, RequestHead, StatusDialect};
///
/// /// Answers 201 to whatever creates something.
/// #[derive(Clone)]
/// struct ShopDialect(StatusDialect);
///
/// impl Dialect for ShopDialect {
///     fn error_response(&self, request: &RequestHead, failure: Failure) -> http::Response<bytes::Bytes> {
///         self.0.error_response(request, failure)
///     }
///
///     fn success_status(
///         &self,
///         method: &prost_reflect::MethodDescriptor,
///         _: &http::response::Parts,
///     ) -> http::StatusCode {
///         if method.name().starts_with("Create") { http::StatusCode::CREATED } else { http::StatusCode::OK }
///     }
/// }
/// ```
pub trait Dialect: Clone + Send + Sync + 'static {
    /// Renders a failure: the transcoder's own, or the upstream's status.
    ///
    /// The body also serves as the last line of a stream that fails midway, so it should be one JSON document. The
    /// upstream's headers are added afterwards, unless the rendered response has a header of the same name.
    fn error_response(&self, request: &RequestHead, failure: Failure) -> http::Response<Bytes>;

    /// Returns the status of a successful response: 200 by default. 1xx, 204, 205 and 304 are sent without a body.
    fn success_status(&self, method: &MethodDescriptor, upstream: &http::response::Parts) -> StatusCode {
        let _ = (method, upstream);
        StatusCode::OK
    }

    /// Returns whether the response has a representation that the client's `Accept` header selects: true by default.
    /// Otherwise the header is ignored, as for a method whose success is always a redirection or has no body (RFC 9110,
    /// section 12.5.1), and a body is JSON.
    fn negotiates(&self, method: &MethodDescriptor) -> bool {
        let _ = method;
        true
    }

    /// Returns the media types (`image/png`, `image/*`, `*/*`) that a method accepts in addition to JSON. If the
    /// method's body is a `google.api.HttpBody`, these are the only accepted types; `application/json` then stands for
    /// every type of JSON, and an empty list, the default, means any type.
    fn media_types(&self, method: &MethodDescriptor) -> &[String] {
        let _ = method;
        &[]
    }

    /// Returns the maximum size of a request body in bytes; for a streamed body, its total size. 4 MiB by default.
    fn max_body_bytes(&self, method: &MethodDescriptor) -> usize {
        let _ = method;
        4 << 20
    }

    /// Returns the number of the text field of a streamed message that is the id of its server-sent event, which a
    /// client repeats as `Last-Event-ID` when it reconnects. None by default. The upstream receives that header
    /// unchanged; an empty field means no id.
    fn event_id_field(&self, method: &MethodDescriptor) -> Option<u32> {
        let _ = method;
        None
    }

    /// Returns whether the upstream checks that enums have declared values: false by default.
    ///
    /// If so, an unknown name of an enum reaches the upstream as a number that the enum does not declare, and the
    /// upstream can report all faults of the request together. Otherwise, the first unknown name is a
    /// [`Failure::Malformed`].
    fn checks_enums(&self) -> bool {
        false
    }

    /// Returns whether query parameters that match no field of the request are ignored: false by default, so that
    /// misspelled parameters are reported.
    ///
    /// Ignoring them suits public links, to which sharing sites add parameters (`utm_source`, `fbclid`), and webhooks,
    /// whose sender is configured with one fixed URL. Caches of such responses must exclude the ignored parameters from
    /// their keys.
    fn ignores_unknown_parameters(&self, method: &MethodDescriptor) -> bool {
        let _ = method;
        false
    }

    /// Returns the request header with the client's timeout: seconds as a decimal (`2`, `1.5`), or with a unit (`2s`,
    /// `500ms`). It becomes the upstream's `grpc-timeout`. None by default; `grpc-timeout` itself is always forwarded.
    fn timeout_header(&self) -> Option<&HeaderName> {
        None
    }
}

/// The request, without its body, as the client sent it.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The HTTP method.
    pub method: Method,
    /// The request target.
    pub uri: Uri,
    /// The version of HTTP.
    pub version: Version,
    /// All headers.
    pub headers: HeaderMap,
    /// The extensions that earlier layers attached.
    pub extensions: Extensions,
    /// The matching rule, if there is one.
    pub route: Option<Arc<Route>>,
}

/// The reason a request failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// A path, query, header or body that can't be converted to the message, or a body that did not arrive in time.
    Malformed {
        /// The path of the field, in the client's spelling, if the fault is in a field.
        field: Option<String>,
        /// A description of the fault, for the client.
        message: String,
    },
    /// No rule matches the path.
    RouteNotFound,
    /// Rules match the path, but none of them has the method.
    MethodNotAllowed {
        /// The methods of these rules: the value of the `Allow` header.
        allow: Vec<Method>,
    },
    /// The client accepts none of the available formats.
    NotAcceptable,
    /// The media type of the body is not supported.
    UnsupportedMediaType,
    /// The body has a content coding that no outer layer has removed.
    UnsupportedContentCoding,
    /// The body is too large.
    PayloadTooLarge {
        /// The maximum size in bytes.
        max_bytes: usize,
    },
    /// The status with which the upstream, or the connection to it, failed.
    Upstream(tonic::Status),
}

/// Marks a call as coming from REST, with the rule it matched; an extension of the upstream request and of the
/// response.
#[derive(Clone, Debug)]
pub struct MatchedRoute(pub Arc<Route>);

impl From<crate::json::ReadError> for Failure {
    fn from(error: crate::json::ReadError) -> Self {
        Self::Malformed { field: error.field, message: error.message }
    }
}
