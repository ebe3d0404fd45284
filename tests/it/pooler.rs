//! A real PgBouncer between the server and Postgres, in transaction pooling mode: the statements of a connection reach
//! any free session, so no state may be kept in a session between transactions.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use mainstay_dev_servers::PgBouncer;
use serde_json::json;

use crate::{
    cases::{Scene, draft},
    operation, payment,
    support::{
        Actor, PROTOCOLS, Process, Protocol, TestDatabase,
        database::{connect, sql},
        eventually,
        gateway::FakeGateway,
        people::Cast,
        process::run,
        unique,
    },
};

const CREATE: &str = "TicketService.CreateTicket";
const CHARGE: &str = "PaymentService.ChargePayment";
/// The number of sessions in Postgres, fewer than the server's connections.
const SESSIONS: usize = 4;

/// Starts a pooler as configured in docs/pgbouncer.md, and returns the URL of a database through it.
async fn pooler(database: &TestDatabase) -> (PgBouncer, String) {
    let name = database.sql("SELECT current_database()").await[0][0].clone().expect("a name");
    let document = include_str!("../../docs/pgbouncer.md").lines();
    let settings: Vec<_> = document.filter_map(|line| line.trim().strip_prefix("ALTER ROLE mainstay ")).collect();
    assert_eq!(settings.len(), 4, "{settings:?}");
    for setting in settings {
        // All tests share the role.
        database.sql(&format!("ALTER ROLE CURRENT_USER IN DATABASE {name} {setting}")).await;
    }
    let sessions = SESSIONS.to_string();
    let settings = [
        ("pool_mode", "transaction"),
        ("max_prepared_statements", "200"),
        ("ignore_startup_parameters", "options"),
        ("default_pool_size", sessions.as_str()),
    ];
    let pooler = PgBouncer::start(&database.url, &settings).await.expect("a PgBouncer");
    let url = pooler.url(&name);
    (pooler, url)
}

