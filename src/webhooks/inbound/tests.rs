use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use http::HeaderMap;

use mainstay_kernel::error::{Reason, ReasonRef};

use crate::{proto::webhooks::v1::Reason as WebhooksReason, webhooks::inbound::*};

const BODY: &[u8] = br#"{"id":"evt_1","type":"ping"}"#;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

fn verifiers(provider: Provider, secrets: &[&str]) -> Verifiers {
    let secrets: Vec<_> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
    Verifiers::new([(provider, secrets.as_slice())]).expect("good secrets")
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

#[test]
fn stripe_signatures_are_verified() {
    let at = now().timestamp();
    let verified = Ok(SignedEvent { event_id: "evt_1".to_owned(), kind: "ping".to_owned() });
    let both = verifiers(Provider::Stripe, &[OLD, NEW]);
    let check = |verifiers: &Verifiers, header: String| {
        verify(verifiers, Provider::Stripe, &[("stripe-signature", &header)], BODY)
    };
    for secret in [OLD, NEW] {
        assert_eq!(check(&both, format!("t={at},v1={}", stripe(secret, at, BODY))), verified, "either secret");
    }
    let one = verifiers(Provider::Stripe, &[NEW]);
    let (old, new) = (stripe(OLD, at, BODY), stripe(NEW, at, BODY));
    assert_eq!(check(&one, format!("t={at},v1={old},v0={new},v1={new}")), verified, "any v1 counts");
    let forged = Err(ReasonRef::new(WebhooksReason::InvalidSignature));
    for wrong in [
        format!("t={at},v1={old}"),
        format!("t={at},v0={new}"),
        format!("t={},v1={new}", at + 1),
        format!("t={at},t={at},v1={new}"),
        format!("t={at},v1={}", &new[..62]),
        format!("t={at},v1={new}0"),
        format!("t={at},v1="),
        format!("v1={new}"),
        format!("t={at}"),
        "nonsense".to_owned(),
        String::new(),
    ] {
        assert_eq!(check(&one, wrong.clone()), forged, "{wrong}");
    }
    assert_eq!(verify(&one, Provider::Stripe, &[], BODY), forged);
    let twice = format!("t={at},v1={new}");
    assert_eq!(
        verify(&one, Provider::Stripe, &[("stripe-signature", &twice), ("stripe-signature", &twice)], BODY),
        forged
    );
}

#[test]
fn stripe_signatures_expire_after_five_minutes() {
    let verifiers = verifiers(Provider::Stripe, &[NEW]);
    for (age, good) in [(0, true), (300, true), (301, false), (86_400, false), (-5, true), (-6, false), (-300, false)] {
        let at = now().timestamp() - age;
        let header = format!("t={at},v1={}", stripe(NEW, at, BODY));
        let result = verify(&verifiers, Provider::Stripe, &[("stripe-signature", &header)], BODY);
        assert_eq!(result.is_ok(), good, "signed {age} s ago: {result:?}");
    }
}

#[test]
fn every_byte_of_the_body_counts() {
    let verifiers = verifiers(Provider::Stripe, &[NEW]);
    let at = now().timestamp();
    let header = format!("t={at},v1={}", stripe(NEW, at, BODY));
    for other in [&br#"{"type":"ping","id":"evt_1"}"#[..], br#"{"id":"evt_1", "type":"ping"}"#, b""] {
        let result = verify(&verifiers, Provider::Stripe, &[("stripe-signature", &header)], other);
        assert_eq!(result, Err(ReasonRef::new(WebhooksReason::InvalidSignature)));
    }
}

#[test]
fn a_signed_body_that_is_not_an_event_is_malformed() {
    let verifiers = verifiers(Provider::Stripe, &[NEW]);
    let at = now().timestamp();
    let long = format!(r#"{{"id":"{}","type":"ping"}}"#, "x".repeat(256));
    for body in
        ["", "[]", "evt_1", r#"{"id":"evt_1"}"#, r#"{"id":7,"type":"ping"}"#, r#"{"id":"a\u0000","type":"b"}"#, &long]
    {
        let header = format!("t={at},v1={}", stripe(NEW, at, body.as_bytes()));
        let result = verify(&verifiers, Provider::Stripe, &[("stripe-signature", &header)], body.as_bytes());
        assert_eq!(result, Err(ReasonRef::new(Reason::MalformedRequest)), "{body}");
    }
}

#[test]
fn standard_webhooks_signatures_are_verified() {
    let key = b"a key of at least 24 bytes, in base64";
    let secret = format!("whsec_{}", STANDARD.encode(key));
    let verifiers = verifiers(Provider::Standard, &[&secret]);
    let at = now().timestamp();
    let signature = |id: &str, at: i64| {
        format!("v1,{}", STANDARD.encode(mac(key, &[format!("{id}.{at}.").as_bytes(), BODY].concat())))
    };
    let check = |id: &str, at: i64, signatures: &str| {
        let at = at.to_string();
        let all = [("webhook-id", id), ("webhook-timestamp", at.as_str()), ("webhook-signature", signatures)];
        verify(&verifiers, Provider::Standard, &all, BODY)
    };
    let good = signature("msg_1", at);
    let verified = Ok(SignedEvent { event_id: "msg_1".to_owned(), kind: "ping".to_owned() });
    assert_eq!(check("msg_1", at, &good), verified);
    assert_eq!(check("msg_1", at, &format!("v1a,AAAA v1,AAAA {good}")), verified, "any v1 counts");
    let seconds = at.to_string();
    let svix = [("svix-id", "msg_1"), ("svix-timestamp", seconds.as_str()), ("svix-signature", good.as_str())];
    assert_eq!(verify(&verifiers, Provider::Standard, &svix, BODY), verified, "under Svix's names");
    let forged = Err(ReasonRef::new(WebhooksReason::InvalidSignature));
    assert_eq!(check("msg_2", at, &good), forged, "the id is signed");
    assert_eq!(check("msg_1", at - 1, &good), forged, "the time is signed");
    assert_eq!(check("msg_1", at, &good.replace("v1,", "v2,")), forged);
    assert_eq!(check("msg_1", at - 301, &signature("msg_1", at - 301)), forged, "stale");
    assert_eq!(check("msg_1", at + 301, &signature("msg_1", at + 301)), forged, "of the future");
}

#[test]
fn github_signatures_are_verified() {
    let secret = "It's_a_Secret_to_Everybody";
    let verifiers = verifiers(Provider::Github, &["another_secret_of_ours", secret]);
    let signature = format!("sha256={}", hex(&mac(secret.as_bytes(), BODY)));
    let named = [("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"), ("x-github-event", "issues")];
    let check = |signature: &str| {
        verify(&verifiers, Provider::Github, &[named[0], named[1], ("x-hub-signature-256", signature)], BODY)
    };
    assert_eq!(check(&signature), Ok(SignedEvent { event_id: named[0].1.to_owned(), kind: "issues".to_owned() }));
    for wrong in ["", &signature[7..], "sha256=", &signature.replace("sha256", "sha1"), &signature[..70]] {
        assert_eq!(check(wrong), Err(ReasonRef::new(WebhooksReason::InvalidSignature)), "{wrong}");
    }
}

#[test]
fn a_provider_needs_a_valid_secret() {
    let none = Verifiers::new([(Provider::Stripe, &[][..])]).expect("nothing is wrong");
    assert_eq!(
        none.of(Provider::Stripe).map(drop).map_err(|error| error.reason()),
        Err(ReasonRef::new(Reason::NotFound))
    );
    for (provider, secret) in [
        (Provider::Stripe, "short"),
        (Provider::Standard, "whsec_not base64"),
        (Provider::Github, "two words are too many"),
    ] {
        assert!(Verifiers::new([(provider, &[SecretString::from(secret)][..])]).is_err(), "{secret}");
    }
}

#[test]
fn hexadecimal_is_read() {
    assert_eq!(verifier::hex("00fFa1"), Some(vec![0, 255, 161]));
    assert_eq!((verifier::hex("0"), verifier::hex("zz"), verifier::hex("+1")), (None, None, None));
}

/// The caller chooses the number of signatures and the length of the body; their costs must not multiply. The second
/// case would take seconds if the body were hashed once per signature.
#[test]
fn a_flood_of_signatures_hashes_the_body_once() {
    let (verifiers, body, at) = (verifiers(Provider::Stripe, &[NEW]), vec![b'x'; 1 << 20], now().timestamp());
    let fastest = |signatures: usize| {
        let header = format!("t={at}{}", ",v1=".repeat(signatures));
        let run = || {
            let since = std::time::Instant::now();
            let forged = verify(&verifiers, Provider::Stripe, &[("stripe-signature", &header)], &body);
            assert_eq!(forged, Err(ReasonRef::new(WebhooksReason::InvalidSignature)));
            since.elapsed()
        };
        (0..5).map(|_| run()).min().expect("five runs")
    };
    let (one, many) = (fastest(1), fastest(2000));
    assert!(many < one * 100, "{many:?} for 2000 signatures, {one:?} for one");
}
