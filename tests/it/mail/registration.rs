//! Registrations by mail, and the limits on mails to one recipient.

use mainstay::mail::{id::MailId, ops};
use mainstay_kernel::queue::worker;
use serde_json::{Value, json};

use super::{FAILED, SENT, count_in_state, start, start_without_jobs, wait_for_at_least, wait_for_mails};
use crate::{
    cases::order::order,
    support::{
        PROTOCOLS, TestApp, TestDatabase, eventually,
        mail::{token, well},
        modules,
        people::PASSWORD,
        unique,
    },
};

const REGISTER: &str = "AuthService.Register";

/// Processes everything that is due, to its end: the count of a mail is refunded after its outcome is stored.
async fn run_due(app: &TestApp) {
    worker::run_due(modules().work(), &app.app).await.expect("the queue");
}

fn text(mail: &Value) -> &str {
    mail["text"].as_str().expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mail_to_a_new_address_has_a_token_and_the_mail_to_a_user_has_none() {
    let (provider, app, scene) = start().await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let email = format!("{}@example.com", unique());
        scene.cast.anonymous.call(protocol, REGISTER, json!({ "email": email.to_uppercase() })).await.success();
        let mails = provider.wait_for(number + 1).await;
        let mail = mails.last().expect("one more");
        assert_eq!(mail["to"], json!([email]));
        let token = token(mail);
        assert!(token.starts_with("mrg_") && text(mail).contains("https://api.shop.example/register?token="));
        let confirm = json!({ "token": token, "password": PASSWORD, "name": "Zoë" });
        scene.cast.anonymous.call(protocol, "AuthService.ConfirmRegistration", confirm).await.success();
        let sign_in = json!({ "email": email, "password": PASSWORD });
        scene.cast.anonymous.call(protocol, "AuthService.Login", sign_in).await.success();
    }
    let user = &scene.cast.customer.as_user().email;
    scene.cast.anonymous.rest(REGISTER, json!({ "email": user })).await.success();
    let mails = provider.wait_for(4).await;
    let mail = mails.last().expect("one more");
    assert!(
        mail["to"] == json!([user])
            && text(mail).contains("You are registered already")
            && !text(mail).contains("mrg_")
    );
    wait_for_mails(&app.database, SENT, 4).await;
}

/// Waits until this many mails were sent, and this many were not.
async fn wait_for_counts(database: &TestDatabase, successes: i64, failed: i64) {
    wait_for_at_least(database, "SELECT count(*) FROM mails WHERE state <> 1", successes + failed).await;
    assert_eq!((count_in_state(database, SENT).await, count_in_state(database, FAILED).await), (successes, failed));
}

/// For any number of requests, an unconfirmed address gets one mail, and a user a few.
#[tokio::test(flavor = "multi_thread")]
async fn no_caller_can_fill_the_mailbox_of_another() {
    let (provider, app, scene) = start().await;
    let stranger = format!("{}@example.com", unique());
    for number in 0..4 {
        let spelling = if number % 2 == 0 { stranger.clone() } else { stranger.to_uppercase() };
        scene.cast.anonymous.call(PROTOCOLS[number % 3], REGISTER, json!({ "email": spelling })).await.success();
    }
    wait_for_counts(&app.database, 1, 3).await;
    let user = scene.cast.customer.as_user().email.clone();
    for number in 0..8 {
        let request = json!({ "email": user });
        scene.cast.anonymous.call(PROTOCOLS[number % 3], "AuthService.RequestPasswordReset", request).await.success();
    }
    wait_for_counts(&app.database, 1 + 5, 3 + 3).await;
    for _ in 0..12 {
        order(&scene).await;
    }
    // Two of these are postponed.
    wait_for_counts(&app.database, 1 + 5 + 10, 3 + 3).await;
    let mut recipients: Vec<_> = provider.mails().iter().map(|mail| mail["to"][0].to_string()).collect();
    recipients.retain(|recipient| recipient.contains(&stranger));
    assert_eq!((recipients.len(), provider.mails().len()), (1, 1 + 5 + 10));
}

