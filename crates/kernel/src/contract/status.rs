//! Conversion of errors to gRPC statuses with the details of `google.rpc` (AIP-193), and back.

use std::collections::HashMap;

use http::StatusCode;
use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    context::{self, Failure},
    contract::{Catalogue, Reason, ReasonRef},
    error::Error,
    telemetry::backtrace,
};

/// The maximum number of named violations; gRPC clients limit metadata to 8 KiB.
const MAX_NAMED_FIELDS: usize = 50;
/// The maximum number of characters of a text, which may contain a part of the request: a status is sent in headers, whose
/// size is not limited otherwise.
const MAX_TEXT_CHARS: usize = 1000;

/// The HTTP status of a successful response, as a response extension for REST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpStatus(pub StatusCode);

/// Returns the reason of a status, or the closest one for its code.
pub fn reason(catalogue: &Catalogue, status: &Status) -> ReasonRef {
    let named = status.get_details_error_info().and_then(|info| match context::error_domain() {
        // Codes are unique, so that the domain need not identify the module.
        Some(domain) if *domain == *info.domain => catalogue.find(&info.reason),
        _ => catalogue.find_in(&info.domain, &info.reason),
    });
    named.unwrap_or_else(|| ReasonRef::new(Reason::from_grpc(status.code())))
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let reason = error.reason();
        let facts = reason.facts();
        log(&error, facts.code, facts.http);
        let mut details = ErrorDetails::new();
        let message = shortened(error.message());
        let metadata = error.metadata().map(|(key, value)| (key.to_owned(), shortened(value).to_owned()));
        let metadata: HashMap<_, _> = metadata.collect();
        details.set_error_info(facts.code, context::error_domain().as_deref().unwrap_or(facts.domain), metadata);
        if let Some(id) = context::request_id() {
            details.set_request_info(id.to_string(), String::new());
        }
        for (field, fault) in error.fields().iter().take(MAX_NAMED_FIELDS) {
            details.add_bad_request_violation(shortened(field), shortened(fault));
        }
        if let Some(wait) = error.wait() {
            details.set_retry_info(Some(wait));
        }
        match facts.grpc {
            Code::ResourceExhausted if reason == Reason::RateLimitExceeded => {
                let policy = error.metadata().find(|(key, _)| *key == "policy").map_or("", |(_, policy)| policy);
                details.add_quota_failure_violation(policy, message);
            }
            Code::FailedPrecondition => {
                details.add_precondition_failure_violation(facts.code, "", message);
            }
            _ => {}
        }
        let mut status = Self::with_error_details(facts.grpc, message, details);
        if error.is_replayed() {
            status.metadata_mut().insert("idempotent-replayed", MetadataValue::from_static("true"));
        }
        if let Some(wait) = error.wait() {
            // Rounded up, so that a retry is not too early.
            let seconds = wait.as_millis().div_ceil(1000).max(1).to_string();
            if let Some((name, quota)) = error.limit() {
                let policy = format!("\"{name}\";q={};w={}", quota.requests, quota.window.as_millis().div_ceil(1000));
                status.metadata_mut().insert("ratelimit-policy", policy.parse().expect("letters and digits"));
                let state = format!("\"{name}\";r=0;t={seconds}");
                status.metadata_mut().insert("ratelimit", state.parse().expect("letters and digits"));
            }
            status.metadata_mut().insert("retry-after", seconds.parse().expect("digits"));
        }
        if facts.http == StatusCode::UNAUTHORIZED {
            status.metadata_mut().insert("www-authenticate", challenge(&error).parse().expect("ASCII"));
        }
        status
    }
}

fn shortened(text: &str) -> &str {
    text.char_indices().nth(MAX_TEXT_CHARS).map_or(text, |(end, _)| &text[..end])
}

/// Returns the `WWW-Authenticate` challenge (RFC 6750, section 3; RFC 9470, section 3).
fn challenge(error: &Error) -> String {
    let is = |reasons: &[Reason]| reasons.iter().any(|reason| error.reason() == *reason);
    if is(&[Reason::ReauthenticationRequired]) {
        let max_age = error.metadata().find(|(key, _)| *key == "maxAgeSeconds").map_or("0", |(_, seconds)| seconds);
        return format!(r#"Bearer error="insufficient_user_authentication", max_age={max_age}"#);
    }
    let is_token_refused = is(&[Reason::InvalidToken, Reason::TokenExpired, Reason::SessionRevoked]);
    if is_token_refused { r#"Bearer error="invalid_token""# } else { "Bearer" }.to_owned()
}

/// Records the causes for the request's log line; outside a request, or if others are recorded already, logs a separate line.
fn log(error: &Error, code: &'static str, http: StatusCode) {
    let cause = error.source().map(|source| format!("{source:#}"));
    let backtrace = error.backtrace().map(backtrace::render);
    let failure = Failure { code, cause, backtrace };
    let Err(Failure { code, cause, backtrace }) = context::fail(failure) else { return };
    if http.is_server_error() {
        tracing::error!(code, cause, backtrace, "a call failed");
    } else {
        tracing::info!(code, cause, "a call was refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_of_a_request_are_shortened_in_a_status() {
        let long = "\u{e4}".repeat(100_000);
        let error = Error::with_message(Reason::ValidationFailed, long.clone()).with("name", long.clone());
        let status = Status::from(error.about(vec![(long.clone(), long)]));
        assert_eq!(status.message().chars().count(), MAX_TEXT_CHARS);
        let details = status.get_error_details();
        let violation = &details.bad_request().expect("a field").field_violations[0];
        let info = details.error_info().expect("a reason");
        for text in [&violation.field, &violation.description, &info.metadata["name"]] {
            assert_eq!(text.chars().count(), MAX_TEXT_CHARS);
        }
    }
}
