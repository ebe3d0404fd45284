//! The upstream's response, read message by message.

use std::pin::Pin;

use bytes::Bytes;
use http::{StatusCode, response::Parts};
use http_body::Body as HttpBody;
use http_body_util::BodyExt as _;
use tonic::Status;

use crate::BoxError;
use crate::frame::{self, Deframer};

/// The messages of the upstream's response, while they arrive.
pub(crate) struct Messages<B> {
    body: Pin<Box<B>>,
    deframer: Deframer,
    /// A message that was read ahead.
    read_ahead: Option<Bytes>,
    /// The outcome, once no more messages follow.
    outcome: Option<Result<(), Status>>,
}

impl<B> Messages<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Starts to read a response with a limit of `max_message_bytes` per message.
    ///
    /// # Errors
    /// The status of an upstream that failed without sending a message.
    pub(crate) fn new(parts: &Parts, body: B, max_message_bytes: usize) -> Result<Self, Status> {
        let outcome = frame::outcome(&parts.headers);
        if let Some(Err(status)) = outcome {
            return Err(status);
        }
        if parts.status != StatusCode::OK {
            return Err(frame::from_http(parts.status));
        }
        Ok(Self { body: Box::pin(body), deframer: Deframer::new(max_message_bytes), read_ahead: None, outcome })
    }

    /// Returns the next message, or `None` at the end, with the outcome in `self.outcome`. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if let Some(message) = self.read_ahead.take() {
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
    pub(super) fn next_ready(&mut self) -> Option<Bytes> {
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

    /// Returns the failure that ended the stream, if it failed.
    pub(super) fn failure(&self) -> Option<&Status> {
        self.outcome.as_ref().and_then(|outcome| outcome.as_ref().err())
    }

    /// Puts back the message that was returned last.
    pub(super) fn put_back(&mut self, message: Option<Bytes>) {
        self.read_ahead = message;
    }

    async fn read(&mut self) {
        match self.body.frame().await {
            None if self.deframer.is_empty() => {
                self.outcome = Some(Err(Status::unknown("the upstream's response has no status")));
            }
            None => self.outcome = Some(Err(Status::internal("the upstream's response ended inside a message"))),
            Some(Err(error)) => self.outcome = Some(Err(frame::from_error(error.into()))),
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
    /// The upstream's status, or an error if the upstream sent no message or several.
    pub(super) async fn only(mut self) -> Result<Bytes, Status> {
        let first = self.next().await;
        let second = if first.is_some() { self.next().await } else { None };
        match (self.outcome.take(), first, second) {
            (Some(Err(status)), _, _) => Err(status),
            (_, Some(message), None) => Ok(message),
            (_, None, _) => Err(Status::internal("the upstream's response has no message")),
            (_, _, Some(_)) => Err(Status::internal("the upstream's response to a unary call has several messages")),
        }
    }
}
