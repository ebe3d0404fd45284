//! A database for each test.

use std::{fmt, future::Future, sync::mpsc, time::Duration};

use mainstay_dev_servers::{Options, Postgres};
use mainstay_kernel::module::Modules;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use url::Url;

use crate::unique::unique;

/// The maximum time a test waits at its end until its database is dropped.
const LONGEST_DROP: Duration = Duration::from_secs(1);

/// A database on the Postgres of the tests; dropped with this value.
pub struct TestDatabase {
    url: String,
    name: String,
}

impl fmt::Debug for TestDatabase {
    /// Omits the URL, which contains a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDatabase").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TestDatabase {
    /// Creates an empty database.
    ///
    /// # Panics
    /// Panics if Postgres does not start.
    pub async fn empty() -> Self {
        Self::copy_of("template0").await
    }

    /// Creates a database with the schema of a list of modules, which `migrate` creates at a URL. `migrate` runs once for
    /// each list and build of the tests.
    ///
    /// # Panics
    /// Panics if Postgres does not start.
    pub async fn migrated<F: Future<Output = ()>>(modules: &Modules, migrate: impl FnOnce(String) -> F) -> Self {
        Self::copy_of(&template(modules, migrate).await).await
    }

    async fn copy_of(template: &str) -> Self {
        let name = format!("test_{}", unique());
        // Without a log of the copied pages, which costs a tenth of the CPU of a small test.
        let create = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY");
        execute(server().await, &create).await;
        Self { url: url_of(&name).await, name }
    }

    /// Returns the URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs SQL and returns the first column of the rows, as text.
    ///
    /// # Panics
    /// Panics if the statement fails.
    pub async fn sql(&self, statement: &str) -> Vec<String> {
        let messages = connect(&self.url).await.simple_query(statement).await;
        let messages = messages.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        let first = |message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        };
        messages.into_iter().filter_map(first).collect()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let (sender, end) = mpsc::channel();
        // `Drop` can't await, and the runtime of the test may be shutting down.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { execute(server().await, &statement).await });
            sender.send(()).ok();
        });
        // If the server is gone, the database is gone with it. If dropping takes longer, Postgres completes it alone.
        // It waits for connections that are logging in, for at most `authentication_timeout`, and this test's
        // connections can't log in while its runtime is blocked.
        end.recv_timeout(LONGEST_DROP).ok();
    }
}

/// Returns the URL of a server's database, in which the others are created.
async fn server() -> &'static str {
    static SERVER: OnceCell<(String, Option<Postgres>)> = OnceCell::const_new();
    let start = || async {
        #[expect(clippy::disallowed_methods, reason = "how a test run passes on the URL of the server that it started")]
        if let Ok(url) = std::env::var("MAINSTAY_TEST_DATABASE_URL") {
            return (url, None);
        }
        let postgres = Postgres::start(Options::in_memory()).await.expect("a throwaway Postgres");
        (postgres.url().to_owned(), Some(postgres))
    };
    &SERVER.get_or_init(start).await.0
}

async fn url_of(database: &str) -> String {
    let mut url = Url::parse(server().await).expect("a URL");
    url.set_path(database);
    url.into()
}

/// Returns the name of the migrated template of a list of modules, which the first process of this build makes.
async fn template<F: Future<Output = ()>>(modules: &Modules, migrate: impl FnOnce(String) -> F) -> String {
    let name = format!("template_{}", build(modules));
    let client = connect(server().await).await;
    // Held until the connection ends, even if this process dies in between.
    client.execute("SELECT pg_advisory_lock(hashtext($1))", &[&name]).await.expect("the lock");
    let rows = client.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.expect("the catalog");
    if rows.is_empty() {
        let unfinished = format!("{name}_unfinished");
        for statement in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
            client.batch_execute(&format!("{statement} {unfinished}")).await.expect("a new database");
        }
        migrate(url_of(&unfinished).await).await;
        // Writes Postgres' cache of the catalogs to a file, which each copy has: the first connection to it need not fill it.
        drop(connect(&url_of(&unfinished).await).await);
        // Connections end slightly after their pool; a template must have none.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        client.execute(end, &[&unfinished]).await.expect("the end of all connections");
        client.batch_execute(&format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await.expect("a template");
    }
    name
}

/// Returns an id of the list of modules and of the build of the tests, because each may have other migrations.
fn build(modules: &Modules) -> String {
    let program = std::env::current_exe().expect("a program");
    let modified = program.metadata().and_then(|metadata| metadata.modified()).expect("a file");
    let hash = Sha256::digest(format!("{} {modified:?} {modules:?}", program.display()));
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Opens a connection that closes with its client.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("Postgres answers");
    // The connection ends with the client or with the server; in the latter case the client reports the error.
    tokio::spawn(async move { connection.await.ok() });
    client
}

async fn execute(url: &str, statement: &str) {
    let executed = connect(url).await.batch_execute(statement).await;
    executed.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
}
