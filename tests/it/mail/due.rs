//! Due mail: the polling of its rows, and their lanes.

use mainstay_kernel::queue::{depth, worker};
use serde_json::json;

use super::{PENDING, SENT, count_in_state};
use crate::{
    cases::{Scene, order::order},
    support::{TestApp, eventually, modules, unique},
};

/// Starts an app whose transport takes no time, so that only the queue causes delay.
async fn start_app() -> (TestApp, Scene) {
    let (app, scene) =
        Scene::start_with(TestApp::builder().with_jobs().set("MAIL_TRANSPORT", "log").set("OPEN_TICKET_LIMIT", "100"))
            .await;
    (app, scene)
}

async fn wait_until_none_is_pending(app: &TestApp) {
    eventually("no mail is pending", async || count_in_state(&app.database, PENDING).await == 0).await;
}

/// A mail is sent when its cause commits, not at the next poll.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_the_worker() {
    let (app, scene) = start_app().await;
    // A recipient gets at most ten mails at once.
    for scene in [scene, Scene::new(&app).await, Scene::new(&app).await, Scene::new(&app).await] {
        for _ in 0..10 {
            scene.ticket().await;
            wait_until_none_is_pending(&app).await;
        }
    }
    // A poll comes 375 ms after the last one at the earliest, and the last one sent the mail before. A busy machine may be late with
    // most.
    let woken = "SELECT count(*) FROM mails WHERE finished_at - created_at < interval '200 milliseconds'";
    let woken = app.database.number(woken).await;
    assert!(woken >= 5, "{woken} of 40 mails did not wait for a poll");
}

/// More mails than there are slots: a slot that becomes free takes the next mail at once.
#[tokio::test(flavor = "multi_thread")]
async fn many_mails_do_not_wait_for_polls() {
    let (app, scene) = start_app().await;
    let one = json!({ "subject": "One", "body": "Text", "accountId": scene.account() });
    for _ in 0..2 {
        let some = json!({ "tickets": vec![one.clone(); 80] });
        scene.cast.agent.rest("TicketService.BatchCreateTickets", some).await.success();
    }
    wait_until_none_is_pending(&app).await;
    // Four at each poll would leave forty pauses. A busy machine makes some.
    let pauses = "SELECT count(*) FROM (SELECT finished_at - lag(finished_at) OVER (ORDER BY finished_at) AS pause FROM mails) AS pauses \
                  WHERE pause >= interval '300 milliseconds'";
    let pauses = app.database.number(pauses).await;
    assert!(pauses < 25, "{pauses} pauses of a poll");
    assert_eq!(app.database.number("SELECT count(*) FROM mails").await, 160);
}

/// Urgent mail has a separate lane. No mail has a job.
#[tokio::test(flavor = "multi_thread")]
async fn each_mail_is_due_in_its_lane() {
    let (app, scene) = Scene::start().await;
    for _ in 0..3 {
        order(&scene).await;
    }
    let register = json!({ "email": format!("{}@example.com", unique()) });
    scene.cast.anonymous.rest("AuthService.Register", register).await.success();
    let work = modules().work();
    let depths = depth::by_lane(&app.app, work.jobs, work.rows).await.expect("counted");
    let due = |lane: &str| depths.iter().find(|depth| depth.lane == lane).map(|depth| depth.due);
    assert_eq!((due("mail"), due("mail_bulk")), (Some(1), Some(3)));
    assert_eq!(app.database.number("SELECT count(*) FROM jobs WHERE kind LIKE 'send_%'").await, 0);
}

/// A mail that can't be composed becomes a dead letter like any other, and is sent once it can be composed.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_cant_be_read_ends_as_a_dead_job() {
    let (app, scene) = Scene::start_with(TestApp::builder().set("MAIL_TRANSPORT", "log")).await;
    scene.ticket().await;
    let kind = app.database.number("SELECT kind FROM mails").await;
    app.database.sql("UPDATE mails SET kind = 99, kind_name = NULL").await;
    for _ in 0..8 {
        worker::run_due(modules().work(), &app.app).await.expect("the queue");
        app.database.sql("UPDATE jobs SET due_at = now()").await;
    }
    let admin = &scene.cast.admin;
    let list = json!({ "kind": "send_bulk_mail" });
    let listed = admin.rest("DeadJobService.ListDeadJobs", list).await.success();
    assert_eq!(listed.data()[0]["attempts"], 8);
    assert!(listed.text("/data/0/failure").contains("mails"), "{listed:#?}");

    app.database.sql(&format!("UPDATE mails SET kind = {kind}")).await;
    let redrive = json!({ "ids": [listed.text("/data/0/id")] });
    admin.rest("DeadJobService.RedriveDeadJobs", redrive).await.success();
    worker::run_due(modules().work(), &app.app).await.expect("the queue");
    assert_eq!(count_in_state(&app.database, SENT).await, 1);
}

/// A mail of a kind that this program does not declare, as of a newer version or of a removed module, waits with a reason,
/// and is sent by a program that declares the kind.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_of_an_unknown_kind_waits() {
    let app = TestApp::builder().set("MAIL_TRANSPORT", "log").start().await;
    Scene::new(&app).await.ticket().await;
    app.database.sql("UPDATE mails SET kind_name = 'fleet.lease_ending'").await;
    worker::run_due(modules().work(), &app.app).await.expect("the queue");
    let why = "no module of this program declares the kind fleet.lease_ending";
    let waits = format!("SELECT count(*) FROM mails WHERE state = 1 AND attempts = 0 AND failure = '{why}'");
    assert_eq!(app.database.number(&waits).await, 1);
    assert_eq!(app.database.number("SELECT count(*) FROM mails WHERE due_at < now() + interval '61 s'").await, 1);
    assert_eq!(app.database.number("SELECT count(*) FROM jobs WHERE kind LIKE 'send_%'").await, 0, "no dead letter");

    app.database.sql("UPDATE mails SET kind_name = 'ticket_received', due_at = now()").await;
    worker::run_due(modules().work(), &app.app).await.expect("the queue");
    assert_eq!(count_in_state(&app.database, SENT).await, 1);
}

/// During an upgrade, the version before stores mails by numbers and reads those of this version.
#[tokio::test(flavor = "multi_thread")]
async fn the_version_before_and_this_one_share_mails() {
    let app = TestApp::builder().set("MAIL_TRANSPORT", "log").start().await;
    let scene = Scene::new(&app).await;
    scene.ticket().await;
    assert_eq!(app.database.number("SELECT kind FROM mails").await, 9, "a kind that the version before knows");
    app.database.sql("UPDATE mails SET kind_name = NULL, is_urgent = false").await;
    worker::run_due(modules().work(), &app.app).await.expect("the queue");
    assert_eq!(count_in_state(&app.database, SENT).await, 1);
}
