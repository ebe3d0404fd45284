//! Responses: one message as a document, or a stream as NDJSON, server-sent events or raw bytes.

mod messages;
mod render;
mod streaming;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::Body as HttpBody;
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;

use crate::BoxError;
use crate::dialect::Dialect;
use crate::json::{EnumFormat, FieldSet, PrintOptions};
use crate::media_type::Format;
use crate::shared::Shared;

pub(crate) use messages::Messages;
use render::{http_body, put_json};
pub(crate) use streaming::streaming;

/// The message size in bytes from which the unused capacity of the JSON is released before it is sent.
const SHRINK_MIN_BYTES: usize = 64 << 10;
/// The message size in bytes from which JSON is written on a blocking thread. Writing takes a fraction of a
/// millisecond, which would delay the other tasks of this thread; the change of threads costs a tenth of it.
const BLOCKING_MIN_BYTES: usize = 256 << 10;

/// The form of a response.
#[derive(Clone, Debug)]
pub(crate) struct ResponseForm {
    pub(crate) format: Format,
    pub(crate) enums: EnumFormat,
    pub(crate) fields: FieldSet,
}

impl ResponseForm {
    fn print_options(&self) -> PrintOptions<'_> {
        PrintOptions { enums: self.enums, fields: &self.fields }
    }
}

/// Reads and renders the one message.
///
/// # Errors
/// The upstream's status, or an error if the message has no JSON.
pub(crate) async fn unary<B, D: Dialect>(
    shared: &Arc<Shared<D>>,
    plan_index: usize,
    form: ResponseForm,
    messages: Messages<B>,
    headers: &mut HeaderMap,
) -> Result<Body, Status>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let message = messages.only().await?;
    if form.format == Format::Raw {
        let (content_type, data) = http_body(&shared.codec, &shared.plans[plan_index], &message)?;
        headers.insert(header::CONTENT_TYPE, content_type);
        return Ok(full_body(data));
    }
    let json = if message.len() < BLOCKING_MIN_BYTES {
        document(shared, plan_index, &form, &message)?
    } else {
        let shared = shared.clone();
        let result = tokio::task::spawn_blocking(move || document(&shared, plan_index, &form, &message)).await;
        result.map_err(|error| Status::internal(format!("the message was not written: {error}")))??
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(full_body(json))
}

/// Writes a message as JSON.
fn document<D>(shared: &Shared<D>, plan_index: usize, form: &ResponseForm, message: &[u8]) -> Result<Bytes, Status> {
    // In small messages, field names take more space than the texts; in large ones, their share is negligible.
    let is_large = message.len() > SHRINK_MIN_BYTES;
    let names = if is_large { message.len() / 8 } else { message.len() + 128 };
    let mut out = Vec::with_capacity(message.len() + names);
    put_json(&shared.codec, &shared.plans[plan_index], form.print_options(), message, &mut out)?;
    // A slow reader retains the whole allocation, including unused capacity.
    if is_large && out.capacity() - out.len() > out.len() / 8 {
        out.shrink_to_fit();
    }
    Ok(out.into())
}

/// Builds a body of known length.
pub(crate) fn full_body(bytes: Bytes) -> Body {
    if bytes.is_empty() { Body::empty() } else { Body::new(Full::new(bytes)) }
}
