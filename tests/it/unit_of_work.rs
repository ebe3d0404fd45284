//! A unit of work commits everything or nothing, and reports which: also if a statement fails that was sent with the
//! COMMIT.

use chrono::TimeDelta;
use mainstay::{
    support::{
        id::TicketId,
        ticket::{model::Ticket, store},
    },
    webhooks::{id::InboundEventId, inbound_event::job::ProcessInboundEvent},
};
use mainstay_kernel::{
    caller::Visibility,
    database::Connection,
    error::{Error, Reason, Result},
    id, queue,
    unit_of_work::Work,
};

use crate::{cases::ticket, support::TestApp};

const JOBS: &str = "SELECT count(*) FROM jobs WHERE kind = 'process_inbound_event'";

/// Starts a server with one connection, and creates a ticket.
async fn start() -> (TestApp, Ticket) {
    let app = TestApp::builder().set("DATABASE_POOL_SIZE", "1").start().await;
    let id = TicketId(ticket(&app.cast().await.customer).await.parse().expect("an id"));
    let read = async move |connection: &mut Connection| store::get(connection, Visibility::All, id, true).await;
    let ticket = app.app.database.autocommit(read).await.expect("a ticket");
    (app, ticket)
}

/// Queues a job that is not due: the effect of a unit of work.
fn queue_job(work: &mut Work) {
    let job = ProcessInboundEvent { event: InboundEventId(id::new(work.now())) };
    let due = work.now() + TimeDelta::hours(1);
    work.queue(move |connection| Box::pin(async move { queue::enqueue_at(connection, &job, due).await }));
}

/// Runs a unit of work with a job and the statements of `fail`, which must leave nothing. Runs twice: on a connection
/// that has yet to prepare the statements, and on one that has.
async fn fails(app: &TestApp, fail: impl AsyncFn(&mut Work)) -> Error {
    let mut errors = Vec::new();
    for jobs in 0..2 {
        let failed: Result<()> = app
            .app
            .database
            .transaction(async |work: &mut Work| {
                queue_job(work);
                fail(work).await;
                queue_job(work);
                Ok(())
            })
            .await;
        errors.push(failed.expect_err("it is not committed"));
        assert_eq!(app.database.number(JOBS).await, jobs, "nothing is committed");
        let committed = app.app.database.transaction(async |work: &mut Work| {
            queue_job(work);
            Ok(())
        });
        committed.await.expect("the next one is committed");
        assert_eq!(app.database.number(JOBS).await, jobs + 1);
    }
    errors.swap_remove(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_match_prevents_the_commit() {
    let (app, ticket) = start().await;
    let now = ticket.updated_at;
    let skipped = ticket.clone().next_version(now).next_version(now);
    let error = fails(&app, async |work: &mut Work| {
        let next = skipped.clone();
        work.queue(move |connection| Box::pin(async move { store::update(connection, &next).await }));
    });
    let error = error.await;
    assert_eq!(error.reason(), Reason::InternalError);
    assert!(error.detail().contains("update tickets: touched 0 rows, not 1"), "{}", error.detail());

    let next = ticket.next_version(now);
    let update = app.app.database.transaction(async move |work: &mut Work| {
        work.queue(move |connection| Box::pin(async move { store::update(connection, &next).await }));
        Ok(())
    });
    update.await.expect("the version matches");
    assert_eq!(app.database.number("SELECT version FROM tickets").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_violation_prevents_the_commit() {
    let (app, ticket) = start().await;
    let error = fails(&app, async |work: &mut Work| {
        let again = [ticket.clone()];
        work.queue(move |connection| Box::pin(async move { store::insert(connection, &again).await }));
    });
    let error = error.await;
    assert_eq!(error.reason(), Reason::InternalError);
    assert!(error.detail().contains("tickets_pkey"), "{}", error.detail());
}

/// Postgres answers the COMMIT of an aborted transaction with a rollback, which is not an error.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_is_passed_over_prevents_the_commit() {
    let (app, ticket) = start().await;
    let again = [ticket];
    fails(&app, async |work: &mut Work| {
        work.write(async |connection: &Connection| store::insert(connection, &again).await)
            .await
            .expect_err("a conflict");
    })
    .await;
    for _ in 0..2 {
        let ignored = app.app.database.transaction(async |work: &mut Work| {
            queue_job(work);
            let insert = async |connection: &Connection| store::insert(connection, &again).await;
            work.write(insert).await.expect_err("a conflict");
            Ok(())
        });
        assert_eq!(ignored.await.expect_err("it is not committed").reason(), Reason::InternalError);
    }
    assert_eq!(app.database.number(JOBS).await, 2, "those that the first half has committed");
}
