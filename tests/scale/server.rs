//! A Postgres with many tickets that logs the plan of every statement it runs.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use mainstay_dev_servers::{Options, Postgres};
use mainstay_kernel::{config::Source, database::Database};
use tokio_postgres::{Client, NoTls};

/// Marks the statement that proves that a scan would be detected.
pub(crate) const WITNESS: &str = "witness";

/// The number of tickets, and of movements of the ledger: `SCALE_ROWS`, otherwise a fifth of the million for which the
/// guarantee holds.
#[expect(clippy::disallowed_methods, reason = "not a setting of the server")]
pub(crate) static ROWS: LazyLock<i64> = LazyLock::new(|| {
    let rows = std::env::var("SCALE_ROWS").map(|rows| rows.parse().expect("SCALE_ROWS is a number"));
    rows.unwrap_or(200_000)
});

/// The server, a client for the test's own queries, and the app's pool.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) database: Database,
    /// Last, so that it is dropped last.
    _postgres: Postgres,
}

impl Server {
    /// Starts the server, migrates it and fills it with tickets.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let server = Self::empty().await?;
        let began = Instant::now();
        seed(&server.client).await?;
        println!("{} tickets seeded in {:.1?}", *ROWS, began.elapsed());
        Ok(server)
    }

    /// Starts the server and migrates it.
    pub(crate) async fn empty() -> anyhow::Result<Self> {
        let options = Options::temporary()
            .set("shared_preload_libraries", "auto_explain")
            .set("auto_explain.log_min_duration", "0")
            // The numbers of rows and of blocks that a scan passed, without the time of each row.
            .set("auto_explain.log_analyze", "on")
            .set("auto_explain.log_buffers", "on")
            .set("auto_explain.log_timing", "off")
            .set("auto_explain.log_format", "json")
            // Postgres itself can report the name of the collector's file.
            .set("logging_collector", "on")
            .set("log_destination", "jsonlog")
            .set("log_rotation_size", "0")
            // Indexes that are built in the transaction of their table need no WAL, which would be larger than the
            // indexes.
            .set("wal_level", "minimal")
            .set("max_wal_senders", "0")
            .set("max_wal_size", "256MB");
        let modules = mainstay::product().modules().expect("they fit together");
        let postgres = Postgres::start(options).await?;
        let (client, connection) = tokio_postgres::connect(postgres.url(), NoTls).await?;
        tokio::spawn(connection);
        // As the app's own connections, whose plans the tests check: compiling a query takes longer than running it once.
        client.batch_execute("SET jit = off").await?;
        let config =
            modules.config(Source::of([("DATABASE_STATEMENT_TIMEOUT", "10m")])).expect("these are good values");
        // A single connection prepares each statement once and after five runs may choose a generic plan, like a
        // connection of a server that runs for days.
        let config =
            mainstay_kernel::config::Database { pool_size: 1, pool_wait: Duration::from_secs(600), ..config.database };
        let url = postgres.url().to_owned().into();
        // Under another name, because scans of migrations do not count.
        let migrating = Database::new(&url, "migrate", &config)?.dedicated().await?;
        mainstay_kernel::database::migrations::run(migrating, modules.migrations()).await?;
        let database = Database::new(&url, "mainstay", &config)?;
        Ok(Self { client, database, _postgres: postgres })
    }

    /// The plans of the statements on the app's pool, oldest first, from the log.
    pub(crate) async fn plans(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        // The collector writes some time after the statement has ended; the deliberate scan is the last one.
        let began = Instant::now();
        let log = loop {
            let row = self.client.query_one("SELECT pg_read_file(pg_current_logfile('jsonlog'))", &[]).await?;
            let log: String = row.get(0);
            if log.contains(WITNESS) || began.elapsed() > Duration::from_secs(30) {
                break log;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let mut plans = Vec::new();
        for line in log.lines() {
            let entry: serde_json::Value = serde_json::from_str(line)?;
            if entry["application_name"] != "mainstay" {
                continue;
            }
            let message = entry["message"].as_str().unwrap_or_default();
            if let Some((_, plan)) = message.split_once("plan:\n") {
                plans.push(serde_json::from_str(plan)?);
            }
        }
        Ok(plans)
    }
}

async fn seed(client: &Client) -> anyhow::Result<()> {
    client.batch_execute(&format!("SET mainstay.tickets = {}", *ROWS)).await?;
    client.batch_execute(&format!("BEGIN; {} COMMIT", include_str!("../../benches/requests/seed.sql"))).await?;
    client.batch_execute("VACUUM ANALYZE").await?;
    Ok(())
}

/// Converts an error of the app into one that may show all its details.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn plain(error: mainstay_kernel::error::Error) -> anyhow::Error {
    anyhow::anyhow!("{}: {:?}", error.message(), error.source())
}
