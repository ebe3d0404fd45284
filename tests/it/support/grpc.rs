//! Calls any method over gRPC from JSON, using only its descriptor.

use mainstay_kernel::error::ReasonRef;
use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::stream;
use mainstay_kernel::contract::Method;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, SerializeOptions};
use serde_json::{Value, json};
use tonic::{
    Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::{KeyAndValueRef, MetadataMap},
    transport::Channel,
};
use tonic_types::StatusExt as _;

use super::{Response, modules};

/// Calls `method` with a message, or with each message of an array if the method takes a stream.
pub(crate) async fn call(channel: Channel, method: &Method, request: &Value, headers: &[(String, String)]) -> Response {
    let streamed = method.descriptor.is_client_streaming();
    let messages = match request {
        Value::Array(items) if streamed => items.clone(),
        one => vec![one.clone()],
    };
    let mask: Option<Vec<String>> =
        request["readMask"].as_str().map(|mask| mask.split(',').map(str::to_owned).collect());
    let encoded: Vec<Bytes> = messages.iter().map(|message| encode(method, message)).collect();
    let mut request = Request::new(stream::iter(encoded));
    for (name, value) in headers {
        let name: tonic::metadata::AsciiMetadataKey = name.parse().expect("a metadata name");
        request.metadata_mut().append(name, value.parse().expect("a metadata value"));
    }
    match exchange(channel, method, request).await {
        Ok((metadata, messages)) => {
            let mut answer = success(method, &metadata, messages);
            if let Some(mask) = mask {
                let mask: Vec<_> = mask.iter().map(String::as_str).collect();
                remove_defaults(&mut answer.body["data"], &mask);
            }
            answer
        }
        Err(status) => read_error(&status),
    }
}

/// Removes fields outside the mask that have default values. On the wire such a field is absent, and only the mask
/// distinguishes absence from the default.
fn remove_defaults(value: &mut Value, mask: &[&str]) {
    let is_default = |value: &Value| match value {
        Value::String(text) => text.is_empty() || text == "0" || text.ends_with("_UNSPECIFIED"),
        Value::Array(items) => items.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        other => *other == Value::Bool(false),
    };
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| remove_defaults(item, mask)),
        Value::Object(fields) => fields.retain(|name, value| {
            let within: Vec<_> =
                mask.iter().filter_map(|path| path.strip_prefix(name.as_str())?.strip_prefix('.')).collect();
            if !within.is_empty() {
                remove_defaults(value, &within);
            }
            !is_default(value) || !within.is_empty() || mask.contains(&name.as_str()) || mask.contains(&"*")
        }),
        _ => {}
    }
}

/// On the wire, every kind of call is a bidirectional stream.
async fn exchange<S>(
    channel: Channel,
    method: &Method,
    request: Request<S>,
) -> Result<(MetadataMap, Vec<Bytes>), Status>
where
    S: futures_util::Stream<Item = Bytes> + Send + 'static,
{
    let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(64 << 20);
    grpc.ready().await.map_err(|error| Status::unavailable(format!("not connected: {error:?}")))?;
    let path = method.path.parse().expect("a path");
    let response = grpc.streaming(request, path, Raw).await?;
    let (metadata, mut stream, _) = response.into_parts();
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await? {
        messages.push(message);
    }
    Ok((metadata, messages))
}

pub(crate) fn encode(method: &Method, message: &Value) -> Bytes {
    let input = method.descriptor.input();
    let message = DynamicMessage::deserialize(input, message);
    message.unwrap_or_else(|error| panic!("{}: {error}", method.name)).encode_to_vec().into()
}

/// The messages of a stream, while they arrive.
pub(crate) struct Messages {
    method: &'static Method,
    stream: tonic::Streaming<Bytes>,
}

/// Calls a method that streams its response; fails with the code of the reason.
pub(crate) async fn open(
    channel: Channel,
    method: &'static Method,
    request: &Value,
    headers: &[(String, String)],
) -> Result<Messages, String> {
    let mut grpc_request = Request::new(stream::iter([encode(method, request)]));
    for (name, value) in headers {
        let name: tonic::metadata::AsciiMetadataKey = name.parse().expect("a metadata name");
        grpc_request.metadata_mut().append(name, value.parse().expect("a metadata value"));
    }
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| format!("not connected: {error:?}"))?;
    let response = grpc.streaming(grpc_request, method.path.parse().expect("a path"), Raw).await;
    Ok(Messages { method, stream: response.map_err(|status| read_error(&status).reason)?.into_inner() })
}

