//! Postgres restarts; the server keeps running.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::sql_types::Integer;
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use mainstay_dev_servers::{Options, Postgres};
use mainstay_kernel::database::Connection;
use serde_json::json;

use crate::{
    cases::{Scene, draft, post::publish_post},
    support::{
        PROTOCOLS, Process, Protocol, TestApp, TestDatabase, database::connect, eventually, people::Cast, process,
        proxy::Proxy, servers,
    },
};

/// Temporary, but committed data survives a crash.
fn settings() -> Options {
    let durable = Options::temporary().set("fsync", "on").set("full_page_writes", "on").set("synchronous_commit", "on");
    durable.set("max_connections", "50")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_reports_and_survives_a_restart_of_postgres() {
    let mut postgres = Postgres::start(settings()).await.expect("a Postgres");
    let database = TestDatabase::foreign(postgres.url());
    servers::migrate(&database.url).await;
    let server = Process::with(&database, &[("DATABASE_POOL_WAIT", "800ms")]).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let response = cast.customer.rest("TicketService.CreateTicket", draft()).await.success();
    let request = json!({ "ticketId": response.id() });
    let post = json!({ "postId": publish_post(&cast.agent).await.0 });
    // The publication's job invalidates earlier reads.
    eventually("no job is left", async || database.number("SELECT count(*) FROM jobs").await == 0).await;
    let read_post = async |protocol| cast.anonymous.call(protocol, "PostService.GetPost", post.clone()).await;
    read_post(Protocol::Grpc).await.success();

    for crash in [true, false] {
        if crash {
            postgres.crash();
            // Its sessions end by themselves; until then they may still answer.
            eventually("the sessions have ended", async || {
                let read = cast.customer.rest("TicketService.GetTicket", request.clone()).await;
                read.reason == "UNAVAILABLE"
            })
            .await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            for number in 0..6 {
                // A request that waited longer for a connection than the pool allows would exceed its deadline.
                let response =
                    cast.customer.call(PROTOCOLS[number % 2], "TicketService.GetTicket", request.clone()).await;
                let response = response.failure("UNAVAILABLE");
                assert!(response.header("retry-after").is_some(), "{response:#?}");
            }
            assert_eq!(server.endpoint.get("/readyz").await.status, 200);
            assert_eq!(server.endpoint.get("/livez").await.status, 200);
            assert_eq!(server.endpoint.get("/.well-known/jwks.json").await.status, 200);
            for protocol in [Protocol::Grpc, Protocol::Rest] {
                read_post(protocol).await.success();
            }
            let health = server.private.http.get(format!("{}/health", server.private.base())).send().await;
            let health = health.expect("an answer");
            assert_eq!(health.status(), 503);
            assert!(health.text().await.expect("a text").contains("\"postgres\":\"unavailable\""));
        }
        postgres.restart().await.expect("it comes back");
        let since = Instant::now();
        loop {
            let began = since.elapsed();
            let answer = cast.customer.rest("TicketService.GetTicket", request.clone()).await;
            if answer.reason.is_empty() {
                break;
            }
            assert_eq!(answer.reason, "UNAVAILABLE", "the only error is one that may be retried");
            // A request may take long on a busy machine, but none that begins after the promised time is rejected.
            assert!(began < Duration::from_secs(40), "not back after {began:?}: {answer:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cast.customer.call(Protocol::Grpc, "TicketService.CreateTicket", draft()).await.success();
    }
    // The orderly restart told idle connections so.
    server.into_running().wait_for_log("a connection to Postgres was lost: 57P01 ").await;
}

/// The pool only knows that there was no connection in time; the cause of the failed request contains the reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_wait_for_a_connection_has_its_cause() {
    let database = Arc::new(TestDatabase::new().await);
    let (before, rest) = database.url.split_once('@').expect("a URL with a password");
    let (user, _) = before.rsplit_once(':').expect("a user");
    let wrong = format!("{user}:an-old-one@{rest}");
    let builder = TestApp::builder().on(&database).set("DATABASE_POOL_WAIT", "3s");
    let app = builder.set("DATABASE_URL", wrong).start().await;
    let nothing = async |connection: &mut Connection| Ok(connection.batch_execute("SELECT 1").await?);
    let detail = app.app.database.autocommit(nothing).await.expect_err("the password is wrong").detail();
    assert!(detail.contains("28P01") && detail.contains("in DATABASE_URL"), "{detail}");
    assert!(!detail.contains("an-old-one"), "{detail}");

    let app = TestApp::builder().on(&database).set("DATABASE_POOL_WAIT", "2s").start().await;
    let app = &app.app;
    let lend = async |connection: &mut Connection| Ok(connection.batch_execute("SELECT pg_sleep(4)").await?);
    let all = futures_util::future::join_all((0..9).map(|_| app.database.autocommit(lend))).await;
    let detail = all.into_iter().find_map(Result::err).expect("one more than there are connections").detail();
    assert!(detail.contains("all connections of the pool are in use"), "{detail}");
}

/// Errors are recognized by their SQLSTATE, in any language of their texts. `make test-german` runs all tests in that
/// way.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_speaks_german_gets_the_same_reasons() {
    let postgres = Postgres::start(Options::temporary().set("max_connections", "50").language("de")).await;
    let mut postgres = postgres.expect("a Postgres");
    let database = TestDatabase::foreign(postgres.url());
    let refusal = connect(&database.url).await.batch_execute("SELECT nothing").await.expect_err("no such column");
    assert!(refusal.as_db_error().is_some_and(|error| error.severity() == "FEHLER"), "{refusal:?}");
    servers::migrate(&database.url).await;
    let settings = [("DATABASE_STATEMENT_TIMEOUT", "300ms"), ("DATABASE_POOL_WAIT", "300ms")];
    let server = Process::with(&database, &settings).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let response = cast.customer.rest("TicketService.CreateTicket", draft()).await.success();
    let request = json!({ "ticketId": response.id(), "ticket": { "subject": "Later" } });

    let mut holder = connect(&database.url).await;
    let lock = holder.transaction().await.expect("begun");
    lock.batch_execute("SELECT * FROM tickets FOR UPDATE").await.expect("locked");
    for protocol in PROTOCOLS {
        cast.customer.call(protocol, "TicketService.UpdateTicket", request.clone()).await.failure("DEADLINE_EXCEEDED");
    }
    lock.rollback().await.expect("unlocked");
    cast.customer.rest("TicketService.UpdateTicket", request.clone()).await.success();

    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mainstay'";
    database.sql(end).await;
    // A connection that was closed while idle may be lent once before its end is noticed.
    for _ in 0..20 {
        let answer = cast.customer.rest("TicketService.UpdateTicket", request.clone()).await;
        assert!(["", "UNAVAILABLE"].contains(&&*answer.reason), "{answer:#?}");
    }
    postgres.crash();
    eventually("its sessions have ended", async || {
        let update = cast.customer.rest("TicketService.UpdateTicket", request.clone()).await;
        update.reason == "UNAVAILABLE"
    })
    .await;
}

/// Reads by key bypass the pool, and one that waits for a lock delays only itself.
#[tokio::test(flavor = "multi_thread")]
async fn reads_share_connections_and_a_lock_holds_up_no_others() {
    let (app, scene) = Scene::start_with(TestApp::builder().set("DATABASE_POOL_SIZE", "4")).await;
    let ticket = json!({ "ticketId": scene.ticket().await });
    let customer = &scene.cast.customer;
    let get = async |protocol| customer.call(protocol, "UserService.GetMe", json!({})).await;
    let shared = "SELECT count(*) FROM pg_stat_activity \
                  WHERE datname = current_database() AND application_name = 'mainstay-shared'";
    eventually("the shared connections are open", async || {
        get(Protocol::Rest).await.success();
        app.database.number(shared).await == 2
    })
    .await;

    let mut holder = connect(&app.database.url).await;
    let lock = holder.transaction().await.expect("begun");
    lock.batch_execute("LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    let stuck = async |_| {
        let (name, deadline) = ("TicketService.GetTicket", ("x-request-timeout", "3s"));
        customer.call_with(Protocol::Rest, name, ticket.clone(), &[deadline]).await.failure("DEADLINE_EXCEEDED")
    };
    let stuck = futures_util::future::join_all((0..3).map(stuck));
    let others = async {
        app.database.locks_waited_for(3).await;
        for number in 0..20 {
            get(PROTOCOLS[number % PROTOCOLS.len()]).await.success();
        }
        assert!(app.database.number(shared).await <= 2, "a connection that is held up is not added to");
    };
    tokio::join!(stuck, others);
    lock.rollback().await.expect("unlocked");
    customer.call(Protocol::Grpc, "TicketService.GetTicket", ticket.clone()).await.success();

    eventually("the shared connections are back", async || {
        get(Protocol::Rest).await.success();
        app.database.number(shared).await == 2
    })
    .await;
    // A read whose shared connection ends is repeated on a pooled connection.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mainstay-shared' \
               AND datname = current_database()";
    app.database.sql(end).await;
    for number in 0..20 {
        get(PROTOCOLS[number % PROTOCOLS.len()]).await.success();
    }
}

#[derive(diesel::QueryableByName)]
struct Answer {
    #[diesel(sql_type = Integer)]
    number: i32,
}

/// Callers disconnect while their statements are in flight, interleaved with others on the same connection.
#[tokio::test(flavor = "multi_thread")]
async fn cancelled_calls_on_a_shared_connection_take_no_other_answer() {
    let app = TestApp::start().await;
    let read = async |number: i32, patience: Duration| {
        let select = async move |connection: &Connection| {
            let statement = diesel::sql_query("SELECT $1 AS number FROM pg_sleep(0.002)").bind::<Integer, _>(number);
            Ok(statement.get_result::<Answer>(&mut &*connection).await?.number)
        };
        let answer = tokio::time::timeout(patience, app.app.database.read(select)).await.ok()?;
        Some(answer.expect("an answer"))
    };
    let shared = "SELECT count(*) FROM pg_stat_activity \
                  WHERE datname = current_database() AND application_name = 'mainstay-shared'";
    eventually("the shared connections are open", async || {
        read(0, Duration::from_secs(60)).await;
        app.database.number(shared).await == 2
    })
    .await;
    let mut timeouts = 0;
    for round in 0..10 {
        let numbers = (0..50).map(|number| 50 * round + number);
        let calls = numbers.clone().map(|number| {
            let is_hasty = number % 2 == 0;
            read(number, if is_hasty { Duration::from_millis(1) } else { Duration::from_secs(60) })
        });
        for (number, answer) in numbers.zip(futures_util::future::join_all(calls).await) {
            match answer {
                Some(answer) => assert_eq!(answer, number),
                None => timeouts += 1,
            }
        }
    }
    assert!((1..=250).contains(&timeouts), "{timeouts} of 250 have left");
}

/// A cancellation of a statement may arrive late, so the connection is not lent again. Its next borrower could
/// otherwise have another statement canceled.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_statement_was_cancelled_is_not_lent_again() {
    let (app, scene) = Scene::start_with(TestApp::builder().set("DATABASE_POOL_SIZE", "1")).await;
    let request = json!({ "ticketId": scene.ticket().await, "ticket": { "subject": "Later" } });
    let customer = &scene.cast.customer;
    let mut holder = connect(&app.database.url).await;
    let lock = holder.transaction().await.expect("begun");
    lock.batch_execute("SELECT * FROM tickets FOR UPDATE").await.expect("locked");
    let late = customer.call_with(
        Protocol::Rest,
        "TicketService.UpdateTicket",
        request.clone(),
        &[("x-request-timeout", "2s")],
    );
    let waiting = "SELECT pid FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'mainstay'";
    let backend = async {
        app.database.locks_waited_for(1).await;
        app.database.number(waiting).await
    };
    let (late, backend) = tokio::join!(late, backend);
    late.failure("DEADLINE_EXCEEDED");
    customer.rest("TicketService.GetTicket", json!({ "ticketId": request["ticketId"] })).await.success();
    let query = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}");
    eventually("the backend has ended", async || app.database.number(&query).await == 0).await;
}

