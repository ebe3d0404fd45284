//! What an API decides for itself: how failures look, which status a success has, which media types and sizes a method
//! accepts, and which header holds the client's timeout.

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

    /// Returns the media types (`image/png`, `image/*`, `*/*`) that a method accepts in addition to JSON or, if its
    /// body is a `google.api.HttpBody`, that it accepts at all: an empty list, the default, means any.
    fn media_types(&self, method: &MethodDescriptor) -> &[String] {
        let _ = method;
        &[]
    }

    /// Returns the maximum size of a request body in bytes; for a streamed one, in total. 4 MiB by default.
    fn max_body_bytes(&self, method: &MethodDescriptor) -> usize {
        let _ = method;
        4 << 20
    }

    /// Returns the number of the text field of a streamed message that is the id of its server-sent event, which a client
    /// repeats as `Last-Event-ID` when it comes back. None by default. The header reaches the upstream as it is, and an
    /// empty field is no id.
    fn event_id_field(&self, method: &MethodDescriptor) -> Option<u32> {
        let _ = method;
        None
    }

    /// Returns whether the upstream checks that enums have declared values: false by default.
    ///
    /// If so, an unknown name of an enum reaches it as a number that the enum does not declare, and it can answer with all
    /// faults of the request at once. If not, the first unknown name is a [`Failure::Malformed`].
    fn checks_enums(&self) -> bool {
        false
    }

    /// Returns whether query parameters that name no field of the request are ignored: false by default, so that a
    /// misspelt one does not vanish.
    ///
    /// Links to what is public get parameters added by those who share them (`utm_source`, `fbclid`), and a sender of
    /// webhooks is given one URL for all that the receiver wants to know. What caches such responses must leave the
    /// ignored parameters out of its keys.
    fn ignores_unknown_parameters(&self, method: &MethodDescriptor) -> bool {
        let _ = method;
        false
    }

    /// Returns the request header that says how long the client waits: seconds as a decimal (`2`, `1.5`), or with a
    /// unit (`2s`, `500ms`). It becomes the upstream's `grpc-timeout`. None by default; `grpc-timeout` itself is always
    /// passed on.
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
    /// The rule that matched, if one did.
    pub route: Option<Arc<Route>>,
}

/// The reason a request failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// A path, query, header or body that can't be converted to the message, or a body that did not arrive in time.
    Malformed {
        /// The path of the field, spelled as the client spells it, if the fault is in one.
        field: Option<String>,
        /// What is wrong, for the client.
        message: String,
    },
    /// No rule has this path.
    RouteNotFound,
    /// Rules have this path, but none has this method.
    MethodNotAllowed {
        /// The methods that they have: the value of the `Allow` header.
        allow: Vec<Method>,
    },
    /// None of the formats that the client accepts can be produced.
    NotAcceptable,
    /// The body has a media type that can't be read.
    UnsupportedMediaType,
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
