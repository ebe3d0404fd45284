//! Every migration can be reverted and applied again with the same result, and states its purpose, lock and rollout.

use std::path::{Path, PathBuf};

use crate::support::{TestDatabase, database::connect};

/// Returns the kernel's migrations, then the product's: they are applied in this order.
fn migrations() -> Vec<PathBuf> {
    ["crates/kernel/migrations", "migrations"].into_iter().flat_map(folder).collect()
}

fn folder(name: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let entries = std::fs::read_dir(root).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    assert!(!paths.is_empty(), "{name}: no migrations");
    paths.sort();
    paths
}

fn read(migration: &Path, name: &str) -> String {
    std::fs::read_to_string(migration.join(name)).unwrap_or_else(|error| panic!("{}: {error}", migration.display()))
}

/// Everything a migration can leave behind: columns, indexes, constraints, functions, triggers, types.
const INVENTORY: &str = "
    SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable
        || coalesce(' ' || column_default, '') FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
    UNION ALL SELECT 'function ' || proname || ' ' || pg_get_function_identity_arguments(oid) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'type ' || typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype <> 'c' AND typcategory <> 'A'
    ORDER BY 1";

async fn inventory(database: &TestDatabase) -> Vec<String> {
    database.sql(INVENTORY).await.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

#[tokio::test]
async fn migrations_can_be_reverted_and_applied_again() {
    let database = TestDatabase::empty().await;
    let client = connect(&database.url).await;
    let untouched = inventory(&database).await;
    let mut steps = vec![untouched.clone()];
    for migration in migrations() {
        let run = client.batch_execute(&read(&migration, "up.sql")).await;
        run.unwrap_or_else(|error| panic!("{} up: {error:?}", migration.display()));
        steps.push(inventory(&database).await);
    }
    let complete = steps.last().cloned().expect("migrations");
    for migration in migrations().iter().rev() {
        steps.pop();
        let run = client.batch_execute(&read(migration, "down.sql")).await;
        run.unwrap_or_else(|error| panic!("{} down: {error:?}", migration.display()));
        let before = steps.last().expect("a step before");
        assert_eq!(&inventory(&database).await, before, "{} leaves something", migration.display());
    }
    for migration in migrations() {
        client.batch_execute(&read(&migration, "up.sql")).await.expect("up again");
    }
    assert_eq!(inventory(&database).await, complete);
}

/// One table has the versions of both folders, so of two migrations with one version only the first would be applied.
#[test]
fn each_migration_has_a_version_by_itself() {
    let names = migrations().into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let mut versions: Vec<_> = names.filter_map(|name| Some(name.split_once('_')?.0.to_owned())).collect();
    let count = versions.len();
    assert_eq!(count, migrations().len(), "a name is a version, an underscore and a word");
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), count, "two migrations have one version: {versions:?}");
}

#[test]
fn every_migration_states_its_purpose_lock_and_rollout() {
    for migration in migrations() {
        let up = read(&migration, "up.sql");
        let head: String = up.lines().take_while(|line| line.starts_with("--")).collect();
        for part in ["Purpose:", "Lock:", "Rollout:"] {
            assert!(head.contains(part), "{}: {part} is missing: {head}", migration.display());
        }
    }
}

/// A migration is one transaction: once it has altered `users`, no request reads a user until its end, which must not wait for
/// a scan of the mails. Earlier migrations alter the mails first.
#[test]
fn no_migration_alters_users_and_reads_the_mails() {
    let since = |path: &PathBuf| path.file_name().is_some_and(|name| name >= "2026-11-26-000600");
    let later: Vec<_> = migrations().into_iter().filter(since).collect();
    assert!(!later.is_empty(), "nothing was checked");
    for migration in later {
        let up = read(&migration, "up.sql");
        let has = |parts: [&str; 2]| parts.iter().any(|part| up.contains(part));
        let both = has(["ALTER TABLE users", "REFERENCES users"]) && has(["ALTER TABLE mails", "ON mails"]);
        assert!(!both, "{}: two migrations are needed", migration.display());
    }
}

#[tokio::test]
async fn every_foreign_key_has_an_index() {
    let database = TestDatabase::new().await;
    let bare = database
        .sql(
            "SELECT conrelid::regclass || ' ' || conname FROM pg_constraint
             WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND NOT EXISTS (
                 SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1]
                     AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) LIKE '(% IS NOT NULL)')) ORDER BY 1",
        )
        .await;
    assert!(database.number("SELECT count(*) FROM pg_constraint WHERE contype = 'f'").await > 5, "nothing was checked");
    let bare: Vec<_> = bare.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    // Users with tickets are never deleted, and the query by this column has a dedicated partial index.
    assert_eq!(bare, ["tickets tickets_requester_id_fkey"]);
}
