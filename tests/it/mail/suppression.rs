//! Suppressed addresses, which bounced, complained or unsubscribed, get no more mail.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use mainstay::mail::{id::MailId, ops, suppression::ops as suppression};
use serde_json::{Value, json};

use super::{
    FAILED, SENT, count_in_state, header, only_mail, start, start_with, start_without_jobs, text, wait_for_at_least,
    wait_for_mails,
};
use crate::{
    cases::{Scene, order::order, webhook::webhook_request},
    support::{Protocol, TestApp, unique, webhook},
};

const RECEIVE: &str = "InboundEventService.ReceiveWebhook";

/// Returns a key pair like SendGrid's, and the public key in its configured form.
fn sendgrid_key() -> (EcdsaKeyPair, String) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    let prefix = BASE64_STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=").expect("base64");
    let public = BASE64_STANDARD.encode([&prefix[..], pair.public_key().as_ref()].concat());
    (pair, public)
}

/// Delivers a Resend event about an address.
async fn deliver_resend_event(scene: &Scene, kind: &str, address: &str, bounce: &str) {
    let body = json!({ "type": kind, "data": { "to": [address], "bounce": { "type": bounce } } }).to_string();
    let id = unique();
    let [timestamp, signature] = webhook::standard(&id, &body);
    let headers = [("svix-id", id.as_str()), ("svix-timestamp", &timestamp), ("svix-signature", &signature)];
    let request = webhook_request("standard", &body);
    scene.cast.anonymous.call_with(Protocol::Rest, RECEIVE, request, &headers).await.success();
}

