//! A streamed response: NDJSON, server-sent events or raw bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::StreamBody;
use tonic::Status;
use tonic::body::Body;

use super::{Messages, ResponseForm, http_body, put_json};
use crate::BoxError;
use crate::dialect::{Dialect, Failure, RequestHead};
use crate::media_type::Format;
use crate::shared::Shared;
use crate::wire::{Reader, Value};

/// The amount of JSON that is buffered before it is sent, if the upstream has that much ready.
const BATCH_BYTES: usize = 32 << 10;

/// Tells proxies not to buffer a stream of messages: nginx, and proxies that adopted its header.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Builds the body of a streamed response, and its headers.
///
/// Waits briefly for the first message, so that a stream that fails immediately still gets an error status. For raw
/// bytes it waits without limit, because the first message contains their media type.
///
/// # Errors
/// The upstream's failure before its first message.
pub(crate) async fn streaming<B, D: Dialect>(
    shared: &Arc<Shared<D>>,
    plan_index: usize,
    form: ResponseForm,
    mut messages: Messages<B>,
    headers: &mut HeaderMap,
    head: &RequestHead,
) -> Result<Body, Status>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let format = form.format;
    let first = match format {
        Format::Raw => messages.next().await,
        _ => tokio::time::timeout(shared.limits.first_message_timeout, messages.next()).await.unwrap_or_default(),
    };
    if let (None, Some(status)) = (&first, messages.failure()) {
        return Err(status.clone());
    }
    let content_type = match (format, &first) {
        (Format::Raw, Some(message)) => http_body(&shared.codec, &shared.plans[plan_index], message)?.0,
        (Format::Raw, None) => HeaderValue::from_static("application/octet-stream"),
        (Format::ServerSentEvents, _) => HeaderValue::from_static("text/event-stream"),
        _ => HeaderValue::from_static("application/x-ndjson"),
    };
    headers.insert(header::CONTENT_TYPE, content_type);
    if format != Format::Raw {
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    if format == Format::ServerSentEvents && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    messages.put_back(first);
    let id_field = shared.dialect.event_id_field(&shared.plans[plan_index].route.method);
    let id_field = id_field.filter(|_| format == Format::ServerSentEvents);
    let (shared, head) = (shared.clone(), head.clone());
    let response = ResponseStream { shared, plan_index, form, id_field, messages, head, has_ended: false };
    let chunks = stream::unfold(response, |mut response| async move {
        let chunk = response.chunk().await?;
        Some((chunk.map(Frame::data), response))
    });
    // A compressor polls a body again after its end.
    Ok(Body::new(StreamBody::new(chunks.fuse())))
}

/// A streamed response. The client's connection pulls it, so backpressure reaches the upstream.
struct ResponseStream<B, D> {
    shared: Arc<Shared<D>>,
    plan_index: usize,
    form: ResponseForm,
    /// The number of the field that is the id of an event.
    id_field: Option<u32>,
    messages: Messages<B>,
    head: RequestHead,
    /// Whether the upstream has ended or failed.
    has_ended: bool,
}

impl<B, D: Dialect> ResponseStream<B, D>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Returns the next piece of the body, or `None` at its end.
    async fn chunk(&mut self) -> Option<Result<Bytes, Status>> {
        while !self.has_ended {
            let next = tokio::time::timeout(self.silence(), self.messages.next()).await;
            let Ok(next) = next else { return Some(Ok(Bytes::from_static(b":\n\n"))) };
            let Some(message) = next else {
                self.has_ended = true;
                let status = self.messages.failure().cloned();
                return status.map(|status| self.failure(status));
            };
            let plan = &self.shared.plans[self.plan_index];
            if self.form.format == Format::Raw {
                match http_body(&self.shared.codec, plan, &message) {
                    Ok((_, data)) if data.is_empty() => continue,
                    Ok((_, data)) => return Some(Ok(data)),
                    Err(status) => {
                        self.has_ended = true;
                        return Some(Err(status));
                    }
                }
            }
            return Some(Ok(self.batch(message)));
        }
        None
    }

    /// Returns the maximum silence of the stream. Only event streams have comments.
    fn silence(&self) -> Duration {
        match self.form.format {
            Format::ServerSentEvents => self.shared.limits.event_stream_silence,
            _ => Duration::MAX,
        }
    }

    /// Renders this message and all messages that have already arrived.
    fn batch(&mut self, message: Bytes) -> Bytes {
        let mut out = Vec::with_capacity(message.len() * 2 + 128);
        let mut next = Some(message);
        while let Some(message) = next {
            let start = out.len();
            self.put_id(&message, &mut out);
            out.extend_from_slice(self.prefix());
            let plan = &self.shared.plans[self.plan_index];
            if let Err(status) = put_json(&self.shared.codec, plan, self.form.print_options(), &message, &mut out) {
                out.truncate(start);
                self.has_ended = true;
                out.extend_from_slice(&self.error_event(status));
                break;
            }
            out.extend_from_slice(self.suffix());
            next = if out.len() < BATCH_BYTES { self.messages.next_ready() } else { None };
        }
        out.into()
    }

    /// Appends the line with the id of an event, if the event has an id that fits on one line.
    fn put_id(&self, message: &[u8], out: &mut Vec<u8>) {
        let Some(field) = self.id_field else { return };
        let (mut reader, mut id) = (Reader::new(message), &b""[..]);
        while let Ok(Some((number, value))) = reader.field() {
            if let (true, Value::Bytes(bytes)) = (number == field, value) {
                id = bytes;
            }
        }
        if !id.is_empty() && !id.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            out.extend_from_slice(b"id: ");
            out.extend_from_slice(id);
            out.push(b'\n');
        }
    }

    fn prefix(&self) -> &'static [u8] {
        if self.form.format == Format::ServerSentEvents { b"data: " } else { b"" }
    }

    fn suffix(&self) -> &'static [u8] {
        if self.form.format == Format::ServerSentEvents { b"\n\n" } else { b"\n" }
    }

    /// Reports a failure in band, because the status line has been sent. Raw bytes have no in-band errors, so the
    /// connection must be reset; otherwise the client would mistake a part for the whole.
    fn failure(&self, status: Status) -> Result<Bytes, Status> {
        if self.form.format == Format::Raw { Err(status) } else { Ok(self.error_event(status).into()) }
    }

    fn error_event(&self, status: Status) -> Vec<u8> {
        let rendered = self.shared.dialect.error_response(&self.head, Failure::Upstream(status)).into_body();
        let mut line =
            if self.form.format == Format::ServerSentEvents { b"event: error\n".to_vec() } else { Vec::new() };
        line.extend_from_slice(self.prefix());
        // A line break is whitespace between JSON's tokens, and can't occur inside a token.
        line.extend(rendered.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        line.extend_from_slice(self.suffix());
        line
    }
}