impl Messages {
    /// Waits for the next message; fails with the code of the reason.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, String> {
        let message = self.stream.message().await.map_err(|status| read_error(&status).reason)?;
        Ok(message.map(|message| decode(self.method, &message)))
    }
}

/// JSON from prost-reflect's writer, which is independent of the app's own.
fn decode(method: &Method, message: &Bytes) -> Value {
    let message = DynamicMessage::decode(method.descriptor.output(), message.clone()).expect("the method's message");
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).expect("JSON")
}

fn success(method: &Method, metadata: &MetadataMap, messages: Vec<Bytes>) -> Response {
    let headers = ascii_headers(metadata);
    if let Some(body) = raw(method, &messages) {
        let status = messages.first().and_then(|message| method.success(message));
        let status = status.map_or(200, |success| success.status.as_u16());
        let body = if status == 204 { Value::Null } else { body };
        return Response { status, reason: String::new(), headers, body };
    }
    if method.descriptor.is_server_streaming() {
        let body = messages.iter().map(|message| decode(method, message)).collect();
        return Response { status: 200, reason: String::new(), headers, body };
    }
    let message = messages.first().expect("one message");
    let status = method.success(message).map_or(200, |success| success.status.as_u16());
    let body = if status == 204 { Value::Null } else { decode(method, message) };
    Response { status, reason: String::new(), headers, body }
}

/// Returns a raw body as it is over REST: JSON, or the text of a file that is sent in chunks.
fn raw(method: &Method, messages: &[Bytes]) -> Option<Value> {
    let is_raw = |field: &FieldDescriptor| {
        field.kind().as_message().is_some_and(|message| message.full_name() == "google.api.HttpBody")
    };
    let field = method.descriptor.output().fields().find(is_raw)?;
    let name = field.json_name();
    // An absent body has no piece.
    let piece =
        |message: &Bytes| BASE64_STANDARD.decode(decode(method, message)[name]["data"].as_str().unwrap_or_default());
    let bytes: Vec<u8> = messages.iter().flat_map(|message| piece(message).expect("base64")).collect();
    let text = String::from_utf8(bytes).expect("UTF-8");
    Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn read_error(status: &Status) -> Response {
    let details = status.get_error_details();
    let info = details.error_info();
    let code =
        info.map_or_else(|| format!("no reason ({:?}: {})", status.code(), status.message()), |i| i.reason.clone());
    let facts = modules().contract.catalogue.find(&code).map(ReasonRef::facts);
    if let (Some(facts), Some(info)) = (facts, info) {
        assert_eq!(info.domain, facts.domain, "the domain of {code} is not its module's");
        assert_eq!(status.code(), facts.grpc, "the gRPC code of {code} is not the one in its facts");
    }
    let fields: BTreeMap<_, _> = details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|v| (v.field.clone(), v.description.clone())).collect())
        .unwrap_or_default();
    let body = json!({ "error": {
        "code": code,
        "message": status.message(),
        "fields": fields,
        "requestId": details.request_info().map(|info| info.request_id.clone()).unwrap_or_default(),
        "retryable": facts.is_some_and(|facts| facts.retryable),
        "metadata": info.map(|info| info.metadata.iter().collect::<BTreeMap<_, _>>()).unwrap_or_default(),
    } });
    let status_code = facts.map_or(0, |facts| facts.http.as_u16());
    Response { status: status_code, reason: code, headers: ascii_headers(status.metadata()), body }
}

fn ascii_headers(metadata: &MetadataMap) -> BTreeMap<String, String> {
    let ascii = metadata.iter().filter_map(|entry| match entry {
        KeyAndValueRef::Ascii(name, value) => Some((name.to_string(), value.to_str().ok()?.to_owned())),
        KeyAndValueRef::Binary(..) => None,
    });
    ascii.collect()
}

/// A codec that passes messages through as bytes.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}
