//! Schema migrations: of the kernel, of the product, and of each module with a separate schema.

mod difference;

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    deserialize::QueryableByName,
    migration::{Migration, MigrationSource},
    pg::Pg,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::{AsyncMigrationHarness, RunQueryDsl, SimpleAsyncConnection as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use crate::database::{Connection, connect::leads_through_pooler};

pub use difference::Difference;

/// The schema of the kernel's and the product's tables.
pub const PUBLIC: &str = "public";

const KERNEL: EmbeddedMigrations = embed_migrations!("migrations");

/// diesel's table of applied versions, in each schema.
const VERSIONS: &str = "__diesel_schema_migrations";

/// The advisory lock that serializes migrating instances.
const LOCK: i64 = 0x6d61_696e_7374_6179;

/// Migrations and their schema, which also holds the table of applied versions.
pub struct Set {
    /// The schema, which is created if it does not exist.
    pub schema: &'static str,
    /// The migrations.
    pub migrations: EmbeddedMigrations,
}

debug_fields!(Set: schema);

impl Set {
    /// Returns the names of the migrations, in the order of execution.
    ///
    /// # Errors
    /// A name without a version.
    pub fn names(&self) -> anyhow::Result<Vec<String>> {
        let migrations = self.read()?;
        Ok(migrations.iter().map(|migration| migration.name().to_string()).collect())
    }

    fn read(&self) -> anyhow::Result<Vec<Box<dyn Migration<Pg>>>> {
        MigrationSource::<Pg>::migrations(&self.migrations).map_err(|error| anyhow::anyhow!("{error}"))
    }
}

pub(crate) fn kernel() -> Set {
    Set { schema: PUBLIC, migrations: KERNEL }
}

/// Applies the pending migrations of all sets in order, each in one transaction, and returns their names. Instances
/// that start together run one after another, and the later ones find nothing pending. An applied migration that is
/// missing from the sets is valid, because another version of the program may still be running.
///
/// # Errors
/// A connection through a pooler; the first failed migration. Earlier migrations stay applied.
pub async fn run(connection: Connection, sets: &'static [Set]) -> anyhow::Result<Vec<String>> {
    run_at_most(connection, sets, usize::MAX).await
}

/// Applies at most `limit` of the pending migrations, as [`run`] does, so that a test can inspect the effect of each.
pub async fn run_at_most(
    mut connection: Connection,
    sets: &'static [Set],
    limit: usize,
) -> anyhow::Result<Vec<String>> {
    refuse_pooler(&mut connection).await?;
    // The lock may wait for a long migration of another instance, without a time limit.
    connection.batch_execute("SET statement_timeout = 0").await?;
    diesel::sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(LOCK).execute(&mut connection).await?;
    let mut applied = Vec::new();
    for set in sets {
        set_search_path(&mut connection, set.schema).await?;
        let remaining = limit - applied.len();
        let names;
        (connection, names) = tokio::task::spawn_blocking(move || run_set(connection, set, remaining)).await??;
        applied.extend(names);
    }
    // The connection is dropped here, which releases the lock.
    Ok(applied)
}

/// Rejects a connection through a pooler. A pooler in transaction mode may run each statement in another session. The
/// advisory lock would then remain in one session, and unrelated clients would inherit the search path and the lifted
/// statement timeout.
async fn refuse_pooler(connection: &mut Connection) -> anyhow::Result<()> {
    anyhow::ensure!(
        !leads_through_pooler(connection).await?,
        "DATABASE_URL leads through a pooler, and a migration needs a session of its own: let it name Postgres itself"
    );
    Ok(())
}

/// Compares each schema with the migrations of this program, without changes.
pub async fn differences(connection: &mut Connection, sets: &[Set]) -> anyhow::Result<Vec<Difference>> {
    // Sets of one schema share its table of versions.
    let mut schemas: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for set in sets {
        let migrations = set.read()?;
        let names = migrations.iter().map(|migration| migration.name());
        let names = names.map(|name| (name.version().to_string(), name.to_string()));
        schemas.entry(set.schema).or_default().extend(names);
    }
    let mut differences = Vec::new();
    for (schema, program) in schemas {
        let database = applied_versions(connection, schema).await?;
        differences.extend(Difference::between(schema, &database, &program));
    }
    Ok(differences)
}

async fn applied_versions(connection: &mut Connection, schema: &str) -> anyhow::Result<BTreeSet<String>> {
    #[derive(QueryableByName)]
    struct Version {
        #[diesel(sql_type = Nullable<Text>)]
        version: Option<String>,
    }
    let table = format!("{schema}.{VERSIONS}");
    let exists: Version = diesel::sql_query("SELECT to_regclass($1)::text AS version")
        .bind::<Text, _>(&table)
        .get_result(connection)
        .await?;
    if exists.version.is_none() {
        return Ok(BTreeSet::new());
    }
    let versions: Vec<Version> =
        diesel::sql_query(format!("SELECT version::text AS version FROM {table}")).load(connection).await?;
    Ok(versions.into_iter().filter_map(|row| row.version).collect())
}

/// Makes a schema the first of the search path, so that a module's tables and its table of versions are created there.
async fn set_search_path(connection: &mut Connection, schema: &str) -> anyhow::Result<()> {
    // The registration of a module checks that the name is a plain identifier, so that it needs no quoting.
    let path = if schema == PUBLIC { PUBLIC.to_owned() } else { format!("{schema}, {PUBLIC}") };
    let statements = format!("CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path = {path}");
    Ok(connection.batch_execute(&statements).await?)
}

fn run_set(connection: Connection, set: &Set, limit: usize) -> anyhow::Result<(Connection, Vec<String>)> {
    let mut harness = AsyncMigrationHarness::new(connection);
    // `run_pending_migrations` takes the source by value, and this function only borrows it.
    let migrations = set.read()?;
    let applied = harness.applied_migrations().map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut names = Vec::new();
    let pending = migrations.iter().filter(|migration| !applied.contains(&migration.name().version()));
    for migration in pending.take(limit) {
        let name = migration.name().to_string();
        harness.run_migration(&**migration).map_err(|error| anyhow::anyhow!("migration {name}: {error}"))?;
        names.push(name);
    }
    Ok((harness.into_inner(), names))
}
