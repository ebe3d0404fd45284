//! Traced response bodies: a request lasts until the end of its body.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tracing::Span;

use super::line::Line;
use crate::http::middleware::layer::Body;

/// A body that is polled in the span of its request. Its end writes the log line.
pub(super) struct Traced {
    body: Body,
    span: Span,
    line: Option<Line>,
}

impl Traced {
    pub(super) fn new(body: Body, span: Span, line: Line) -> Self {
        Self { body, span, line: Some(line) }
    }
}

impl HttpBody for Traced {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body, span, line } = &mut *self;
        let frame = {
            let _entered = span.enter();
            ready!(Pin::new(body).poll_frame(context))
        };
        match &frame {
            Some(Ok(frame)) if frame.is_trailers() => drop(line.take()),
            Some(Ok(frame)) => {
                if let (Some(line), Some(data)) = (line, frame.data_ref()) {
                    line.bytes += data.len() as u64;
                }
            }
            Some(Err(_)) => cut_off(line),
            None => drop(line.take()),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn cut_off(line: &mut Option<Line>) {
    if let Some(mut line) = line.take() {
        line.is_cut_off = true;
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // The body of a response to HEAD is not sent, and a body that reports its end is not polled again.
        let is_complete = self.body.is_end_stream() || self.line.as_ref().is_some_and(Line::is_head);
        if is_complete {
            drop(self.line.take());
        } else {
            cut_off(&mut self.line);
        }
    }
}
