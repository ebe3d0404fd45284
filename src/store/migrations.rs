//! Migrates the database to the schema of this version.

use diesel::sql_types::BigInt;
use diesel_async::{AsyncMigrationHarness, RunQueryDsl, SimpleAsyncConnection as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use super::Connection;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The advisory lock under which one instance migrates while the others wait.
const LOCK: i64 = 0x6d61_696e_7374_6179;

/// Applies the pending migrations, one transaction each, and returns their names. Instances that start together wait
/// for the first one and then find nothing to do.
///
/// # Errors
/// The first migration that fails; the earlier ones stay applied.
pub async fn run(mut connection: Connection) -> anyhow::Result<Vec<String>> {
    // Waiting for another instance's long migration is not an error.
    connection.batch_execute("SET statement_timeout = 0").await?;
    diesel::sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(LOCK).execute(&mut connection).await?;
    // The connection, and with it the lock, ends here.
    tokio::task::spawn_blocking(move || {
        let mut harness = AsyncMigrationHarness::new(connection);
        let applied = harness.run_pending_migrations(MIGRATIONS).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(applied.iter().map(ToString::to_string).collect())
    })
    .await?
}
