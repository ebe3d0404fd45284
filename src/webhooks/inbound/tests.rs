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
fn the_clock_of_stripe_may_be_five_minutes_off_either_way() {
    let verifiers = verifiers(Provider::Stripe, &[NEW]);
    for (age, good) in [(0, true), (300, true), (301, false), (86_400, false), (-30, true), (-300, true), (-301, false)]
    {
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
    let for_urls = good.replace('+', "-").replace('/', "_");
    assert_eq!(check("msg_1", at, for_urls.trim_end_matches('=')), verified, "in base64 for URLs");
    let svix = [("svix-id", "msg_1"), ("svix-timestamp", seconds.as_str()), ("svix-signature", good.as_str())];
    assert_eq!(verify(&verifiers, Provider::Standard, &svix, BODY), verified, "under Svix's names");
    let forged = Err(ReasonRef::new(WebhooksReason::InvalidSignature));
    assert_eq!(check("msg_2", at, &good), forged, "the id is signed");
    assert_eq!(check("msg_1", at - 1, &good), forged, "the time is signed");
    assert_eq!(check("msg_1", at, &good.replace("v1,", "v2,")), forged);
    for at in [at - 300, at - 60, at + 60, at + 300] {
        assert_eq!(check("msg_1", at, &signature("msg_1", at)), verified, "within five minutes");
    }
    assert_eq!(check("msg_1", at - 301, &signature("msg_1", at - 301)), forged, "stale");
    assert_eq!(check("msg_1", at + 301, &signature("msg_1", at + 301)), forged, "of the future");
}

/// Supabase's hooks have no type, and some types have spaces or accents.
#[test]
fn an_event_of_standard_webhooks_needs_no_type() {
    let key = b"a key of at least 24 bytes, in base64";
    let settings = [("WEBHOOK_SECRETS_STANDARD", format!("v1,whsec_{}", STANDARD.encode(key)))];
    let modules = crate::product().modules().expect("they fit together");
    let source = Source::of(settings.iter().map(|(name, value)| (*name, value.as_str())));
    let config = modules.config(source).expect("a good configuration");
    let config = config.section::<WebhooksConfig>();
    let verifiers = Verifiers::new(config.secrets(), config.generic()).expect("good secrets");
    let at = now().timestamp().to_string();
    for (body, kind) in [
        (r#"{"event_type":"x"}"#, "event"),
        (r#"{"type":"Payment Completed"}"#, "event"),
        (r#"{"type":"commande.créée"}"#, "event"),
        (r#"{"type":7}"#, "event"),
        ("[]", "event"),
        (r#"{"type":"user.created"}"#, "user.created"),
    ] {
        let signature = mac(key, &[format!("msg_1.{at}.").as_bytes(), body.as_bytes()].concat());
        let signature = format!("v1,{}", STANDARD.encode(signature));
        let all = [("webhook-id", "msg_1"), ("webhook-timestamp", at.as_str()), ("webhook-signature", &signature)];
        let result = verify(&verifiers, Provider::Standard, &all, body.as_bytes());
        assert_eq!(result, Ok(SignedEvent { event_id: "msg_1".to_owned(), kind: kind.to_owned() }), "{body}");
    }
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

/// Settings, the value of the timestamp's header, the signed text, and the format of the signature.
type Scheme = (&'static [(&'static str, &'static str)], Option<String>, String, &'static str, bool);

/// The schemes of Slack, Zendesk, Shopify and Typeform, as they document them, and the simplest scheme.
#[test]
fn a_provider_of_the_operators_choice_signs_in_its_own_way() {
    const SECRET: &str = "a_secret_of_the_operators_choice";
    let at = now().timestamp();
    let rfc_3339 = now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let schemes: [Scheme; 5] = [
        (&[], None, "{body}".to_owned(), "", true),
        (
            &[("WEBHOOK_GENERIC_PREFIX", "sha256="), ("WEBHOOK_GENERIC_ENCODING", "base64")],
            None,
            "{body}".to_owned(),
            "sha256=",
            false,
        ),
        (
            &[
                ("WEBHOOK_GENERIC_PREFIX", "v0="),
                ("WEBHOOK_GENERIC_TIMESTAMP_HEADER", "X-Sent-At"),
                ("WEBHOOK_GENERIC_SIGNED", "v0:{timestamp}:{body}"),
            ],
            Some(at.to_string()),
            format!("v0:{at}:{{body}}"),
            "v0=",
            true,
        ),
        (
            &[
                ("WEBHOOK_GENERIC_ENCODING", "base64"),
                ("WEBHOOK_GENERIC_TIMESTAMP_HEADER", "x-sent-at"),
                ("WEBHOOK_GENERIC_SIGNED", "{timestamp}{body}"),
            ],
            Some(rfc_3339.clone()),
            format!("{rfc_3339}{{body}}"),
            "",
            false,
        ),
        (
            &[("WEBHOOK_GENERIC_TIMESTAMP_HEADER", "x-sent-at"), ("WEBHOOK_GENERIC_SIGNED", "{body}.{timestamp}")],
            Some(format!("{at}999")),
            format!("{{body}}.{at}999"),
            "",
            true,
        ),
    ];
    for (settings, timestamp, signed, prefix, is_hex) in schemes {
        let settings = [settings, &[("WEBHOOK_GENERIC_ID_FIELD", "id")]].concat();
        let verifiers = generic(&settings, SECRET);
        let (before, after) = signed.split_once("{body}").expect("a body");
        let check = |secret: &str, timestamp: Option<&str>, body: &[u8]| {
            let mac = mac(secret.as_bytes(), &[before.as_bytes(), body, after.as_bytes()].concat());
            let signature = format!("{prefix}{}", if is_hex { hex(&mac) } else { STANDARD.encode(mac) });
            let mut all = vec![("x-signature", signature.as_str())];
            all.extend(timestamp.map(|timestamp| ("x-sent-at", timestamp)));
            verify(&verifiers, Provider::Generic, &all, body)
        };
        let timestamp = timestamp.as_deref();
        let verified = Ok(SignedEvent { event_id: "evt_1".to_owned(), kind: "ping".to_owned() });
        assert_eq!(check(SECRET, timestamp, BODY), verified, "{settings:?}");
        let forged = Err(ReasonRef::new(WebhooksReason::InvalidSignature));
        assert_eq!(check("another_secret_of_the_operator", timestamp, BODY), forged, "{settings:?}");
        assert_eq!(check(SECRET, timestamp, b"[]"), forged, "no id");
        let kind = check(SECRET, timestamp, b"{\"id\":\"evt_2\"}").map(|event| event.kind);
        assert_eq!(kind, Ok("event".to_owned()), "no type");
        assert_eq!(check(SECRET, timestamp, b"no JSON"), Err(ReasonRef::new(Reason::MalformedRequest)));
        if timestamp.is_some() {
            for wrong in [None, Some(""), Some("soon"), Some("0"), Some("1790000301")] {
                assert_eq!(check(SECRET, wrong, BODY), forged, "{settings:?} {wrong:?}");
            }
        }
    }
}

#[test]
fn an_event_of_the_operators_choice_has_an_id_and_a_type() {
    const SECRET: &str = "a_secret_of_the_operators_choice";
    let signature = |body: &[u8]| hex(&mac(SECRET.as_bytes(), body));
    let named = generic(&[("WEBHOOK_GENERIC_ID_HEADER", "x-id"), ("WEBHOOK_GENERIC_TYPE_HEADER", "x-topic")], SECRET);
    let of = |headers: &[(&'static str, &str)], body: &[u8]| {
        let signature = signature(body);
        let headers = [headers, &[("x-signature", signature.as_str())]].concat();
        verify(&named, Provider::Generic, &headers, body)
    };
    let event = SignedEvent { event_id: "7".to_owned(), kind: "orders/paid".to_owned() };
    assert_eq!(of(&[("x-id", "7"), ("x-topic", "orders/paid")], b"{}"), Ok(event));
    for missing in [&[("x-id", "7")][..], &[("x-topic", "paid")], &[("x-id", "two words"), ("x-topic", "paid")]] {
        assert_eq!(of(missing, b"{}"), Err(ReasonRef::new(WebhooksReason::InvalidSignature)), "{missing:?}");
    }
    let plain = generic(&[], SECRET);
    let id = |body: &[u8]| {
        let signature = signature(body);
        verify(&plain, Provider::Generic, &[("x-signature", &signature)], body).expect("it is signed").event_id
    };
    assert_eq!(id(b"{\"n\":1}"), id(b"{\"n\":1}"), "an event that is sent again is the same one");
    assert_ne!(id(b"{\"n\":1}"), id(b"{\"n\":2}"));
    // `id` is that of the order, and both are events about it.
    let (created, paid) = (br#"{"id":"order_1","type":"created"}"#, br#"{"id":"order_1","type":"paid"}"#);
    assert_ne!(id(created), id(paid));
    let timed = [("WEBHOOK_GENERIC_TIMESTAMP_HEADER", "x-sent-at"), ("WEBHOOK_GENERIC_SIGNED", "{timestamp}{body}")];
    let timed = generic(&timed, SECRET);
    let ids = [0, 60].map(|age| {
        let at = (now().timestamp() - age).to_string();
        let signature = hex(&mac(SECRET.as_bytes(), &[at.as_bytes(), created].concat()));
        let headers = [("x-signature", signature.as_str()), ("x-sent-at", &at)];
        verify(&timed, Provider::Generic, &headers, created).expect("it is signed").event_id
    });
    assert_eq!(ids[0], ids[1], "sent again under another time");
}

/// Mux and Paddle send the time within the header of the signature, and Paddle several signatures during a rotation.
#[test]
fn the_time_may_be_in_the_header_of_the_signature() {
    const SECRET: &str = "a_secret_of_the_operators_choice";
    let at = now().timestamp();
    for (prefix, signed, [before, separator, after]) in [
        ("t={timestamp},v1=", "{timestamp}.{body}", ["t=", ",", "v1="]),
        ("t={timestamp},v1=", "{\"at\":{timestamp},\"event\":{body}}", ["t=", ",", "v1="]),
        ("ts={timestamp};h1=", "{timestamp}:{body}", ["ts=", ";", "h1="]),
    ] {
        let settings = [("WEBHOOK_GENERIC_PREFIX", prefix), ("WEBHOOK_GENERIC_SIGNED", signed)];
        let verifiers = generic(&settings, SECRET);
        let sign = |secret: &str, at: i64| {
            let signed = signed
                .replace("{timestamp}", &at.to_string())
                .replace("{body}", std::str::from_utf8(BODY).expect("text"));
            format!("{after}{}", hex(&mac(secret.as_bytes(), signed.as_bytes())))
        };
        let verify = |elements: &[String]| {
            let header = elements.join(separator);
            verify(&verifiers, Provider::Generic, &[("x-signature", &header)], BODY).map(|event| event.kind)
        };
        let (time, good) = (format!("{before}{at}"), sign(SECRET, at));
        let (other, unknown) = (sign("another_secret_of_the_operator", at), "v0=zz".to_owned());
        for elements in [
            vec![time.clone(), good.clone()],
            vec![time.clone(), other.clone(), good.clone()],
            vec![time.clone(), unknown.clone(), good.clone(), unknown.clone()],
        ] {
            assert_eq!(verify(&elements), Ok("ping".to_owned()), "{elements:?}");
        }
        for elements in [
            vec![time.clone()],
            vec![good.clone()],
            vec![time.clone(), other],
            vec![time, unknown],
            vec![format!("{before}{}", at + 1), good],
            vec![format!("{before}{}", at - 301), sign(SECRET, at - 301)],
        ] {
            assert_eq!(verify(&elements), Err(ReasonRef::new(WebhooksReason::InvalidSignature)), "{elements:?}");
        }
    }
}

/// As Paystack and Intercom do.
#[test]
fn a_provider_signs_with_the_hash_function_that_it_has() {
    const SECRET: &str = "a_secret_of_the_operators_choice";
    let functions =
        [("sha256", hmac::HMAC_SHA256), ("sha512", hmac::HMAC_SHA512), ("sha1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)];
    for (configured, _) in functions {
        let verifiers = generic(&[("WEBHOOK_GENERIC_ALGORITHM", configured)], SECRET);
        for (name, function) in functions {
            let signature = hex(hmac::sign(&hmac::Key::new(function, SECRET.as_bytes()), BODY).as_ref());
            let result = verify(&verifiers, Provider::Generic, &[("x-signature", &signature)], BODY);
            assert_eq!(result.is_ok(), name == configured, "{name} instead of {configured}");
        }
    }
}

#[test]
fn capitals_of_a_prefix_do_not_matter() {
    const SECRET: &str = "a_secret_of_the_operators_choice";
    let at = now().timestamp();
    let plain = generic(&[("WEBHOOK_GENERIC_PREFIX", "sha256=")], SECRET);
    let signature = hex(&mac(SECRET.as_bytes(), BODY));
    for (header, is_good) in [
        (format!("SHA256={signature}"), true),
        (format!("Sha256={}", signature.to_uppercase()), true),
        (format!("sha512={signature}"), false),
        (signature.clone(), false),
        ("sha".to_owned(), false),
    ] {
        let all = [("x-signature", header.as_str())];
        let result = verify(&plain, Provider::Generic, &all, BODY);
        assert_eq!(result.is_ok(), is_good, "{header}");
    }
    let settings = [("WEBHOOK_GENERIC_PREFIX", "t={timestamp},V1="), ("WEBHOOK_GENERIC_SIGNED", "{timestamp}.{body}")];
    let timed = generic(&settings, SECRET);
    let signature = hex(&mac(SECRET.as_bytes(), &[format!("{at}.").as_bytes(), BODY].concat()));
    for header in [format!("T={at},v1={signature}"), format!("t={at},v0=x,V1={signature}")] {
        assert!(verify(&timed, Provider::Generic, &[("x-signature", &header)], BODY).is_ok(), "{header}");
    }
}

#[test]
fn the_time_of_a_signature_has_any_form() {
    const SECRET: &str = "a_secret_of_the_operators_choice";
    let settings =
        [("WEBHOOK_GENERIC_TIMESTAMP_HEADER", "x-sent-at"), ("WEBHOOK_GENERIC_SIGNED", "{timestamp}.{body}")];
    let verifiers = generic(&settings, SECRET);
    let check = |at: &str| {
        let signature = hex(&mac(SECRET.as_bytes(), &[at.as_bytes(), b".", BODY].concat()));
        verify(&verifiers, Provider::Generic, &[("x-sent-at", at), ("x-signature", &signature)], BODY).is_ok()
    };
    for age in [0, 300, -300, 301, -301] {
        let time = now() - chrono::TimeDelta::seconds(age);
        let at = time.timestamp();
        for text in [
            at.to_string(),
            format!("{at}.25"),
            format!("{at}123"),
            format!("{at}123.5"),
            format!("{at}123456"),
            format!("{at}123456789"),
            time.to_rfc3339_opts(chrono::SecondsFormat::Millis, false),
            time.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        ] {
            assert_eq!(check(&text), age.abs() <= 300, "{text}: {age} s ago");
        }
        for wrong in [format!("{at}."), format!(".{at}"), format!("-{at}"), format!("{at}.x"), format!("{at}e0")] {
            assert!(!check(&wrong), "{wrong}");
        }
    }
}

/// Secret managers drop the padding, and some senders write the alphabet for URLs.
#[test]
fn a_secret_of_standard_webhooks_is_read_in_every_form_of_base64() {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    let key = [0xfb; 25];
    let at = now().timestamp().to_string();
    let signature = STANDARD.encode(mac(&key, &[format!("msg_1.{at}.").as_bytes(), BODY].concat()));
    let signature = format!("v1,{signature}");
    let all = [("webhook-id", "msg_1"), ("webhook-timestamp", at.as_str()), ("webhook-signature", &signature)];
    for secret in [STANDARD.encode(key), STANDARD_NO_PAD.encode(key), URL_SAFE.encode(key), URL_SAFE_NO_PAD.encode(key)]
    {
        let verifiers = verifiers(Provider::Standard, &[&format!("whsec_{secret}")]);
        assert!(verify(&verifiers, Provider::Standard, &all, BODY).is_ok(), "{secret}");
    }
}

#[test]
fn the_id_may_be_part_of_the_signed_text() {
    const SECRET: &str = "a_secret_of_the_operators_choice";
    let at = now().to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
    let settings = [
        ("WEBHOOK_GENERIC_ID_HEADER", "x-id"),
        ("WEBHOOK_GENERIC_TIMESTAMP_HEADER", "x-sent-at"),
        ("WEBHOOK_GENERIC_SIGNED", "{id}{timestamp}{body}"),
    ];
    let verifiers = generic(&settings, SECRET);
    let signature = hex(&mac(SECRET.as_bytes(), &[b"evt-7", at.as_bytes(), BODY].concat()));
    let of = |id: &str| {
        let headers = [("x-id", id), ("x-sent-at", &at), ("x-signature", &signature)];
        verify(&verifiers, Provider::Generic, &headers, BODY).map(|event| event.event_id)
    };
    assert_eq!(of("evt-7"), Ok("evt-7".to_owned()));
    assert_eq!(of("evt-8"), Err(ReasonRef::new(WebhooksReason::InvalidSignature)), "another id is not signed");
}

#[test]
fn a_scheme_that_makes_no_sense_is_refused() {
    for settings in [
        &[("WEBHOOK_GENERIC_SIGNED", "{timestamp}.{body}")][..],
        &[("WEBHOOK_GENERIC_TIMESTAMP_HEADER", "x-sent-at")],
        &[("WEBHOOK_GENERIC_SIGNED", "body")],
        &[("WEBHOOK_GENERIC_SIGNED", "{body}{body}")],
        &[("WEBHOOK_GENERIC_SIGNED", "{url}.{body}")],
        &[("WEBHOOK_GENERIC_SIGNED", "{Timestamp}.{body}")],
        &[("WEBHOOK_GENERIC_SIGNED", "{id}.{body}")],
        &[("WEBHOOK_GENERIC_PREFIX", "{algorithm}=")],
        &[("WEBHOOK_GENERIC_PREFIX", "t={timestamp}")],
        &[("WEBHOOK_GENERIC_PREFIX", "t={timestamp},{timestamp}=")],
        &[("WEBHOOK_GENERIC_PREFIX", "t={timestamp},v1=")],
        &[
            ("WEBHOOK_GENERIC_PREFIX", "t={timestamp},v1="),
            ("WEBHOOK_GENERIC_TIMESTAMP_HEADER", "x-sent-at"),
            ("WEBHOOK_GENERIC_SIGNED", "{timestamp}.{body}"),
        ],
        &[("WEBHOOK_GENERIC_ENCODING", "base32")],
        &[("WEBHOOK_GENERIC_ALGORITHM", "md5")],
        &[("WEBHOOK_GENERIC_SIGNATURE_HEADER", "no header")],
        &[("WEBHOOK_GENERIC_ID_HEADER", "x-id"), ("WEBHOOK_GENERIC_ID_FIELD", "id")],
        &[("WEBHOOK_SECRETS_GENERIC", "short")],
    ] {
        assert_eq!(invalid_variables(settings).len(), 1, "{settings:?}");
    }
}

/// A form is GitHub's default for a new webhook.
#[test]
fn a_form_of_github_is_verified_as_it_was_sent() {
    let secret = "It's_a_Secret_to_Everybody";
    let verifiers = verifiers(Provider::Github, &[secret]);
    let event = r#"{"zen":"Café + \"tea\" & 100%","n":1}"#;
    let mut forms = Vec::new();
    for payload in [
        "%7B%22zen%22%3A%22Caf%C3%A9+%2B+%5C%22tea%5C%22+%26+100%25%22%2C%22n%22%3A1%7D",
        "%7b%22zen%22%3a%22Caf%c3%a9%20%2b%20%5c%22tea%5c%22%20%26%20100%25%22%2c%22n%22%3a1%7d",
    ] {
        forms.push((format!("payload={payload}"), Some(event)));
        forms.push((format!("payload={payload}&other=1"), Some(event)));
    }
    forms.push((event.to_owned(), Some(event)));
    forms.push(("payload=".to_owned(), None));
    forms.push(("payload=%7B".to_owned(), None));
    forms.push(("other=1&payload=%7B%7D".to_owned(), None));
    let verifier = verifiers.of(Provider::Github).expect("configured");
    assert!(verifier.takes_forms());
    for (form, expected) in forms {
        let signature = format!("sha256={}", hex(&mac(secret.as_bytes(), form.as_bytes())));
        let named = [("x-github-delivery", "1"), ("x-github-event", "ping"), ("x-hub-signature-256", &*signature)];
        let result = verify(&verifiers, Provider::Github, &named, form.as_bytes());
        assert_eq!(result.is_ok(), expected.is_some(), "{form}: {result:?}");
        if let Some(expected) = expected {
            assert_eq!(verifier.event(form.clone().into()), expected, "{form}");
            let result = verify(&verifiers, Provider::Github, &named, expected.replace('1', "2").as_bytes());
            assert!(result.is_err(), "the signature is over the form");
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

/// The caller chooses the number of signatures and the length of the body, so their costs must not multiply. The second
/// case would take seconds if the body were hashed once per signature.
#[test]
fn a_flood_of_signatures_hashes_the_body_once() {
    let (verifiers, body, at) = (verifiers(Provider::Stripe, &[NEW]), vec![b'x'; 1 << 20], now().timestamp());
    let fastest = |signatures: usize| {
        let header = format!("t={at}{}", ",v1=".repeat(signatures));
        let run = || {
            let forged = verify(&verifiers, Provider::Stripe, &[("stripe-signature", &header)], &body);
            assert_eq!(forged, Err(ReasonRef::new(WebhooksReason::InvalidSignature)));
        };
        (0..5).map(|_| cost(run)).min().expect("five runs")
    };
    let (one, many) = (fastest(1), fastest(2000));
    assert!(many < one * 100, "{many:?} for 2000 signatures, {one:?} for one");
}
