//! A database of the version with one account per user is migrated: each user becomes an owner of the account.

use std::path::{Path, PathBuf};

use tokio_postgres::Client;

use crate::support::{TestDatabase, database::connect};

const CREATE: &str = "2026-11-26-000521_create_members";
const DROP: &str = "2026-11-26-000522_drop_user_accounts";

/// Returns the migrations of the kernel, then those of the product, in the order in which they are applied.
fn migrations() -> Vec<PathBuf> {
    let folder = |name: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let entries = std::fs::read_dir(root).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut paths: Vec<_> = entries.collect();
        paths.sort();
        paths
    };
    ["crates/kernel/migrations", "migrations"].into_iter().flat_map(folder).collect()
}

async fn run(client: &Client, migration: &Path, file: &str) {
    let sql = std::fs::read_to_string(migration.join(file)).expect("a migration");
    client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{}: {error:?}", migration.display()));
}

/// Two customers of one account, a customer with an account, and an agent.
const OLD_ROWS: &str = "
    INSERT INTO accounts (id, name, created_at) VALUES
        ('00000000-0000-7000-8000-000000000001', 'Shared', '2026-01-01Z'),
        ('00000000-0000-7000-8000-000000000002', 'Single', '2026-01-02Z'),
        ('00000000-0000-7000-8000-000000000003', 'Staff', '2026-01-03Z');
    INSERT INTO users (id, account_id, email, name, role, password_hash, created_at, updated_at) VALUES
        ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 'a@example.com', 'A', 1, 'x', '2026-01-01Z', now()),
        ('00000000-0000-7000-8000-000000000012', '00000000-0000-7000-8000-000000000001', 'b@example.com', 'B', 1, 'x', '2026-01-05Z', now()),
        ('00000000-0000-7000-8000-000000000013', '00000000-0000-7000-8000-000000000002', 'c@example.com', 'C', 1, 'x', '2026-01-02Z', now()),
        ('00000000-0000-7000-8000-000000000014', '00000000-0000-7000-8000-000000000003', 'd@example.com', 'D', 2, 'x', '2026-01-03Z', now())";

/// A user whom a server of the version before creates between the two migrations.
const LATE_ROW: &str = "
    INSERT INTO users (id, account_id, email, name, role, password_hash, created_at, updated_at) VALUES
        ('00000000-0000-7000-8000-000000000015', '00000000-0000-7000-8000-000000000002', 'e@example.com', 'E', 1, 'x', now(), now())";

const MEMBERSHIPS: &str = "SELECT right(user_id::text, 2) || ' in ' || right(account_id::text, 1) || ' as ' || role \
                           FROM members ORDER BY 1";

async fn texts(database: &TestDatabase, query: &str) -> Vec<String> {
    database.sql(query).await.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

#[tokio::test]
async fn a_database_with_one_account_per_user_is_migrated() {
    let database = TestDatabase::empty().await;
    let client = connect(&database.url).await;
    let all = migrations();
    for migration in &all {
        let name = migration.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == CREATE {
            client.batch_execute(OLD_ROWS).await.expect("old rows");
        }
        if name == DROP {
            client.batch_execute(LATE_ROW).await.expect("a late row");
        }
        run(&client, migration, "up.sql").await;
    }
    let expected = ["11 in 1 as 1", "12 in 1 as 1", "13 in 2 as 1", "14 in 3 as 1", "15 in 2 as 1"];
    assert_eq!(texts(&database, MEMBERSHIPS).await, expected);
    // The ids are UUIDv7 of the time at which the user was created.
    let wrong = "SELECT count(*) FROM members WHERE substr(id::text, 15, 1) <> '7' OR substr(id::text, 20, 1) NOT IN ('8', '9', 'a', 'b')
        OR ('x' || replace(left(id::text, 13), '-', ''))::bit(48)::bigint <> floor(extract(epoch FROM created_at) * 1000)";
    assert_eq!(database.number(wrong).await, 0);
    assert_eq!(
        texts(&database, "SELECT version || ' ' || (updated_at = created_at) FROM accounts").await,
        ["1 true"; 3]
    );

    // A user with several accounts gets the first one back, and a user without an account a new one.
    client
        .batch_execute(
            "INSERT INTO members (id, account_id, user_id, role, created_at, updated_at)
             VALUES (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000013', 3, now(), now());
             DELETE FROM members WHERE user_id = '00000000-0000-7000-8000-000000000012'",
        )
        .await
        .expect("changes");
    for migration in all.iter().rev() {
        run(&client, migration, "down.sql").await;
        if migration.ends_with(DROP) {
            break;
        }
    }
    let accounts = "SELECT right(id::text, 2) || ' in ' || right(account_id::text, 2) FROM users ORDER BY 1";
    assert_eq!(texts(&database, accounts).await, ["11 in 01", "12 in 12", "13 in 02", "14 in 03", "15 in 02"]);
}
