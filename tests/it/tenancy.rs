//! Postgres isolates accounts: by policies on the tables, and by the role and the account of each transaction.

mod product;

use serde_json::json;

use crate::{
    cases::{Scene, ticket, unknown_id},
    support::{TestApp, TestDatabase, database::connect, eventually},
};

/// Tables with an account that are not isolated, with the reasons.
const SHARED: [(&str, &str); 4] = [
    ("file_links", "whether a file is used, or hidden, depends on the references of all accounts"),
    ("file_usage", "the removal of a reference may free the space of another account"),
    ("files", "a file of one account is attached to the ticket of another, and the last reference removes it"),
    ("stored_objects", "names of objects, which the removal of the last reference releases"),
];

/// Isolated tables without a column for the account: they have a parent, or no account reaches them.
const OF_PARENTS: [&str; 13] = [
    "accounts",
    "activities",
    "changed_tickets",
    "comments",
    "deletion_notices",
    "erased_rows",
    "operation_errors",
    "order_items",
    "system_logs",
    "ticket_links",
    "upload_chunks",
    "webhook_attempts",
    "webhook_deliveries",
];

/// Tables and views without policies that the role of an account may read or write, with its privileges. The conditions of the
/// statements alone keep their rows apart. The reasons are the comments of the tables.
const OPEN: [&str; 12] = [
    "effects: DELETE INSERT SELECT UPDATE",
    "file_links: DELETE INSERT SELECT",
    "file_usage: INSERT SELECT UPDATE",
    "files: DELETE INSERT SELECT UPDATE",
    "idempotency_keys: INSERT SELECT UPDATE",
    "jobs: DELETE INSERT SELECT UPDATE",
    "mails: INSERT SELECT",
    "own_tickets: SELECT",
    "products: SELECT",
    "revocations: INSERT SELECT UPDATE",
    "stored_objects: INSERT SELECT UPDATE",
    "users: INSERT SELECT UPDATE",
];

/// Tables and views without policies, and the privileges of the role of an account.
const OPENED: &str =
    "SELECT CASE nspname WHEN 'public' THEN relname ELSE nspname || '.' || relname END || ': ' || array_to_string(held, ' ')
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    CROSS JOIN LATERAL (SELECT ARRAY(
        SELECT privilege FROM unnest(ARRAY['DELETE', 'INSERT', 'SELECT', 'UPDATE']) AS privilege
        WHERE has_table_privilege('mainstay_account', pg_class.oid, privilege)
            OR privilege <> 'DELETE' AND has_any_column_privilege('mainstay_account', pg_class.oid, privilege)
    ) AS held) AS privileges
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relrowsecurity AND nspname !~ '^(pg_|information_schema$)' AND held <> '{}'
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')";

/// Rows that every account reads: what is published, the counters of all accounts, and what belongs to the platform.
const OF_ALL: [(&str, &str); 4] = [
    ("posts", "status = 3"),
    ("roles", "account_id IS NULL"),
    ("ticket_counts", "account_id = '00000000-0000-0000-0000-000000000000'"),
    ("webhook_endpoints", "account_id IS NULL"),
];

const ISOLATED: &str =
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relrowsecurity ORDER BY 1";

