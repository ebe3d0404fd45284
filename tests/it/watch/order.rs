//! Transactions that commit in another order than they began.

use serde_json::json;

use super::{Reader, TICKETS, change_of};
use crate::{
    cases::ticket,
    support::{Protocol, TestApp, TestDatabase, database::connect, eventually},
};

/// Returns a change of a ticket that no longer exists, as a separate transaction would record it.
fn deletion(id: &str, account: uuid::Uuid) -> String {
    format!(
        "INSERT INTO changes (topic, resource_id, account_id, version, is_deleted)
         VALUES ('support.ticket', '{id}', '{account}', 1, true)"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_commits_late_is_neither_missed_nor_waited_for() {
    let (app, cast) = TestApp::start_with_cast().await;
    let account = cast.customer.as_user().account;
    let mut reader = Reader::open(&cast.customer, Protocol::Grpc, TICKETS, "").await;
    reader.message().await;
    let (early, earlier) = (crate::cases::unknown_id(), crate::cases::unknown_id());
    // The first has the lower transaction id, and the second the lower change number.
    let (first, second) = (connect(&app.database.url).await, connect(&app.database.url).await);
    first.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.expect("a transaction");
    second.batch_execute(&format!("BEGIN; {}", deletion(&earlier, account))).await.expect("a change");
    let meanwhile = ticket(&cast.customer).await;
    assert_eq!(change_of(&reader.item().await).0, meanwhile, "no watch waits for an open transaction");
    first.batch_execute(&deletion(&early, account)).await.expect("a change");
    first.batch_execute("COMMIT").await.expect("a commit");
    let message = reader.item().await;
    assert_eq!(change_of(&message), (early, None));
    // A reader that resumes while the second transaction is open misses nothing either.
    let mut resumed = Reader::open(&cast.customer, Protocol::Rest, TICKETS, &super::token(&message)).await;
    let later = ticket(&cast.customer).await;
    for reader in [&mut reader, &mut resumed] {
        assert_eq!(change_of(&reader.item().await).0, later);
    }
    second.batch_execute("COMMIT").await.expect("a commit");
    for reader in [&mut reader, &mut resumed] {
        assert_eq!(change_of(&reader.item().await), (earlier.clone(), None));
    }
}

/// A transaction that began before another one may change a resource after it: the versions determine the last change.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_change_is_told_whichever_transaction_began_first() {
    let (app, cast) = TestApp::start_with_cast().await;
    let account = cast.customer.as_user().account;
    let id = ticket(&cast.customer).await;
    let version = app.database.number(&format!("SELECT version FROM tickets WHERE id = '{id}'")).await;
    let mut reader = Reader::open(&cast.customer, Protocol::Grpc, TICKETS, "").await;
    reader.message().await;
    let (earlier, later) = (connect(&app.database.url).await, connect(&app.database.url).await);
    let change = |subject: &str, version: i64| {
        format!(
            "UPDATE tickets SET subject = '{subject}', version = {version} WHERE id = '{id}';
             INSERT INTO changes (topic, resource_id, account_id, version, is_deleted)
             VALUES ('support.ticket', '{id}', '{account}', {version}, false)"
        )
    };
    earlier.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.expect("a transaction");
    later.batch_execute(&format!("BEGIN; {}; COMMIT", change("Second", version + 1))).await.expect("a change");
    earlier.batch_execute(&format!("{}; COMMIT", change("Third", version + 2))).await.expect("a change");
    // The previous change may come first, if it was read in between.
    let mut change = change_of(&reader.item().await);
    if change.1 == Some((version + 1).to_string()) {
        change = change_of(&reader.item().await);
    }
    assert_eq!(change, (id, Some((version + 2).to_string())));
}

/// A rolled-back transaction is not a change.
#[tokio::test(flavor = "multi_thread")]
async fn rolled_back_changes_are_not_seen() {
    let (app, cast) = TestApp::start_with_cast().await;
    let account = cast.customer.as_user().account;
    let mut reader = Reader::open(&cast.customer, Protocol::Grpc, TICKETS, "").await;
    reader.message().await;
    let other = connect(&app.database.url).await;
    let statement = deletion(&crate::cases::unknown_id(), account);
    other.batch_execute(&format!("BEGIN; {statement}; ROLLBACK")).await.expect("nothing");
    let id = ticket(&cast.customer).await;
    assert_eq!(change_of(&reader.item().await).0, id);
}

async fn readers(database: &TestDatabase) -> i64 {
    let reading = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND query LIKE 'WITH news AS%FROM changes%' AND pid <> pg_backend_pid()";
    database.number(reading).await
}

/// The changes are read while there are watchers, once for all of them.
#[tokio::test(flavor = "multi_thread")]
async fn one_connection_reads_for_all_watchers_and_none_without_watchers() {
    let (app, cast) = TestApp::start_with_cast().await;
    ticket(&cast.customer).await;
    assert_eq!(readers(&app.database).await, 0);
    let mut watches = Vec::new();
    for _ in 0..10 {
        watches.push(Reader::open(&cast.customer, Protocol::Grpc, TICKETS, "").await);
        watches.push(Reader::open(&cast.agent, Protocol::Rest, TICKETS, "").await);
    }
    for reader in &mut watches {
        reader.message().await;
    }
    let id = ticket(&cast.customer).await;
    for reader in &mut watches {
        assert_eq!(change_of(&reader.item().await).0, id);
    }
    assert_eq!(readers(&app.database).await, 1);
    drop(watches);
    eventually("the reader ends", async || readers(&app.database).await == 0).await;
    // Reading starts again.
    let mut reader = Reader::open(&cast.customer, Protocol::Grpc, TICKETS, "").await;
    reader.message().await;
    let request = json!({ "ticketId": id });
    cast.agent.rest("TicketService.ResolveTicket", request).await.success();
    assert_eq!(change_of(&reader.item().await), (id, Some("2".to_owned())));
}
