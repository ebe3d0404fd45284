//! Providers that do not accept mail: temporarily, permanently, or without an answer.

use chrono::TimeDelta;
use mainstay::mail::ops;
use serde_json::json;

use super::{
    FAILED, PENDING, SENT, count_in_state, header, only_mail, start, start_with, start_without_jobs, text,
    wait_for_at_least, wait_for_mails,
};
use crate::{
    cases::order::order,
    support::{TestApp, eventually, mail::MailProvider, mail::well},
};

const ATTEMPTS: &str = "SELECT coalesce(max(attempts), 0) FROM mails";

async fn failure(app: &TestApp) -> String {
    text(&app.database, "SELECT failure FROM mails").await
}

/// The health of the mail provider, as the app reports it.
async fn health(app: &TestApp) -> String {
    let response = app.private.http.get(format!("{}/health", app.private.base())).send().await.expect("an answer");
    let report: serde_json::Value = response.json().await.expect("JSON");
    report["dependencies"]["mail"].as_str().expect("a word").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_placed_during_an_outage_are_confirmed_after_it() {
    let (mut provider, app, scene) = start().await;
    provider.kill();
    assert_eq!(health(&app).await, "ok");
    for _ in 0..3 {
        order(&scene).await;
    }
    eventually("the circuit is open", async || health(&app).await == "unavailable").await;
    assert_eq!(count_in_state(&app.database, PENDING).await, 3, "mail waits without blocking requests");
    provider.restart().await;
    wait_for_mails(&app.database, SENT, 3).await;
    assert_eq!(provider.mails().len(), 3);
    eventually("the report is made anew", async || health(&app).await == "ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_is_final_and_its_record_names_no_person() {
    let (provider, app, scene) = start().await;
    let email = scene.cast.customer.as_user().email.clone();
    provider.behave(&json!({ "rcpt": format!("550 5.1.1 <{email}>: there is no such user") }));
    order(&scene).await;
    wait_for_mails(&app.database, FAILED, 1).await;
    let why = failure(&app).await;
    assert!(why.contains("550") && why.contains("5.1.1") && why.contains("there is no such user"), "{why}");
    assert!(!why.contains(&email) && !why.contains('@'), "{why}");
    assert_eq!((provider.attempts(), app.database.number(ATTEMPTS).await), (1, 1), "tried once");
    // The circuit is closed, because the provider is healthy.
    provider.behave(&well());
    order(&scene).await;
    wait_for_at_least(&app.database, "SELECT count(*) FROM mails WHERE state = 2", 1).await;
}

/// Temporary failures at each stage, and no answer.
#[tokio::test(flavor = "multi_thread")]
async fn temporary_failures_are_retried() {
    for behaviour in [
        json!({ "rcpt": "450 4.2.0 greylisted" }),
        json!({ "data": "451 4.3.0 a disk is full" }),
        json!({ "rcpt": "hang" }),
        json!({ "data": "hang" }),
        json!({ "data": "421 4.3.2 going down" }),
    ] {
        let (provider, app, scene) = start().await;
        provider.behave(&behaviour);
        order(&scene).await;
        wait_for_at_least(&app.database, ATTEMPTS, 2).await;
        assert_eq!(count_in_state(&app.database, PENDING).await, 1, "{behaviour}");
        assert!(!failure(&app).await.contains('@'), "{behaviour}");
        provider.behave(&well());
        wait_for_mails(&app.database, SENT, 1).await;
        assert_eq!(provider.mails().len(), 1, "{behaviour}");
    }
}

/// SMTP has no way to ask whether a mail was accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_accepted_without_an_answer_is_sent_again_with_the_same_message_id() {
    let (provider, app, scene) = start().await;
    provider.behave(&json!({ "data": "drop" }));
    order(&scene).await;
    provider.wait_for(1).await;
    provider.behave(&well());
    wait_for_mails(&app.database, SENT, 1).await;
    let mails = provider.mails();
    assert!(mails.len() >= 2, "{mails:#?}");
    let ids: std::collections::BTreeSet<_> = mails.iter().map(|mail| header(mail, "message-id")).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn outdated_mail_is_not_sent() {
    let (mut provider, app, scene) = start().await;
    provider.kill();
    order(&scene).await;
    wait_for_at_least(&app.database, ATTEMPTS, 1).await;
    app.app.clock.advance(chrono::TimeDelta::hours(25));
    wait_for_mails(&app.database, FAILED, 1).await;
    provider.restart().await;
    assert_eq!(provider.mails().len(), 0);
}

/// The mail has expired, even if the provider is available by then.
#[tokio::test(flavor = "multi_thread")]
async fn mail_without_an_attempt_in_time_is_not_sent() {
    let (provider, app, scene) = start_without_jobs().await;
    order(&scene).await;
    app.app.clock.advance(chrono::TimeDelta::hours(25));
    ops::deliver(&app.app, only_mail(&app.database).await).await.expect("it ends");
    assert_eq!((count_in_state(&app.database, FAILED).await, provider.mails().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fallback_provider_takes_what_the_first_one_refuses() {
    let second = MailProvider::start().await;
    let (mut first, app, scene) = start_with(&[("MAIL_FALLBACK", "smtp"), ("SMTP_FALLBACK_URL", &second.url())]).await;
    order(&scene).await;
    wait_for_mails(&app.database, SENT, 1).await;
    assert_eq!((first.mails().len(), second.mails().len()), (1, 0), "the first provider is tried first");
    for (count, behaviour) in
        [json!({ "rcpt": "hang" }), json!({ "rcpt": "550 5.7.1 not from you" })].iter().enumerate()
    {
        first.behave(behaviour);
        order(&scene).await;
        wait_for_mails(&app.database, SENT, 2 + i64::try_from(count).expect("few")).await;
        assert_eq!((first.mails().len(), second.mails().len()), (1, 1 + count), "{behaviour}");
    }
    first.kill();
    order(&scene).await;
    wait_for_mails(&app.database, SENT, 4).await;
    assert_eq!(second.mails().len(), 3);
    assert_eq!(app.database.number(ATTEMPTS).await, 1, "on the first attempt, each time");
    second.behave(&json!({ "rcpt": "550 5.1.1 no such user" }));
    order(&scene).await;
    // The first provider may still accept it, and does.
    let query = "SELECT count(*) FROM mails WHERE state = 1 AND failure LIKE '%mail_fallback: permanent error (550)%'";
    wait_for_at_least(&app.database, query, 1).await;
    first.behave(&json!({}));
    first.restart().await;
    wait_for_mails(&app.database, SENT, 5).await;
    assert_eq!(second.mails().len(), 3);
}

/// Workers look for what is due by the clock of Postgres, so the wait must not begin at another time.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_waits_by_the_clock_of_postgres() {
    for skew in [TimeDelta::minutes(-4), TimeDelta::minutes(4)] {
        let (provider, app, scene) = start_without_jobs().await;
        provider.behave(&json!({ "rcpt": "450 4.2.1 later" }));
        order(&scene).await;
        app.app.clock.advance(skew);
        ops::deliver(&app.app, only_mail(&app.database).await).await.expect("recorded");
        let soon = "SELECT count(*) FROM mails WHERE attempts = 1 AND leased_until IS NULL AND due_at BETWEEN now() \
                    AND now() + interval '1 minute'";
        assert_eq!(app.database.number(soon).await, 1, "{skew}: {}", failure(&app).await);
    }
}