async fn names(database: &TestDatabase, query: &str) -> Vec<String> {
    database.sql(query).await.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

/// Runs a statement as the role of an account.
fn bound(account: &str, statement: &str) -> String {
    format!("BEGIN; SET LOCAL ROLE mainstay_account; SET LOCAL mainstay.account TO '{account}'; {statement}; COMMIT")
}

#[tokio::test]
async fn every_table_with_an_account_is_isolated() {
    let database = TestDatabase::new().await;
    let with_account = "SELECT relname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
            AND attname = 'account_id' ORDER BY 1";
    let mut expected: Vec<_> = names(&database, with_account).await;
    assert!(expected.len() > 20, "nothing was checked");
    for (table, reason) in SHARED {
        let place = expected.iter().position(|name| name == table);
        expected.remove(place.unwrap_or_else(|| panic!("{table} has no account ({reason})")));
    }
    expected.extend(OF_PARENTS.map(str::to_owned));
    expected.sort();
    assert_eq!(names(&database, ISOLATED).await, expected);

    let policies = "SELECT tablename FROM pg_policies WHERE schemaname = 'public' GROUP BY 1
        HAVING array_agg(policyname ORDER BY policyname) @> '{of_account,of_reader,of_server}' ORDER BY 1";
    assert_eq!(names(&database, policies).await, expected);
    // A partition has no policy, so that it is reached through its table only.
    let partitions = "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'
        AND has_table_privilege('mainstay_account', oid, 'SELECT')";
    assert_eq!(names(&database, partitions).await, [""; 0]);
    let roles =
        "SELECT rolname FROM pg_roles WHERE rolname IN ('mainstay_account', 'mainstay_reader', 'mainstay_server')
        AND NOT (rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole) ORDER BY 1";
    assert_eq!(names(&database, roles).await, ["mainstay_account", "mainstay_reader", "mainstay_server"]);
    let writes = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND has_table_privilege('mainstay_reader', oid, 'INSERT, UPDATE, DELETE, TRUNCATE')";
    assert_eq!(names(&database, writes).await, [""; 0], "the reader writes nothing");
}

/// A migration opens a table by `share_table`, with the privileges that the statements of an account need, and a reason.
#[tokio::test]
async fn every_open_table_has_a_reason() {
    let database = TestDatabase::new().await;
    assert_eq!(names(&database, &format!("{OPENED} ORDER BY 1")).await, OPEN);
    let reason = "coalesce(obj_description(pg_class.oid, 'pg_class'), '') LIKE 'open to accounts: %'";
    assert_eq!(names(&database, &format!("{OPENED} AND NOT {reason}")).await, [""; 0], "without a reason");
    let closed = format!(
        "SELECT relname FROM pg_class WHERE {reason} AND NOT has_table_privilege('mainstay_account', oid, 'SELECT')"
    );
    assert_eq!(names(&database, &closed).await, [""; 0], "not open any more");
}

#[tokio::test]
async fn a_new_table_is_closed_to_accounts() {
    let database = TestDatabase::new().await;
    database.sql("CREATE SCHEMA own; CREATE TABLE own.notes (id uuid, account_id uuid)").await;
    let open = format!("{OPENED} AND relname = 'notes'");
    assert_eq!(names(&database, &open).await, [""; 0]);
    let others = "SELECT count(*) FROM pg_class WHERE relname = 'notes' AND has_table_privilege('mainstay_reader', oid, 'SELECT')
        AND has_table_privilege('mainstay_server', oid, 'INSERT') AND has_table_privilege('mainstay_server', oid, 'DELETE')";
    assert_eq!(database.number(others).await, 1, "the other roles reach it");

    // A later call replaces an earlier one.
    database.sql("SELECT share_table('own.notes', 'a test', 'SELECT, DELETE')").await;
    database.sql("SELECT share_table('own.notes', 'a test', 'SELECT, UPDATE (id)')").await;
    assert_eq!(names(&database, &open).await, ["own.notes: SELECT UPDATE"]);
    database.sql("SELECT share_table('own.notes', 'a test')").await;
    assert_eq!(names(&database, &open).await, ["own.notes: SELECT"]);

    database.sql("SELECT isolate_rows('own.notes')").await;
    let account = unknown_id();
    database.sql(&bound(&account, &format!("INSERT INTO own.notes VALUES ('{account}', '{account}')"))).await;
    let count = "SELECT count(*) FROM own.notes";
    assert_eq!(database.number(&bound(&account, count)).await, 1);
    assert_eq!(database.number(&bound(&unknown_id(), count)).await, 0);
    database.sql("SELECT share_rows('own.notes')").await;
    assert_eq!(names(&database, &open).await, [""; 0], "without its policies, it is closed again");
}

/// A new month of an isolated table is as closed as the table.
#[tokio::test]
async fn a_new_partition_is_closed_to_accounts() {
    let database = TestDatabase::new().await;
    database.sql("SELECT add_partition('audit_entries', now() + interval '40 months')").await;
    let open = "SELECT count(*) FROM pg_class WHERE relispartition AND relname LIKE 'audit\\_entries\\_%'
        AND relkind = 'r' AND has_table_privilege('mainstay_account', oid, 'SELECT')";
    assert_eq!(database.number(open).await, 0);
    let all =
        "SELECT count(*) FROM pg_class WHERE relispartition AND relname LIKE 'audit\\_entries\\_%' AND relkind = 'r'";
    assert!(database.number(all).await >= 2, "the month was added");
    // The triggers of the append-only log guard statements on the log alone.
    let writable = "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r' AND (
        has_table_privilege('mainstay_server', oid, 'INSERT, UPDATE, DELETE') OR
        has_table_privilege('mainstay_account', oid, 'INSERT, UPDATE, DELETE'))";
    assert_eq!(database.number(writable).await, 0);
}

