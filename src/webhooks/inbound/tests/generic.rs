//! Schemes of the operator's choice.

mod time;

use super::*;

const SECRET: &str = "a_secret_of_the_operators_choice";

/// Settings, the value of the timestamp's header, the signed text, and the format of the signature.
type Scheme = (&'static [(&'static str, &'static str)], Option<String>, String, &'static str, bool);

/// The schemes of Slack, Zendesk, Shopify and Typeform, as they document them, and the simplest scheme.
#[test]
fn a_provider_of_the_operators_choice_signs_in_its_own_way() {
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
            verify(&verifiers, "generic", &all, body)
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
    let signature = |body: &[u8]| hex(&mac(SECRET.as_bytes(), body));
    let named = generic(&[("WEBHOOK_GENERIC_ID_HEADER", "x-id"), ("WEBHOOK_GENERIC_TYPE_HEADER", "x-topic")], SECRET);
    let of = |headers: &[(&'static str, &str)], body: &[u8]| {
        let signature = signature(body);
        let headers = [headers, &[("x-signature", signature.as_str())]].concat();
        verify(&named, "generic", &headers, body)
    };
    let event = SignedEvent { event_id: "7".to_owned(), kind: "orders/paid".to_owned() };
    assert_eq!(of(&[("x-id", "7"), ("x-topic", "orders/paid")], b"{}"), Ok(event));
    for missing in [&[("x-id", "7")][..], &[("x-topic", "paid")], &[("x-id", "two words"), ("x-topic", "paid")]] {
        assert_eq!(of(missing, b"{}"), Err(ReasonRef::new(WebhooksReason::InvalidSignature)), "{missing:?}");
    }
    let plain = generic(&[], SECRET);
    let id = |body: &[u8]| {
        let signature = signature(body);
        verify(&plain, "generic", &[("x-signature", &signature)], body).expect("it is signed").event_id
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
        verify(&timed, "generic", &headers, created).expect("it is signed").event_id
    });
    assert_eq!(ids[0], ids[1], "sent again under another time");
}

/// As Paystack and Intercom do.
#[test]
fn a_provider_signs_with_the_hash_function_that_it_has() {
    let functions =
        [("sha256", hmac::HMAC_SHA256), ("sha512", hmac::HMAC_SHA512), ("sha1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)];
    for (configured, _) in functions {
        let verifiers = generic(&[("WEBHOOK_GENERIC_ALGORITHM", configured)], SECRET);
        for (name, function) in functions {
            let signature = hex(hmac::sign(&hmac::Key::new(function, SECRET.as_bytes()), BODY).as_ref());
            let result = verify(&verifiers, "generic", &[("x-signature", &signature)], BODY);
            assert_eq!(result.is_ok(), name == configured, "{name} instead of {configured}");
        }
    }
}

#[test]
fn capitals_of_a_prefix_do_not_matter() {
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
        let result = verify(&plain, "generic", &all, BODY);
        assert_eq!(result.is_ok(), is_good, "{header}");
    }
    let settings = [("WEBHOOK_GENERIC_PREFIX", "t={timestamp},V1="), ("WEBHOOK_GENERIC_SIGNED", "{timestamp}.{body}")];
    let timed = generic(&settings, SECRET);
    let signature = hex(&mac(SECRET.as_bytes(), &[format!("{at}.").as_bytes(), BODY].concat()));
    for header in [format!("T={at},v1={signature}"), format!("t={at},v0=x,V1={signature}")] {
        assert!(verify(&timed, "generic", &[("x-signature", &header)], BODY).is_ok(), "{header}");
    }
}

#[test]
fn the_id_may_be_part_of_the_signed_text() {
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
        verify(&verifiers, "generic", &headers, BODY).map(|event| event.event_id)
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

#[test]
fn a_challenge_is_signed_or_has_a_token() {
    let tokens = [("WEBHOOK_VERIFY_TOKENS_GENERIC", "an_old_verify_token,a_new_verify_token")];
    let signed = |settings: &[(&str, &str)], kind: &str, body: &[u8]| {
        let verifiers = generic(settings, SECRET);
        let (_, verifier) = verifiers.of("generic").expect("configured");
        verifier.challenge(Challenge::Signed { kind, body })
    };
    for kind in ["url_verification", "webhook_callback_verification"] {
        assert_eq!(signed(&[], kind, br#"{"challenge":"repeat_this"}"#), Some(Answer::text("repeat_this")), "{kind}");
        assert_eq!(signed(&[], kind, br#"{"challenge":7}"#), None, "{kind}");
    }
    assert_eq!(signed(&tokens, "ping", br#"{"challenge":"repeat_this"}"#), None, "an event");

    let unsigned = |settings: &[(&str, &str)], mode: &str, token: &str| {
        let verifiers = generic(settings, SECRET);
        let (_, verifier) = verifiers.of("generic").expect("configured");
        let [mode, verify_token, challenge] = [mode, token, "1158201444"].map(str::to_owned);
        verifier.challenge(Challenge::Unsigned(&Parameters { mode, verify_token, challenge, ..Parameters::default() }))
    };
    for token in ["an_old_verify_token", "a_new_verify_token"] {
        assert_eq!(unsigned(&tokens, "subscribe", token), Some(Answer::text("1158201444")), "{token}");
        assert_eq!(unsigned(&tokens, "unsubscribe", token), None, "{token}");
        assert_eq!(unsigned(&[], "subscribe", token), None, "no token is configured");
    }
    for token in ["", "a_new_verify_toke", "a_new_verify_token,", "an_old_verify_token,a_new_verify_token"] {
        assert_eq!(unsigned(&tokens, "subscribe", token), None, "{token}");
    }
    for tokens in ["short", "a_verify_token_without_a_secret"] {
        assert_eq!(invalid_variables(&[("WEBHOOK_VERIFY_TOKENS_GENERIC", tokens)]), ["WEBHOOK_VERIFY_TOKENS_GENERIC"]);
    }
}
