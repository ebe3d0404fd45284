//! Stripe's scheme.

use super::*;

#[test]
fn stripe_signatures_are_verified() {
    let at = now().timestamp();
    let verified = Ok(SignedEvent { event_id: "evt_1".to_owned(), kind: "ping".to_owned() });
    let both = verifiers("stripe", &[OLD, NEW]);
    let check =
        |verifiers: &Verifiers, header: String| verify(verifiers, "stripe", &[("stripe-signature", &header)], BODY);
    for secret in [OLD, NEW] {
        assert_eq!(check(&both, format!("t={at},v1={}", stripe(secret, at, BODY))), verified, "either secret");
    }
    let one = verifiers("stripe", &[NEW]);
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
    assert_eq!(verify(&one, "stripe", &[], BODY), forged);
    let twice = format!("t={at},v1={new}");
    assert_eq!(verify(&one, "stripe", &[("stripe-signature", &twice), ("stripe-signature", &twice)], BODY), forged);
}

#[test]
fn the_clock_of_stripe_may_be_five_minutes_off_either_way() {
    let verifiers = verifiers("stripe", &[NEW]);
    for (age, good) in [(0, true), (300, true), (301, false), (86_400, false), (-30, true), (-300, true), (-301, false)]
    {
        let at = now().timestamp() - age;
        let header = format!("t={at},v1={}", stripe(NEW, at, BODY));
        let result = verify(&verifiers, "stripe", &[("stripe-signature", &header)], BODY);
        assert_eq!(result.is_ok(), good, "signed {age} s ago: {result:?}");
    }
}

#[test]
fn every_byte_of_the_body_counts() {
    let verifiers = verifiers("stripe", &[NEW]);
    let at = now().timestamp();
    let header = format!("t={at},v1={}", stripe(NEW, at, BODY));
    for other in [&br#"{"type":"ping","id":"evt_1"}"#[..], br#"{"id":"evt_1", "type":"ping"}"#, b""] {
        let result = verify(&verifiers, "stripe", &[("stripe-signature", &header)], other);
        assert_eq!(result, Err(ReasonRef::new(WebhooksReason::InvalidSignature)));
    }
}

#[test]
fn a_signed_body_that_is_not_an_event_is_malformed() {
    let verifiers = verifiers("stripe", &[NEW]);
    let at = now().timestamp();
    let long = format!(r#"{{"id":"{}","type":"ping"}}"#, "x".repeat(256));
    for body in
        ["", "[]", "evt_1", r#"{"id":"evt_1"}"#, r#"{"id":7,"type":"ping"}"#, r#"{"id":"a\u0000","type":"b"}"#, &long]
    {
        let header = format!("t={at},v1={}", stripe(NEW, at, body.as_bytes()));
        let result = verify(&verifiers, "stripe", &[("stripe-signature", &header)], body.as_bytes());
        assert_eq!(result, Err(ReasonRef::new(Reason::MalformedRequest)), "{body}");
    }
}

/// The caller chooses the number of signatures and the length of the body, so their costs must not multiply. The second
/// case would take seconds if the body were hashed once per signature.
#[test]
fn a_flood_of_signatures_hashes_the_body_once() {
    let (verifiers, body, at) = (verifiers("stripe", &[NEW]), vec![b'x'; 1 << 20], now().timestamp());
    let fastest = |signatures: usize| {
        let header = format!("t={at}{}", ",v1=".repeat(signatures));
        let run = || {
            let forged = verify(&verifiers, "stripe", &[("stripe-signature", &header)], &body);
            assert_eq!(forged, Err(ReasonRef::new(WebhooksReason::InvalidSignature)));
        };
        (0..5).map(|_| cost(run)).min().expect("five runs")
    };
    let (one, many) = (fastest(1), fastest(2000));
    assert!(many < one * 100, "{many:?} for 2000 signatures, {one:?} for one");
}
