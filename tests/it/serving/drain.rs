//! A server that is told to stop finishes the requests in progress.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    cases::ticket,
    support::{Process, Protocol, TestDatabase, database::connect, people::Cast},
};

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_finish_and_new_ones_go_elsewhere() {
    let database = TestDatabase::new().await;
    let mut server = Process::start(&database).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let id = ticket(&cast.customer).await;
    let locker = connect(&database.url).await;
    locker
        .batch_execute(&format!("BEGIN; SELECT id FROM tickets WHERE id = '{id}' FOR UPDATE"))
        .await
        .expect("the ticket");
    let calls = [Protocol::Grpc, Protocol::Rest].map(|protocol| {
        let (customer, id) = (cast.customer.clone(), id.clone());
        tokio::spawn(async move {
            customer.call(protocol, "CommentService.CreateComment", json!({ "ticketId": id, "body": "Late" })).await
        })
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal(Signal::SIGTERM);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let refused = tokio::net::TcpStream::connect(server.endpoint.address).await;
    assert!(refused.is_err(), "new connections go elsewhere");
    locker.batch_execute("ROLLBACK").await.expect("the ticket goes");
    for call in calls {
        call.await.expect("no panic").good();
    }
    let status = server.ended().await;
    assert!(status.success(), "{status}: {}", server.log());
}
