//! Error reasons: machine-readable causes of failures, with their meaning for a caller.
//!
//! [`Reason`] is the enum of the machinery; a module declares another one in its contract. `mainstay-build` generates
//! the [`Facts`] of each value, and the [`Catalogue`] of all reasons is read from the descriptor set.

mod catalogue;

use std::fmt;

use http::StatusCode;
use tonic::Code;

use crate::contract::proto::error::v1 as pb;

pub use catalogue::Catalogue;
pub use pb::Reason;

/// The meaning of a reason for a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The reason in `error.code`, without the prefix of the enum; unique in a contract.
    pub code: &'static str,
    /// The `domain` of `google.rpc.ErrorInfo`: the module that defines the reason ([`domain`]).
    pub domain: &'static str,
    /// The gRPC code.
    pub grpc: Code,
    /// The HTTP status.
    pub http: StatusCode,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Whether the error may be stored under an idempotency key.
    pub storable: bool,
    /// A human-readable summary, one sentence; the default message of an error.
    pub summary: &'static str,
}

impl Facts {
    /// Returns the facts of an enum's zero value. An error must not carry it, and it maps to an internal error.
    pub const fn unspecified(package: &'static str) -> Self {
        Self {
            code: "UNSPECIFIED",
            domain: domain(package),
            grpc: Code::Internal,
            http: StatusCode::INTERNAL_SERVER_ERROR,
            retryable: false,
            storable: false,
            summary: "An internal error occurred; the request id identifies it in the logs.",
        }
    }
}

/// A reason with facts: a value of a generated enum, or a [`ReasonRef`].
pub trait Catalogued: Copy {
    /// Returns the meaning of this reason for a caller.
    fn facts(self) -> &'static Facts;
}

/// A type-erased reason. It compares equal to the enum value that it refers to.
#[derive(Clone, Copy)]
pub struct ReasonRef(&'static Facts);

impl ReasonRef {
    /// Refers to a reason.
    pub fn new(reason: impl Catalogued) -> Self {
        Self(reason.facts())
    }

    /// Returns the meaning of this reason for a caller.
    pub fn facts(self) -> &'static Facts {
        self.0
    }
}

impl Catalogued for ReasonRef {
    fn facts(self) -> &'static Facts {
        self.0
    }
}

impl<R: Catalogued> PartialEq<R> for ReasonRef {
    fn eq(&self, other: &R) -> bool {
        let other = other.facts();
        std::ptr::eq(self.0, other) || (self.0.code == other.code && self.0.domain == other.domain)
    }
}

impl Eq for ReasonRef {}

impl fmt::Debug for ReasonRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.domain, self.0.code)
    }
}

impl Reason {
    /// Returns the meaning of this reason for a caller.
    pub fn facts(self) -> &'static Facts {
        Catalogued::facts(self)
    }

    /// Returns the reason of the machinery with this `error.code`; the [`Catalogue`] also has those of modules.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::from_str_name(&format!("REASON_{code}")).filter(|reason| *reason != Self::Unspecified)
    }

    /// Returns the closest reason for a gRPC code without one, such as in errors of tonic.
    pub fn from_grpc(code: Code) -> Self {
        match code {
            Code::Cancelled => Self::ClientClosedRequest,
            Code::InvalidArgument => Self::MalformedRequest,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::PermissionDenied => Self::PermissionDenied,
            // tonic returns OUT_OF_RANGE for a message beyond its decoding limit.
            Code::OutOfRange | Code::ResourceExhausted => Self::PayloadTooLarge,
            Code::FailedPrecondition => Self::BusinessRuleViolation,
            Code::Aborted => Self::Conflict,
            Code::Unimplemented => Self::RouteNotFound,
            Code::Unavailable => Self::Unavailable,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => Self::InternalError,
        }
    }
}

/// Returns the domain of the reasons of a protobuf package: its name without the version and without a last part
/// `error`. `mainstay.error.v1` → `mainstay`, `mainstay.support.v1` → `mainstay.support`, `fleet.v1` → `fleet`.
pub const fn domain(package: &'static str) -> &'static str {
    let (parent, last) = split_last(package);
    let unversioned = if let [b'v', b'0'..=b'9', ..] = last.as_bytes() { parent } else { package };
    let (parent, last) = split_last(unversioned);
    if matches!(last.as_bytes(), b"error") && !parent.is_empty() { parent } else { unversioned }
}

const fn split_last(name: &'static str) -> (&'static str, &'static str) {
    let mut at = name.len();
    while at > 0 {
        at -= 1;
        if name.as_bytes()[at] == b'.' {
            return (name.split_at(at).0, name.split_at(at + 1).1);
        }
    }
    ("", name)
}

/// Returns the gRPC code with a number; for generated code.
pub const fn grpc(number: i32) -> Code {
    Code::from_i32(number)
}

/// Returns the HTTP status with a number; for generated code.
///
/// # Panics
/// At compile time, if the number is not a status.
pub const fn http(number: u16) -> StatusCode {
    match StatusCode::from_u16(number) {
        Ok(status) => status,
        Err(_) => panic!("an HTTP status has three digits"),
    }
}

include!(concat!(env!("OUT_DIR"), "/reasons.rs"));
