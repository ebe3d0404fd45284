//! Responses: one message as a document, or a stream as NDJSON, server-sent events or raw bytes.

mod messages;
mod render;
mod streaming;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::Body as HttpBody;
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;

use crate::BoxError;
use crate::json::{Codec, EnumFormat, FieldSet, Printed};
use crate::media_type::Format;
use crate::plan::Plan;

pub(crate) use messages::Messages;
use render::{http_body, put_json};
pub(crate) use streaming::streaming;

/// From how many bytes on a message is kept in no more memory than it needs.
const LARGE: usize = 64 << 10;

/// What a response looks like.
#[derive(Clone, Debug)]
pub(crate) struct ResponseForm {
    pub(crate) format: Format,
    pub(crate) enums: EnumFormat,
    pub(crate) fields: FieldSet,
}

impl ResponseForm {
    fn printed(&self) -> Printed<'_> {
        Printed { enums: self.enums, fields: &self.fields }
    }
}

/// Reads and renders the one message.
///
/// # Errors
/// The upstream's status, or an error if the message has no JSON.
pub(crate) async fn unary<B>(
    codec: &Codec,
    plan: &Plan,
    form: &ResponseForm,
    messages: Messages<B>,
    headers: &mut HeaderMap,
) -> Result<Body, Status>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let message = messages.only().await?;
    if form.format == Format::Raw {
        let (content_type, data) = http_body(codec, plan, &message)?;
        headers.insert(header::CONTENT_TYPE, content_type);
        return Ok(full_body(data));
    }
    // Field names take more room than the texts in small messages, and next to none in large ones.
    let is_large = message.len() > LARGE;
    let names = if is_large { message.len() / 8 } else { message.len() + 128 };
    let mut out = Vec::with_capacity(message.len() + names);
    put_json(codec, plan, form.printed(), &message, &mut out)?;
    // What the document does not fill is kept as long as it, and its reader may take long.
    if is_large && out.capacity() - out.len() > out.len() / 8 {
        out.shrink_to_fit();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(full_body(out.into()))
}

/// Builds a body of known length.
pub(crate) fn full_body(bytes: Bytes) -> Body {
    if bytes.is_empty() { Body::empty() } else { Body::new(Full::new(bytes)) }
}
