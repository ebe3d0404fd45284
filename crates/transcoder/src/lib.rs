#![doc = include_str!("../README.md")]
//!
//! # What is where
//!
//! ```text
//! request  ─▶ rule ─▶ body + query + path → message ─▶ application/grpc ─▶ upstream (tonic routes, a channel, …)
//! response ◀─ JSON, NDJSON, server-sent events or bytes ◀─ messages, then a status ◀─┘
//! ```
//!
//! - [`Transcoder`]: the service. It needs a descriptor pool with the services and their options, the upstream, and a
//!   [`Dialect`]. The upstream decides who may call; the transcoder only converts.
//! - [`Dialect`], [`StatusDialect`]: what an API decides for itself.
//! - [`Limits`]: the bounds on the cost of one call.
//! - [`descriptor_pool`]: the descriptor set, with its edition files rewritten as proto2 or proto3.
//! - [`RuleTable`]: the rules, read, checked and indexed at start-up; usable alone, to describe the routes or to find the
//!   gRPC method of a path.
//! - [`json`]: protobuf JSON directly from and to wire bytes; usable alone. An upstream that leaves fields out says so
//!   with a [`json::FieldSet`] in the extensions of its response.
//!
//! Inside: `call` is one request on its way to the upstream and back. `rule`, `template` and `trie` are the rules; a
//! `plan` is a route resolved against the descriptors, so that a request looks nothing up by name but its own fields.
//! Body, path and query become the bytes of messages in `request_body`, `bindings` and `splitter`; messages become one
//! document, a large one on tokio's threads for blocking work, or a stream in `response`. `frame` and `wire` are the two
//! layers of gRPC's encoding; `headers` and `media_type` are what crosses over in headers.
//!
//! # Streams
//!
//! A client's stream is a JSON array or NDJSON, or raw bytes if the body is a `google.api.HttpBody`; a server's is
//! NDJSON, server-sent events or raw bytes. Both are pulled: nothing is read before the other side wants it. A failure
//! after the status line is the stream's last line. An event has the id that [`Dialect::event_id_field`] finds in its
//! message, and a silent stream of events gets comments.
//!
//! # Sources
//!
//! google/api/http.proto, [AIP-127](https://google.aip.dev/127), the
//! [protobuf JSON mapping](https://protobuf.dev/programming-guides/json/), and Envoy's `grpc_json_transcoder` where
//! those leave a choice.

mod bindings;
mod call;
mod dialect;
mod editions;
mod frame;
mod headers;
pub mod json;
mod limits;
mod media_type;
mod plan;
mod request_body;
mod response;
mod rule;
mod shared;
mod splitter;
mod status_dialect;
mod template;
mod transcoder;
mod trie;
mod wire;

pub use dialect::{Dialect, Failure, MatchedRoute, RequestHead};
pub use editions::{DescriptorSetError, descriptor_pool};
pub use headers::{grpc_metadata, parse_timeout};
pub use limits::Limits;
pub use rule::{BodyRule, HTTP_BODY, Route, RuleError, RuleErrors, RuleTable};
pub use status_dialect::{StatusDialect, http_status};
pub use template::{Segment, Template, TemplateError, Variable};
pub use transcoder::Transcoder;
pub use wire::WireError;

/// An error of a body or of the upstream, whatever its type.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
