//! The coverage of reasons by protocol. Every reason is observed over every protocol, except for a short list.

use crate::support::{PROTOCOLS, Protocol, Response};

/// A reason that is not observed over some protocols.
pub(super) struct Gap {
    pub(super) reason: &'static str,
    pub(super) protocols: &'static [Protocol],
    /// The reason why it can't be observed there.
    #[expect(dead_code, reason = "documentation")]
    why: &'static str,
}

/// The list may only shrink: a test that observes a listed combination fails.
pub(super) const GAPS: [Gap; 6] = [
    Gap {
        reason: "ADDRESS_OF_ANOTHER_DOMAIN",
        protocols: &PROTOCOLS,
        why: "a browser alone sees it, in the URL of the page after a sign-in",
    },
    Gap {
        reason: "BUSINESS_RULE_VIOLATION",
        protocols: &PROTOCOLS,
        why: "the product's own rules have names of their own; this one is why an inbound event is dead, long after its \
              sender had a response",
    },
    Gap {
        reason: "CLIENT_CLOSED_REQUEST",
        protocols: &PROTOCOLS,
        why: "the caller has left, so that the log and the metrics alone have it",
    },
    Gap {
        reason: "METHOD_NOT_ALLOWED",
        protocols: &[Protocol::Grpc],
        why: "every gRPC call is a POST; another HTTP method is not gRPC",
    },
    Gap {
        reason: "NOT_ACCEPTABLE",
        protocols: &[Protocol::Grpc],
        why: "gRPC has no Accept, and one form of a response",
    },
    Gap {
        reason: "WATCH_LAGGED",
        protocols: &[Protocol::Rest, Protocol::Envoy],
        why: "how far a watch may lag is more than a connection of its own takes to fill, and the failure of a stream in \
              its middle is the same for every reason: see `protocols::streams`",
    },
];

/// The protocols over which one reason was observed. At its end, these and the gaps must cover all protocols.
pub(super) struct ReasonCoverage {
    reason: &'static str,
    protocols: Vec<Protocol>,
}

impl ReasonCoverage {
    pub(super) fn of(reason: &'static str) -> Self {
        Self { reason, protocols: Vec::new() }
    }

    /// Records a response, which must be an error with the reason.
    #[track_caller]
    pub(super) fn failure(&mut self, protocol: Protocol, answer: Response) -> Response {
        let answer = answer.failure(self.reason);
        self.protocols.push(protocol);
        answer
    }

    /// Records the code of an error, which must be the reason's.
    #[track_caller]
    pub(super) fn code(&mut self, protocol: Protocol, code: &str) {
        assert_eq!(code, self.reason, "over {protocol:?}");
        self.protocols.push(protocol);
    }
}

impl Drop for ReasonCoverage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for protocol in PROTOCOLS {
            let is_covered = self.protocols.contains(&protocol);
            let listed = GAPS.iter().any(|gap| gap.reason == self.reason && gap.protocols.contains(&protocol));
            assert!(is_covered || listed, "{} was not seen over {protocol:?}", self.reason);
            assert!(!(is_covered && listed), "{} is seen over {protocol:?}: remove it from the gaps", self.reason);
        }
    }
}
