//! Request body limit: bounds the bytes read from a request to the policy's limit or the server's default.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Status;

use crate::{
    contract::Method,
    error::{Error, Reason},
    http::middleware::{
        layer::{Body, Middleware, Next, Request, ResponseFuture},
        protocol,
    },
};

/// A middleware that fails the read of a body beyond its limit.
#[derive(Debug, Clone)]
pub struct LimitBody {
    /// The limit in bytes for methods whose policy has none.
    pub default: usize,
}

/// The limit in bytes of a health probe, whose request only names a service.
const OF_PROBE: usize = 4 << 10;

/// The size of a gRPC frame header, which does not count towards the limit.
const FRAME_HEADER: usize = 5;

impl<S: Next> Middleware<S> for LimitBody {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let method = request.extensions().get::<&'static Method>();
        let limit = match method {
            Some(method) => method.max_request_bytes.unwrap_or(self.default),
            None if protocol::is_probe(&request) => OF_PROBE,
            None => self.default,
        };
        let limit = limit + FRAME_HEADER;
        // The number of items that the operation stores limits a stream, rather than its bytes.
        let streaming = method.is_some_and(|method| method.descriptor.is_client_streaming());
        let request =
            if streaming { request } else { request.map(|body| Body::new(Limited { body, remaining: limit })) };
        next.pass(request)
    }
}

pin_project! {
    struct Limited {
        #[pin]
        body: Body,
        remaining: usize,
    }
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let frame = std::task::ready!(this.body.poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match this.remaining.checked_sub(length) {
                Some(remaining) => *this.remaining = remaining,
                None => return Poll::Ready(Some(Err(Error::new(Reason::PayloadTooLarge).into()))),
            }
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

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_body_is_cut_off_where_it_exceeds_the_limit() {
        let read = async |limit: usize| {
            let pieces = [&b"abc"[..], b"def"].map(|piece| Ok::<_, Status>(Frame::data(Bytes::from_static(piece))));
            let body = Body::new(StreamBody::new(stream::iter(pieces)));
            Limited { body, remaining: limit }.collect().await.map(|whole| whole.to_bytes())
        };
        assert_eq!(read(6).await.expect("as much as may be"), "abcdef");
        let refusal = read(5).await.expect_err("one too many");
        assert_eq!(refusal.code(), tonic::Code::ResourceExhausted, "{refusal}");
    }
}
