//! Challenges: requests without an event, by which a provider asks whether its webhooks are wanted at this URL. The
//! response repeats a value of the request.

use serde_json::Value;

use crate::webhooks::config::VerifyTokens;

/// A challenge.
#[derive(Debug, Clone, Copy)]
pub enum Challenge<'r> {
    /// A body whose signature [`Verifier::verify`](super::Verifier::verify) has accepted, as Slack and Twitch send it.
    Signed {
        /// The type of the event.
        kind: &'r str,
        /// The body, byte for byte.
        body: &'r [u8],
    },
    /// The parameters of a request without a signature: a GET, or a POST with `validationToken`.
    Unsigned(&'r Parameters),
}

/// The parameters of a challenge, by the names that providers give them; an absent one is empty. Each has at most 1,024
/// characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `hub.mode`: `subscribe` at Meta and Strava.
    pub mode: String,
    /// `hub.verify_token`, which the operator has given to the provider.
    pub verify_token: String,
    /// `hub.challenge`, or `challenge` at Dropbox and Nylas.
    pub challenge: String,
    /// `crc_token`, which X expects to be signed.
    pub crc_token: String,
    /// `validationToken`, as Microsoft Graph sends it.
    pub validation_token: String,
}

/// The answer to a challenge, of at most [`MAX_BYTES`](Self::MAX_BYTES).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub(crate) media_type: &'static str,
    pub(crate) text: String,
}

impl Answer {
    /// The maximum length in bytes; a challenge with a longer answer is refused.
    pub const MAX_BYTES: usize = 4096;

    /// Answers with a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { media_type: "text/plain; charset=utf-8", text: text.into() }
    }

    /// Answers with JSON.
    pub fn json(value: &Value) -> Self {
        Self { media_type: "application/json", text: value.to_string() }
    }
}

impl VerifyTokens {
    /// Answers a subscription of the kind that Meta and Strava send: `hub.mode=subscribe` with one of these tokens is
    /// answered with `hub.challenge`.
    pub fn subscription(&self, parameters: &Parameters) -> Option<Answer> {
        let Parameters { mode, verify_token, challenge, .. } = parameters;
        (mode == "subscribe" && self.contain(verify_token)).then(|| Answer::text(challenge))
    }
}