/// The pool's connections go silent, as when a firewall has dropped their state: each one costs one caller its deadline
/// and is not lent out again.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_not_lent_out_again() {
    let database = Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let builder = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
    let (_app, scene) = Scene::start_with(builder.set("DATABASE_POOL_SIZE", "1")).await;
    let request = json!({ "ticketId": scene.ticket().await });
    let customer = &scene.cast.customer;
    customer.rest("TicketService.GetTicket", request.clone()).await.success();

    proxy.freeze();
    let since = Instant::now();
    let mut timed_out = 0;
    loop {
        let answer = customer.call(Protocol::Grpc, "TicketService.GetTicket", request.clone()).await;
        match answer.reason.as_str() {
            "" => break,
            "DEADLINE_EXCEEDED" => timed_out += 1,
            reason => assert_eq!(reason, "UNAVAILABLE", "no connection is free"),
        }
        assert!(since.elapsed() < Duration::from_secs(90), "lent out repeatedly: {timed_out} timed out");
    }
    // Callers that wait for the pool meanwhile time out too; if the connection were lent again, this would never end.
    assert!(timed_out > 0, "the connection was silent");
}

/// An idle connection that Postgres has closed causes no error once its end is known here.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ended_while_idle_is_not_lent() {
    let app = TestApp::builder().set("DATABASE_POOL_SIZE", "1").start().await;
    for _ in 0..5 {
        let lent = app.app.database.autocommit(async |connection| Ok(connection.batch_execute("SELECT 1").await?));
        lent.await.expect("a connection that works");
        let end = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name = 'mainstay'";
        let pid = app.database.sql(end).await[0][0].clone().expect("a pid");
        let query = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
        eventually("the backend has ended", async || app.database.number(&query).await == 0).await;
        // The end of the stream has yet to be read.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Ends all other connections to the database.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                         WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Whether new sessions may write.
async fn set_read_only(database: &TestDatabase, is_read_only: bool) {
    let set = format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {is_read_only}', \
         current_database()); END $$"
    );
    let connection = connect(&database.url).await;
    // A session begins with the setting of the database, which is about to change.
    connection.batch_execute("SET default_transaction_read_only = off").await.expect("a session that writes");
    connection.batch_execute(&set).await.expect("the setting");
    drop(connection);
    database.sql(TERMINATE).await;
}