/// The addresses of one mailbox differ in a tag. A flood of tags does not keep the owner of the mailbox from registering.
#[tokio::test(flavor = "multi_thread")]
async fn tagged_addresses_of_one_mailbox_get_few_mails_together() {
    let (provider, app, scene) = start().await;
    let (victim, other) = (unique(), unique());
    let register = async |address: String| {
        let request = json!({ "email": format!("{address}@example.com") });
        scene.cast.anonymous.rest(REGISTER, request).await.success();
    };
    for number in 0..13 {
        register(format!("{victim}+{number}")).await;
    }
    wait_for_counts(&app.database, 10, 3).await;
    for address in [victim, format!("{other}+1"), other] {
        register(address).await;
    }
    wait_for_counts(&app.database, 13, 3).await;
    assert_eq!(provider.mails().len(), 13);
}

/// A rejected mail did not reach the recipient, so it does not count against the address's limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_registration_whose_mail_was_refused_can_be_asked_for_again() {
    let (provider, app, scene) = start_without_jobs().await;
    let request = json!({ "email": format!("{}@example.com", unique()) });
    provider.behave(&json!({ "rcpt": "550 5.1.1 not yet" }));
    scene.cast.anonymous.rest(REGISTER, request.clone()).await.success();
    run_due(&app).await;
    wait_for_counts(&app.database, 0, 1).await;
    provider.behave(&well());
    scene.cast.anonymous.rest(REGISTER, request).await.success();
    run_due(&app).await;
    wait_for_counts(&app.database, 1, 1).await;
    // The first mail counts once it is redriven, and by then exceeds the limit.
    let id = MailId::parse(&super::text(&app.database, "SELECT id FROM mails WHERE state = 3").await);
    ops::redrive(&app.app, vec![id.expect("an id")]).await.expect("redriven");
    run_due(&app).await;
    wait_for_counts(&app.database, 1, 1).await;
    let why = super::text(&app.database, "SELECT failure FROM mails WHERE state = 3").await;
    assert!(why.contains("too many"), "{why}");
}

/// The permanent rejection may come at any attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_refused_at_a_later_attempt_does_not_count() {
    let (provider, app, scene) = start_without_jobs().await;
    let request = json!({ "email": format!("{}@example.com", unique()) });
    provider.behave(&json!({ "rcpt": "451 4.3.0 later" }));
    scene.cast.anonymous.rest(REGISTER, request.clone()).await.success();
    run_due(&app).await;
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE failure LIKE '%451%'").await, 1);
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE counted_at IS NOT NULL").await, 1);
    provider.behave(&json!({ "rcpt": "550 5.1.1 not yet" }));
    eventually("it is refused", async || {
        run_due(&app).await;
        count_in_state(&app.database, FAILED).await == 1
    })
    .await;
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE counted_at IS NOT NULL").await, 0);
    provider.behave(&well());
    scene.cast.anonymous.rest(REGISTER, request).await.success();
    run_due(&app).await;
    wait_for_counts(&app.database, 1, 1).await;
}

/// A process that died between the beginning of an attempt and the count leaves a mail that was attempted, but not
/// counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_attempted_and_not_counted_is_counted() {
    let (_provider, app, scene) = start_without_jobs().await;
    let request = json!({ "email": format!("{}@example.com", unique()) });
    for _ in 0..2 {
        scene.cast.anonymous.rest(REGISTER, request.clone()).await.success();
    }
    app.database.sql("UPDATE mails SET attempts = 1 WHERE id = (SELECT min(id::text)::uuid FROM mails)").await;
    for row in app.database.sql("SELECT id FROM mails ORDER BY id").await {
        let id = MailId::parse(row[0].as_deref().expect("an id")).expect("an id");
        ops::deliver(&app.app, id).await.expect("it ends");
    }
    wait_for_counts(&app.database, 1, 1).await;
}
