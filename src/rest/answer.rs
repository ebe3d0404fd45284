//! Responses: one message as a document, or a stream as lines, events or raw bytes.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody};
use tonic::Status;
use tonic::body::Body;

use super::accept::Format;
use super::dialect::{Dialect, Failure, RequestHead};
use super::frame::{self, Deframer};
use super::json::{FieldId, MessageId, Tables, WriteError, write_field, write_one};
use super::wire::{Reader, Value};
use super::{Inner, Plan};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The amount of JSON that is gathered before it is passed on, if the upstream has that much ready.
const BATCH_BYTES: usize = 32 << 10;

/// The upstream's response while it is read.
pub(super) struct Source<B> {
    body: Pin<Box<B>>,
    deframer: Deframer,
    /// A message that was read ahead.
    ahead: Option<Bytes>,
    /// Set when nothing follows.
    outcome: Option<Result<(), Status>>,
}

impl<B> Source<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// # Errors
    /// The status of an upstream that failed without sending a message.
    pub(super) fn new(parts: &http::response::Parts, body: B, max_bytes: usize) -> Result<Self, Status> {
        let outcome = frame::outcome(&parts.headers);
        if let Some(Err(status)) = outcome {
            return Err(status);
        }
        if parts.status != StatusCode::OK {
            return Err(frame::from_http(parts.status));
        }
        Ok(Self { body: Box::pin(body), deframer: Deframer::new(max_bytes), ahead: None, outcome })
    }

    /// Returns the next message, or `None` at the end, with the outcome in `self.outcome`. Cancel-safe.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(message) = self.ahead.take() {
            return Some(message);
        }
        while self.outcome.is_none() {
            match self.deframer.next() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => self.read().await,
                Err(status) => self.outcome = Some(Err(status)),
            }
        }
        None
    }

    /// Returns a message that has already arrived, without waiting.
    fn ready(&mut self) -> Option<Bytes> {
        if self.outcome.is_some() {
            return None;
        }
        match self.deframer.next() {
            Ok(message) => message,
            Err(status) => {
                self.outcome = Some(Err(status));
                None
            }
        }
    }

    async fn read(&mut self) {
        match self.body.frame().await {
            None if self.deframer.is_empty() => {
                self.outcome = Some(Err(Status::unknown("the upstream's answer has no status")));
            }
            None => self.outcome = Some(Err(Status::internal("the upstream's answer ended inside a message"))),
            Some(Err(error)) => self.outcome = Some(Err(Status::from_error(error.into()))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.deframer.push(data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let missing = || Err(Status::unknown("the upstream's trailers have no status"));
                    self.outcome = Some(frame::outcome(&trailers).unwrap_or_else(missing));
                }
            },
        }
    }

    /// Returns the only message of a unary response.
    ///
    /// # Errors
    /// The upstream's status, or an error if it sent no message or several.
    async fn only(&mut self) -> Result<Bytes, Status> {
        let first = self.next().await;
        let second = if first.is_some() { self.next().await } else { None };
        match (self.outcome.take(), first, second) {
            (Some(Err(status)), _, _) => Err(status),
            (_, Some(message), None) => Ok(message),
            (_, None, _) => Err(Status::internal("the upstream answered without a message")),
            (_, _, Some(_)) => Err(Status::internal("the upstream answered a unary call with several messages")),
        }
    }
}

/// Reads and renders the one message.
///
/// # Errors
/// The upstream's status, or an error if the message has no JSON.
pub(super) async fn unary<B>(
    tables: &Tables,
    plan: &Plan,
    format: Format,
    source: &mut Source<B>,
    headers: &mut HeaderMap,
) -> Result<Bytes, Status>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let message = source.only().await?;
    if format == Format::Raw {
        let (content_type, data) = raw(tables, plan, &message)?;
        headers.insert(header::CONTENT_TYPE, content_type);
        return Ok(data);
    }
    let mut out = Vec::with_capacity(message.len() * 2 + 128);
    json(tables, plan, &message, &mut out)?;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(out.into())
}

fn json(tables: &Tables, plan: &Plan, message: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
    let written = match plan.response_body {
        Some(field) => write_field(tables, plan.output, field, message, out),
        None => write_one(tables, plan.output, message, out),
    };
    written.map_err(|error| unwritable(&error))
}

fn unwritable(error: &WriteError) -> Status {
    Status::internal(format!("the upstream's answer has no JSON: {error}"))
}

/// Returns the media type and the bytes of a `google.api.HttpBody`, sliced from the message without a copy.
fn raw(tables: &Tables, plan: &Plan, message: &Bytes) -> Result<(HeaderValue, Bytes), Status> {
    let mut body = &message[..];
    if let Some(field) = plan.response_body {
        body = last_message(tables, plan.output, field, message)?;
    }
    let (mut content_type, mut data) = (&b""[..], &b""[..]);
    let mut reader = Reader::new(body);
    while let Some((number, value)) = reader.field().map_err(|error| unwritable(&error.into()))? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => content_type = bytes,
            (2, Value::Bytes(bytes)) => data = bytes,
            _ => {}
        }
    }
    let content_type = HeaderValue::from_bytes(content_type).ok().filter(|value| !value.is_empty());
    let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    // `slice_ref` needs a part of the message's memory, which an empty field is not.
    let data = if data.is_empty() { Bytes::new() } else { message.slice_ref(data) };
    Ok((content_type, data))
}

