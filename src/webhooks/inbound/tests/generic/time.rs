//! The time of a signature of the operator's choice.

use super::*;

/// Mux and Paddle send the time within the header of the signature, and Paddle several signatures during a rotation.
#[test]
fn the_time_may_be_in_the_header_of_the_signature() {
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
            verify(&verifiers, "generic", &[("x-signature", &header)], BODY).map(|event| event.kind)
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

#[test]
fn the_time_of_a_signature_has_any_form() {
    let settings =
        [("WEBHOOK_GENERIC_TIMESTAMP_HEADER", "x-sent-at"), ("WEBHOOK_GENERIC_SIGNED", "{timestamp}.{body}")];
    let verifiers = generic(&settings, SECRET);
    let check = |at: &str| {
        let signature = hex(&mac(SECRET.as_bytes(), &[at.as_bytes(), b".", BODY].concat()));
        verify(&verifiers, "generic", &[("x-sent-at", at), ("x-signature", &signature)], BODY).is_ok()
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
