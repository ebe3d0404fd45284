//! Decompresses request bodies of REST in gzip.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::{BodyExt as _, StreamBody};
use tokio_util::io::{ReaderStream, StreamReader};

use super::layer::{Body, Request};

/// The compressed bytes that each byte of the content may have: a member for each line of a log has more header than content.
const MAX_PER_BYTE: i64 = 4;
/// The compressed bytes that a body may have beyond these, such as the headers of some thousand members. Without this bound,
/// members and blocks that have no content would occupy a core for as long as they arrive.
const MAX_OVERHEAD: i64 = 64 << 10;

/// Replaces a body in gzip by its content. The transcoder rejects every other coding, and bounds the content.
///
/// A body may consist of several members (RFC 1952, section 2.2), as tools that append to or split a file make it.
/// [`RequestDecompressionLayer`](tower_http::decompression::RequestDecompressionLayer) would read the first one only.
pub(super) fn decompress(mut request: Request) -> Request {
    let headers = request.headers_mut();
    if !headers.contains_key(CONTENT_ENCODING) {
        return request;
    }
    let lines = headers.get_all(CONTENT_ENCODING).iter().map(|line| line.to_str().unwrap_or("?").to_ascii_lowercase());
    let codings = lines.collect::<Vec<_>>().join(",");
    let mut codings = codings.split(',').map(str::trim).filter(|coding| !matches!(*coding, "" | "identity"));
    match (codings.next(), codings.next()) {
        (None, _) => drop(headers.remove(CONTENT_ENCODING)),
        // `x-gzip` is equivalent (RFC 9110, section 8.4.1.3).
        (Some("gzip" | "x-gzip"), None) => {
            headers.remove(CONTENT_ENCODING);
            headers.remove(CONTENT_LENGTH);
            return request.map(content);
        }
        _ => {}
    }
    request
}

fn content(body: Body) -> Body {
    // What was received, less what the content that was passed on allows.
    let overhead = Arc::new(AtomicI64::new(0));
    let passed_on = overhead.clone();
    let bytes = body.into_data_stream().map_err(io::Error::other).and_then(move |bytes| {
        // The content of what was received before has been passed on.
        let before = overhead.fetch_add(length(&bytes), Ordering::Relaxed);
        let too_much = || io::Error::new(io::ErrorKind::InvalidData, "the gzip body has more overhead than content");
        std::future::ready(if before > MAX_OVERHEAD { Err(too_much()) } else { Ok(bytes) })
    });
    let mut decoder = GzipDecoder::new(StreamReader::new(bytes));
    decoder.multiple_members(true);
    let content = ReaderStream::new(decoder).inspect_ok(move |content| {
        passed_on.fetch_sub(MAX_PER_BYTE * length(content), Ordering::Relaxed);
    });
    let frames = content.map_ok(http_body::Frame::data).map_err(|error| {
        // The failure of the body below keeps its type.
        let text = error.to_string();
        error.into_inner().unwrap_or_else(|| text.into())
    });
    Body::new(StreamBody::new(frames))
}

fn length(bytes: &Bytes) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::iter;

    use async_compression::tokio::write::GzipEncoder;
    use futures_util::stream;
    use http::HeaderValue;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn member(content: &[u8]) -> Bytes {
        let mut encoder = GzipEncoder::new(Vec::new());
        encoder.write_all(content).await.expect("a vector");
        encoder.shutdown().await.expect("a vector");
        encoder.into_inner().into()
    }

    /// Returns the length of the content, or the error, and the number of pieces that were read.
    async fn read(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> (Result<usize, String>, usize) {
        let count = Arc::new(AtomicI64::new(0));
        let counted = count.clone();
        let pieces = pieces.inspect(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let mut request = Request::new(Body::new(StreamBody::new(stream::iter(
            pieces.map(|piece| Ok::<_, io::Error>(http_body::Frame::data(piece))),
        ))));
        request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let content = decompress(request).into_body().collect().await;
        let content = content.map(|content| content.to_bytes().len()).map_err(|error| error.to_string());
        (content, usize::try_from(count.load(Ordering::Relaxed)).expect("a count"))
    }

    #[tokio::test]
    async fn members_without_content_are_bounded() {
        let empty: Bytes = iter::repeat_n(member(b"").await, 100).flatten().collect();
        let (content, pieces) = read(iter::repeat(empty.clone())).await;
        assert!(content.expect_err("it never ends").contains("overhead"));
        let most = usize::try_from(MAX_OVERHEAD).expect("a length") / empty.len() + 2;
        assert!(pieces <= most, "{pieces} pieces were read");
    }

    #[tokio::test]
    async fn members_with_content_are_not() {
        let small = member(b"a line of a log, which is as long as the header of a member\n").await;
        let large = member(&vec![b' '; 1 << 20]).await;
        let (content, _) = read(iter::repeat_n(small, 5000).chain([large])).await;
        assert_eq!(content, Ok(5000 * 60 + (1 << 20)));
    }
}
