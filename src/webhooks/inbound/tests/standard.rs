//! The scheme of Standard Webhooks.

use super::*;

#[test]
fn standard_webhooks_signatures_are_verified() {
    let key = b"a key of at least 24 bytes, in base64";
    let secret = format!("whsec_{}", STANDARD.encode(key));
    let verifiers = verifiers("standard", &[&secret]);
    let at = now().timestamp();
    let signature = |id: &str, at: i64| {
        format!("v1,{}", STANDARD.encode(mac(key, &[format!("{id}.{at}.").as_bytes(), BODY].concat())))
    };
    let check = |id: &str, at: i64, signatures: &str| {
        let at = at.to_string();
        let all = [("webhook-id", id), ("webhook-timestamp", at.as_str()), ("webhook-signature", signatures)];
        verify(&verifiers, "standard", &all, BODY)
    };
    let good = signature("msg_1", at);
    let verified = Ok(SignedEvent { event_id: "msg_1".to_owned(), kind: "ping".to_owned() });
    assert_eq!(check("msg_1", at, &good), verified);
    assert_eq!(check("msg_1", at, &format!("v1a,AAAA v1,AAAA {good}")), verified, "any v1 counts");
    let seconds = at.to_string();
    let for_urls = good.replace('+', "-").replace('/', "_");
    assert_eq!(check("msg_1", at, for_urls.trim_end_matches('=')), verified, "in base64 for URLs");
    let svix = [("svix-id", "msg_1"), ("svix-timestamp", seconds.as_str()), ("svix-signature", good.as_str())];
    assert_eq!(verify(&verifiers, "standard", &svix, BODY), verified, "under Svix's names");
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
    let verifiers = configured(&settings.each_ref().map(|(name, value)| (*name, value.as_str())));
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
        let result = verify(&verifiers, "standard", &all, body.as_bytes());
        assert_eq!(result, Ok(SignedEvent { event_id: "msg_1".to_owned(), kind: kind.to_owned() }), "{body}");
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
        let verifiers = verifiers("standard", &[&format!("whsec_{secret}")]);
        assert!(verify(&verifiers, "standard", &all, BODY).is_ok(), "{secret}");
    }
}
