//! Bounds a request to the limit of its method or the default of the server: its bytes as they are read, and its message
//! decompressed.
//!
//! tonic decompresses messages, too, but a server has one limit for all methods: a few kilobytes to any public method could
//! become as large as the largest message of all methods. tonic therefore receives the message of a unary call without
//! compression. The messages of a client stream are unchanged: its method reads one piece of a file after the other.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, header};
use http_body_util::{BodyExt as _, Full, Limited};
use tonic::{
    Status, Streaming,
    codec::{CompressionEncoding, DecodeBuf, Decoder},
};
use tower::BoxError;

use crate::{
    contract::Method,
    error::{Error, Reason},
    http::middleware::{
        layer::{Body, Middleware, Next, Request, ResponseFuture},
        protocol,
    },
};

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// The size of the head of a message, which does not count towards the limit: whether it is compressed, and its length.
const HEAD: usize = 5;
/// The limit in bytes of a health probe, whose request only names a service.
const OF_PROBE: usize = 4 << 10;

#[derive(Debug, Clone)]
pub(crate) struct LimitMessage {
    /// The limit in bytes for methods whose policy has none.
    pub(crate) default: usize,
}

impl<S: Next> Middleware<S> for LimitMessage {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let method = request.extensions().get::<&'static Method>();
        // The number of items that the operation stores limits a stream, rather than its bytes.
        if method.is_some_and(|method| method.descriptor.is_client_streaming()) {
            return next.pass(request);
        }
        let limit = match method {
            Some(method) => method.max_request_bytes.unwrap_or(self.default),
            None if protocol::is_probe(&request) => OF_PROBE,
            None => self.default,
        };
        let encoding = method.and_then(|_| encoding(request.headers()));
        let request = request.map(|body| limited(body, limit + HEAD));
        let Some(encoding) = encoding else { return next.pass(request) };
        let mut next = next.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match inflate(body, encoding, limit).await {
                Ok(body) => {
                    parts.headers.remove(GRPC_ENCODING);
                    parts.headers.remove(header::CONTENT_LENGTH);
                    Ok(next.run(Request::from_parts(parts, body)).await)
                }
                Err(status) => Ok(status.into_http()),
            }
        })
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

/// Returns the coding of compressed messages. tonic rejects the codings that are missing here.
fn encoding(headers: &HeaderMap) -> Option<CompressionEncoding> {
    match headers.get(GRPC_ENCODING)?.as_bytes() {
        b"gzip" => Some(CompressionEncoding::Gzip),
        b"zstd" => Some(CompressionEncoding::Zstd),
        _ => None,
    }
}

/// Reads the one message of a call.
/// Errors: the errors of tonic, without a reason: the message is too large, or cannot be decompressed; and the errors
/// of the body.
async fn inflate(body: Body, encoding: CompressionEncoding, limit: usize) -> Result<Body, Status> {
    let mut messages = Streaming::new_request(Undecoded, body, Some(encoding), Some(limit));
    let Some(message) = messages.message().await? else { return Ok(Body::empty()) };
    if messages.message().await?.is_some() {
        return Err(Error::with_message(Reason::MalformedRequest, "The call takes one message.").into());
    }
    let length = u32::try_from(message.len()).map_err(|_| Status::from(Error::new(Reason::PayloadTooLarge)))?;
    let mut inflated = BytesMut::with_capacity(HEAD + message.len());
    inflated.put_u8(0);
    inflated.put_u32(length);
    inflated.put(message);
    Ok(Body::new(Full::new(inflated.freeze())))
}

struct Undecoded;

impl Decoder for Undecoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tonic::Code;

    use super::*;

    /// `abc` in gzip (RFC 1952), as a block without compression.
    const ABC: [u8; 26] = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1, 3, 0, 0xfc, 0xff, b'a', b'b', b'c', 0xc2, 0x41, 0x24, 0x35, 3, 0, 0,
        0,
    ];

    fn message(is_compressed: bool, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).expect("short").to_be_bytes();
        [&[u8::from(is_compressed)][..], &length, bytes].concat()
    }

    async fn read(bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Code> {
        let body = inflate(Body::new(Full::new(Bytes::from(bytes))), CompressionEncoding::Gzip, limit);
        let body = body.await.map_err(|status| status.code())?;
        Ok(body.collect().await.expect("whole").to_bytes().to_vec())
    }

    #[tokio::test]
    async fn a_message_is_inflated_up_to_the_limit() {
        let compressed = message(true, &ABC);
        assert_eq!(read(compressed.clone(), ABC.len()).await, Ok(message(false, b"abc")));
        assert_eq!(read(message(false, b"abc"), 3).await, Ok(message(false, b"abc")), "it need not be compressed");
        assert_eq!(read(Vec::new(), 3).await, Ok(Vec::new()), "that it is missing, tonic says");
        assert_eq!(read(compressed.clone(), ABC.len() - 1).await, Err(Code::OutOfRange));
        assert_eq!(read([compressed.clone(), compressed].concat(), 100).await, Err(Code::InvalidArgument));
        assert_eq!(read(message(true, b"abc"), 100).await, Err(Code::Internal), "that is not gzip");
    }

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
