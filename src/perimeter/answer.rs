//! Derives statuses, headers and error details from the policy and the message, or from an [`Error`].
//!
//! Everything is derived from the policy and the encoded response, so a replayed response gets the same status and
//! headers.

use std::{
    fmt::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use http::{HeaderValue, StatusCode};
use prost::Message;
use tonic::{
    Code, Response, Status,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    context,
    contract::{
        Method,
        policy::{Cache, FieldPath, FieldValue, LocationPart, Success},
    },
    error::{Error, Reason},
    ops::work::Answer,
    services::mask::ReadMask,
};

/// The `domain` of `google.rpc.ErrorInfo`: the system that defines the reasons.
pub const ERROR_DOMAIN: &str = "mainstay.dev";

/// The most violations that are named; gRPC clients cap metadata at 8 KiB.
const MAX_NAMED_FIELDS: usize = 50;

/// The HTTP status of a successful response, as a response extension for the REST doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpStatus(pub StatusCode);

/// Builds the response: the message, with the metadata and extensions that the policy derives from it.
///
/// # Errors
/// `INTERNAL_ERROR` for a pending operation, which the service must first resolve to its current state.
pub fn respond<M: Message + Default>(
    method: &Method,
    mask: &ReadMask,
    answer: Answer<M>,
) -> Result<Response<M>, Status> {
    let (message, replayed) = match answer {
        Answer::Fresh(message) => (message, false),
        Answer::Replayed(message) => (message, true),
        Answer::Pending(operation) => {
            return Err(Error::internal(anyhow::anyhow!("operation {operation} was not resolved")).into());
        }
    };
    // Nothing is derived from the bytes of a list, so it is not encoded twice.
    let derived = method.version.is_some() || method.success.iter().any(|s| s.when.is_some() || !s.location.is_empty());
    let bytes = if derived { message.encode_to_vec() } else { Vec::new() };
    // Masked after the version was read: it counts whether or not the mask includes it.
    let mut response = Response::new(mask.apply(message)?);
    describe(method, mask.canonical().as_deref(), &bytes, response.metadata_mut());
    if replayed {
        response.metadata_mut().insert("idempotent-replayed", MetadataValue::from_static("true"));
    }
    if let Some(success) = method.success(&bytes) {
        response.extensions_mut().insert(HttpStatus(success.status));
    }
    Ok(response)
}

fn describe(method: &Method, read_mask: Option<&str>, bytes: &[u8], metadata: &mut MetadataMap) {
    let mut put = |name: &'static str, value: String| {
        // A value that is not a valid header value is omitted. None of ours is invalid, and a header should not fail
        // the call.
        if let Ok(value) = MetadataValue::try_from(value) {
            metadata.insert(name, value);
        }
    };
    if let Some(version) = method.version.as_ref().and_then(|path| path.number(bytes)) {
        put("etag", etag(version, read_mask));
    }
    if let Some(time) = method.last_modified.as_ref().and_then(|path| last_modified(path, bytes)) {
        put("last-modified", time);
    }
    put("cache-control", cache_control(method.cache).to_owned());
    let Some(success) = method.success(bytes) else { return };
    if !success.location.is_empty() {
        put("location", location(success, bytes));
    }
    if let Some(wait) = success.retry_after {
        put("retry-after", wait.as_secs().to_string());
    }
}

/// Returns the timestamp as an HTTP date (RFC 9110, 5.6.7).
fn last_modified(path: &FieldPath, bytes: &[u8]) -> Option<String> {
    let Some(FieldValue::Bytes(time)) = path.read(bytes) else { return None };
    let seconds = prost_types::Timestamp::decode(time).ok()?.seconds;
    // Only years up to 9999: `httpdate` panics beyond them.
    let since_epoch = u64::try_from(seconds).ok().filter(|&seconds| seconds < 253_402_300_800)?;
    Some(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(since_epoch)))
}

/// Returns the value of `Cache-Control` (RFC 9111).
pub fn cache_control(cache: Cache) -> &'static str {
    match cache {
        Cache::PrivateRevalidate => "private, no-cache",
        Cache::NoStore | Cache::Unspecified => "no-store",
    }
}

/// Builds a strong entity tag (RFC 9110, 8.8.3) from the row's version and, since it changes the representation, the
/// read mask.
fn etag(version: u64, read_mask: Option<&str>) -> String {
    match read_mask {
        None | Some("") => format!("\"{version}\""),
        Some(mask) => {
            use sha2::Digest as _;
            let hash = sha2::Sha256::digest(mask);
            format!("\"{version}-{:02x}{:02x}{:02x}{:02x}\"", hash[0], hash[1], hash[2], hash[3])
        }
    }
}

fn location(success: &Success, bytes: &[u8]) -> String {
    let mut location = String::new();
    for part in &success.location {
        match part {
            LocationPart::Literal(literal) => location.push_str(literal),
            LocationPart::Field(path) => match path.read(bytes) {
                Some(FieldValue::Bytes(text)) => location.push_str(&String::from_utf8_lossy(text)),
                Some(FieldValue::Number(number)) => write!(location, "{number}").expect("a string takes it"),
                None => {}
            },
        }
    }
    location
}

/// Returns the reason a status carries, or the closest one for its code.
pub fn reason(status: &Status) -> Reason {
    let named = status.get_details_error_info().and_then(|info| Reason::from_code(&info.reason));
    named.unwrap_or_else(|| Reason::from_grpc(status.code()))
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let reason = error.reason();
        let facts = reason.facts();
        log(&error, facts.code, facts.http);
        let mut details = ErrorDetails::new();
        details.set_error_info(facts.code, ERROR_DOMAIN, std::collections::HashMap::new());
        if let Some(id) = context::request_id() {
            details.set_request_info(id.to_string(), String::new());
        }
        for (field, message) in error.fields().iter().take(MAX_NAMED_FIELDS) {
            details.add_bad_request_violation(field, message);
        }
        if let Some(wait) = error.wait() {
            details.set_retry_info(Some(wait));
        }
        match facts.grpc {
            Code::ResourceExhausted if reason == Reason::RateLimitExceeded => {
                details.add_quota_failure_violation("rate limit", error.message());
            }
            Code::FailedPrecondition => {
                details.add_precondition_failure_violation(facts.code, "", error.message());
            }
            _ => {}
        }
        let mut status = Self::with_error_details(facts.grpc, error.message(), details);
        if error.is_replayed() {
            status.metadata_mut().insert("idempotent-replayed", MetadataValue::from_static("true"));
        }
        if let Some(wait) = error.wait() {
            // Rounded up, so that the retry is not too early.
            let seconds = wait.as_millis().div_ceil(1000).max(1).to_string();
            status.metadata_mut().insert("retry-after", seconds.parse().expect("digits"));
        }
        if facts.http == StatusCode::UNAUTHORIZED {
            let challenge = challenge(reason);
            status.metadata_mut().insert("www-authenticate", MetadataValue::from_static(challenge));
        }
        status
    }
}

/// Returns the challenge of RFC 6750, 3.
fn challenge(reason: Reason) -> &'static str {
    match reason {
        Reason::InvalidToken | Reason::TokenExpired | Reason::SessionRevoked => r#"Bearer error="invalid_token""#,
        _ => "Bearer",
    }
}

fn log(error: &Error, code: &str, http: StatusCode) {
    let cause = error.source().map(|source| format!("{source:#}"));
    if http.is_server_error() {
        tracing::error!(code, cause, "request failed");
    } else {
        tracing::info!(code, cause, "request refused");
    }
}

/// Converts text made of digits and letters into a header value.
pub fn header(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}
