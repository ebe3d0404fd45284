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
    let mut out = Vec::with_capacity(message.len() * 2 + 128);
    put_json(codec, plan, form.printed(), &message, &mut out)?;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(full_body(out.into()))
}

/// Builds a body of known length.
pub(crate) fn full_body(bytes: Bytes) -> Body {
    if bytes.is_empty() { Body::empty() } else { Body::new(Full::new(bytes)) }
}
