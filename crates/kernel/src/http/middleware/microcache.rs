//! Microcaching: reuses the response of a public method for a moment.
//!
//! The response of a public method is the same for all callers without credentials. A reuse saves transcoding, the policy
//! and the call. A response is reused for at most [`REUSE`], and only while no value of the [`Cache`] has been outdated
//! since before its call, so that a new call would return the same. A method is public by `public_max_age_seconds` in its
//! policy. Query parameters that the method ignores are not part of the key.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, Method as Verb, StatusCode, Uri, header, response::Parts};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use mainstay_transcoder::RuleTable;
use metrics::{Counter, counter};
use moka::sync;
use prost_reflect::MessageDescriptor;
use tokio::time::Instant;
use url::form_urlencoded;

use crate::{
    cache::Cache,
    caller::PeerCaller,
    contract::Method,
    http::middleware::{
        extensions::ResponseDeadline,
        layer::{Body, Middleware, Next, Request, Response, ResponseFuture},
        record,
    },
    large_responses::Slot,
};

/// How long a response is reused. The staleness bound of the cache increases by as much.
pub(crate) const REUSE: Duration = Duration::from_secs(1);
/// The memory of all responses, in bytes. Anonymous callers choose the keys.
const MAX_BYTES: u64 = 8 << 20;
const MAX_RESPONSE_BYTES: u64 = 64 << 10;
/// The memory of a response besides its body and its key, in bytes.
const OVERHEAD: usize = 1 << 10;

/// A middleware that reuses responses of public methods.
#[derive(Debug, Clone)]
pub(crate) struct Microcache {
    cache: Cache,
    rules: &'static RuleTable,
    responses: sync::Cache<String, Arc<CachedResponse>>,
    reused: Counter,
}

#[derive(Debug)]
struct CachedResponse {
    generation: u64,
    called_at: Instant,
    method: &'static Method,
    parts: Parts,
    body: Bytes,
}

impl Microcache {
    /// Makes a middleware for responses that are made of values of `cache`, or that may be outdated by [`REUSE`]. `rules` has
    /// the methods of the requests.
    pub(crate) fn new(cache: Cache, rules: &'static RuleTable) -> Self {
        let weight = |key: &String, cached: &Arc<CachedResponse>| {
            u32::try_from(key.len() + cached.body.len() + OVERHEAD).unwrap_or(u32::MAX)
        };
        let responses = sync::Cache::builder().weigher(weight).max_capacity(MAX_BYTES).build();
        Self { cache, rules, responses, reused: counter!("mainstay_responses_reused_total") }
    }

    fn find(&self, key: &str) -> Option<Arc<CachedResponse>> {
        let cached = self.responses.get(key)?;
        let is_current = cached.called_at.elapsed() < REUSE && cached.generation == self.cache.generation();
        is_current.then_some(cached)
    }
}

impl<S: Next> Middleware<S> for Microcache {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let Some(key) = key(&request, self.rules) else { return next.pass(request) };
        if let Some(cached) = self.find(&key) {
            self.reused.increment(1);
            record::method(&request, cached.method);
            return Box::pin(std::future::ready(Ok(cached.response())));
        }
        let (generation, called_at) = (self.cache.generation(), Instant::now());
        let responses = self.responses.clone();
        let response = next.run(request);
        Box::pin(async move {
            let response = response.await;
            let Some(method) = public_method(&response) else { return Ok(response) };
            let (mut parts, body) = response.into_parts();
            // The deadline is this caller's alone. The slot is needed until the response is complete.
            parts.extensions.remove::<ResponseDeadline>();
            let slot = parts.extensions.remove::<Slot>();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(status) => return Ok(status.into_http()),
            };
            drop(slot);
            let cached = Arc::new(CachedResponse { generation, called_at, method, parts, body });
            let response = cached.response();
            responses.insert(key, cached);
            Ok(response)
        })
    }
}

impl CachedResponse {
    fn response(&self) -> Response {
        let mut parts = self.parts.clone();
        parts.extensions.insert(ResponseDeadline(std::time::Instant::now() + self.method.deadline));
        Response::from_parts(parts, Body::new(Full::new(self.body.clone())))
    }
}

/// The headers, besides `Accept`, on which responses to requests without a body may depend.
static DISTINGUISHING: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    HeaderName::from_static("x-request-timeout"),
    HeaderName::from_static("grpc-timeout"),
];

/// Returns the key of the response to an anonymous GET; `None` for any other request. A client certificate is a credential
/// without a header.
fn key(request: &Request, rules: &RuleTable) -> Option<String> {
    let headers = request.headers();
    let is_plain = request.method() == Verb::GET
        && request.body().is_end_stream()
        && request.extensions().get::<PeerCaller>().is_none()
        && !DISTINGUISHING.iter().any(|name| headers.contains_key(name));
    if !is_plain {
        return None;
    }
    let mut key = request.uri().path().to_owned();
    key.extend(known_parameters(request.uri(), rules));
    for accept in headers.get_all(header::ACCEPT) {
        // Neither a URI nor a header contains a line feed.
        key.push('\n');
        key.push_str(accept.to_str().ok()?);
    }
    Some(key)
}

const FORMAT: [&str; 2] = ["alt", "$alt"];

/// Returns the parameters of a query that name a field of the request or a format, each after `?`, which no path contains.
/// Methods with cached responses ignore all other parameters.
fn known_parameters<'u>(uri: &'u Uri, rules: &RuleTable) -> impl Iterator<Item = String> + use<'u> {
    let input = uri.query().and_then(|_| Some(rules.route(&Verb::GET, uri.path())?.method.input()));
    let is_known = move |pair: &&str| {
        let Some((name, _)) = form_urlencoded::parse(pair.as_bytes()).next() else { return false };
        FORMAT.contains(&&*name) || input.as_ref().is_none_or(|input| has_field(input, &name))
    };
    uri.query().unwrap_or_default().split('&').filter(is_known).map(|pair| format!("?{pair}"))
}

fn has_field(message: &MessageDescriptor, path: &str) -> bool {
    let (first, rest) = path.split_once('.').unzip();
    let first = first.unwrap_or(path);
    let field = message.get_field_by_json_name(first).or_else(|| message.get_field_by_name(first));
    let inner = |rest| field.as_ref()?.kind().as_message().map(|inner| has_field(inner, rest));
    field.is_some() && rest.is_none_or(|rest| inner(rest).unwrap_or_default())
}

fn public_method(response: &Response) -> Option<&'static Method> {
    let method = response.extensions().get::<&'static Method>().copied()?;
    let public = method.public_cache.as_ref()?;
    let says_so = response.headers().get(header::CACHE_CONTROL).is_some_and(|value| value == public.header());
    let is_small = response.body().size_hint().exact().is_some_and(|bytes| bytes <= MAX_RESPONSE_BYTES);
    (response.status() == StatusCode::OK && says_so && is_small).then_some(method)
}

#[cfg(test)]
mod tests;
