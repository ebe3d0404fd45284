//! A database for each test.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

pub(crate) use super::sql::{connect, sql};
use super::{
    servers,
    sql::{sql_on, url_of},
    unique,
};

/// The maximum time a test waits at its end until its database is dropped.
const LONGEST_DROP: Duration = Duration::from_secs(1);

/// A clone of the migrated template; dropped with this value.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    name: String,
    server: String,
    /// The connection for all statements of the test, if it keeps one.
    kept: OnceCell<Client>,
}

impl TestDatabase {
    /// Creates a database on the shared server.
    pub(crate) async fn new() -> Self {
        // Not in the frame of the test, as that of `Builder::start`.
        let server = Box::pin(servers::servers()).await.postgres_url.clone();
        let template = Box::pin(servers::template()).await;
        Box::pin(Self::cloned(server, template)).await
    }

    /// Creates an empty database, for tests that run migrations themselves.
    pub(crate) async fn empty() -> Self {
        let server = Box::pin(servers::servers()).await.postgres_url.clone();
        Box::pin(Self::cloned(server, "template0")).await
    }

    /// Returns a database that is created and removed elsewhere.
    pub(crate) fn foreign(url: &str) -> Self {
        Self { url: url.to_owned(), name: String::new(), server: String::new(), kept: OnceCell::new() }
    }

    async fn cloned(server: String, template: &str) -> Self {
        let name = format!("mainstay_test_{}", unique());
        let client = connect(&server).await;
        // Without a log of the copied pages, which costs a tenth of the CPU of a small test.
        let create = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY");
        client.batch_execute(&create).await.expect("a clone");
        Self { url: url_of(&server, &name), name, server, kept: OnceCell::new() }
    }

    /// Runs all further statements on one connection: a new one, with its sign-in and its empty caches, costs more than a
    /// statement. For tests that create many users, and neither observe connections nor wait for locks in a statement.
    pub(crate) async fn keep_connection(&self) {
        self.kept.get_or_init(|| Box::pin(connect(&self.url))).await;
    }

    /// Runs SQL and returns the rows as text.
    pub(crate) async fn sql(&self, statement: &str) -> Vec<Vec<Option<String>>> {
        match self.kept.get() {
            Some(client) => Box::pin(sql_on(client, statement)).await,
            None => Box::pin(sql(&self.url, statement)).await,
        }
    }

    /// Waits until this many statements wait for a lock.
    pub(crate) async fn locks_waited_for(&self, count: i64) {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let since = Instant::now();
        while self.number(waiting).await != count {
            if since.elapsed() > Duration::from_secs(60) {
                let all = "SELECT pid, state, wait_event_type, wait_event, left(query, 200) FROM pg_stat_activity \
                           WHERE datname = current_database()";
                panic!("{count} statements should wait for a lock: {:#?}", self.sql(all).await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The single number that a statement selects.
    pub(crate) async fn number(&self, statement: &str) -> i64 {
        let rows = self.sql(statement).await;
        let value = rows.first().and_then(|row| row.first().cloned().flatten());
        value.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no number from {statement}"))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        let (server, statement) = (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        let (signal, end) = mpsc::channel();
        // `Drop` can't await, and the runtime of the test may be shutting down.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            // If the server is gone, as in a fault test, the database is gone with it.
            let dropped = runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&server, NoTls).await.ok()?;
                tokio::join!(async move { client.batch_execute(&statement).await.ok() }, connection).0
            });
            signal.send(()).ok();
            dropped
        });
        // If dropping takes longer, Postgres completes it alone. It waits for connections that are logging in, for at
        // most `authentication_timeout`, and this test's connections can't log in while its runtime is blocked.
        end.recv_timeout(LONGEST_DROP).ok();
    }
}
