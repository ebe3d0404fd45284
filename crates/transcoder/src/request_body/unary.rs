//! The body of a unary call, as one message.

use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;

use super::{content_type, read_failure};
use crate::BoxError;
use crate::bindings::Query;
use crate::dialect::{Dialect, Failure, RequestHead};
use crate::frame;
use crate::plan::Plan;
use crate::shared::Shared;

/// Reads the whole request as one framed message.
///
/// # Errors
/// An error if the body is too long, incomplete, late, or not the message.
pub(crate) async fn unary<B, D: Dialect>(
    shared: &Shared<D>,
    plan: &Plan,
    head: &RequestHead,
    query: &Query,
    body: B,
) -> Result<Body, Failure>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut message;
    if plan.has_body() {
        let bytes = read_to_end(body, shared.dialect.max_body_bytes(&plan.route.method));
        // Read before the upstream is called, so the upstream's deadline does not apply.
        let bytes = tokio::time::timeout(shared.limits.request_body_timeout, bytes).await;
        let bytes = bytes.unwrap_or_else(|_| Err(timed_out()))?;
        message = frame::begin(bytes.len() + 64);
        if plan.raw_body {
            plan.put_raw(&shared.codec, content_type(head), &bytes, &mut message);
        } else {
            plan.put_json(&shared.codec, &bytes, &mut message)?;
        }
    } else {
        message = frame::begin(64);
    }
    plan.put_bindings(&shared.codec, query, head.uri.path(), frame::PREFIX_BYTES, &mut message)?;
    frame::finish(message).map(|frame| Body::new(Full::new(frame))).map_err(Failure::Upstream)
}

async fn read_to_end<B>(body: B, max_bytes: usize) -> Result<Bytes, Failure>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(Failure::PayloadTooLarge { max_bytes });
    }
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut joined = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| read_failure(error, max_bytes))?.into_data() else { continue };
        if first.len() + joined.len() + data.len() > max_bytes {
            return Err(Failure::PayloadTooLarge { max_bytes });
        }
        // Most bodies arrive in one piece, which is used without a copy.
        if first.is_empty() && joined.is_empty() {
            first = data;
        } else {
            if joined.is_empty() {
                joined.extend_from_slice(&std::mem::take(&mut first));
            }
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.into() })
}

fn timed_out() -> Failure {
    Failure::Malformed { field: None, message: "the body took too long to arrive".to_owned() }
}
