//! Envoy's local replies, in the error envelope of the contract.

use serde_json::json;

use crate::{contract::Reason, http::envoy::fill};

struct Reply {
    status: u16,
    /// The condition that distinguishes two causes of one status.
    also: Option<&'static str>,
    reason: Reason,
    /// Whether Envoy's message is more specific than the catalogue's.
    own_words: bool,
}

const fn reply(status: u16, reason: Reason) -> Reply {
    Reply { status, also: None, reason, own_words: false }
}

/// Every local reply that this configuration can produce; the first match applies.
const REPLIES: [Reply; 14] = [
    Reply { own_words: true, ..reply(400, Reason::MalformedRequest) },
    Reply { also: Some(EXPIRED), ..reply(401, Reason::TokenExpired) },
    reply(401, Reason::InvalidToken),
    // A protocol upgrade, or a target with another scheme.
    reply(403, Reason::MalformedRequest),
    reply(404, Reason::RouteNotFound),
    // The request did not arrive completely in time.
    Reply { own_words: true, ..reply(408, Reason::MalformedRequest) },
    reply(413, Reason::PayloadTooLarge),
    // The headers exceed Envoy's limit.
    Reply { own_words: true, ..reply(431, Reason::MalformedRequest) },
    reply(500, Reason::InternalError),
    // A transfer coding other than chunked.
    reply(501, Reason::MalformedRequest),
    reply(502, Reason::Unavailable),
    Reply { also: Some("response_flag_filter: { flags: [UO] }"), ..reply(503, Reason::Overloaded) },
    reply(503, Reason::Unavailable),
    reply(504, Reason::DeadlineExceeded),
];

/// Matches an expired token, by the details that the JWT filter reports.
const EXPIRED: &str = "extension_filter: { name: expired, typed_config: { \"@type\": \
                       type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter, expression: \
                       \"response.code_details.contains('expired')\" } }";

pub(crate) fn mappers() -> String {
    REPLIES.iter().map(mapper).collect()
}

fn mapper(reply: &Reply) -> String {
    let facts = reply.reason.facts();
    let also = reply.also.map(|filter| format!("      - {filter}\n"));
    let more = match reply.reason {
        Reason::Unavailable | Reason::Overloaded => ", *wait",
        Reason::TokenExpired | Reason::InvalidToken => ", *challenge",
        _ => "",
    };
    let envelope = json!({ "error": {
        "code": facts.code,
        "message": if reply.own_words { "%LOCAL_REPLY_BODY%" } else { facts.summary },
        "fields": {},
        "requestId": "%REQ(X-REQUEST-ID)%",
        "retryable": facts.retryable,
        "metadata": {},
    } });
    let values = [
        ("status", reply.status.to_string()),
        ("also", also.unwrap_or_default()),
        ("told", facts.http.as_u16().to_string()),
        ("more", more.to_owned()),
        ("envelope", envelope.to_string()),
    ];
    fill(include_str!("reply.yaml"), &values)
}
