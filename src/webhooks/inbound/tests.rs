mod generic;
mod github;
mod standard;
mod stripe;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use http::HeaderMap;

use mainstay_kernel::{
    config::Source,
    error::{Reason, ReasonRef},
};

use crate::{
    product::tests::{cost::cost, invalid_variables},
    proto::webhooks::v1::Reason as WebhooksReason,
    webhooks::{
        config::{GenericScheme, WebhooksConfig},
        inbound::*,
    },
};

const BODY: &[u8] = br#"{"id":"evt_1","type":"ping"}"#;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

fn verifiers(provider: Provider, secrets: &[&str]) -> Verifiers {
    let secrets: Vec<_> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
    Verifiers::new([(provider, secrets.as_slice())], &GenericScheme::default()).expect("good secrets")
}

/// Returns the verifiers of a provider of the operator's choice, by these settings.
fn generic(settings: &[(&str, &str)], secret: &str) -> Verifiers {
    let settings = [settings, &[("WEBHOOK_SECRETS_GENERIC", secret)]].concat();
    let modules = crate::product().modules().expect("they fit together");
    let config = modules.config(Source::of(settings)).expect("a good configuration");
    let config = config.section::<WebhooksConfig>();
    Verifiers::new(config.secrets(), config.generic()).expect("good secrets")
}

fn mac(secret: &[u8], signed: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    all.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
}

fn verify(
    verifiers: &Verifiers,
    provider: Provider,
    all: &[(&'static str, &str)],
    body: &[u8],
) -> Result<SignedEvent, ReasonRef> {
    let verifier = verifiers.of(provider).expect("configured");
    verifier.verify(&headers(all), body, now()).map_err(|error| error.reason())
}

const OLD: &str = "whsec_the_old_one_of_stripe";
const NEW: &str = "whsec_the_new_one_of_stripe";

fn stripe(secret: &str, timestamp: i64, body: &[u8]) -> String {
    hex(&mac(secret.as_bytes(), &[format!("{timestamp}.").as_bytes(), body].concat()))
}

/// JSON admits more than this server could represent, in parts of an event that it does not read.
#[test]
fn parts_of_an_event_that_are_not_read_do_not_matter() {
    let secret = format!("whsec_{}", STANDARD.encode(NEW));
    let at = now().timestamp();
    let seconds = at.to_string();
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for part in [r#""\ud800""#, "1e999", &deep, r#"{"id":7,"type":[]}"#] {
        for mark in ["", "\u{feff}"] {
            let body = format!(r#"{mark}{{"x":{part},"id":"evt_1","type":"ping","y":{part}}}"#);
            let body = body.as_bytes();
            let event = |id: &str| Ok(SignedEvent { event_id: id.to_owned(), kind: "ping".to_owned() });
            let header = format!("t={at},v1={}", stripe(NEW, at, body));
            let stripe = verifiers(Provider::Stripe, &[NEW]);
            assert_eq!(verify(&stripe, Provider::Stripe, &[("stripe-signature", &header)], body), event("evt_1"));
            let signature = mac(NEW.as_bytes(), &[format!("msg_1.{at}.").as_bytes(), body].concat());
            let signature = format!("v1,{}", STANDARD.encode(signature));
            let all = [("webhook-id", "msg_1"), ("webhook-timestamp", &*seconds), ("webhook-signature", &signature)];
            assert_eq!(
                verify(&verifiers(Provider::Standard, &[&secret]), Provider::Standard, &all, body),
                event("msg_1")
            );
            let signature = format!("sha256={}", hex(&mac(NEW.as_bytes(), body)));
            let all = [("x-github-delivery", "1"), ("x-github-event", "ping"), ("x-hub-signature-256", &signature)];
            assert_eq!(verify(&verifiers(Provider::Github, &[NEW]), Provider::Github, &all, body), event("1"));
        }
    }
}

#[test]
fn a_provider_needs_a_valid_secret() {
    let none = Verifiers::new([(Provider::Stripe, &[][..])], &GenericScheme::default()).expect("nothing is wrong");
    assert_eq!(
        none.of(Provider::Stripe).map(drop).map_err(|error| error.reason()),
        Err(ReasonRef::new(Reason::NotFound))
    );
    for (provider, secret) in [
        (Provider::Stripe, "short"),
        (Provider::Standard, "whsec_not base64"),
        (Provider::Github, "two words are too many"),
    ] {
        assert!(
            Verifiers::new([(provider, &[SecretString::from(secret)][..])], &GenericScheme::default()).is_err(),
            "{secret}"
        );
    }
}

#[test]
fn hexadecimal_is_read() {
    assert_eq!(verifier::hex("00fFa1"), Some(vec![0, 255, 161]));
    assert_eq!((verifier::hex("0"), verifier::hex("zz"), verifier::hex("+1")), (None, None, None));
}
