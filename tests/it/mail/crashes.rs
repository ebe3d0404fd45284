//! Servers that die, and servers that send concurrently.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt as _, sync::Arc};

use mainstay::mail::ops;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{SENT, count_in_state, header, only_mail, process, start_without_jobs, wait_for_at_least, wait_for_mails};
use crate::{
    cases::{Scene, order::order},
    support::{TestApp, TestDatabase, mail::MailProvider},
};

/// The provider answered 250, but the server died before it recorded that.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_whose_sender_died_before_recording_it_is_sent_again_with_the_same_message_id() {
    let (provider, database) = (MailProvider::start().await, Arc::new(TestDatabase::new().await));
    let healthy = process(&database, &provider, &[("JOBS_IN_SERVE", "false")]).await;
    let scene = Scene::at(&healthy, &database).await;
    order(&scene).await;
    let fault = ("MAINSTAY_FAULTS", "mail.handed_over=kill");
    let mut doomed = process(&database, &provider, &[fault]).await;
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    assert_eq!(provider.wait_for(1).await.len(), 1);
    assert_eq!(count_in_state(&database, super::PENDING).await, 1);
    assert_eq!(database.number("SELECT leases FROM mails").await, 1, "an attempt without an outcome");

    let restarted = process(&database, &provider, &[]).await;
    wait_for_mails(&database, SENT, 1).await;
    let mails = provider.mails();
    assert_eq!(mails.len(), 2, "{}", restarted.log());
    assert_eq!(header(&mails[0], "message-id"), header(&mails[1], "message-id"));
    assert_eq!((&mails[0]["to"], &mails[0]["text"]), (&mails[1]["to"], &mails[1]["text"]));
    assert_eq!(header(&mails[0], "date"), header(&mails[1], "date"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_servers_send_each_mail_once() {
    let (provider, database) = (MailProvider::start().await, Arc::new(TestDatabase::new().await));
    let servers = [process(&database, &provider, &[]).await, process(&database, &provider, &[]).await];
    let scene = Scene::at(&servers[0], &database).await;
    provider.behave(&json!({ "wait": 0.5 }));
    for _ in 0..10 {
        order(&scene).await;
    }
    wait_for_mails(&database, SENT, 10).await;
    let mails = provider.mails();
    let ids: BTreeSet<_> = mails.iter().map(|mail| header(mail, "message-id")).collect();
    assert_eq!((mails.len(), ids.len()), (10, 10), "{}\n{}", servers[0].log(), servers[1].log());
    assert!(
        mails.iter().any(|mail| mail["atOnce"].as_u64() > Some(1)),
        "the servers did not send concurrently: {mails:#?}"
    );
    assert_eq!(database.number("SELECT max(attempts) FROM mails").await, 1);
}

/// Two workers take the same mail, as when a slow worker is considered dead.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_attempts_send_a_mail_once() {
    let (provider, app, scene) = start_without_jobs().await;
    provider.behave(&json!({ "wait": 0.5 }));
    order(&scene).await;
    let id = super::text(&app.database, "SELECT id FROM mails").await;
    let id = mainstay::mail::id::MailId::parse(&id).expect("an id");
    let deliver = || mainstay::mail::ops::deliver(&app.app, id);
    for outcome in futures_util::future::join_all((0..8).map(|_| deliver())).await {
        outcome.expect("the second attempt ends without an error");
    }
    deliver().await.expect("nothing is left to do");
    wait_for_mails(&app.database, SENT, 1).await;
    assert_eq!(provider.mails().len(), 1);
}

/// The clock of one host is an hour slow: its lease lasts as long as any other.
#[tokio::test(flavor = "multi_thread")]
async fn servers_whose_clocks_differ_send_a_mail_once() {
    let (provider, app, scene) = start_without_jobs().await;
    let other = TestApp::builder().on(&app.database).set_all(provider.variables()).start().await;
    order(&scene).await;
    let id = only_mail(&app.database).await;
    provider.behave(&json!({ "wait": 1.0 }));
    app.app.clock.advance(chrono::TimeDelta::hours(-1));
    let second = async {
        wait_for_at_least(&app.database, "SELECT attempts FROM mails", 1).await;
        ops::deliver(&other.app, id).await
    };
    let (first, second) = tokio::join!(ops::deliver(&app.app, id), second);
    first.and(second).expect("neither fails");
    wait_for_mails(&app.database, SENT, 1).await;
    assert_eq!((provider.mails().len(), app.database.number("SELECT attempts FROM mails").await), (1, 1));
}

/// A worker that was considered dead finishes while another one has the mail.
#[tokio::test(flavor = "multi_thread")]
async fn the_failure_of_an_earlier_attempt_does_not_end_the_present_one() {
    let (provider, app, scene) = start_without_jobs().await;
    provider.behave(&json!({ "rcpt": "hang" }));
    order(&scene).await;
    let id = only_mail(&app.database).await;
    let next_attempt = async {
        wait_for_at_least(&app.database, "SELECT attempts FROM mails", 1).await;
        app.database.sql("UPDATE mails SET attempts = 2, leases = 2").await;
    };
    let (result, ()) = tokio::join!(ops::deliver(&app.app, id), next_attempt);
    result.expect("the first attempt ends without an error");
    let query = "SELECT count(*) FROM mails WHERE leases = 2 AND failure IS NULL AND leased_until IS NOT NULL";
    assert_eq!((provider.attempts(), app.database.number(query).await), (1, 1));
}
