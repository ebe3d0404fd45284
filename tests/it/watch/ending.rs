//! The end of a watch: with its caller's access, with the server, with its deadline, and with a caller who does not
//! read.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{Reader, TICKETS, WatchEvent, change_of, token};
use crate::{
    cases::ticket,
    support::{Actor, PROTOCOLS, Process, Protocol, TestApp, TestDatabase, actor::sign_in, people::Cast},
};

/// The documented time, plus a margin for a busy machine.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_its_session_on_every_instance() {
    let here = TestApp::start().await;
    let there = TestApp::builder().on(&here.database).start().await;
    let cast = here.cast().await;
    for protocol in PROTOCOLS {
        let pair = sign_in(&here.endpoint, cast.customer.as_user()).await.success();
        let caller = |app: &TestApp| Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
        let mut readers = [
            Reader::open(&caller(&here), protocol, TICKETS, "").await,
            Reader::open(&caller(&there), protocol, TICKETS, "").await,
        ];
        caller(&here).rest("AuthService.Logout", json!({})).await.success();
        let since = Instant::now();
        for reader in &mut readers {
            assert_eq!(reader.failure().await, "SESSION_REVOKED", "{protocol:?}");
            assert_eq!(reader.next().await, WatchEvent::End, "{protocol:?}");
        }
        assert!(since.elapsed() < SOON, "{protocol:?}: after {:?}", since.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_the_role_that_it_began_with() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let mut reader = Reader::open(&cast.agent, Protocol::Rest, TICKETS, "").await;
    let role = json!({ "userId": cast.agent.as_user().id.to_string(), "role": "ROLE_CUSTOMER" });
    cast.admin.rest("UserService.SetUserRole", role).await.success();
    let since = Instant::now();
    assert_eq!(reader.failure().await, "SESSION_REVOKED");
    assert!(since.elapsed() < SOON, "after {:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_when_its_access_token_expires() {
    let (_app, cast) = TestApp::builder().set("ACCESS_TOKEN_TTL", "3s").start_with_cast().await;
    let mut reader = Reader::open(&cast.customer, Protocol::Grpc, TICKETS, "").await;
    assert_eq!(reader.failure().await, "TOKEN_EXPIRED");
}

/// It ends without an error, and is resumed.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_before_its_deadline() {
    let (_app, cast) = TestApp::start_with_cast().await;
    // The end precedes the deadline by 2 to 10 percent of it, which is long enough here for a busy machine. A watch that
    // reached its deadline would end with an error.
    let watch = async |protocol| {
        let since = Instant::now();
        let headers = [("x-request-timeout", "20")];
        let answer = cast.customer.call_with(protocol, TICKETS, json!({}), &headers).await.success();
        assert!(since.elapsed() > Duration::from_secs(17), "{protocol:?}: after {:?}", since.elapsed());
        assert_eq!(answer.body.as_array().map(Vec::len), Some(1), "{answer:#?}");
    };
    join_all(PROTOCOLS.map(watch)).await;
}

/// The drain does not wait for watches, and each is told to resume elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_the_drain() {
    let database = TestDatabase::new().await;
    let mut server = Process::with(&database, &[("DRAIN_TIMEOUT", "10m")]).await;
    let other = Process::start(&database).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let mut readers = Vec::new();
    for protocol in PROTOCOLS {
        readers.push(Reader::open(&cast.customer, protocol, TICKETS, "").await);
    }
    let mut last = String::new();
    for reader in &mut readers {
        last = token(&reader.message().await);
    }
    server.signal(Signal::SIGTERM);
    for reader in &mut readers {
        assert_eq!(reader.failure().await, "UNAVAILABLE");
    }
    assert!(server.wait().await.success(), "{}", server.log());
    let customer = cast.customer.at(&other.endpoint);
    let id = ticket(&customer).await;
    let mut resumed = Reader::open(&customer, Protocol::Rest, TICKETS, &last).await;
    assert_eq!(change_of(&resumed.item().await).0, id);
}
