//! Renders one message for the client: as JSON, or as the bytes of a `google.api.HttpBody`.

use bytes::Bytes;
use http::HeaderValue;
use tonic::Status;

use crate::json::{Codec, FieldId, MessageId, PrintOptions, WriteError, write_field, write_message};
use crate::plan::Plan;
use crate::wire::{Reader, Value};

/// Appends the JSON of a message, or of the field that is the response body.
pub(super) fn put_json(
    codec: &Codec,
    plan: &Plan,
    options: PrintOptions<'_>,
    message: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Status> {
    let result = match plan.response_body {
        Some(field) => write_field(codec, plan.output, field, options, message, out),
        None => write_message(codec, plan.output, options, message, out),
    };
    result.map_err(|error| not_json(&error))
}

fn not_json(error: &WriteError) -> Status {
    Status::internal(format!("the upstream's message has no JSON: {error}"))
}

/// Returns the media type and the bytes of a `google.api.HttpBody`, sliced from the message without a copy.
pub(super) fn http_body(codec: &Codec, plan: &Plan, message: &Bytes) -> Result<(HeaderValue, Bytes), Status> {
    let mut body = &message[..];
    if let Some(field) = plan.response_body {
        body = last_value(codec, plan.output, field, message)?;
    }
    let (mut content_type, mut data) = (&b""[..], &b""[..]);
    let mut reader = Reader::new(body);
    while let Some((number, value)) = reader.field().map_err(|error| not_json(&error.into()))? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => content_type = bytes,
            (2, Value::Bytes(bytes)) => data = bytes,
            _ => {}
        }
    }
    let content_type = HeaderValue::from_bytes(content_type).ok().filter(|value| !value.is_empty());
    let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    // `slice_ref` requires a part of the message's memory, which an empty field is not.
    let data = if data.is_empty() { Bytes::new() } else { message.slice_ref(data) };
    Ok((content_type, data))
}

/// Returns the encoded message in a singular field; empty if the field is absent.
fn last_value<'a>(codec: &Codec, output: MessageId, field: FieldId, message: &'a [u8]) -> Result<&'a [u8], Status> {
    let number = codec.message(output).fields[usize::from(field)].number;
    let mut reader = Reader::new(message);
    let mut last = &b""[..];
    while let Some((current, value)) = reader.field().map_err(|error| not_json(&error.into()))? {
        if let (true, Value::Bytes(bytes)) = (current == number, value) {
            last = bytes;
        }
    }
    Ok(last)
}
