//! Responses of authenticators that prove nothing.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{CONFIRM, LOGIN, add, begin, begin_login, confirmation, login};
use crate::{
    second_factor::VERIFY,
    session::{caller, new_session, refresh},
    support::{
        Actor, PROTOCOLS, TestApp,
        actor::sign_in,
        authenticator::{Authenticator, attestation_object},
    },
};

/// A way in which an authenticator or its page is wrong, with its name.
type Fault = (&'static str, fn(&mut Authenticator));

const FAULTS: [Fault; 7] = [
    ("another origin", |faulty| faulty.origin = "https://evil.example".to_owned()),
    ("another port", |faulty| faulty.origin = "http://localhost:1".to_owned()),
    ("a host below the domain that is not configured", |faulty| faulty.origin = "http://a.localhost:0".to_owned()),
    ("another domain", |faulty| faulty.rp_id = Some("evil.example".to_owned())),
    ("another challenge", |faulty| faulty.challenge = Some(URL_SAFE_NO_PAD.encode([7; 32]))),
    ("no verification of the user", |faulty| faulty.flags = 1),
    ("no presence of the user", |faulty| faulty.flags = 4),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_new_passkey_with_a_fault_is_refused() {
    let (app, cast) = TestApp::start_with_cast().await;
    let me = caller(&app, &new_session(&app, &cast.customer).await);
    let algorithm: Fault = ("an algorithm that was not offered", |faulty| faulty.algorithm = -65_535);
    let unknown: Fault = ("ES384, which the library knows", |faulty| faulty.algorithm = -35);
    let long: Fault = ("a long id", |faulty| faulty.credential = vec![1; 1024]);
    for (name, fault) in FAULTS.into_iter().chain([algorithm, unknown, long]) {
        let (token, options) = begin(&me).await;
        let mut faulty = Authenticator::new();
        fault(&mut faulty);
        let request = confirmation(&token, &faulty.create(&options));
        let refused = me.rest(CONFIRM, request).await;
        assert_eq!(refused.reason, "INVALID_PASSKEY", "{name}: {refused:#?}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM passkeys").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_with_a_fault_is_refused_and_audited() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut added = add(&app, &new_session(&app, &cast.customer).await).await;
    let right = (added.authenticator.origin.clone(), added.authenticator.flags);
    let foreign_handle: Fault =
        ("the handle of another user", |faulty| faulty.user_handle = Some(URL_SAFE_NO_PAD.encode([1; 16])));
    let no_handle: Fault = ("no handle", |faulty| faulty.user_handle = None);
    let handle = added.authenticator.user_handle.clone();
    for (name, fault) in FAULTS.into_iter().chain([foreign_handle, no_handle]) {
        fault(&mut added.authenticator);
        let refused = login(&app, &mut added.authenticator).await;
        assert_eq!(refused.reason, "INVALID_PASSKEY", "{name}: {refused:#?}");
        let challenge = sign_in(&app.endpoint, cast.customer.as_user()).await.success();
        let passkey = added.authenticator.get(&challenge.text("/challenge/passkeyOptions"));
        let request = json!({ "challengeToken": challenge.text("/challenge/token"), "passkey": passkey });
        let second = Actor::anonymous(&app.endpoint).rest(VERIFY, request).await;
        // After a password, the user is known.
        assert_eq!(second.reason == "INVALID_PASSKEY", name != "no handle", "{name}: {second:#?}");
        let authenticator = &mut added.authenticator;
        (authenticator.origin, authenticator.flags) = right.clone();
        (authenticator.rp_id, authenticator.challenge) = (None, None);
        authenticator.user_handle.clone_from(&handle);
    }
    login(&app, &mut added.authenticator).await.success();
    let user = cast.customer.as_user().id;
    let refusals = format!("SELECT count(*) FROM audit_entries WHERE resource_id = '{user}' AND outcome = 2");
    assert!(app.database.number(&refusals).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_oversized_responses_are_refused() {
    let (app, cast) = TestApp::start_with_cast().await;
    let me = caller(&app, &new_session(&app, &cast.customer).await);
    let authenticator = Authenticator::new();
    let data = authenticator.attested(&json!("localhost"));
    // A map whose values nest a thousand times, one that claims 2^64 pairs, and one that ends early.
    let nested = [vec![0xa1, 0x63, b'f', b'm', b't'], vec![0x81; 1000], vec![0x00]].concat();
    let huge = vec![0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let objects = [
        Vec::new(),
        vec![0xff],
        nested,
        huge,
        attestation_object(&data[..20]),
        attestation_object(&data[..60]),
        attestation_object(&data[..data.len() - 5]),
        attestation_object(&[data.as_slice(), &[0; 40]].concat()),
        attestation_object(&data)[..40].to_vec(),
    ];
    for object in objects {
        let (token, options) = begin(&me).await;
        let options: Value = serde_json::from_str(&options).expect("JSON");
        let request = confirmation(&token, &authenticator.respond(&options, &object));
        let refused = me.rest(CONFIRM, request).await;
        assert_eq!(refused.reason, "INVALID_PASSKEY", "{object:x?}: {refused:#?}");
    }
    let (token, options) = begin(&me).await;
    let options: Value = serde_json::from_str(&options).expect("JSON");
    for credential in ["", "nonsense", "[]", "{}", &"[".repeat(16_000), &"x".repeat(16_385)] {
        for (method, request) in
            [(CONFIRM, confirmation(&token, credential)), (LOGIN, json!({ "token": token, "credential": credential }))]
        {
            me.rest(method, request).await.failure("VALIDATION_FAILED");
        }
    }
    // A text that is no response consumes no ceremony.
    let right = authenticator.respond(&options, &attestation_object(&data));
    me.rest(CONFIRM, confirmation(&token, &right)).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ceremony_is_completed_once_also_by_requests_at_once() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut added = add(&app, &new_session(&app, &cast.customer).await).await;
    let (token, options) = begin_login(&app).await;
    let request = json!({ "token": token, "credential": added.authenticator.get(&options) });
    let anonymous = Actor::anonymous(&app.endpoint);
    let attempts = PROTOCOLS.iter().cycle().take(9).map(|&protocol| anonymous.call(protocol, LOGIN, request.clone()));
    let answers = join_all(attempts).await;
    assert_eq!(answers.iter().filter(|answer| answer.reason.is_empty()).count(), 1, "{answers:#?}");
    assert_eq!(answers.iter().filter(|answer| answer.reason == "INVALID_TOKEN").count(), 8, "{answers:#?}");
    let (token, options) = begin_login(&app).await;
    app.app.clock.advance(chrono::TimeDelta::minutes(5));
    let late = json!({ "token": token, "credential": added.authenticator.get(&options) });
    anonymous.rest(LOGIN, late).await.failure("INVALID_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ceremony_belongs_to_the_session_that_began_it() {
    let (app, cast) = TestApp::start_with_cast().await;
    let first = caller(&app, &new_session(&app, &cast.customer).await);
    let (token, options) = begin(&first).await;
    let mut authenticator = Authenticator::new();
    let request = confirmation(&token, &authenticator.create(&options));
    for other in [&cast.customer, &cast.stranger] {
        let other = caller(&app, &new_session(&app, other).await);
        other.rest(CONFIRM, request.clone()).await.failure("INVALID_PASSKEY");
    }
    // It is no sign-in either.
    authenticator.rp_id = Some("localhost".to_owned());
    let credential = authenticator.get(&options);
    let as_login = json!({ "token": token, "credential": credential });
    cast.anonymous.rest(LOGIN, as_login).await.failure("INVALID_TOKEN");
    first.rest(CONFIRM, request).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_of_another_user_proves_nothing() {
    let (app, cast) = TestApp::start_with_cast().await;
    let own = new_session(&app, &cast.customer).await;
    add(&app, &own).await;
    let mut other = add(&app, &new_session(&app, &cast.stranger).await).await;
    let challenge = sign_in(&app.endpoint, cast.customer.as_user()).await.success();
    let passkey = other.authenticator.get(&challenge.text("/challenge/passkeyOptions"));
    let request = json!({ "challengeToken": challenge.text("/challenge/token"), "passkey": passkey });
    cast.anonymous.rest(VERIFY, request).await.failure("INVALID_PASSKEY");
    let me = caller(&app, &refresh(&app, &own, 0).await.success());
    let begun = me.rest("AuthService.BeginPasskeyReauthentication", json!({})).await.success();
    let credential = other.authenticator.get(&begun.text("/data/options"));
    let proof = json!({ "passkey": { "token": begun.text("/data/token"), "credential": credential } });
    me.rest("AuthService.Reauthenticate", proof).await.failure("INVALID_PASSKEY");
    // Nor can it be added to a second user.
    let (token, options) = begin(&me).await;
    let request = confirmation(&token, &other.authenticator.create(&options));
    me.rest(CONFIRM, request).await.failure("ALREADY_EXISTS");
    for protocol in PROTOCOLS {
        let foreign = json!({ "passkeyId": other.id });
        me.call(protocol, "PasskeyService.RemovePasskey", foreign).await.failure("NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_does_not_increase_is_refused_and_told() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut added = add(&app, &new_session(&app, &cast.customer).await).await;
    added.authenticator.counter = 6;
    login(&app, &mut added.authenticator).await.success();
    // The counter of the copy is that of the last use, and before.
    for counter in [6, 0] {
        added.authenticator.counter = counter;
        login(&app, &mut added.authenticator).await.failure("INVALID_PASSKEY");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 43").await, 2);
    let entries = "SELECT count(*) FROM audit_entries WHERE changes::text LIKE '%counter did not increase%'";
    assert_eq!(app.database.number(entries).await, 2);
    // A forged proof with a low counter, whose signature is wrong, tells the user nothing.
    let mut forger = Authenticator::new();
    (forger.credential, forger.user_handle) =
        (added.authenticator.credential.clone(), added.authenticator.user_handle.clone());
    login(&app, &mut forger).await.failure("INVALID_PASSKEY");
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE kind = 43").await, 2);
    added.authenticator.counter = 7;
    login(&app, &mut added.authenticator).await.success();
}

/// Synced passkeys do not count.
#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_without_a_counter_is_accepted_again() {
    let (app, cast) = TestApp::start_with_cast().await;
    let added = add(&app, &new_session(&app, &cast.customer).await).await;
    for _ in 0..3 {
        let (token, options) = begin_login(&app).await;
        let request = json!({ "token": token, "credential": added.authenticator.sign(&options) });
        cast.anonymous.rest(LOGIN, request).await.success();
    }
}
