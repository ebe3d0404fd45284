//! The one error of the house: a [`Reason`] of the catalogue, what the caller is told, and what the log is told.
//!
//! The two texts are separate fields and the error has no `Display`, so that nothing internal can leak by formatting
//! it. How it becomes a status and an envelope is decided in one place, `perimeter::answer`.

use std::{borrow::Cow, time::Duration};

pub use crate::contract::Reason;
use crate::contract::proto::error::v1 as pb;

/// What an operation answers with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request failed.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    reason: Reason,
    message: Cow<'static, str>,
    fields: Vec<(String, String)>,
    retry_after: Option<Duration>,
    source: Option<anyhow::Error>,
    replayed: bool,
}

impl Error {
    /// An error with the catalogue's own sentence.
    pub fn new(reason: Reason) -> Self {
        Self::with_message(reason, Cow::Borrowed(reason.facts().summary.as_str()))
    }

    /// An error with a sentence of its own, which the caller will read.
    pub fn with_message(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            reason,
            message: message.into(),
            fields: Vec::new(),
            retry_after: None,
            source: None,
            replayed: false,
        }))
    }

    /// Something failed inside. The caller is told nothing of `source`; the log is.
    pub fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self::new(Reason::InternalError).caused_by(source)
    }

    /// A part is away. The caller may retry after a second.
    pub fn unavailable(source: impl Into<anyhow::Error>) -> Self {
        Self::new(Reason::Unavailable).caused_by(source).retry_after(Duration::from_secs(1))
    }

    /// There is no such resource, or it is somebody else's.
    pub fn not_found(what: &'static str) -> Self {
        Self::with_message(Reason::NotFound, format!("There is no such {what}."))
    }

    /// The state does not allow it.
    pub fn rule(message: impl Into<Cow<'static, str>>) -> Self {
        Self::with_message(Reason::BusinessRuleViolation, message)
    }

    /// Fields break their rules.
    pub fn validation(fields: Vec<(String, String)>) -> Self {
        Self::new(Reason::ValidationFailed).about(fields)
    }

    /// One field breaks its rules.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::validation(vec![(field.into(), message.into())])
    }

    /// Adds which fields it is about.
    #[must_use]
    pub fn about(mut self, fields: Vec<(String, String)>) -> Self {
        self.0.fields = fields;
        self
    }

    /// Adds what the log is told.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds how long the caller should wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Marks it as the stored answer of an earlier request.
    #[must_use]
    pub fn replayed(mut self) -> Self {
        self.0.replayed = true;
        self
    }

    /// Whether it is the stored answer of an earlier request.
    pub fn is_replayed(&self) -> bool {
        self.0.replayed
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// What the caller is told.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What is wrong with which field.
    pub fn fields(&self) -> &[(String, String)] {
        &self.0.fields
    }

    /// How long the caller should wait.
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What the log is told.
    pub fn source(&self) -> Option<&anyhow::Error> {
        self.0.source.as_ref()
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
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
            request_id: crate::context::request_id().map(|id| id.to_string()).unwrap_or_default(),
            retryable: facts.retryable,
        }
    }
}

impl From<pb::Error> for Error {
    fn from(stored: pb::Error) -> Self {
        let reason = Reason::from_code(&stored.code).unwrap_or(Reason::InternalError);
        let mut error = Self::with_message(reason, stored.message);
        error.0.fields = stored.fields.into_iter().map(|field| (field.field, field.message)).collect();
        error
    }
}
