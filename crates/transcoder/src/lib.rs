#![doc = include_str!("../README.md")]
//! # Overview
//!
//! ```text
//! request  ─▶ rule ─▶ body + query + path → message ─▶ application/grpc ─▶ upstream (tonic routes, a channel, …)
//! response ◀─ JSON, NDJSON, server-sent events or bytes ◀─ messages, then a status ◀─┘
//! ```
//!
//! - [`Transcoder`]: the service. It needs a descriptor pool with the services and their options, the upstream, and a
//!   [`Dialect`]. The upstream authorizes callers; the transcoder only converts.
//! - [`Dialect`], [`StatusDialect`]: the conventions of an API.
//! - [`Limits`]: the bounds on the cost of one call.
//! - [`descriptor_pool`]: the descriptor set, with its edition files rewritten as proto2 or proto3.
//! - [`RuleTable`]: the rules, read, checked and indexed at startup; usable alone, to describe the routes or to find the
//!   gRPC method of a path.
//! - [`json`]: protobuf JSON directly from and to wire bytes; usable alone. An upstream that omits fields passes a
//!   [`json::FieldSet`] in the extensions of its response.
//!
//! Internal modules: `call` is one request on its way to the upstream and back. `rule`, `template` and `trie` are the
//! rules. A `plan` is a route resolved against the descriptors, so that a request looks up only its own fields by name.
//! Body, path and query become the bytes of messages in `request_body`, `bindings` and `splitter`. Messages become one
//! document or a stream in `response`; a large document is converted on tokio's blocking threads. `frame` and `wire` are
//! the two layers of gRPC's encoding; `headers` and `media_type` translate headers.
//!
//! # Streams
//!
//! A client's stream is a JSON array or NDJSON, or raw bytes if the body is a `google.api.HttpBody`. A server's stream is
//! NDJSON, server-sent events or raw bytes. Both apply backpressure: data is read only when the other side requests it. A
//! failure after the status line is the stream's last line. The id of an event is the field that
//! [`Dialect::event_id_field`] selects in its message, and a silent stream of events gets comments.
//!
//! # Sources
//!
//! google/api/http.proto, [AIP-127](https://google.aip.dev/127), the
//! [protobuf JSON mapping](https://protobuf.dev/programming-guides/json/), and Envoy's `grpc_json_transcoder` where these
//! leave a choice.

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
pub use media_type::merge_content_types;
pub use rule::{BodyRule, HTTP_BODY, Route, RuleError, RuleErrors, RuleTable};
pub use status_dialect::{StatusDialect, http_status};
pub use template::{Segment, Template, TemplateError, Variable};
pub use transcoder::Transcoder;
pub use wire::WireError;

/// Any error of a body or of the upstream.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
