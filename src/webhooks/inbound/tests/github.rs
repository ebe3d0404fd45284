//! GitHub's scheme.

use super::*;

#[test]
fn github_signatures_are_verified() {
    let secret = "It's_a_Secret_to_Everybody";
    let verifiers = verifiers("github", &["another_secret_of_ours", secret]);
    let signature = format!("sha256={}", hex(&mac(secret.as_bytes(), BODY)));
    let named = [("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"), ("x-github-event", "issues")];
    let check =
        |signature: &str| verify(&verifiers, "github", &[named[0], named[1], ("x-hub-signature-256", signature)], BODY);
    assert_eq!(check(&signature), Ok(SignedEvent { event_id: named[0].1.to_owned(), kind: "issues".to_owned() }));
    for wrong in ["", &signature[7..], "sha256=", &signature.replace("sha256", "sha1"), &signature[..70]] {
        assert_eq!(check(wrong), Err(ReasonRef::new(WebhooksReason::InvalidSignature)), "{wrong}");
    }
}

/// A form is GitHub's default for a new webhook.
#[test]
fn a_form_of_github_is_verified_as_it_was_sent() {
    let secret = "It's_a_Secret_to_Everybody";
    let verifiers = verifiers("github", &[secret]);
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
    let (_, verifier) = verifiers.of("github").expect("configured");
    assert!(verifier.takes_forms());
    for (form, expected) in forms {
        let signature = format!("sha256={}", hex(&mac(secret.as_bytes(), form.as_bytes())));
        let named = [("x-github-delivery", "1"), ("x-github-event", "ping"), ("x-hub-signature-256", &*signature)];
        let result = verify(&verifiers, "github", &named, form.as_bytes());
        assert_eq!(result.is_ok(), expected.is_some(), "{form}: {result:?}");
        if let Some(expected) = expected {
            assert_eq!(verifier.event(form.clone().into()), expected, "{form}");
            let result = verify(&verifiers, "github", &named, expected.replace('1', "2").as_bytes());
            assert!(result.is_err(), "the signature is over the form");
        }
    }
}
