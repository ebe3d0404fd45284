//! The service's error type: a [reason](Catalogued) from the catalogue, a message for the caller, a source for the log.
//!
//! The two texts are separate fields and the error has no `Display`, so that formatting can't leak internal details.
//! [`contract::status`](crate::contract::status) converts it to a gRPC status, and `http::middleware::envelope` to a
//! REST response.

use std::{backtrace::Backtrace, borrow::Cow, time::Duration};

use crate::config::Quota;
use crate::contract::proto::error::v1 as pb;
use crate::contract::reason::Catalogue;
pub use crate::contract::reason::{Catalogued, Reason, ReasonRef};
use crate::telemetry::backtrace;

/// The result of an operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of a request.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    reason: ReasonRef,
    message: Cow<'static, str>,
    fields: Vec<(String, String)>,
    metadata: Vec<(Cow<'static, str>, String)>,
    retry_after: Option<Duration>,
    limit: Option<(&'static str, Quota)>,
    source: Option<anyhow::Error>,
    backtrace: Option<Box<Backtrace>>,
    replayed: bool,
}

impl Error {
    /// Creates an error with the catalogue's message.
    pub fn new(reason: impl Catalogued) -> Self {
        Self::with_message(reason, reason.facts().summary)
    }

    /// Creates an error with a specific message, which is shown to the caller.
    pub fn with_message(reason: impl Catalogued, message: impl Into<Cow<'static, str>>) -> Self {
        let reason = ReasonRef::new(reason);
        // All other statuses are expected outcomes.
        let is_defect = reason.facts().http == http::StatusCode::INTERNAL_SERVER_ERROR;
        Self(Box::new(Inner {
            reason,
            message: message.into(),
            fields: Vec::new(),
            metadata: Vec::new(),
            retry_after: None,
            limit: None,
            source: None,
            backtrace: is_defect.then(backtrace::capture).flatten(),
            replayed: false,
        }))
    }

    /// Reads a stored error; it is an `INTERNAL_ERROR` if the catalogue does not have its reason any more.
    pub fn stored(catalogue: &Catalogue, proto: pb::Error) -> Self {
        let reason = catalogue.find(&proto.code).unwrap_or_else(|| ReasonRef::new(Reason::InternalError));
        let mut error = Self::with_message(reason, proto.message);
        error.0.fields = proto.fields.into_iter().map(|field| (field.field, field.message)).collect();
        error.0.metadata = proto.metadata.into_iter().map(|entry| (entry.key.into(), entry.value)).collect();
        error
    }

    /// Creates an `INTERNAL_ERROR`. `source` is logged and not shown to the caller.
    pub fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self::new(Reason::InternalError).caused_by(source)
    }

    /// Creates an `UNAVAILABLE` for a failed dependency. The caller may retry after a second.
    pub fn unavailable(source: impl Into<anyhow::Error>) -> Self {
        Self::new(Reason::Unavailable).caused_by(source).retry_after(Duration::from_secs(1))
    }

    /// Creates a `RATE_LIMIT_EXCEEDED` for a named limit with a quota. The caller may retry after `wait`.
    pub fn limited(name: &'static str, quota: Quota, wait: Duration) -> Self {
        let mut error = Self::new(Reason::RateLimitExceeded).retry_after(wait).with("policy", name);
        error.0.limit = Some((name, quota));
        error
    }

    /// Creates a `NOT_FOUND`: the resource does not exist, or the caller has no access to it.
    pub fn not_found(what: &'static str) -> Self {
        Self::with_message(Reason::NotFound, format!("There is no such {what}."))
    }

    /// Creates a `BUSINESS_RULE_VIOLATION`: the current state does not allow the request.
    pub fn rule(message: impl Into<Cow<'static, str>>) -> Self {
        Self::with_message(Reason::BusinessRuleViolation, message)
    }

    /// Creates a `VALIDATION_FAILED` that names every invalid field.
    pub fn validation(fields: Vec<(String, String)>) -> Self {
        Self::new(Reason::ValidationFailed).about(fields)
    }

    /// Creates a `VALIDATION_FAILED` for one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::validation(vec![(field.into(), message.into())])
    }

    /// Sets the fields that the error is about.
    #[must_use]
    pub fn about(mut self, fields: Vec<(String, String)>) -> Self {
        self.0.fields = fields;
        self
    }

    /// Adds machine-readable metadata, such as the code of a declined card. The key is written in camelCase (AIP-193).
    /// An empty value is dropped, because Envoy's JSON writer fails on one.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.0.metadata.push((key.into(), value));
        }
        self
    }

    /// Sets the cause, which is only logged.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sets the time that the caller should wait before a retry.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Marks the error as the stored response of an earlier request.
    #[must_use]
    pub fn replayed(mut self) -> Self {
        self.0.replayed = true;
        self
    }

    /// Returns whether the error is the stored response of an earlier request.
    pub fn is_replayed(&self) -> bool {
        self.0.replayed
    }

    /// Returns the reason, which can be compared with any enum of reasons.
    pub fn reason(&self) -> ReasonRef {
        self.0.reason
    }

    /// Returns the message for the caller.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the invalid fields, each with its fault.
    pub fn fields(&self) -> &[(String, String)] {
        &self.0.fields
    }

    /// Returns the metadata by key.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.metadata.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Returns whether a business rule was violated. The same request fails again until the state changes.
    pub fn is_rule(&self) -> bool {
        self.reason().facts().grpc == tonic::Code::FailedPrecondition
    }

    /// Returns whether a dependency could not be reached, so that its answer is unknown.
    pub fn is_unavailable(&self) -> bool {
        [Reason::Unavailable, Reason::DeadlineExceeded].iter().any(|reason| self.reason() == *reason)
    }

    /// Returns the time that the caller should wait before a retry.
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the name and the quota of the exceeded limit, except for limits of the middleware.
    pub fn limit(&self) -> Option<(&'static str, Quota)> {
        self.0.limit
    }

    /// Returns the cause, for the log.
    pub fn source(&self) -> Option<&anyhow::Error> {
        self.0.source.as_ref()
    }

    /// Returns the backtrace of a defect, for the log.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.0.backtrace.as_deref()
    }

    /// Returns the reason with its causes, for logs and for records that operators read. NUL characters are replaced,
    /// because Postgres can't store them and a cause may quote a caller's input.
    #[must_use]
    pub fn detail(&self) -> String {
        let cause = self.source().map(|source| format!(": {source:#}")).unwrap_or_default();
        format!("{}{cause}", self.reason().facts().code).replace('\0', "\u{fffd}")
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl<R: Catalogued> From<R> for Error {
    fn from(reason: R) -> Self {
        Self::new(reason)
    }
}

impl From<&Error> for pb::Error {
    fn from(error: &Error) -> Self {
        let facts = error.reason().facts();
        let field =
            |(field, message): &(String, String)| pb::FieldError { field: field.clone(), message: message.clone() };
        Self {
            code: facts.code.to_owned(),
            message: error.message().to_owned(),
            fields: error.fields().iter().map(field).collect(),
            metadata: error
                .metadata()
                .map(|(key, value)| pb::ErrorMetadata { key: key.to_owned(), value: value.to_owned() })
                .collect(),
            request_id: crate::context::request_id().map(|id| id.to_string()).unwrap_or_default(),
            retryable: facts.retryable,
        }
    }
}
