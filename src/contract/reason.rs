//! The error catalogue: the facts of every [`Reason`], read once from the options of the enum.

use std::sync::LazyLock;

use http::StatusCode;
use prost_reflect::{DynamicMessage, Value};

use super::{DESCRIPTORS, proto::error::v1 as pb};

pub use pb::Reason;

/// What a reason means to a caller.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The reason as in `error.code`, without the enum's prefix.
    pub code: &'static str,
    /// The gRPC code.
    pub grpc: tonic::Code,
    /// The HTTP status.
    pub http: StatusCode,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Whether the error may be stored under an idempotency key.
    pub storable: bool,
    /// A human-readable summary, one sentence; the default message of an error.
    pub summary: String,
}

const PREFIX: &str = "REASON_";

static FACTS: LazyLock<Vec<Option<Facts>>> = LazyLock::new(|| {
    let catalogue = DESCRIPTORS.get_enum_by_name("mainstay.error.v1.Reason").expect("the catalogue is compiled in");
    let mut facts = Vec::new();
    for value in catalogue.values() {
        let number = usize::try_from(value.number()).expect("reasons are not negative");
        if facts.len() <= number {
            facts.resize(number + 1, None);
        }
        facts[number] = option(&value.options(), "mainstay.error.v1.facts").map(|raw| Facts::new(value.number(), raw));
    }
    facts
});

impl Facts {
    fn new(number: i32, raw: pb::ReasonFacts) -> Self {
        let reason = Reason::try_from(number).expect("a value of the enum");
        Self {
            code: reason.as_str_name().trim_start_matches(PREFIX),
            grpc: tonic::Code::from_i32(raw.grpc_code),
            http: u16::try_from(raw.http_status)
                .ok()
                .and_then(|s| StatusCode::from_u16(s).ok())
                .expect("an HTTP status"),
            retryable: raw.retryable,
            storable: raw.storable,
            summary: raw.summary,
        }
    }
}

impl Reason {
    /// Returns what this reason means to a caller.
    ///
    /// # Panics
    /// For `REASON_UNSPECIFIED`, which no error may carry.
    pub fn facts(self) -> &'static Facts {
        FACTS[self as usize].as_ref().expect("every reason but the unspecified one has facts")
    }

    /// Returns the reason with this `error.code`.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::from_str_name(&format!("{PREFIX}{code}"))
    }

    /// Returns every reason of the catalogue.
    pub fn all() -> impl Iterator<Item = Self> {
        FACTS
            .iter()
            .enumerate()
            .filter(|(_, facts)| facts.is_some())
            .map(|(number, _)| Self::try_from(number as i32).expect("a value of the enum"))
    }

    /// Returns the closest reason for a gRPC code without one, as in tonic's own errors.
    pub fn from_grpc(code: tonic::Code) -> Self {
        use tonic::Code;
        match code {
            Code::Cancelled => Self::ClientClosedRequest,
            Code::InvalidArgument => Self::MalformedRequest,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::PermissionDenied => Self::PermissionDenied,
            // tonic returns OUT_OF_RANGE for a message over its decoding limit.
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

/// Reads an option value; used for every custom option of the contract.
pub(crate) fn option<M: prost::Message + Default>(options: &DynamicMessage, extension: &str) -> Option<M> {
    let extension = DESCRIPTORS.get_extension_by_name(extension)?;
    if !options.has_extension(&extension) {
        return None;
    }
    match options.get_extension(&extension).into_owned() {
        Value::Message(message) => message.transcode_to().ok(),
        _ => None,
    }
}
