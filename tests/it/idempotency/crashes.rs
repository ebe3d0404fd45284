//! `kill -9` before or after each step of a write, then a restart and a retry.

use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal;
use serde_json::json;

use super::Effects;
use crate::{
    cases::{draft, ticket},
    support::{PROTOCOLS, Process, Protocol, TestDatabase, people::Cast},
};

/// Starts a server without jobs, whose transactions would pass the fail points too.
async fn start_with_fault(database: &TestDatabase, fault: &str) -> Process {
    Process::with(database, &[("MAINSTAY_FAULTS", fault), ("JOBS_IN_SERVE", "false")]).await
}

/// Kills a server at `point` of a keyed create, restarts it, retries, and checks the result.
async fn kill_and_retry(point: &str, committed: bool) {
    let database = TestDatabase::new().await;
    let healthy = Process::start(&database).await;
    let cast = Cast::new(&healthy.endpoint, &database).await;
    cast.customer.token().await;
    let mut doomed = start_with_fault(&database, &format!("{point}=kill")).await;
    let response =
        cast.customer.at(&doomed.endpoint).keyed(Protocol::Rest, "TicketService.CreateTicket", draft(), "one").await;
    assert_eq!(response.status, 0, "the caller got a response: {response:#?}");
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    assert_eq!(Effects::in_database(&database).await, Effects::of(i64::from(committed)), "after the kill at {point}");

    let restarted = Process::start(&database).await;
    let customer = cast.customer.at(&restarted.endpoint);
    let retried = customer.keyed(Protocol::Grpc, "TicketService.CreateTicket", draft(), "one").await.success();
    assert_eq!(retried.is_replayed(), committed, "the retry after {point}");
    for protocol in PROTOCOLS {
        let again = customer.keyed(protocol, "TicketService.CreateTicket", draft(), "one").await.success();
        assert!(again.is_replayed());
        assert_eq!((&again.body, again.header("location")), (&retried.body, retried.header("location")));
    }
    assert_eq!(Effects::in_database(&database).await, Effects::of(1), "after the retry");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_the_claim_leaves_no_effect() {
    kill_and_retry("claim.after", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_the_commit_undoes_the_effect() {
    kill_and_retry("commit.before", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_the_commit_keeps_the_effect_and_its_response() {
    kill_and_retry("commit.after", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_the_two_writes_of_a_resolution_undoes_both() {
    let database = TestDatabase::new().await;
    let healthy = Process::start(&database).await;
    let cast = Cast::new(&healthy.endpoint, &database).await;
    let request = json!({ "ticketId": ticket(&cast.customer).await });
    let mut doomed = start_with_fault(&database, "ticket.between_writes=kill").await;
    let doomed_customer = cast.customer.at(&doomed.endpoint);
    let response = doomed_customer.keyed(Protocol::Grpc, "TicketService.ResolveTicket", request.clone(), "one").await;
    assert!(!response.reason.is_empty(), "{response:#?}");
    doomed.wait().await;
    assert_eq!(database.number("SELECT count(*) FROM tickets WHERE status = 3").await, 0);
    assert_eq!(database.number("SELECT count(*) FROM activities WHERE kind = 5").await, 0);

    for replayed in [false, true] {
        let again =
            cast.customer.keyed(Protocol::Rest, "TicketService.ResolveTicket", request.clone(), "one").await.success();
        assert_eq!(again.is_replayed(), replayed);
    }
    assert_eq!(database.number("SELECT count(*) FROM activities WHERE kind = 5").await, 1);
}