/// The functions of the owner run the triggers of the table that their caller names.
#[tokio::test]
async fn the_functions_of_the_owner_take_tables_of_the_owner_only() {
    let database = TestDatabase::new().await;
    database.sql("CREATE TABLE p (id uuid) PARTITION BY RANGE (id); CREATE TABLE p_rest PARTITION OF p DEFAULT").await;
    database.sql("ALTER TABLE p OWNER TO mainstay_server").await;
    for call in ["add_partition('p', now())", "detach_month('p', 'p_rest')", "drop_detached('p')"] {
        let refused = format!("PERFORM {call}; RAISE 'it ran'; EXCEPTION WHEN insufficient_privilege THEN NULL");
        let refused = format!("DO $$ BEGIN {refused}; END $$");
        database.sql(&refused).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_an_account_reaches_its_rows_and_no_others() {
    let (app, scene) = Scene::start().await;
    let database = &app.database;
    let own = scene.ticket().await;
    scene.comment(&own).await;
    let other = ticket(&scene.cast.stranger).await;
    let (account, stranger) = (scene.account(), scene.cast.stranger.as_user().account.to_string());

    // Without an account, with an unknown one, and with the own one for comparison.
    let mut found = 0;
    for table in names(database, ISOLATED).await {
        let shared = OF_ALL.iter().find(|(name, _)| *name == table).map_or("false", |(_, condition)| *condition);
        let count = format!("SELECT count(*) FROM {table} WHERE NOT coalesce({shared}, false)");
        let none = format!("BEGIN; SET LOCAL ROLE mainstay_account; {count}; COMMIT");
        assert_eq!(database.number(&none).await, 0, "{table} without an account");
        let unknown = bound(&unknown_id(), &count);
        assert_eq!(database.number(&unknown).await, 0, "{table} with an unknown account");
        found += i64::from(database.number(&bound(&account, &count)).await > 0);
    }
    assert!(found >= 5, "the account has rows in {found} tables");
    let tickets = bound(&account, "SELECT id FROM tickets");
    assert_eq!(names(database, &tickets).await, [own.as_str()]);
    assert_eq!(names(database, &bound(&account, "SELECT id FROM own_tickets")).await, [own.as_str()]);
    assert_eq!(names(database, &bound(&stranger, "SELECT id FROM tickets")).await, [other.as_str()]);

    let client = connect(&database.url).await;
    let foreign = [
        format!("UPDATE tickets SET account_id = '{stranger}'"),
        format!("INSERT INTO gateway_customers VALUES ('{stranger}', 'sandbox', 'c', now())"),
        format!(
            "INSERT INTO comments (id, ticket_id, author_role, body, attachment_ids, created_at)
             VALUES (gen_random_uuid(), '{other}', 1, 'Mine', '{{}}', now())"
        ),
        // Without a privilege.
        "SELECT FROM second_factors".to_owned(),
        "SELECT FROM ledger_transactions".to_owned(),
        "DELETE FROM users".to_owned(),
    ];
    for statement in foreign {
        let error = client.batch_execute(&bound(&account, &statement)).await.expect_err(&statement);
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{statement}: {error:?}");
        client.batch_execute("ROLLBACK").await.expect("rolled back");
    }
    client.batch_execute(&bound(&account, "UPDATE tickets SET subject = 'Taken'")).await.expect("of the account");
    let taken = "SELECT id FROM tickets WHERE subject = 'Taken'";
    assert_eq!(names(database, taken).await, [own.as_str()]);
    let left = client.query_one("SELECT current_user = session_user, current_setting('mainstay.account')", &[]).await;
    let left = left.expect("the settings");
    assert!(left.get::<_, bool>(0) && left.get::<_, String>(1).is_empty(), "nothing remains after a transaction");
}

/// Reads by key run as the reader, on the connections that they share.
#[tokio::test(flavor = "multi_thread")]
async fn reads_by_key_have_a_policy_of_their_role() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    let get = json!({ "ticketId": ticket(&customer).await });
    let read = async || customer.rest("TicketService.GetTicket", get.clone()).await;
    // The first read opens the shared connections, and has another one itself.
    eventually("the policy of the reader applies", async || {
        app.database.sql("ALTER POLICY of_reader ON tickets USING (true)").await;
        read().await.success();
        app.database.sql("ALTER POLICY of_reader ON tickets USING (false)").await;
        read().await.status == 404
    })
    .await;
}
