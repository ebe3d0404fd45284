//! The complete list of differences between Envoy's responses and the server's, each with its reason. The list may only
//! shrink, unless protobuf requires behavior of the server that Envoy lacks.

use serde_json::Value;

use crate::support::{Raw, Response};

/// A difference that Envoy causes.
struct Difference {
    /// Why the difference cannot be removed.
    #[expect(dead_code, reason = "documentation")]
    why: &'static str,
    /// Returns whether the two responses to a request, the server's and the one through Envoy, may differ in this way.
    applies: fn(&Raw, &Response, &Response) -> bool,
    /// Removes the parts of a response that may differ.
    forget: fn(&mut Value),
}

const DIFFERENCES: [Difference; 11] = [
    Difference {
        why: "Envoy refuses a request that it can't transcode before it reaches the server, or passes on one that the \
              server then can't read. Status, code and envelope are the same; the message and the named fields depend on \
              which of the two refuses, and a refusal by Envoy counts against no limit",
        applies: |_, rest, envoy| {
            rest.reason == envoy.reason && ["MALFORMED_REQUEST", "PAYLOAD_TOO_LARGE"].contains(&&*rest.reason)
        },
        forget: |answer| {
            answer["body"]["error"]["message"] = Value::Null;
            answer["body"]["error"]["fields"] = Value::Null;
            for name in [
                "ratelimit",
                "ratelimit-policy",
                "vary",
                "access-control-allow-credentials",
                "access-control-expose-headers",
            ] {
                answer["headers"][name] = Value::Null;
            }
            answer["foreign"] = Value::Null;
        },
    },
    Difference {
        why: "Envoy accepts a path that is not UTF-8, and JSON that is not I-JSON (RFC 7493): a broken escape, a lone \
              surrogate, a control character in a string, duplicate members. The server refuses all of them",
        applies: |request, rest, _| {
            let has_message = |what: &str| rest.body.pointer("/error/message").is_some_and(|message| message == what);
            let broken = || serde_json::from_slice::<Value>(&request.body).is_err();
            rest.reason == "MALFORMED_REQUEST"
                && (has_message("Given twice") || has_message("Not valid UTF-8") || broken())
        },
        forget: |answer| *answer = Value::Null,
    },
    Difference {
        why: "Envoy takes one value for an array with one element, takes the elements of an array in an array for those of \
              the outer one, and drops null from arrays and maps. Protobuf's JSON has none of them, and the server refuses \
              all",
        applies: |_, rest, _| {
            let message = rest.body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
            rest.reason == "MALFORMED_REQUEST"
                && (message.starts_with("Expected an array, found")
                    || message.ends_with("found an array")
                    || message.ends_with("found null"))
        },
        forget: |answer| *answer = Value::Null,
    },
    Difference {
        why: "Envoy refuses a whole number that is text with an exponent, which protobuf's JSON has and the server takes",
        applies: |request, _, envoy| {
            envoy.reason == "MALFORMED_REQUEST" && String::from_utf8_lossy(&request.body).contains("\"1e2\"")
        },
        forget: |answer| *answer = Value::Null,
    },
    Difference {
        why: "Envoy reads a leap second as the second after it. A timestamp can't hold one, protobuf's conformance suite \
              requires the refusal, and the server refuses it",
        applies: |request, rest, _| {
            rest.reason == "MALFORMED_REQUEST" && String::from_utf8_lossy(&request.body).contains(":60Z\"")
        },
        forget: |answer| *answer = Value::Null,
    },
    Difference {
        why: "Envoy would weaken or drop the entity tag of a response that it compresses, so it does not compress a \
              response with a tag, whose vary header then lacks accept-encoding; the server compresses it under a tag of \
              its own",
        applies: |_, rest, envoy| !is_coded(rest) && is_plain_by_tag(envoy),
        forget: |answer| {
            if let Some(vary) = answer["headers"]["vary"].as_array_mut() {
                vary.retain(|name| name != "accept-encoding");
            }
        },
    },
    Difference {
        why: "the same, if the caller accepts compressed responses: a body that can't be read here is not compared",
        applies: |_, rest, envoy| is_coded(rest) && is_plain_by_tag(envoy),
        forget: |answer| {
            answer["body"] = Value::Null;
            for name in ["content-encoding", "etag", "vary"] {
                answer["headers"][name] = Value::Null;
            }
        },
    },
    Difference {
        why: "Envoy compares the body with the path and the query as text: only if the body spells the field as the .proto \
              does, and then `t` contradicts `true`. The server compares the values of the fields, however spelled",
        applies: |_, rest, envoy| {
            let message =
                |answer: &Response| answer.body.pointer("/error/message").and_then(Value::as_str).map(str::to_owned);
            message(rest).is_some_and(|message| message == "Given twice, with different values")
                || message(envoy).is_some_and(|message| message.contains("is conflicting with the value"))
        },
        forget: |answer| *answer = Value::Null,
    },
    Difference {
        why: "Envoy refuses the first unknown name of an enum, in body or query, before the request reaches the server, and \
              has no option to let it pass. The server lists all of them with every other fault of the request, to a \
              caller who may make it",
        applies: |_, rest, envoy| {
            let message = envoy.body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
            let is_of_enum = message.contains(": invalid value ") && message.contains(" for type type.googleapis.com/");
            rest.status >= 400 && envoy.reason == "MALFORMED_REQUEST" && is_of_enum
        },
        forget: |answer| *answer = Value::Null,
    },
    Difference {
        why: "Envoy refuses JSON that begins with a byte order mark, which RFC 8259 lets a reader ignore",
        applies: |request, _, envoy| envoy.reason == "MALFORMED_REQUEST" && request.body.starts_with(b"\xef\xbb\xbf"),
        forget: |answer| *answer = Value::Null,
    },
    Difference {
        why: "Envoy drops a member of the body that names no field, and has no option to refuse it; the server refuses it \
              by name, because a misspelt field must not vanish",
        applies: |_, rest, _| {
            let message = rest.body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
            message.starts_with("Unknown field") || message == "Read-only"
        },
        forget: |answer| *answer = Value::Null,
    },
];

fn is_coded(answer: &Response) -> bool {
    answer.header("content-encoding").is_some()
}

fn is_plain_by_tag(answer: &Response) -> bool {
    !is_coded(answer) && answer.header("etag").is_some()
}

/// The differences between the server's response and the one through Envoy that the list does not allow, if any.
pub(crate) fn between(request: &Raw, rest: &Response, envoy: &Response) -> Option<String> {
    let (mut direct, mut other) = (rest.comparable_rest(), envoy.comparable_rest());
    for difference in DIFFERENCES.iter().filter(|difference| (difference.applies)(request, rest, envoy)) {
        (difference.forget)(&mut direct);
        (difference.forget)(&mut other);
    }
    (direct != other).then(|| format!("REST says\n{direct:#}\nand Envoy\n{other:#}"))
}
