//! The body of a client stream, as messages that are produced at the upstream's pace (backpressure).

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Uri;
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use tonic::Status;
use tonic::body::Body;

use super::{content_type, read_failure};
use crate::bindings::Query;
use crate::dialect::{Dialect, Failure, RequestHead};
use crate::plan::Plan;
use crate::shared::Shared;
use crate::splitter::Splitter;
use crate::{BoxError, frame, media_type};

/// The reason why a streamed request was aborted, if it was. The upstream only sees a broken stream, so its response
/// does not explain the failure to the client.
pub(crate) type BodyFailure = Arc<OnceLock<Failure>>;

/// Builds a stream of messages. The first one carries the path and the query.
///
/// # Errors
/// An error if the path or the query is invalid, or if the declared length of the body exceeds the limit. Later
/// failures of the body, and a first message that contradicts the path or the query, are stored in the [`BodyFailure`].
pub(crate) fn streaming<B, D: Dialect>(
    shared: &Arc<Shared<D>>,
    plan_index: usize,
    head: &RequestHead,
    query: Query,
    body: B,
) -> Result<(Body, BodyFailure), Failure>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let plan = &shared.plans[plan_index];
    // Faults in the bindings themselves are reported before the upstream is called.
    let mut bytes = Vec::new();
    plan.put_bindings(&shared.codec, &query, head.uri.path(), 0, &mut bytes)?;
    let bindings = Bindings { query, uri: head.uri.clone(), bytes: bytes.len() };
    let max_bytes = shared.dialect.max_body_bytes(&plan.route.method);
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(Failure::PayloadTooLarge { max_bytes });
    }
    // Without a body rule, the body can't be an array.
    let is_ndjson = !plan.has_body() || media_type::content_type(&head.headers).is_some_and(|media| media.is_ndjson());
    let failure = BodyFailure::default();
    let messages = RequestMessages {
        shared: shared.clone(),
        plan_index,
        has_ended: !plan.has_body(),
        body: Box::pin(body),
        bindings: Some(bindings),
        content_type: content_type(head).to_owned(),
        unsent: Bytes::new(),
        splitter: Splitter::new(is_ndjson, shared.limits.max_streamed_document_bytes),
        max_bytes,
        received_bytes: 0,
    };
    let reason = failure.clone();
    let frames = stream::unfold(Some(messages), move |messages| {
        let reason = reason.clone();
        async move {
            let mut messages = messages?;
            match messages.next().await {
                Ok(Some(message)) => Some((Ok(Frame::data(message)), Some(messages))),
                Ok(None) => None,
                Err(failure) => {
                    // Set once per stream, so the cell is empty.
                    let _ = reason.set(failure);
                    Some((Err(Status::cancelled("the request body can't be used")), None))
                }
            }
        }
    });
    // A reader of a form polls a stream again after its end.
    Ok((Body::new(StreamBody::new(frames.fuse())), failure))
}

/// The values of the path and the query.
struct Bindings {
    query: Query,
    uri: Uri,
    /// Their encoded length in bytes.
    bytes: usize,
}

/// The messages of a streamed request, framed.
struct RequestMessages<B, D> {
    shared: Arc<Shared<D>>,
    plan_index: usize,
    body: Pin<Box<B>>,
    /// Whether the body has ended.
    has_ended: bool,
    /// The bindings, sent with the first message; `None` afterwards.
    bindings: Option<Bindings>,
    content_type: String,
    /// Raw bytes that have not been sent yet.
    unsent: Bytes,
    splitter: Splitter,
    /// The limit on the whole body.
    max_bytes: usize,
    received_bytes: usize,
}

impl<B, D: Dialect> RequestMessages<B, D>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn plan(&self) -> &Plan {
        &self.shared.plans[self.plan_index]
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.plan().raw_body { self.next_raw().await } else { self.next_json().await }
    }

    async fn next_raw(&mut self) -> Result<Option<Bytes>, Failure> {
        while self.unsent.is_empty() && !self.has_ended {
            if let Some(data) = self.read().await? {
                self.unsent = data;
            }
        }
        if self.unsent.is_empty() && self.bindings.is_none() {
            return Ok(None);
        }
        let data = self.unsent.split_to(self.unsent.len().min(self.shared.limits.max_raw_chunk_bytes));
        let mut message = frame::begin(data.len() + self.bytes_of_bindings() + 64);
        // Only the first message has the media type and the bindings; an empty body is one message too.
        let content_type = if self.bindings.is_some() { &*self.content_type } else { "" };
        self.plan().put_raw(&self.shared.codec, content_type, &data, &mut message);
        self.finish(message).map(Some)
    }

    async fn next_json(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(document) = self.splitter.next(self.has_ended)? {
                let mut message = frame::begin(document.len() + self.bytes_of_bindings() + 16);
                self.plan().put_json(&self.shared.codec, &document, &mut message)?;
                return self.finish(message).map(Some);
            }
            if self.has_ended {
                // The path and the query must be sent even if there is no message.
                return if self.bytes_of_bindings() > 0 { self.finish(frame::begin(64)).map(Some) } else { Ok(None) };
            }
            if let Some(data) = self.read().await? {
                self.splitter.push(&data);
            }
        }
    }

    /// Returns the length of the bindings that have not been sent yet.
    fn bytes_of_bindings(&self) -> usize {
        self.bindings.as_ref().map_or(0, |bindings| bindings.bytes)
    }

    fn finish(&mut self, mut message: Vec<u8>) -> Result<Bytes, Failure> {
        if let Some(Bindings { query, uri, .. }) = self.bindings.take() {
            let codec = &self.shared.codec;
            self.plan().put_bindings(codec, &query, uri.path(), frame::PREFIX_BYTES, &mut message)?;
        }
        frame::finish(message).map_err(Failure::Upstream)
    }

    /// Reads the next piece of the body; `None` if it was not data, or if the body has ended.
    async fn read(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(frame) = self.body.frame().await else {
            self.has_ended = true;
            return Ok(None);
        };
        let frame = frame.map_err(|error| read_failure(error, self.max_bytes))?;
        let Ok(data) = frame.into_data() else { return Ok(None) };
        self.received_bytes += data.len();
        if self.received_bytes > self.max_bytes {
            return Err(Failure::PayloadTooLarge { max_bytes: self.max_bytes });
        }
        Ok(Some(data))
    }
}
