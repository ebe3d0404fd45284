//! A database for each test.

use std::{
    sync::{Mutex, MutexGuard, mpsc},
    time::{Duration, Instant},
};

use tokio_postgres::{Client, NoTls, error::SqlState};

pub(crate) use super::sql::{connect, sql};
use super::{
    servers,
    sql::{rows, url_of},
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
    /// Connections that no statement of the test uses at the moment. A new one, with its sign-in and its empty caches, costs
    /// more than a statement. Two statements at the same time have two, so that one may wait for a lock.
    idle: Mutex<Vec<Client>>,
}

impl TestDatabase {
    /// Creates a database on the shared server.
    pub(crate) async fn new() -> Self {
        // Not in the frame of the test, as that of `Builder::start`.
        Box::pin(Self::copy(None)).await
    }

    /// Creates an empty database, for tests that run migrations themselves.
    pub(crate) async fn empty() -> Self {
        Box::pin(Self::copy(Some("template0"))).await
    }

    /// Returns a database that is created and removed elsewhere.
    pub(crate) fn foreign(url: &str) -> Self {
        Self { url: url.to_owned(), name: String::new(), server: String::new(), idle: Mutex::default() }
    }

    /// Copies a template, by default the migrated one.
    async fn copy(template: Option<&str>) -> Self {
        let server = servers::servers().await.postgres_url.clone();
        let client = connect(&server).await;
        let template = match template {
            Some(template) => template,
            None => servers::template(&client).await,
        };
        let name = format!("mainstay_test_{}", unique());
        // Without a log of the copied pages, which costs a tenth of the CPU of a small test.
        let create = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY");
        client.batch_execute(&create).await.expect("a clone");
        Self { url: url_of(&server, &name), name, server, idle: Mutex::default() }
    }

    /// Runs SQL and returns the rows as text. It may not leave settings of its session behind.
    pub(crate) async fn sql(&self, statement: &str) -> Vec<Vec<Option<String>>> {
        loop {
            let idle = self.idle().pop();
            let was_idle = idle.is_some();
            let client = match idle {
                Some(client) => client,
                None => Box::pin(connect(&self.url)).await,
            };
            let answer = Box::pin(client.simple_query(statement)).await;
            match answer {
                // A test ended the connection while it was idle.
                Err(error) if was_idle && (error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN)) => {}
                answer => {
                    // A server of the test's own may restart, and a transaction that failed is still open.
                    if answer.is_ok() && !self.name.is_empty() {
                        self.idle().push(client);
                    }
                    return rows(statement, answer);
                }
            }
        }
    }

    /// Closes the connections of earlier statements, for a test that waits until no session uses the database.
    pub(crate) fn disconnect(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Client>> {
        self.idle.lock().expect("nothing panics with the lock")
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