/// Returns how many connections of a kind, `CLIENTS` or `SERVERS`, the pooler has for the database of the test.
async fn connections(pooler: &PgBouncer, kind: &str) -> usize {
    let rows = sql(&pooler.console(), &format!("SHOW {kind}")).await;
    rows.iter().filter(|row| row[2].as_deref().is_some_and(|name| name.starts_with("mainstay_test_"))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_works_behind_a_pooler_of_transactions() {
    let database = Arc::new(TestDatabase::new().await);
    let (pooler, url) = pooler(&database).await;
    let gateway = FakeGateway::start().await;
    let variables = [("DATABASE_URL", url.as_str()), ("DATABASE_POOL_SIZE", "12"), ("OPEN_TICKET_LIMIT", "1000")];
    let server = payment::process(&database, &gateway, &variables).await;
    let scene = Scene::at(&server, &database).await;
    let (customer, agent) = (&scene.cast.customer, &scene.cast.agent);
    customer.token().await;

    // Concurrent transactions, shared connections and lists, all with prepared statements.
    let callers = (0..9).map(|number| async move {
        let protocol = PROTOCOLS[number % PROTOCOLS.len()];
        for _ in 0..10 {
            let key = unique();
            let response = customer.keyed(protocol, CREATE, draft(), &key).await.success();
            let again = customer.keyed(protocol, CREATE, draft(), &key).await.success();
            assert!(again.is_replayed() && again.id() == response.id(), "{again:#?}");
            let get = json!({ "ticketId": response.id() });
            customer.call(protocol, "TicketService.GetTicket", get).await.success();
            customer.call(protocol, "TicketService.ListTickets", json!({ "pageSize": 5 })).await.success();
        }
    });
    join_all(callers).await;
    let (clients, servers) = (connections(&pooler, "CLIENTS").await, connections(&pooler, "SERVERS").await);
    assert!(servers <= SESSIONS && clients > SESSIONS, "{clients} connections of the server, {servers} to Postgres");

    let request = payment::charge_of(&scene).await;
    let charged = payment::call_until_final(customer, Protocol::Rest, CHARGE, &request, "once").await.success();
    for protocol in PROTOCOLS {
        let again = customer.keyed(protocol, CHARGE, request.clone(), "once").await.success();
        assert!(again.is_replayed() && again.id() == charged.id(), "{again:#?}");
    }
    assert_eq!(gateway.settled_books(&database).await, 1);

    // A job of several transactions.
    let rows = "subject,body\nThe first,One\nThe second,Two\n";
    let import = operation::begin(agent, &scene.account(), rows, &unique()).await;
    let imported = operation::wait_for_end(agent, &import).await;
    assert_eq!(imported["state"], "OPERATION_STATE_SUCCEEDED", "{imported}");

    // When a caller gives up, its statement is canceled in the session that runs it, long before `statement_timeout`.
    let ticket = scene.ticket().await;
    let holder = connect(&database.url).await;
    holder.batch_execute("BEGIN; SELECT FROM tickets FOR UPDATE").await.expect("locked");
    let change = json!({ "ticketId": ticket, "ticket": { "subject": "Later" } });
    let late = [("x-request-timeout", "500ms")];
    let timed_out = customer.call_with(Protocol::Rest, "TicketService.UpdateTicket", change.clone(), &late).await;
    timed_out.failure("DEADLINE_EXCEEDED");
    database.locks_waited_for(0).await;
    holder.batch_execute("ROLLBACK").await.expect("released");
    customer.rest("TicketService.UpdateTicket", change).await.success();

    // The sessions have the role's settings, regardless of their earlier users.
    let query = "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'),
        current_setting('TimeZone'), current_setting('jit'), current_setting('search_path'), pg_sleep(0.1)";
    for rows in join_all((0..SESSIONS).map(|_| sql(&url, query))).await {
        let row: Vec<_> = rows[0].iter().flatten().map(String::as_str).collect();
        assert_eq!(row[..5], ["1min", "1min", "UTC", "off", "\"$user\", public"], "{row:?}");
    }
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("no lock outlives its transaction", async || database.number(locks).await == 0).await;
    let log = server.log();
    assert!(!log.contains("prepared statement") && !log.contains("INTERNAL_ERROR"), "{log}");
}

/// Repeats a create under its key until it is done; each failure must be retryable. Returns the id of the ticket, and
/// the reasons of the failures.
async fn create(customer: &Actor, protocol: Protocol, key: &str) -> (String, Vec<String>) {
    let (since, mut reasons) = (Instant::now(), Vec::new());
    loop {
        let answer = customer.keyed(protocol, CREATE, draft(), key).await;
        if answer.reason.is_empty() {
            return (answer.id(), reasons);
        }
        assert_eq!(answer.body["error"]["retryable"], true, "{answer:#?}");
        assert!(since.elapsed() < Duration::from_secs(60), "never done: {answer:#?}");
        reasons.push(answer.reason);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A restart breaks all connections in any state of their transactions, and Postgres notices it late.
#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_the_pooler_lose_and_double_nothing() {
    let database = Arc::new(TestDatabase::new().await);
    let (mut pooler, url) = pooler(&database).await;
    // Without jobs, which could wait for the table too.
    let own = [("DATABASE_URL", url.as_str()), ("JOBS_IN_SERVE", "false"), ("OPEN_TICKET_LIMIT", "1000")];
    let server = Process::with(&database, &own).await;
    let customer = Cast::new(&server.endpoint, &database).await.customer;
    let mut tickets = BTreeMap::new();

    // Between two requests.
    for protocol in PROTOCOLS {
        let key = unique();
        let (id, _) = create(&customer, protocol, &key).await;
        tickets.insert(key, id);
        pooler.restart().await.expect("a PgBouncer");
    }

    // In the middle of a transaction.
    for protocol in PROTOCOLS {
        let holder = connect(&database.url).await;
        holder.batch_execute("BEGIN; LOCK TABLE tickets IN SHARE MODE").await.expect("locked");
        let key = unique();
        let ((id, reasons), ()) = tokio::join!(create(&customer, protocol, &key), async {
            database.locks_waited_for(1).await;
            pooler.restart().await.expect("a PgBouncer");
            holder.batch_execute("COMMIT").await.expect("released");
        });
        assert_eq!(reasons.first().map(String::as_str), Some("UNAVAILABLE"), "{reasons:?}");
        tickets.insert(key, id);
    }

    // At any point.
    let callers = (0..4).map(|number| {
        let customer = &customer;
        async move {
            let mut tickets = Vec::new();
            for _ in 0..10 {
                let key = unique();
                let (id, _) = create(customer, PROTOCOLS[number % PROTOCOLS.len()], &key).await;
                tickets.push((key, id));
            }
            tickets
        }
    });
    let restarts = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            pooler.restart().await.expect("a PgBouncer");
        }
    };
    let (results, ()) = tokio::join!(join_all(callers), restarts);
    tickets.extend(results.into_iter().flatten());

    for (key, id) in &tickets {
        assert_eq!(create(&customer, Protocol::Rest, key).await.0, *id, "{key}");
    }
    for table in ["tickets", "idempotency_keys"] {
        let count = database.number(&format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(usize::try_from(count), Ok(tickets.len()), "{table}");
    }
    let log = server.log();
    assert!(!log.contains("prepared statement") && !log.contains("INTERNAL_ERROR"), "{log}");
}

/// The migration's lock, its search path and its lifted time limit are session state, which a pooler would apply to
/// another session.
#[tokio::test(flavor = "multi_thread")]
async fn migrations_through_a_pooler_are_refused() {
    let database = TestDatabase::empty().await;
    let (_pooler, url) = pooler(&database).await;
    let (is_ok, output) = run(&["migrate"], &database, &[("DATABASE_URL", url.as_str())]).await;
    assert!(!is_ok && output.contains("leads through a pooler"), "{output}");
    assert_eq!(database.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await, 0);
    let (is_ok, output) = run(&["migrate"], &database, &[]).await;
    assert!(is_ok, "{output}");
    let (is_ok, output) = run(&["ledger", "check"], &database, &[("DATABASE_URL", url.as_str())]).await;
    assert!(is_ok, "{output}");
}
