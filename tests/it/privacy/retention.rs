//! Each kind of data is removed after the retention of its setting and not before, and each table has a retention or a reason.

use mainstay_kernel::{database::Connection, module::Modules};

use crate::support::TestApp;

/// A kind of data that a scheduled task removes by row.
struct Kind {
    variable: &'static str,
    /// A value other than the default, and its hours.
    value: &'static str,
    hours: i64,
    task: &'static str,
    /// A statement that adds a row whose retention began at `{at}`.
    insert: &'static str,
    /// The table, with a condition for rows that are not yet removed.
    rows: &'static str,
}

const KINDS: [Kind; 12] = [
    Kind {
        variable: "IDEMPOTENT_RESPONSES_KEPT",
        value: "5h",
        hours: 5,
        task: "expire_keys",
        insert: "INSERT INTO idempotency_keys (scope_hash, fingerprint, answer, visibility, created_at)
                 SELECT sha256(random()::text::bytea), sha256('x'), 'x', '\\x00', {at}",
        rows: "idempotency_keys WHERE fingerprint = sha256('x') AND answer IS NOT NULL",
    },
    Kind {
        variable: "IDEMPOTENCY_KEYS_KEPT",
        value: "8d",
        hours: 8 * 24,
        task: "expire_keys",
        insert: "INSERT INTO idempotency_keys (scope_hash, fingerprint, visibility, created_at)
                 SELECT sha256(random()::text::bytea), sha256('y'), '\\x00', {at}",
        rows: "idempotency_keys WHERE fingerprint = sha256('y')",
    },
    Kind {
        variable: "DEAD_JOBS_KEPT",
        value: "3d",
        hours: 3 * 24,
        task: "forget_dead_jobs",
        insert: "INSERT INTO jobs (kind, key, payload, max_attempts, dead_at)
                 SELECT 'one', gen_random_uuid()::text, '{}', 5, {at}",
        rows: "jobs WHERE dead_at IS NOT NULL",
    },
    Kind {
        variable: "SESSIONS_KEPT",
        value: "3d",
        hours: 3 * 24,
        task: "expire_sessions",
        insert: "INSERT INTO sessions (id, user_id, epoch, generation, authenticated_at, method, has_second_factor, user_agent,
                     ip_address, created_at, refreshed_at, expires_at, ended, version)
                 SELECT gen_random_uuid(), id, 1, 1, now(), 1, false, 'retention', '127.0.0.1', now(), now(), {at}, false, 1
                 FROM users LIMIT 1",
        rows: "sessions WHERE user_agent = 'retention'",
    },
    Kind {
        variable: "CONFIRMATIONS_KEPT",
        value: "2d",
        hours: 2 * 24,
        task: "expire_registrations",
        insert: "INSERT INTO registrations (id, email, expires_at) SELECT gen_random_uuid(), 'ann@retention.test', {at}",
        rows: "registrations WHERE email = 'ann@retention.test'",
    },
    Kind {
        variable: "INVITATIONS_KEPT",
        value: "3d",
        hours: 3 * 24,
        task: "expire_invitations",
        insert: "INSERT INTO invitations (id, account_id, email, role, invited_by, created_at, updated_at, expires_at)
                 SELECT gen_random_uuid(), account_id, gen_random_uuid() || '@retention.test', 3, user_id, now(), now(), {at}
                 FROM members LIMIT 1",
        rows: "invitations WHERE email LIKE '%@retention.test'",
    },
    Kind {
        variable: "SIGN_INS_KEPT",
        value: "3d",
        hours: 3 * 24,
        task: "expire_sign_ins",
        insert: "INSERT INTO sign_ins (hour, outcome, slot, attempts) SELECT {at}, 2, 7, 1",
        rows: "sign_ins WHERE outcome = 2",
    },
    Kind {
        variable: "DELETION_NOTICES_KEPT",
        value: "3d",
        hours: 3 * 24,
        task: "forget_deletion_addresses",
        insert: "WITH ended AS (INSERT INTO deletions (id, user_id, requested_by, state, erase_at, created_at, finished_at)
                     SELECT gen_random_uuid(), id, id, 4, {at}, {at}, {at} FROM users LIMIT 1 RETURNING id, user_id)
                 INSERT INTO deletion_notices (id, deletion_id, user_id, email, language)
                 SELECT gen_random_uuid(), id, user_id, 'ann@example.com', 'en' FROM ended",
        rows: "deletion_notices",
    },
    Kind {
        variable: "DATA_EXPORTS_KEPT",
        value: "40d",
        hours: 40 * 24,
        task: "forget_data_exports",
        insert: "INSERT INTO data_exports (id, user_id, state, created_at, finished_at)
                 SELECT gen_random_uuid(), id, 4, {at}, {at} FROM users LIMIT 1",
        rows: "data_exports",
    },
    Kind {
        variable: "MAILS_KEPT",
        value: "40d",
        hours: 40 * 24,
        task: "forget_mails",
        insert: "INSERT INTO mails (id, kind, topic_id, parent_id, state, expires_at, created_at, finished_at)
                 SELECT gen_random_uuid(), 1, gen_random_uuid(), gen_random_uuid(), 2, now(), '2020-01-01Z', {at}",
        rows: "mails WHERE created_at = '2020-01-01Z'",
    },
    Kind {
        variable: "OPERATIONS_KEPT",
        value: "40d",
        hours: 40 * 24,
        task: "forget_operations",
        insert: "INSERT INTO operations (id, kind, state, owner_id, account_id, format, created_at, updated_at, finished_at)
                 SELECT gen_random_uuid(), 1, 3, user_id, account_id, 1, now(), now(), {at} FROM members LIMIT 1",
        rows: "operations",
    },
    Kind {
        variable: "INBOUND_EVENTS_KEPT",
        value: "40d",
        hours: 40 * 24,
        task: "forget_inbound_events",
        insert: "INSERT INTO inbound_events (id, provider, provider_event_id, kind, payload, state, received_at, updated_at,
                     finished_at)
                 SELECT gen_random_uuid(), 1, gen_random_uuid(), 'ping', '{}', 2, {at}, {at}, {at}",
        rows: "inbound_events",
    },
];

