//! Request bodies: read whole for a unary call, or turned into a stream of messages for a streaming one.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::stream;
use http::header;
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt as _, Full, LengthLimitError, StreamBody};
use tonic::Status;
use tonic::body::Body;

use super::accept;
use super::dialect::{Dialect, Failure, RequestHead};
use super::split::Splitter;
use super::{Inner, Plan, frame};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a streamed request stopped. The upstream only sees a broken stream, and its response to that is not
/// what the client should receive.
pub(super) type Fault = Arc<OnceLock<Failure>>;

/// Reads the whole request as one framed message.
///
/// # Errors
/// The body is too long, incomplete, or not the message.
pub(super) async fn unary<B, D: Dialect>(
    inner: &Inner<D>,
    plan: &Plan,
    head: &RequestHead,
    body: B,
) -> Result<Body, Failure>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut message;
    if plan.takes_body() {
        let bytes = whole(body, inner.dialect.body_limit(&plan.route.method));
        // Read before the upstream is called, so the upstream's deadline does not apply.
        let bytes = tokio::time::timeout(inner.limits.request_body, bytes).await.unwrap_or_else(|_| Err(late()))?;
        message = frame::open(bytes.len() + 64);
        if plan.raw_body {
            plan.put_raw(&inner.tables, content_type(head), &bytes, &mut message);
        } else {
            plan.put_json(&inner.tables, &bytes, inner.limits.max_depth, &mut message)?;
        }
    } else {
        message = frame::open(64);
    }
    plan.put_bindings(&inner.tables, head, frame::PREFIX_BYTES, &mut message)?;
    frame::seal(message).map(|frame| Body::new(Full::new(frame))).map_err(Failure::Upstream)
}

/// Returns the media type of the raw bytes, `application/octet-stream` by default (RFC 9110, section 8.3).
fn content_type(head: &RequestHead) -> &str {
    let value = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or("application/octet-stream")
}

async fn whole<B>(body: B, limit: usize) -> Result<Bytes, Failure>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(Failure::PayloadTooLarge { limit });
    }
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut more = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| torn(error, limit))?.into_data() else { continue };
        if first.len() + more.len() + data.len() > limit {
            return Err(Failure::PayloadTooLarge { limit });
        }
        // Most bodies arrive in one piece, which is then used without a copy.
        if first.is_empty() && more.is_empty() {
            first = data;
        } else {
            if more.is_empty() {
                more.extend_from_slice(&std::mem::take(&mut first));
            }
            more.extend_from_slice(&data);
        }
    }
    Ok(if more.is_empty() { first } else { more.into() })
}

fn late() -> Failure {
    Failure::Malformed { field: None, message: "the body took too long to arrive".to_owned() }
}

/// Distinguishes an outer layer's limit from a broken connection.
fn torn(error: impl Into<BoxError>, limit: usize) -> Failure {
    let error = error.into();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return Failure::PayloadTooLarge { limit };
        }
        cause = error.source();
    }
    Failure::Malformed { field: None, message: "the body ended early".to_owned() }
}

/// Builds a stream of messages, produced as fast as the upstream takes them. The first carries path and query.
///
/// # Errors
/// The path or the query is invalid. Later faults of the body go to the [`Fault`].
pub(super) fn streaming<B, D: Dialect>(
    inner: &Arc<Inner<D>>,
    plan: usize,
    head: &RequestHead,
    body: B,
) -> Result<(Body, Fault), Failure>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut bindings = Vec::new();
    let route = &inner.plans[plan];
    route.put_bindings(&inner.tables, head, 0, &mut bindings)?;
    let limit = inner.dialect.body_limit(&route.route.method);
    if body.size_hint().lower() > limit as u64 {
        return Err(Failure::PayloadTooLarge { limit });
    }
    let lines = accept::content_type(&head.headers).is_some_and(|media| media.is_lines());
    let fault = Fault::default();
    let upload = Upload {
        inner: inner.clone(),
        plan,
        ended: !route.takes_body(),
        body: Box::pin(body),
        bindings,
        content_type: content_type(head).to_owned(),
        first: true,
        chunk: Bytes::new(),
        splitter: Splitter::new(lines, inner.limits.message_bytes),
        limit,
        taken: 0,
    };
    let reason = fault.clone();
    let messages = stream::unfold(Some(upload), move |upload| {
        let reason = reason.clone();
        async move {
            let mut upload = upload?;
            match upload.next().await {
                Ok(Some(message)) => Some((Ok(Frame::data(message)), Some(upload))),
                Ok(None) => None,
                Err(failure) => {
                    // Set once per stream, so the cell is empty.
                    let _ = reason.set(failure);
                    Some((Err(Status::cancelled("the request body can't be used")), None))
                }
            }
        }
    });
    Ok((Body::new(StreamBody::new(messages)), fault))
}

struct Upload<B, D> {
    inner: Arc<Inner<D>>,
    plan: usize,
    body: Pin<Box<B>>,
    ended: bool,
    bindings: Vec<u8>,
    content_type: String,
    first: bool,
    /// Raw bytes that have not been sent yet.
    chunk: Bytes,
    splitter: Splitter,
    limit: usize,
    taken: usize,
}

impl<B, D: Dialect> Upload<B, D>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.inner.plans[self.plan].raw_body { self.next_raw().await } else { self.next_json().await }
    }

    async fn next_raw(&mut self) -> Result<Option<Bytes>, Failure> {
        while self.chunk.is_empty() && !self.ended {
            if let Some(data) = self.read().await? {
                self.chunk = data;
            }
        }
        if self.chunk.is_empty() && !self.first {
            return Ok(None);
        }
        let data = self.chunk.split_to(self.chunk.len().min(self.inner.limits.chunk_bytes));
        let mut message = frame::open(data.len() + self.bindings.len() + 64);
        // Only the first message has the media type and the bindings; an empty upload is one message too.
        let content_type = if self.first { &*self.content_type } else { "" };
        self.inner.plans[self.plan].put_raw(&self.inner.tables, content_type, &data, &mut message);
        self.finish(message).map(Some)
    }

    async fn next_json(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(document) = self.splitter.next(self.ended)? {
                let mut message = frame::open(document.len() + self.bindings.len() + 16);
                let (plan, tables) = (&self.inner.plans[self.plan], &self.inner.tables);
                plan.put_json(tables, &document, self.inner.limits.max_depth, &mut message)?;
                return self.finish(message).map(Some);
            }
            if self.ended {
                // The path and the query must be sent even if no message follows.
                let send = self.first && !self.bindings.is_empty();
                return if send { self.finish(frame::open(64)).map(Some) } else { Ok(None) };
            }
            if let Some(data) = self.read().await? {
                self.splitter.push(&data);
            }
        }
    }

    fn finish(&mut self, mut message: Vec<u8>) -> Result<Bytes, Failure> {
        if std::mem::take(&mut self.first) {
            message.extend_from_slice(&std::mem::take(&mut self.bindings));
        }
        frame::seal(message).map_err(Failure::Upstream)
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(frame) = self.body.frame().await else {
            self.ended = true;
            return Ok(None);
        };
        let Ok(data) = frame.map_err(|error| torn(error, self.limit))?.into_data() else { return Ok(None) };
        self.taken += data.len();
        if self.taken > self.limit {
            return Err(Failure::PayloadTooLarge { limit: self.limit });
        }
        Ok(Some(data))
    }
}
