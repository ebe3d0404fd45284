//! Decompresses request bodies of REST in gzip.

use std::io;

use async_compression::tokio::bufread::GzipDecoder;
use futures_util::TryStreamExt as _;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::{BodyExt as _, StreamBody};
use tokio_util::io::{ReaderStream, StreamReader};

use super::layer::{Body, Request};

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
    let bytes = body.into_data_stream().map_err(io::Error::other);
    let mut decoder = GzipDecoder::new(StreamReader::new(bytes));
    decoder.multiple_members(true);
    let frames = ReaderStream::new(decoder).map_ok(http_body::Frame::data).map_err(|error| {
        // The failure of the body below keeps its type.
        let text = error.to_string();
        error.into_inner().unwrap_or_else(|| text.into())
    });
    Body::new(StreamBody::new(frames))
}
