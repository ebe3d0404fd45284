//! Providers with an HTTP API.

use serde_json::json;

use super::{FAILED, PENDING, SENT, count_in_state, header, text, wait_for_at_least, wait_for_mails};
use crate::{
    cases::{Scene, order::order},
    support::{
        TestApp, eventually,
        mail::{MailProvider, token, well},
        people::PASSWORD,
        unique,
    },
};

/// Starts an app that sends mail through an API, with a fallback if a second name is given.
async fn start(provider: &MailProvider, transport: &str, own: &[(&str, &str)]) -> (TestApp, Scene) {
    let (app, scene) = Scene::start_with(
        TestApp::builder().with_jobs().set_all(provider.api_variables(transport)).set_all(own.iter().copied()),
    )
    .await;
    (app, scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_api_is_given_the_same_mail() {
    let provider = MailProvider::api().await;
    let paths = [("resend", "/emails"), ("sendgrid", "/v3/mail/send"), ("ses", "/v2/email/outbound-emails")];
    for (count, (transport, path)) in paths.into_iter().enumerate() {
        let (app, scene) = start(&provider, transport, &[]).await;
        order(&scene).await;
        wait_for_mails(&app.database, SENT, 1).await;
        let mails = provider.mails();
        let mail = &mails[count];
        assert_eq!((mails.len(), &mail["path"]), (count + 1, &json!(path)));
        assert_eq!(mail["to"], json!([scene.cast.customer.as_user().email]));
        assert_eq!(mail["from"], "Mainstay <no-reply@shop.example>");
        assert!(mail["subject"].as_str().is_some_and(|subject| subject.starts_with("Your order ")), "{mail:#}");
        assert!(mail["text"].as_str().is_some_and(|text| text.contains("Total: EUR 4.50")), "{mail:#}");
        assert!(mail["html"].as_str().is_some_and(|html| html.contains("EUR 4.50")), "{mail:#}");
        let message_id = text(&app.database, "SELECT '<' || id || '@shop.example>' FROM mails").await;
        assert_eq!(header(mail, "message-id"), message_id);
        assert_eq!(header(mail, "auto-submitted"), "auto-generated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_fails_is_tried_again_and_one_that_rejects_is_not() {
    let provider = MailProvider::api().await;
    for transport in ["resend", "sendgrid", "ses"] {
        let (app, scene) = start(&provider, transport, &[]).await;
        let email = scene.cast.customer.as_user().email.clone();
        for temporary in [
            json!({ "status": 503 }),
            json!({ "status": 429, "headers": { "retry-after": "0" } }),
            json!({ "status": 403, "body": { "message": "a wrong key" } }),
            json!({ "status": 400, "headers": { "x-amzn-errortype": "SendingPausedException" } }),
            json!({ "wait": 8 }),
        ] {
            if temporary["status"] == 400 && transport != "ses" {
                continue;
            }
            let count = 1 + count_in_state(&app.database, SENT).await;
            provider.behave(&temporary);
            order(&scene).await;
            wait_for_at_least(&app.database, "SELECT count(*) FROM mails WHERE state = 1 AND failure IS NOT NULL", 1)
                .await;
            assert_eq!(count_in_state(&app.database, PENDING).await, 1, "{transport}: {temporary}");
            provider.behave(&well());
            wait_for_mails(&app.database, SENT, count).await;
        }
        let message = format!("{email} is no address");
        provider.behave(&json!({ "status": 422, "body": { "message": message, "errors": [{ "message": message }] } }));
        order(&scene).await;
        wait_for_mails(&app.database, FAILED, 1).await;
        provider.behave(&well());
        let why = text(&app.database, "SELECT failure FROM mails WHERE state = 3").await;
        assert!(why.contains("422") && why.contains("is no address") && !why.contains('@'), "{transport}: {why}");
    }
}

/// Resend deduplicates mail by its key, so even an accepted mail whose answer is late arrives once.
#[tokio::test(flavor = "multi_thread")]
async fn resend_is_given_a_mail_twice_and_sends_it_once() {
    let provider = MailProvider::api().await;
    let (app, scene) = start(&provider, "resend", &[]).await;
    provider.behave(&json!({ "wait": 6 }));
    order(&scene).await;
    wait_for_at_least(&app.database, "SELECT max(attempts) FROM mails", 2).await;
    provider.behave(&well());
    wait_for_mails(&app.database, SENT, 1).await;
    assert!(provider.attempts() >= 2);
    assert_eq!(provider.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_provider_of_another_kind_takes_over() {
    let (mut first, second) = (MailProvider::start().await, MailProvider::api().await);
    let (app, scene) = Scene::start_with(
        TestApp::builder()
            .with_jobs()
            .set_all(second.api_variables("smtp"))
            .set("SMTP_URL", first.url())
            .set("MAIL_FALLBACK", "sendgrid"),
    )
    .await;
    order(&scene).await;
    wait_for_mails(&app.database, SENT, 1).await;
    assert_eq!((first.mails().len(), second.mails().len()), (1, 0));
    first.kill();
    for count in 1..=6 {
        order(&scene).await;
        wait_for_mails(&app.database, SENT, 1 + count).await;
    }
    assert_eq!(second.mails().len(), 6);
    // The circuit breaker shows which of the two providers is used.
    let state = async |provider: &str| {
        let metrics = app.private.http.get(format!("{}/metrics", app.private.base())).send().await.expect("an answer");
        let metrics = metrics.text().await.expect("text");
        let line = metrics.lines().find(|line| line.contains("circuit") && line.contains(&format!("\"{provider}\"")));
        line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    eventually("the first circuit is open", async || state("mail").await != state("mail_fallback").await).await;
}

/// The provider accepts a mail with a link, and its answer is late. The next attempt sends the same link, so the
/// provider recognizes the mail, and the link is valid.
#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_of_a_mail_has_the_same_link() {
    let provider = MailProvider::api().await;
    let (app, scene) = start(&provider, "resend", &[]).await;
    let (anonymous, stranger) = (&scene.cast.anonymous, format!("{}@example.com", unique()));
    let user = scene.cast.customer.as_user().email.clone();
    for (count, (method, email)) in
        [("AuthService.Register", &stranger), ("AuthService.RequestPasswordReset", &user)].into_iter().enumerate()
    {
        provider.behave(&json!({ "wait": 6 }));
        anonymous.rest(method, json!({ "email": email })).await.success();
        wait_for_at_least(&app.database, "SELECT min(attempts) FROM mails", 2).await;
        provider.behave(&well());
        wait_for_mails(&app.database, SENT, i64::try_from(count).expect("few") + 1).await;
        assert_eq!(provider.mails().len(), count + 1);
    }
    let token = |number: usize| token(&provider.mails()[number]);
    let register = json!({ "token": token(0), "password": PASSWORD, "name": "Zoë" });
    anonymous.rest("AuthService.ConfirmRegistration", register).await.success();
    let reset = json!({ "token": token(1), "password": PASSWORD });
    anonymous.rest("AuthService.ConfirmPasswordReset", reset).await.success();
}

/// Resend rejects a mail whose first attempt is in progress, or was accepted with other content.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_resend_has_already_is_not_lost() {
    let provider = MailProvider::api().await;
    let (app, scene) = start(&provider, "resend", &[]).await;
    let conflict = |name: &str| json!({ "status": 409, "body": { "name": name, "message": "a conflict" } });
    provider.behave(&conflict("concurrent_idempotent_requests"));
    order(&scene).await;
    wait_for_at_least(&app.database, "SELECT count(*) FROM mails WHERE state = 1 AND failure IS NOT NULL", 1).await;
    provider.behave(&conflict("invalid_idempotent_request"));
    wait_for_mails(&app.database, SENT, 1).await;
    assert_eq!(provider.mails().len(), 0);
}
