//! An interrupted stream continues at the same position, on any instance.

use std::collections::HashMap;

use mainstay_kernel::{
    changes::{Cursor, Snapshot},
    clock::Clock,
};
use serde_json::json;

use super::{Reader, TICKETS, change_of, token};
use crate::{
    cases::ticket,
    support::{PROTOCOLS, Protocol, TestApp, method},
};

/// Interrupted after every few messages, and resumed on the other instance, while four writers write.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_however_often_the_stream_is_cut() {
    const TICKETS_EACH: usize = 40;

    let here = TestApp::start().await;
    let there = TestApp::builder().on(&here.database).start().await;
    let cast = here.cast().await;
    let mut reader = Reader::open(&cast.agent, Protocol::Grpc, TICKETS, "").await;
    let mut last = token(&reader.message().await);
    let mut writers = Vec::new();
    for who in [&cast.agent, &cast.admin, &cast.service, &cast.agent] {
        let who = who.at(if writers.len() % 2 == 0 { &here.endpoint } else { &there.endpoint });
        let account = cast.customer.as_user().account.to_string();
        writers.push(tokio::spawn(async move {
            for number in 0..TICKETS_EACH {
                let mut one = crate::cases::draft();
                one["accountId"] = account.clone().into();
                // Occasionally several in one transaction.
                let batch = json!({ "tickets": vec![one; number % 3 + 1] });
                who.call(Protocol::Grpc, "TicketService.BatchCreateTickets", batch).await.success();
            }
        }));
    }
    let all = 4 * (0..TICKETS_EACH).map(|number| number % 3 + 1).sum::<usize>();
    let mut counts = HashMap::<String, usize>::new();
    let mut cuts = 0;
    while counts.len() < all {
        for _ in 0..(cuts % 7) {
            let message = reader.item().await;
            *counts.entry(change_of(&message).0).or_default() += 1;
            last = token(&message);
            if counts.len() == all {
                break;
            }
        }
        cuts += 1;
        let endpoint = if cuts % 2 == 0 { &here.endpoint } else { &there.endpoint };
        let protocol = PROTOCOLS[cuts % 2];
        reader = Reader::open(&cast.agent.at(endpoint), protocol, TICKETS, &last).await;
    }
    for writer in writers {
        writer.await.expect("no panic");
    }
    let id = ticket(&cast.customer).await;
    assert_eq!(change_of(&reader.item().await).0, id, "nothing follows but what is new");
    let again: Vec<_> = counts.iter().filter(|(_, times)| **times > 1).collect();
    assert!(again.is_empty(), "{} of {all} came twice", again.len());
}

/// More changes than a batch, in a single transaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_transaction_is_resumed_in_its_middle() {
    const CHANGES: usize = 1000;

    let (app, cast) = TestApp::start_with_cast().await;
    let mut reader = Reader::open(&cast.customer, Protocol::Rest, TICKETS, "").await;
    let mut last = token(&reader.message().await);
    let many = format!(
        "INSERT INTO changes (topic, resource_id, account_id, version, is_deleted)
         SELECT 'support.ticket', gen_random_uuid(), '{}', 1, true FROM generate_series(1, {CHANGES})",
        cast.customer.as_user().account
    );
    app.database.sql(&many).await;
    let mut ids = std::collections::HashSet::new();
    for number in 0..CHANGES {
        let message = reader.item().await;
        assert!(ids.insert(change_of(&message).0), "{number} came twice");
        last = token(&message);
        if number % 130 == 129 {
            let protocol = PROTOCOLS[number % 3];
            reader = Reader::open(&cast.customer, protocol, TICKETS, &last).await;
        }
    }
    // At the end, only new changes follow.
    for token in [last.as_str(), ""] {
        let mut reader = Reader::open(&cast.customer, Protocol::Grpc, TICKETS, token).await;
        let id = ticket(&cast.colleague).await;
        assert_eq!(change_of(&reader.item().await).0, id);
    }
}

/// Of several changes of one ticket, a reader that was disconnected gets the last.
#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_watch_gets_each_ticket_in_its_present_state() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let first = Reader::open(&cast.customer, Protocol::Rest, TICKETS, "").await.message().await;
    let id = ticket(&cast.customer).await;
    for subject in ["Two", "Three"] {
        let patch = json!({ "ticketId": id, "ticket": { "subject": subject } });
        cast.agent.rest("TicketService.UpdateTicket", patch).await.success();
    }
    for protocol in PROTOCOLS {
        let mut reader = Reader::open(&cast.customer, protocol, TICKETS, &token(&first)).await;
        let message = reader.item().await;
        assert_eq!(
            (change_of(&message), &message["data"]["subject"]),
            ((id.clone(), Some("3".to_owned())), &"Three".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_removed_once_no_token_is_good_for_them() {
    let (app, cast) = TestApp::start_with_cast().await;
    ticket(&cast.customer).await;
    app.database.sql("UPDATE changes SET noted_at = now() - interval '69 minutes'").await;
    assert_eq!(app.run_task("forget_changes").await.expect("done"), 0);
    app.database.sql("UPDATE changes SET noted_at = now() - interval '71 minutes'").await;
    assert_eq!(app.run_task("forget_changes").await.expect("done"), 1);
}

/// A database restored from a copy restarts its transaction numbers.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_database_has_expired() {
    let (app, cast) = TestApp::start_with_cast().await;
    let future = Snapshot::parse("9000000000:9000000000:", Clock::default().now()).expect("a snapshot");
    let token = app.app.resume_tokens.seal(&Cursor::whole(future), &method(TICKETS).path);
    let mut reader = Reader::open(&cast.customer, Protocol::Grpc, TICKETS, &token).await;
    assert_eq!(reader.failure().await, "RESUME_TOKEN_EXPIRED");
    // Its token would refer to transactions that have not begun.
    let restored = format!(
        "INSERT INTO changes (writer, topic, resource_id, account_id, version, is_deleted)
         VALUES (9000000000, 'support.ticket', gen_random_uuid(), '{}', 1, true)",
        cast.customer.as_user().account
    );
    app.database.sql(&restored).await;
    let mut reader = Reader::open(&cast.customer, Protocol::Grpc, TICKETS, "").await;
    reader.message().await;
    let id = ticket(&cast.customer).await;
    assert_eq!(change_of(&reader.item().await).0, id);
}
