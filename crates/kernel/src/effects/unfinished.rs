//! Why an attempt has no outcome, and why an effect failed.

use http::StatusCode;

use crate::outbound;

/// Why an attempt has no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfinished {
    /// The API is known to have done nothing, and may do it later: it can't be reached, or limits the rate of calls.
    NotDone(String),
    /// The API refused the request for good, and has done nothing.
    Refused(Failure),
    /// The API may have done it: the response was lost, or says nothing.
    Unclear(String),
}

/// Why an effect did not happen and will not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The API refused the request.
    Refused {
        /// A machine-readable code.
        code: String,
        /// A text for operators.
        message: String,
    },
    /// No attempt took effect within [`Effect::DEADLINE`](super::Effect::DEADLINE).
    Expired,
}

/// A refusal counts as one unless its status leaves open what became of the request, or of an earlier one under the same key.
impl From<outbound::Error> for Unfinished {
    fn from(error: outbound::Error) -> Self {
        const OPEN: [StatusCode; 3] = [StatusCode::REQUEST_TIMEOUT, StatusCode::CONFLICT, StatusCode::TOO_EARLY];
        let status = error.status();
        if error.may_have_acted || status.is_some_and(|status| OPEN.contains(&status)) {
            return Self::Unclear(error.to_string());
        }
        match (error.kind, status) {
            (outbound::Kind::Rejected, Some(status)) => {
                Self::Refused(Failure::Refused { code: status.as_str().to_owned(), message: error.to_string() })
            }
            _ => Self::NotDone(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn of_status(status: u16) -> Unfinished {
        let response = http::Response::builder().status(status).body(Bytes::new()).expect("a response");
        outbound::Error::from_response("test", response).into()
    }

    #[test]
    fn only_a_call_that_certainly_did_nothing_is_refused_or_not_done() {
        for status in [408, 409, 425, 500, 502, 503, 302] {
            assert!(matches!(of_status(status), Unfinished::Unclear(_)), "{status}");
        }
        for status in [401, 403, 429] {
            assert!(matches!(of_status(status), Unfinished::NotDone(_)), "{status}");
        }
        let Unfinished::Refused(Failure::Refused { code, .. }) = of_status(422) else { panic!("it was refused") };
        assert_eq!(code, "422");
        let timed_out = outbound::Error::timed_out("test", std::time::Duration::ZERO);
        assert!(matches!(timed_out.into(), Unfinished::Unclear(_)));
        let not_connected = outbound::Error::not_connected("test", String::new());
        assert!(matches!(not_connected.into(), Unfinished::NotDone(_)));
    }
}
