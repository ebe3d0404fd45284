//! Request body limit: bounds the bytes read from a request to the policy's limit or the server's default.

use http_body_util::{BodyExt as _, Limited};
use tonic::Status;
use tower::BoxError;

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
pub(crate) struct LimitBody {
    /// The limit in bytes for methods whose policy has none.
    pub(crate) default: usize,
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
        next.pass(if streaming { request } else { request.map(|body| limited(body, limit)) })
    }
}

/// Returns a body whose read fails with `PAYLOAD_TOO_LARGE` beyond `limit` bytes.
fn limited(body: Body, limit: usize) -> Body {
    let status = |error: BoxError| match error.downcast::<Status>() {
        Ok(status) => *status,
        // The body exceeds the limit.
        Err(_) => Error::new(Reason::PayloadTooLarge).into(),
    };
    Body::new(Limited::new(body, limit).map_err(status))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    #[tokio::test]
    async fn a_body_is_cut_off_where_it_exceeds_the_limit() {
        let read = async |limit: usize| {
            let pieces = [&b"abc"[..], b"def"].map(|piece| Ok::<_, Status>(Frame::data(Bytes::from_static(piece))));
            let body = Body::new(StreamBody::new(stream::iter(pieces)));
            limited(body, limit).collect().await.map(|whole| whole.to_bytes())
        };
        assert_eq!(read(6).await.expect("as much as may be"), "abcdef");
        let refusal = read(5).await.expect_err("one too many");
        assert_eq!(refusal.code(), tonic::Code::ResourceExhausted, "{refusal}");
    }
}