/// A primary that was demoted refuses writes (25006, read_only_sql_transaction), until a new connection leads to its successor.
#[tokio::test(flavor = "multi_thread")]
async fn writes_to_a_database_that_is_read_only_are_unavailable() {
    let (app, cast) = TestApp::start_with_cast().await;
    let create = async |protocol| cast.customer.call(protocol, "TicketService.CreateTicket", draft()).await;
    let id = create(Protocol::Rest).await.success().id();
    set_read_only(&app.database, true).await;
    let list = async || cast.customer.rest("TicketService.ListTickets", json!({})).await;
    eventually("reads have new connections", async || list().await.reason.is_empty()).await;
    for protocol in PROTOCOLS {
        let refused = create(protocol).await.failure("UNAVAILABLE");
        assert!(refused.header("retry-after").is_some(), "{refused:#?}");
        assert!([0, 503].contains(&refused.status), "{refused:#?}");
    }
    list().await.success();
    set_read_only(&app.database, false).await;
    eventually("writes succeed again", async || create(Protocol::Rest).await.reason.is_empty()).await;
    cast.customer.rest("TicketService.GetTicket", json!({ "ticketId": id })).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_says_whether_its_server_must_accept_writes() {
    let database = TestDatabase::new().await;
    let of = |attributes: &str| {
        let separator = if database.url.contains('?') { '&' } else { '?' };
        TestDatabase::foreign(&format!("{}{separator}target_session_attrs={attributes}", database.url))
    };
    for (is_read_only, good, bad) in [(false, "read-write", "read-only"), (true, "read-only", "read-write")] {
        set_read_only(&database, is_read_only).await;
        let command = ["jobs", "dead"];
        let (is_connected, text) = process::run(&command, &of(good), &[]).await;
        assert!(is_connected, "{good}: {text}");
        let (is_connected, text) = process::run(&command, &of(bad), &[]).await;
        let causes = ["does not allow writes", "is not read only", "as target_session_attrs demands"];
        assert!(!is_connected && causes.iter().any(|cause| text.contains(cause)), "{bad}: {text}");
    }
}
