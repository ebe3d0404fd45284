//! Mail that was given up is sent when an operator redrives it.

use mainstay::mail::ops;
use serde_json::json;

use super::{
    FAILED, GIVEN_UP, PENDING, SENT, count_in_state, give_up, only_mail, start, start_without_jobs, wait_for_at_least,
    wait_for_mails,
};
use crate::{
    cases::order::order,
    support::{
        database::connect,
        eventually,
        mail::{token, well},
        people::PASSWORD,
        unique,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_mail_is_sent_even_days_later() {
    let (provider, app, scene) = start_without_jobs().await;
    order(&scene).await;
    let id = give_up(&app).await;
    app.app.clock.advance(chrono::TimeDelta::days(3));
    ops::deliver(&app.app, id).await.expect("nothing to do");
    assert_eq!((count_in_state(&app.database, GIVEN_UP).await, provider.mails().len()), (1, 0));
    ops::redrive_given_up(&app.app, id).await.expect("redriven");
    ops::deliver(&app.app, id).await.expect("sent");
    wait_for_mails(&app.database, SENT, 1).await;
    assert_eq!(provider.mails().len(), 1);
    ops::redrive_given_up(&app.app, id).await.expect("nothing is left to do");
    ops::deliver(&app.app, id).await.expect("nothing is left to do");
    assert_eq!(provider.mails().len(), 1);
}

/// A mail that was given up is a dead letter like any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_given_up_is_listed_and_redriven_with_the_dead_jobs() {
    let (provider, app, scene) = start().await;
    let admin = &scene.cast.admin;
    provider.behave(&json!({ "rcpt": "450 4.2.0 later" }));
    order(&scene).await;
    // The next worker finds a mail whose last attempts all ended without an outcome.
    wait_for_at_least(&app.database, "SELECT count(*) FROM mails WHERE failure IS NOT NULL", 1).await;
    let hopeless = "UPDATE mails SET leases = 100, due_at = now() WHERE leased_until IS NULL";
    wait_for_at_least(
        &app.database,
        &format!("WITH hopeless AS ({hopeless} RETURNING 1) SELECT count(*) FROM hopeless"),
        1,
    )
    .await;
    wait_for_mails(&app.database, GIVEN_UP, 1).await;
    eventually("it is counted", async || {
        let metrics = app.private.http.get(format!("{}/metrics", app.private.base())).send().await.expect("an answer");
        let metrics = metrics.text().await.expect("text");
        metrics.contains("mainstay_jobs_total{kind=\"send_mail\",outcome=\"dead\"} 1\n")
    })
    .await;
    provider.behave(&well());
    let list = json!({ "kind": "send_mail" });
    let listed = admin.rest("DeadJobService.ListDeadJobs", list.clone()).await.success();
    assert_eq!((&listed.data()[0]["attempts"], listed.data().as_array().map(Vec::len)), (&json!(100), Some(1)));
    let why = listed.text("/data/0/failure");
    assert!(why.contains("450") && !why.contains('@'), "{why}");
    let redrive = json!({ "ids": [listed.text("/data/0/id")] });
    let redriven = admin.rest("DeadJobService.RedriveDeadJobs", redrive).await.success();
    assert_eq!(redriven.data()["count"], 1);
    wait_for_mails(&app.database, SENT, 1).await;
    assert_eq!(provider.mails().len(), 1);
    let listed = admin.rest("DeadJobService.ListDeadJobs", list).await.success();
    assert_eq!(listed.data().as_array().map(Vec::len), Some(0));
}

/// The link in a registration mail is valid for the time that the mail states, counted from the redrive.
#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_registration_is_good_for_a_day_after_its_mail_was_redriven() {
    let (provider, app, scene) = start_without_jobs().await;
    let who = &scene.cast.anonymous;
    let email = format!("{}@example.com", unique());
    who.rest("AuthService.Register", json!({ "email": email })).await.success();
    let id = give_up(&app).await;
    app.app.clock.advance(chrono::TimeDelta::hours(20));
    ops::redrive_given_up(&app.app, id).await.expect("redriven");
    ops::deliver(&app.app, id).await.expect("sent");
    let mails = provider.wait_for(1).await;
    app.app.clock.advance(chrono::TimeDelta::hours(10));
    let confirm = json!({ "token": token(&mails[0]), "password": PASSWORD, "name": "Zoë" });
    who.rest("AuthService.ConfirmRegistration", confirm).await.success();
}

/// A dead job that is redriven late must not send a mail that a provider has rejected.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_mail_is_not_sent_by_a_late_job() {
    let (provider, app, scene) = start().await;
    provider.behave(&json!({ "rcpt": "550 5.1.1 no such user" }));
    order(&scene).await;
    wait_for_mails(&app.database, FAILED, 1).await;
    provider.behave(&well());
    let id = only_mail(&app.database).await;
    ops::redrive_given_up(&app.app, id).await.expect("nothing to do");
    ops::deliver(&app.app, id).await.expect("nothing to do");
    assert_eq!((count_in_state(&app.database, FAILED).await, provider.mails().len()), (1, 0));
}

/// The mail is old enough to be removed, but is being redriven.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_being_redriven_is_not_removed() {
    let (_provider, app, scene) = start_without_jobs().await;
    order(&scene).await;
    give_up(&app).await;
    app.app.clock.advance(chrono::TimeDelta::days(31));
    let operator = connect(&app.database.url).await;
    let redrive = "BEGIN; UPDATE mails SET state = 1, finished_at = NULL, due_at = now()";
    operator.batch_execute(redrive).await.expect("redriven");
    let commit = async {
        app.database.locks_waited_for(1).await;
        operator.batch_execute("COMMIT").await.expect("a commit");
    };
    let (removed, ()) = tokio::join!(app.run_task("forget_mails"), commit);
    assert_eq!((removed.expect("done"), count_in_state(&app.database, PENDING).await), (0, 1));
}
