//! Request bodies: read whole for a unary call, or converted to a stream of messages for a streaming one.

mod streaming;
mod unary;

use http::header;
use http_body_util::LengthLimitError;
use tonic::Status;

use crate::BoxError;
use crate::dialect::{Failure, RequestHead};

pub(crate) use streaming::streaming;
pub(crate) use unary::unary;

/// Returns the media type of raw bytes, `application/octet-stream` by default (RFC 9110, section 8.3).
fn content_type(head: &RequestHead) -> &str {
    let value = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or("application/octet-stream")
}

/// Returns the failure of a body that can't be read further, because of an outer layer's limit or refusal, or a broken connection. A
/// refusal is a status with details, which reach the caller.
fn read_failure(error: impl Into<BoxError>, max_bytes: usize) -> Failure {
    let error = error.into();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return Failure::PayloadTooLarge { max_bytes };
        }
        if let Some(status) = error.downcast_ref::<Status>().filter(|status| !status.details().is_empty()) {
            return Failure::Upstream(status.clone());
        }
        cause = error.source();
    }
    Failure::Malformed { field: None, message: "the body ended early".to_owned() }
}