async fn wait_until_processed(app: &TestApp, count: i64) {
    wait_for_at_least(&app.database, "SELECT count(*) FROM inbound_events WHERE state = 2", count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_bounced_is_sent_nothing_until_an_operator_removes_it_from_the_list() {
    let (provider, app, scene) = start().await;
    let email = scene.cast.customer.as_user().email.clone();
    deliver_resend_event(&scene, "email.bounced", &email, "Transient").await;
    wait_until_processed(&app, 1).await;
    order(&scene).await;
    wait_for_mails(&app.database, SENT, 1).await;
    for _ in 0..2 {
        deliver_resend_event(&scene, "email.bounced", &email.to_uppercase(), "Permanent").await;
    }
    wait_until_processed(&app, 3).await;
    assert_eq!(text(&app.database, "SELECT address FROM mail_suppressions").await, email);
    order(&scene).await;
    let reset = json!({ "email": email });
    scene.cast.anonymous.rest("AuthService.RequestPasswordReset", reset).await.success();
    wait_for_mails(&app.database, FAILED, 2).await;
    let why = text(&app.database, "SELECT DISTINCT failure FROM mails WHERE state = 3").await;
    assert_eq!((why.as_str(), provider.attempts()), ("mail to the address bounced before", 1));

    let remove = async |address: &str| {
        let address = address.to_owned();
        app.app.database.autocommit(async move |connection| suppression::remove(connection, &address).await).await
    };
    assert!(remove(&email.to_uppercase()).await.expect("removed"));
    assert!(!remove(&email).await.expect("nothing is left"));
    let failed = app.app.database.autocommit(async |connection| ops::list_failed(connection, 10).await).await;
    let ids: Vec<MailId> = failed.expect("listed").into_iter().map(|mail| mail.id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ops::redrive(&app.app, ids.clone()).await.expect("redriven"), 2);
    wait_for_mails(&app.database, SENT, 3).await;
    assert_eq!(ops::redrive(&app.app, ids).await.expect("nothing to do"), 0);
}

/// The address of a user is kept until the erasure. Another address is forgotten, unless its owner complained.
#[tokio::test]
async fn an_address_that_no_user_has_is_forgotten() {
    let (app, cast) = TestApp::start_with_cast().await;
    let email = &cast.customer.as_user().email;
    let insert = async |days: i64, address: &str, reasons: &str| {
        let at = app.app.clock.now() - chrono::TimeDelta::days(days);
        let rows = format!("SELECT '{address}', reason, '{at}' FROM unnest(ARRAY[{reasons}]) AS reason");
        app.database.sql(&format!("INSERT INTO mail_suppressions (address, reason, created_at) {rows}")).await;
    };
    insert(31, email, "1, 2, 3").await;
    insert(31, "gone@example.com", "1, 2, 3").await;
    insert(29, "new@example.com", "1, 3").await;
    assert_eq!(app.run_task("forget_mails").await.expect("done"), 2);
    let listed = "SELECT string_agg(address || ' ' || reason, ', ' ORDER BY address = 'gone@example.com', reason)
                  FROM mail_suppressions WHERE address <> 'new@example.com'";
    assert_eq!(text(&app.database, listed).await, format!("{email} 1, {email} 2, {email} 3, gone@example.com 2"));
    assert_eq!(app.database.number("SELECT count(*) FROM mail_suppressions").await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complaint_that_sendgrid_signed_ends_mail_to_an_address() {
    let (pair, public) = sendgrid_key();
    let (provider, app, scene) = start_with(&[("WEBHOOK_KEYS_SENDGRID", &public)]).await;
    let email = scene.cast.customer.as_user().email.clone();
    let deliver = async |events: &Value, signed: &str| {
        let (body, at) = (events.to_string(), app.app.clock.now().timestamp().to_string());
        let signature = pair.sign(&SystemRandom::new(), format!("{at}{signed}").as_bytes()).expect("signed");
        let signature = BASE64_STANDARD.encode(signature);
        let headers = [
            ("x-twilio-email-event-webhook-timestamp", at.as_str()),
            ("x-twilio-email-event-webhook-signature", &signature),
        ];
        let request = webhook_request("sendgrid", &body);
        scene.cast.anonymous.call_with(Protocol::Rest, RECEIVE, request, &headers).await
    };
    let events = json!([
        { "event": "bounce", "type": "bounce" },
        { "email": format!("{}@example.com", "x".repeat(320)), "event": "bounce", "type": "bounce" },
        { "email": "other@example.com", "event": "delivered" },
        { "email": "blocked@example.com", "event": "bounce", "type": "blocked" },
        { "email": "gone@example.com", "event": "bounce", "type": "bounce" },
        { "email": email, "event": "spamreport" },
    ]);
    deliver(&events, "another body").await.failure("INVALID_SIGNATURE");
    deliver(&events, &events.to_string()).await.success();
    wait_until_processed(&app, 1).await;
    let listed = "SELECT string_agg(address || ' ' || reason, ', ' ORDER BY reason) FROM mail_suppressions";
    assert_eq!(text(&app.database, listed).await, format!("gone@example.com 1, {email} 2"));
    order(&scene).await;
    wait_for_mails(&app.database, FAILED, 1).await;
    assert_eq!(provider.attempts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_unsubscribes_its_owner_from_notifications_alone() {
    let (provider, app, scene) = start().await;
    scene.ticket().await;
    wait_for_mails(&app.database, SENT, 1).await;
    let mails = provider.mails();
    assert_eq!(header(&mails[0], "list-unsubscribe-post"), "List-Unsubscribe=One-Click");
    let url = header(&mails[0], "list-unsubscribe").trim_matches(['<', '>']).to_owned();
    assert!(mails[0]["text"].as_str().is_some_and(|text| text.contains(&url)), "{:#}", mails[0]);
    let path = url.strip_prefix("https://api.shop.example").expect("at PUBLIC_URL").to_owned();
    let at = |path: &str| format!("{}{path}", app.endpoint.base());
    let post = async |path: &str| {
        let post = app.endpoint.http.post(at(path)).header("content-type", "application/x-www-form-urlencoded");
        post.body("List-Unsubscribe=One-Click").send().await.expect("an answer").status().as_u16()
    };
    let page = app.endpoint.http.get(at(&path)).send().await.expect("an answer").text().await.expect("a page");
    assert!(page.contains("method=\"post\""), "{page}");
    assert_eq!(
        app.database.number("SELECT count(*) FROM mail_suppressions").await,
        0,
        "to open the page changes nothing"
    );
    assert_eq!(post(&format!("{path}x")).await, 410, "the token of another address, or of none");
    assert_eq!((post(&path).await, post(&path).await), (200, 200));
    scene.ticket().await;
    wait_for_mails(&app.database, FAILED, 1).await;
    order(&scene).await;
    wait_for_mails(&app.database, SENT, 2).await;
    let mails = provider.mails();
    assert!(mails[1]["headers"].get("list-unsubscribe").is_none(), "order confirmations have no unsubscription");
    assert_eq!(count_in_state(&app.database, FAILED).await, 1);
    // The link of an erased user would store the user's id.
    app.database.sql("DELETE FROM mail_suppressions").await;
    let id = scene.cast.customer.as_user().id;
    app.database.sql(&format!("UPDATE users SET email = 'erased-' || id || '@erased.invalid' WHERE id = '{id}'")).await;
    assert_eq!(post(&path).await, 200);
    assert_eq!(app.database.number("SELECT count(*) FROM mail_suppressions").await, 0);
}

/// No mail reaches the address of an erased user.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_user_gets_no_mail() {
    let (provider, app, scene) = start_without_jobs().await;
    let id = scene.cast.customer.as_user().id;
    let values =
        format!("(gen_random_uuid(), 11, gen_random_uuid(), '{id}', 1, now(), now() + interval '1 day', now())");
    let columns = "(id, kind, topic_id, parent_id, state, due_at, expires_at, created_at)";
    app.database.sql(&format!("INSERT INTO mails {columns} VALUES {values}")).await;
    app.database.sql(&format!("UPDATE users SET email = 'erased-' || id || '@erased.invalid' WHERE id = '{id}'")).await;
    ops::deliver(&app.app, only_mail(&app.database).await).await.expect("no recipient");
    assert_eq!(text(&app.database, "SELECT failure FROM mails WHERE state = 3").await, "there is no recipient");
    assert_eq!(provider.attempts(), 0);
}