/// Settings with tests beside their data: partitions, the ring of the log, and the storage of files.
const ELSEWHERE: [&str; 5] =
    ["ACTIVITIES_KEPT", "AUDIT_LOG_KEPT", "WEBHOOK_DELIVERIES_KEPT", "SYSTEM_LOG_AGE", "DATA_EXPORT_ARCHIVES_KEPT"];

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_data_is_removed_after_its_retention_and_not_before() {
    let mut builder = TestApp::builder();
    for kind in KINDS {
        builder = builder.set(kind.variable, kind.value);
    }
    let app = builder.start().await;
    app.cast().await;
    let declared = Modules::of(&app.app).retentions().all().iter().filter_map(|retention| retention.variable());
    let mut declared: Vec<_> = declared.collect();
    declared.sort_unstable();
    let mut tested: Vec<_> = KINDS.iter().map(|kind| kind.variable).chain(ELSEWHERE).collect();
    tested.sort_unstable();
    assert_eq!(tested, declared);
    for Kind { variable, hours, task, insert, rows, .. } in KINDS {
        let count = format!("SELECT count(*) FROM {rows}");
        assert_eq!(app.database.number(&count).await, 0, "{variable}");
        // The first row stays, and the second one does not.
        for hours in [hours - 1, hours + 1] {
            app.database.sql(&insert.replace("{at}", &format!("now() - interval '{hours} hours'"))).await;
            app.run_task(task).await.expect("done");
            assert_eq!(app.database.number(&count).await, 1, "{variable}: {hours} hours");
        }
    }
}

#[tokio::test]
async fn each_table_has_a_retention_or_a_reason() {
    let app = TestApp::start().await;
    let retentions = Modules::of(&app.app).retentions();
    let undeclared = async || {
        let read = async |connection: &mut Connection| retentions.undeclared(connection).await;
        app.app.database.autocommit(read).await.expect("the catalogue")
    };
    assert_eq!(undeclared().await, Vec::<String>::new(), "declare each with Module::retention");
    for table in retentions.all().iter().flat_map(|retention| retention.tables()) {
        app.database.sql(&format!("SELECT FROM {table} LIMIT 0")).await;
    }
    app.database.sql("CREATE TABLE diaries (id uuid PRIMARY KEY)").await;
    assert_eq!(undeclared().await, ["diaries"]);
}

#[tokio::test]
async fn the_documentation_has_each_retention() {
    let app = TestApp::start().await;
    let document = include_str!("../../../docs/privacy.md");
    for retention in Modules::of(&app.app).retentions().all() {
        let row = retention.row();
        assert!(document.lines().any(|line| line == row), "docs/privacy.md lacks {row}");
    }
}
