//! What Envoy answers otherwise than the server does by itself: all of it, with the reason. The list may only shrink.

use serde_json::{Value, json};

use crate::support::Answer;

/// A difference that Envoy forces.
struct Difference {
    /// Why it can't be mended.
    #[expect(dead_code, reason = "for the reader")]
    why: &'static str,
    /// Whether an answer through Envoy is one of these.
    applies: fn(&Answer) -> bool,
    /// Takes out of either answer what may differ.
    forget: fn(&mut Value),
}

const DIFFERENCES: [Difference; 1] = [Difference {
    why: "Envoy refuses what it can't transcode (no JSON, a wrong type, a body too large) before the server has heard \
          of it: the envelope, the code and the status are the same; the sentence is Envoy's, which names no field, \
          and no limit was counted",
    applies: |envoy| {
        matches!(envoy.reason.as_str(), "MALFORMED_REQUEST" | "PAYLOAD_TOO_LARGE")
            && envoy.header("ratelimit").is_none()
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
        answer["foreign"] = json!(null);
    },
}];

/// What differs between the server's own answer and the one through Envoy, if something does that may not.
pub(crate) fn between(rest: &Answer, envoy: &Answer) -> Option<String> {
    let (mut direct, mut told) = (rest.comparable_rest(), envoy.comparable_rest());
    for difference in DIFFERENCES.iter().filter(|difference| (difference.applies)(envoy)) {
        (difference.forget)(&mut direct);
        (difference.forget)(&mut told);
    }
    (direct != told).then(|| format!("REST says\n{direct:#}\nand Envoy\n{told:#}"))
}
