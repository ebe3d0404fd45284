//! Mail whose job was given up is sent when an operator redrives it.

use mainstay::mail::{id::MailId, ops};
use serde_json::json;

use super::{FAILED, GIVEN_UP, SENT, count_in_state, start, start_without_jobs, text, wait_for_mails};
use crate::{
    cases::order::order,
    support::{
        Protocol,
        mail::{token, well},
        people::PASSWORD,
        unique,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_job_sends_its_mail_even_days_later() {
    let (provider, app, scene) = start_without_jobs().await;
    order(&scene).await;
    let id = MailId::parse(&text(&app.database, "SELECT id FROM mails").await).expect("an id");
    ops::give_up(&app.app, id).await.expect("given up");
    wait_for_mails(&app.database, GIVEN_UP, 1).await;
    app.app.clock.advance(chrono::TimeDelta::days(3));
    ops::deliver(&app.app, id).await.expect("sent");
    wait_for_mails(&app.database, SENT, 1).await;
    assert_eq!(provider.mails().len(), 1);
    ops::deliver(&app.app, id).await.expect("nothing is left to do");
    assert_eq!(provider.mails().len(), 1);
}

/// The link in a mail about a registration is good for as long as the mail says, from when it was redriven.
#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_registration_is_good_for_a_day_after_its_mail_was_redriven() {
    let (provider, app, scene) = start_without_jobs().await;
    let who = &scene.cast.anonymous;
    let email = format!("{}@example.com", unique());
    who.call(Protocol::Rest, "AuthService.Register", json!({ "email": email })).await.good();
    let id = MailId::parse(&text(&app.database, "SELECT id FROM mails").await).expect("an id");
    ops::give_up(&app.app, id).await.expect("given up");
    app.app.clock.advance(chrono::TimeDelta::hours(20));
    ops::deliver(&app.app, id).await.expect("sent");
    let mails = provider.takes(1).await;
    app.app.clock.advance(chrono::TimeDelta::hours(10));
    let confirm = json!({ "token": token(&mails[0]), "password": PASSWORD, "name": "Zoë" });
    who.call(Protocol::Rest, "AuthService.ConfirmRegistration", confirm).await.good();
}

/// A job that runs once more than it has to must not send what a provider has refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_mail_is_not_sent_by_a_late_job() {
    let (provider, app, scene) = start().await;
    provider.behave(&json!({ "rcpt": "550 5.1.1 no such user" }));
    order(&scene).await;
    wait_for_mails(&app.database, FAILED, 1).await;
    provider.behave(&well());
    let id = MailId::parse(&text(&app.database, "SELECT id FROM mails").await).expect("an id");
    ops::deliver(&app.app, id).await.expect("nothing to do");
    assert_eq!((count_in_state(&app.database, FAILED).await, provider.mails().len()), (1, 0));
}