fn last_message<'a>(tables: &Tables, output: MessageId, field: FieldId, message: &'a [u8]) -> Result<&'a [u8], Status> {
    let number = tables.message(output).fields[usize::from(field)].number;
    let mut reader = Reader::new(message);
    let mut found = &b""[..];
    while let Some((seen, value)) = reader.field().map_err(|error| unwritable(&error.into()))? {
        if let (true, Value::Bytes(bytes)) = (seen == number, value) {
            found = bytes;
        }
    }
    Ok(found)
}

/// Builds the body of a streamed response, and its headers.
///
/// Waits briefly for the first message, so that a stream that fails immediately still gets an error status. For raw
/// bytes it waits without limit, since the first message contains their media type.
///
/// # Errors
/// The upstream failed before its first message.
pub(super) async fn streaming<B, D: Dialect>(
    inner: &Arc<Inner<D>>,
    plan: usize,
    format: Format,
    mut source: Source<B>,
    headers: &mut HeaderMap,
    head: &RequestHead,
) -> Result<Body, Status>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let first = match format {
        Format::Raw => source.next().await,
        _ => tokio::time::timeout(inner.limits.first_message, source.next()).await.unwrap_or_default(),
    };
    if let (None, Some(Err(status))) = (&first, &source.outcome) {
        return Err(status.clone());
    }
    let content_type = match (format, &first) {
        (Format::Raw, Some(message)) => raw(&inner.tables, &inner.plans[plan], message)?.0,
        (Format::Raw, None) => HeaderValue::from_static("application/octet-stream"),
        (Format::Events, _) => HeaderValue::from_static("text/event-stream"),
        _ => HeaderValue::from_static("application/x-ndjson"),
    };
    headers.insert(header::CONTENT_TYPE, content_type);
    if format == Format::Events && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    source.ahead = first;
    let download = Download { inner: inner.clone(), plan, format, source, head: head.clone(), over: false };
    let chunks = stream::unfold(download, |mut download| async move {
        let chunk = download.chunk().await?;
        Some((chunk.map(Frame::data), download))
    });
    Ok(Body::new(StreamBody::new(chunks)))
}

/// A streamed response. The client's connection pulls it: nothing is read before the client wants it.
struct Download<B, D> {
    inner: Arc<Inner<D>>,
    plan: usize,
    format: Format,
    source: Source<B>,
    head: RequestHead,
    over: bool,
}

impl<B, D: Dialect> Download<B, D>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn chunk(&mut self) -> Option<Result<Bytes, Status>> {
        while !self.over {
            let Some(message) = self.source.next().await else {
                self.over = true;
                let failed = self.source.outcome.take().and_then(Result::err);
                return failed.map(|status| self.failure(status));
            };
            let plan = &self.inner.plans[self.plan];
            if self.format == Format::Raw {
                match raw(&self.inner.tables, plan, &message) {
                    Ok((_, data)) if data.is_empty() => continue,
                    Ok((_, data)) => return Some(Ok(data)),
                    Err(status) => {
                        self.over = true;
                        return Some(Err(status));
                    }
                }
            }
            return Some(Ok(self.batch(message)));
        }
        None
    }

    /// Renders this message and those that have already arrived.
    fn batch(&mut self, message: Bytes) -> Bytes {
        let mut out = Vec::with_capacity(message.len() * 2 + 128);
        let mut next = Some(message);
        while let Some(message) = next {
            let start = out.len();
            out.extend_from_slice(self.prefix());
            if let Err(status) = json(&self.inner.tables, &self.inner.plans[self.plan], &message, &mut out) {
                out.truncate(start);
                self.over = true;
                out.extend_from_slice(&self.error_line(status));
                break;
            }
            out.extend_from_slice(self.suffix());
            next = if out.len() < BATCH_BYTES { self.source.ready() } else { None };
        }
        out.into()
    }

    fn prefix(&self) -> &'static [u8] {
        if self.format == Format::Events { b"data: " } else { b"" }
    }

    fn suffix(&self) -> &'static [u8] {
        if self.format == Format::Events { b"\n\n" } else { b"\n" }
    }

    /// Reports a failure in band, since the status line has been sent. Raw bytes have no band, so the connection must
    /// break, or the client would take a part for the whole.
    fn failure(&self, status: Status) -> Result<Bytes, Status> {
        if self.format == Format::Raw { Err(status) } else { Ok(self.error_line(status).into()) }
    }

    fn error_line(&self, status: Status) -> Vec<u8> {
        let rendered = self.inner.dialect.error(&self.head, Failure::Upstream(status)).into_body();
        let mut line = if self.format == Format::Events { b"event: error\n".to_vec() } else { Vec::new() };
        line.extend_from_slice(self.prefix());
        // A line break is whitespace between JSON's tokens, and can't occur inside one.
        line.extend(rendered.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        line.extend_from_slice(self.suffix());
        line
    }
}

pub(super) fn full(bytes: Bytes) -> Body {
    if bytes.is_empty() { Body::empty() } else { Body::new(Full::new(bytes)) }
}
