//! The limit of open tickets per customer holds under concurrent requests, and no customer waits for another one.

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    cases::{draft, file, ticket},
    support::{PROTOCOLS, Protocol, TestApp, database::connect, eventually},
};

#[tokio::test(flavor = "multi_thread")]
async fn ten_of_thirty_two_concurrent_creates_succeed() {
    // One process runs a customer's creates serially; across processes, a lock in Postgres enforces the limit.
    let app = TestApp::start().await;
    let other = TestApp::builder().on(&app.database).start().await;
    let cast = app.cast().await;
    cast.customer.token().await;
    let calls = (0..32).map(|number| {
        let customer = cast.customer.at([&app.endpoint, &other.endpoint][number / 2 % 2]);
        tokio::spawn(async move { customer.call(PROTOCOLS[number % 2], "TicketService.CreateTicket", draft()).await })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(|answer| answer.expect("no panic")).collect();
    let good = answers.iter().filter(|answer| answer.reason.is_empty()).count();
    let full = answers.iter().filter(|answer| answer.reason == "OPEN_TICKET_LIMIT_REACHED").count();
    assert_eq!((good, full), (10, 22), "{answers:#?}");
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 10);
}

#[tokio::test]
async fn resolving_makes_room_and_reopening_needs_it() {
    let (_app, cast) = TestApp::builder().set("OPEN_TICKET_LIMIT", "2").start_with_cast().await;
    let (first, _) = (ticket(&cast.customer).await, ticket(&cast.customer).await);
    let first = json!({ "ticketId": first });
    cast.customer.rest("TicketService.CreateTicket", draft()).await.failure("OPEN_TICKET_LIMIT_REACHED");
    cast.customer.rest("TicketService.ResolveTicket", first.clone()).await.success();
    ticket(&cast.customer).await;
    cast.customer.rest("TicketService.ReopenTicket", first.clone()).await.failure("OPEN_TICKET_LIMIT_REACHED");
    // Agents may exceed the limit.
    cast.agent.rest("TicketService.ReopenTicket", first).await.success();
    ticket(&cast.colleague).await;
}

/// Batches and imports are made by staff and do not count as opened by one customer.
#[tokio::test(flavor = "multi_thread")]
async fn batches_and_imports_are_exempt() {
    let (app, cast) = TestApp::builder().set("OPEN_TICKET_LIMIT", "1").with_jobs().start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    ticket(&cast.customer).await;
    let one = json!({ "subject": "One of many", "body": "Text", "accountId": account });
    let batch = json!({ "tickets": vec![one; 3] });
    cast.agent.rest("TicketService.BatchCreateTickets", batch).await.success();
    let rows = json!({ "accountId": account, "file": file("subject,body\nOne,Text\nTwo,Text\nThree,Text\n") });
    cast.agent.rest("TicketService.ImportTickets", rows).await.success();
    eventually("all are there", async || app.database.number("SELECT count(*) FROM tickets").await == 7).await;
    cast.customer.rest("TicketService.CreateTicket", draft()).await.failure("OPEN_TICKET_LIMIT_REACHED");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_customer_does_not_wait_for_another() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (one, account) = (cast.customer.as_user().id, cast.customer.as_user().account);
    cast.colleague.token().await;
    // A create by the customer that has updated its counters and stays open.
    let locker = connect(&app.database.url).await;
    let create = format!(
        "BEGIN;
         SELECT id FROM users WHERE id = '{one}' FOR NO KEY UPDATE;
         INSERT INTO tickets (id, account_id, requester_id, subject, body, kind, status, priority, queue, language, created_at, updated_at)
         VALUES ('{}', '{account}', '{one}', 'Slow', 'Slow', 1, 1, 2, 'General Inquiry', 'en', now(), now())",
        crate::cases::unknown_id(),
    );
    locker.batch_execute(&create).await.expect("the slow create");
    // The slow create stays open meanwhile, so a create that waited for it would exceed its deadline.
    for _ in 0..5 {
        ticket(&cast.colleague).await;
    }
    let slow = cast
        .customer
        .call_with(Protocol::Rest, "TicketService.CreateTicket", draft(), &[("x-request-timeout", "0.3")])
        .await;
    assert_eq!(slow.reason, "DEADLINE_EXCEEDED", "the customer's own creates wait: {slow:#?}");
    locker.batch_execute("COMMIT").await.expect("the slow create ends");
    let list = cast.customer.rest("TicketService.ListTickets", json!({})).await.success();
    assert_eq!(list.text("/meta/total"), "6", "the total includes all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_customer_does_not_exhaust_the_pool() {
    let (app, cast) =
        TestApp::builder().set("DATABASE_POOL_SIZE", "3").set("DATABASE_POOL_WAIT", "800ms").start_with_cast().await;
    cast.colleague.token().await;
    cast.customer.token().await;
    let locker = connect(&app.database.url).await;
    let lock = format!("BEGIN; SELECT id FROM users WHERE id = '{}' FOR NO KEY UPDATE", cast.customer.as_user().id);
    locker.batch_execute(&lock).await.expect("the lock");
    let crowd: Vec<_> = (0..20)
        .map(|number| {
            let customer = cast.customer.clone();
            tokio::spawn(
                async move { customer.call(PROTOCOLS[number % 2], "TicketService.CreateTicket", draft()).await },
            )
        })
        .collect();
    app.database.locks_waited_for(1).await;
    ticket(&cast.colleague).await;
    locker.batch_execute("COMMIT").await.expect("the lock ends");
    for answer in join_all(crowd).await {
        let answer = answer.expect("no panic");
        // On a slow machine the last request may wait too long, but none may be rejected for lack of a connection.
        assert!(["", "OPEN_TICKET_LIMIT_REACHED", "DEADLINE_EXCEEDED"].contains(&&*answer.reason), "{answer:#?}");
    }
}
