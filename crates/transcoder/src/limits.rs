//! Bounds on the cost of one call.

use std::time::Duration;

use crate::json::MAX_DEPTH;

/// Bounds on the cost of one call. The size of a whole request body is limited per method:
/// [`Dialect::max_body_bytes`](crate::Dialect::max_body_bytes).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum nesting depth of objects and arrays in a request's JSON, including the outermost level. Responses
    /// have the same limit, but at least 100 levels. Default: 64; Envoy and protobuf's own parsers accept 100.
    ///
    /// The upstream has a separate limit: protobuf's implementations usually accept 100 nested messages, and a
    /// `google.protobuf.Struct` takes three for each level of its JSON.
    pub max_depth: u32,
    /// The maximum size of one response message, in bytes, before it is converted. A longer one fails the call with
    /// `INTERNAL`. Default: 16 MiB.
    pub max_response_message_bytes: usize,
    /// The maximum size of one JSON document in a streamed request, in bytes. Default: 1 MiB.
    pub max_streamed_document_bytes: usize,
    /// The maximum number of raw bytes in one message of a streamed `google.api.HttpBody`; a longer chunk is sent as
    /// several messages. Default: 64 KiB.
    pub max_raw_chunk_bytes: usize,
    /// How long the status line of a streamed response waits for the first message, so that a call that fails within
    /// this time gets the status of its failure. Default: 250 ms.
    pub first_message_timeout: Duration,
    /// How long a stream of server-sent events may be silent before it gets a comment. Clients ignore comments;
    /// intermediaries see that the connection is alive. Default: 15 s.
    pub event_stream_silence: Duration,
    /// How long the body of a unary request may take to arrive; after that the request fails as
    /// [`Failure::Malformed`](crate::Failure::Malformed). Default: 10 s.
    pub request_body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_depth: MAX_DEPTH,
            max_response_message_bytes: 16 << 20,
            max_streamed_document_bytes: 1 << 20,
            max_raw_chunk_bytes: 64 << 10,
            first_message_timeout: Duration::from_millis(250),
            event_stream_silence: Duration::from_secs(15),
            request_body_timeout: Duration::from_secs(10),
        }
    }
}
