//! Providers that sign their webhook events, each with its own scheme.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use mainstay_kernel::clock::Clock;

use super::unique;

/// The secrets of every test's providers: the second one is in use, as after a rotation.
pub(crate) const SECRETS: [(&str, &str); 5] = [
    ("WEBHOOK_SECRETS_STRIPE", "whsec_of_the_old_endpoint,whsec_of_the_new_endpoint"),
    (
        "WEBHOOK_SECRETS_STANDARD",
        "whsec_QW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3Rz,whsec_QSBzZWNyZXQgb2YgdGhlIHRlc3RzIGFsb25l",
    ),
    ("WEBHOOK_SECRETS_GITHUB", "an_old_secret_of_the_tests,a_new_secret_of_the_tests"),
    ("WEBHOOK_SECRETS_GENERIC", GENERIC_SECRET),
    ("WEBHOOK_VERIFY_TOKENS_GENERIC", "an_old_token_of_the_tests,a_new_token_of_the_tests"),
];

/// A token in challenges of the provider of the operator's choice.
pub(crate) const GENERIC_TOKEN: &str = "a_new_token_of_the_tests";

/// The secret that signs Stripe's webhook events.
pub(crate) const STRIPE_SECRET: &str = "whsec_of_the_new_endpoint";

fn mac(secret: &[u8], signed: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes())
}

fn hex(tag: &hmac::Tag) -> String {
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> i64 {
    Clock::default().now().timestamp()
}

/// A new event in Stripe's format.
pub(crate) fn event(kind: &str) -> String {
    format!(r#"{{"id":"evt_{}","object":"event","type":"{kind}","data":{{"object":{{}}}}}}"#, unique())
}

/// The `Stripe-Signature` of a body, created this many seconds from now.
pub(crate) fn stripe(body: &str, later: i64) -> String {
    let at = now() + later;
    format!("t={at},v1={}", hex(&mac(STRIPE_SECRET.as_bytes(), &format!("{at}.{body}"))))
}

/// The signature of Standard Webhooks, without its version.
pub(crate) fn signature(secret: &[u8], signed: &str) -> String {
    BASE64_STANDARD.encode(mac(secret, signed))
}

/// The `webhook-timestamp` and `webhook-signature` of a body.
pub(crate) fn standard(id: &str, body: &str) -> [String; 2] {
    let at = now();
    let secret = b"A secret of the tests alone";
    [at.to_string(), format!("v1,{}", signature(secret, &format!("{id}.{at}.{body}")))]
}

/// The `X-Hub-Signature-256` of a body.
pub(crate) fn github(body: &str) -> String {
    format!("sha256={}", hex(&mac(b"a_new_secret_of_the_tests", body)))
}

/// The secret of a provider of the operator's choice.
pub(crate) const GENERIC_SECRET: &str = "a_secret_of_the_operators_choice";

/// The `X-Signature` of a body, by the default scheme.
pub(crate) fn generic(body: &str) -> String {
    hex(&mac(GENERIC_SECRET.as_bytes(), body))
}
