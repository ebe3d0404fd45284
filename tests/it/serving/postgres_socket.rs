//! Postgres on a socket of this machine.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

use mainstay_dev_servers::{Options, Postgres};
use serde_json::json;
use url::Url;

use crate::{
    cases::draft,
    support::{Process, Protocol, TestDatabase, database::connect, people::Cast, process, servers},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_reaches_postgres_through_a_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    // As root, Postgres runs as another user, who creates the socket.
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).expect("ours");
    let path = directory.path().to_str().expect("text");
    let options = Options::temporary().set("max_connections", "50").set("unix_socket_directories", path);
    let postgres = Postgres::start(options).await.expect("a Postgres");
    let (port, url) = (postgres.port(), Url::parse(postgres.url()).expect("a URL"));
    let sign_in = format!("{}:{}", url.username(), url.password().expect("a password"));
    let encoded = path.replace('/', "%2F");
    let database = TestDatabase::foreign(&format!("postgres://{sign_in}@/mainstay?host={path}&port={port}"));
    servers::migrate(&database.url).await;
    // A socket has no TLS, regardless of the URL.
    for url in [database.url.clone(), format!("postgres://{sign_in}@{encoded}:{port}/mainstay?sslmode=require")] {
        let server = Process::with(&database, &[("DATABASE_URL", url.as_str())]).await;
        let cast = Cast::new(&server.endpoint, &database).await;
        let response = cast.customer.rest("TicketService.CreateTicket", draft()).await.success();

        // A caller that gives up cancels its statement, which takes a separate connection.
        let holder = connect(&database.url).await;
        holder.batch_execute("BEGIN; SELECT FROM tickets FOR UPDATE").await.expect("locked");
        let change = json!({ "ticketId": response.id(), "ticket": { "subject": "Later" } });
        let late = [("x-request-timeout", "500ms")];
        let timed_out = cast.customer.call_with(Protocol::Rest, "TicketService.UpdateTicket", change.clone(), &late);
        timed_out.await.failure("DEADLINE_EXCEEDED");
        database.locks_waited_for(0).await;
        holder.batch_execute("ROLLBACK").await.expect("released");
        cast.customer.rest("TicketService.UpdateTicket", change).await.success();

        let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'mainstay%' AND client_addr IS";
        assert!(database.number(&format!("{ours} NULL")).await > 0, "no session uses the socket");
        assert_eq!(database.number(&format!("{ours} NOT NULL")).await, 0, "a session uses TCP");
    }
    let needs_writes = TestDatabase::foreign(&format!("{}&target_session_attrs=read-write", database.url));
    assert!(process::run(&["jobs", "dead"], &needs_writes, &[]).await.0, "it accepts writes");
    database.sql("ALTER DATABASE mainstay SET default_transaction_read_only = true").await;
    let (is_connected, text) = process::run(&["jobs", "dead"], &needs_writes, &[]).await;
    assert!(!is_connected && text.contains("target_session_attrs"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_not_there_is_named() {
    let database = TestDatabase::foreign("postgres://me:hunter2@/shop?host=/nowhere&port=5433");
    let (good, text) = process::run(&["migrate"], &database, &[]).await;
    let named = text.contains("at /nowhere/.s.PGSQL.5433 (database shop, user me): No such file");
    assert!(!good && named && !text.contains("hunter2"), "{text}");
}
