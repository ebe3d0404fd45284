mod generic;
mod github;
mod standard;
mod stripe;

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use mainstay_kernel::{
    config::Source,
    error::{Reason, ReasonRef},
    unit_of_work::Work,
};

use crate::{
    product::tests::{cost::cost, invalid_variables},
    proto::webhooks::v1::Reason as WebhooksReason,
    webhooks::{
        inbound::{
            handlers::{Handlers, InboundEventHandler},
            *,
        },
        inbound_event::model::InboundEvent,
    },
};

const BODY: &[u8] = br#"{"id":"evt_1","type":"ping"}"#;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

/// Returns the verifiers of the product, by these settings.
fn configured(settings: &[(&str, &str)]) -> Verifiers {
    let modules = crate::product().modules().expect("they fit together");
    let config = modules.config(Source::of(settings.iter().copied())).expect("a good configuration");
    crate::webhooks::verifiers(modules, &config)
}

/// Returns the verifiers with these secrets of a provider.
fn verifiers(provider: &str, secrets: &[&str]) -> Verifiers {
    configured(&[(&format!("WEBHOOK_SECRETS_{}", provider.to_uppercase()), &secrets.join(","))])
}

/// Returns the verifiers of a provider of the operator's choice, by these settings.
fn generic(settings: &[(&str, &str)], secret: &str) -> Verifiers {
    configured(&[settings, &[("WEBHOOK_SECRETS_GENERIC", secret)]].concat())
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
    provider: &str,
    all: &[(&'static str, &str)],
    body: &[u8],
) -> Result<SignedEvent, ReasonRef> {
    let (_, verifier) = verifiers.of(provider).expect("configured");
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
            let stripe = verifiers("stripe", &[NEW]);
            assert_eq!(verify(&stripe, "stripe", &[("stripe-signature", &header)], body), event("evt_1"));
            let signature = mac(NEW.as_bytes(), &[format!("msg_1.{at}.").as_bytes(), body].concat());
            let signature = format!("v1,{}", STANDARD.encode(signature));
            let all = [("webhook-id", "msg_1"), ("webhook-timestamp", &*seconds), ("webhook-signature", &signature)];
            assert_eq!(verify(&verifiers("standard", &[&secret]), "standard", &all, body), event("msg_1"));
            let signature = format!("sha256={}", hex(&mac(NEW.as_bytes(), body)));
            let all = [("x-github-delivery", "1"), ("x-github-event", "ping"), ("x-hub-signature-256", &signature)];
            assert_eq!(verify(&verifiers("github", &[NEW]), "github", &all, body), event("1"));
        }
    }
}

#[test]
fn a_provider_needs_a_valid_secret() {
    let none = configured(&[]);
    for name in ["stripe", "Stripe", "nobody"] {
        let reason = none.of(name).map(drop).map_err(|error| error.reason());
        assert_eq!(reason, Err(ReasonRef::new(Reason::NotFound)), "{name}");
    }
    assert_eq!(verifiers("stripe", &[NEW]).of("stripe").map(|(name, _)| name).ok(), Some("stripe"));
    for (variable, secret) in [
        ("WEBHOOK_SECRETS_STRIPE", "short"),
        ("WEBHOOK_SECRETS_STANDARD", "whsec_not base64"),
        ("WEBHOOK_SECRETS_GITHUB", "two words are too many"),
    ] {
        assert_eq!(invalid_variables(&[(variable, secret)]), [variable], "{secret}");
    }
}

/// The table has no other ids and types, whatever the provider of a module makes of an event.
#[test]
fn an_event_has_an_id_and_a_type_that_can_be_stored() {
    let long = "x".repeat(256);
    for (id, kind, is_good) in
        [("1", "ping", true), ("", "ping", false), ("1", "two words", false), (&long, "ping", false)]
    {
        let event = SignedEvent { event_id: id.to_owned(), kind: kind.to_owned() };
        let reason = event.check().map(drop).map_err(|error| error.reason());
        assert_eq!(reason, if is_good { Ok(()) } else { Err(ReasonRef::new(Reason::MalformedRequest)) }, "{id} {kind}");
    }
}

/// An event of a provider that no module declares would never arrive.
#[test]
fn a_handler_is_of_a_declared_provider() {
    let check =
        |declared: &[&str]| Handlers::new([Arc::new(Opened) as Arc<_>]).and_then(|all| all.check_providers(declared));
    assert!(check(&["depot.doors", "stripe"]).is_ok());
    let fault = check(&["github", "stripe"]).expect_err("a fault");
    let expected = "a module handles events of the provider depot.doors, which no module declares, only github, stripe";
    assert_eq!(fault, expected);
}

#[derive(Debug)]
struct Opened;

impl InboundEventHandler for Opened {
    fn provider(&self) -> &'static str {
        "depot.doors"
    }

    fn kinds(&self) -> &[&'static str] {
        &["door.opened"]
    }

    fn handle<'c>(&'c self, _: &'c mut Work, _: &'c InboundEvent) -> BoxFuture<'c, mainstay_kernel::error::Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

#[test]
fn hexadecimal_is_read() {
    assert_eq!(verifier::hex("00fFa1"), Some(vec![0, 255, 161]));
    assert_eq!((verifier::hex("0"), verifier::hex("zz"), verifier::hex("+1")), (None, None, None));
}
