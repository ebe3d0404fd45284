//! The chain finds what was changed, removed or inserted past the server.

use std::process::Stdio;

use mainstay::audit::chain::ops::{self, Report};

use crate::{
    cases::ticket,
    support::{TestApp, TestDatabase, app::environment, database::connect},
};

const TASK: &str = "chain_audit_log";

async fn verify(app: &TestApp) -> Report {
    ops::verify(&app.app, &[], None).await.expect("verified")
}

/// Chains all entries. A transaction of another test may hold back the last ones for a moment.
pub(super) async fn chain(app: &TestApp) {
    let unchained = "SELECT count(*) FROM audit_entries WHERE id NOT IN (SELECT entry_id FROM audit_links)";
    crate::support::eventually("all entries are chained", async || {
        app.run_task(TASK).await.expect("chained");
        app.database.number(unchained).await == 0
    })
    .await;
}

/// Starts an app with a few chained entries.
async fn start() -> TestApp {
    let (app, cast) = TestApp::start_with_cast().await;
    for _ in 0..2 {
        for _ in 0..3 {
            ticket(&cast.customer).await;
        }
        chain(&app).await;
    }
    app
}

/// Runs SQL as a superuser can, past triggers.
async fn tamper(app: &TestApp, statement: &str) {
    let client = connect(&app.database.url).await;
    client.batch_execute("SET session_replication_role = replica").await.expect("a superuser");
    client.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_and_links_are_append_only() {
    let app = start().await;
    let client = connect(&app.database.url).await;
    for statement in [
        "UPDATE audit_entries SET method = 'x'",
        "UPDATE audit_entries SET personal = '{}'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "UPDATE audit_links SET number = number + 1",
        "DELETE FROM audit_links",
        "TRUNCATE audit_links",
    ] {
        let error = client.batch_execute(statement).await.expect_err(statement);
        assert!(format!("{error:?}").contains("append-only"), "{statement}: {error:?}");
    }
    // Its owner lacks the privileges, too, unless it is a superuser.
    let granted = "SELECT count(*) FROM pg_class, aclexplode(relacl) AS grants WHERE relname IN ('audit_entries', \
                   'audit_links') AND privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')";
    assert_eq!(app.database.number(granted).await, 0);
}

/// The function runs with the privileges of the owner, for the login of the server. No setting removes a month so early.
#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_ended_lately_stays_attached() {
    let database = TestDatabase::new().await;
    let client = connect(&database.url).await;
    // At the end of a long month, the last one ended more than 30 days ago.
    for (months, is_old) in [(1, "date_trunc('month', now(), 'UTC') <= now() - interval '30 days'"), (3, "true")] {
        let month = format!("date_trunc('month', now(), 'UTC') - interval '{months} months'");
        database.sql(&format!("SELECT add_partition('audit_entries', {month})")).await;
        let partition =
            format!("FROM partitions_of('audit_entries') WHERE end_id = uuid_floor({month} + interval '1 month')");
        assert_eq!(database.number(&format!("SELECT count(*) {partition}")).await, 1, "{months}");
        let is_old = database.number(&format!("SELECT ({is_old})::int")).await == 1;
        let detach =
            client.batch_execute(&format!("SELECT detach_month('audit_entries', partition) {partition}")).await;
        assert_eq!(detach.is_ok(), is_old, "{months}: {detach:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_log_is_verified_with_erased_values_and_new_entries() {
    let app = start().await;
    let report = verify(&app).await;
    assert_eq!((report.fault, report.first), (None, Some(1)));
    let last = report.last.expect("links");
    assert_eq!(app.database.number("SELECT count(*) FROM audit_entries").await, last);
    let cast = app.cast().await;
    ticket(&cast.customer).await;
    app.database.sql("UPDATE audit_entries SET salt = NULL, personal = NULL").await;
    let report = verify(&app).await;
    assert_eq!((report.fault, report.last), (None, Some(last)), "the newest entries have no link yet");
    chain(&app).await;
    let report = verify(&app).await;
    assert_eq!(report.fault, None);
    assert!(report.last > Some(last));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_removed_or_inserted_row_is_found() {
    const SECOND: &str = "(SELECT entry_id FROM audit_links WHERE number = 2)";
    const COPY: &str = "INSERT INTO audit_entries SELECT";
    let columns = "method, outcome, actor_kind, actor_id, account_id, resource_kind, resource_id, request_id, changes, \
                   salt, personal, personal_digest FROM audit_entries WHERE id =";
    for (statement, expected) in [
        (format!("UPDATE audit_entries SET outcome = 2 WHERE id = {SECOND}"), "link 2:"),
        (format!("UPDATE audit_entries SET changes = '{{}}' WHERE id = {SECOND}"), "link 2:"),
        (format!("UPDATE audit_entries SET personal = '{{\"a\":1}}' WHERE id = {SECOND}"), "personal values"),
        (format!("DELETE FROM audit_entries WHERE id = {SECOND}"), "the entry is missing"),
        // With its link.
        (
            format!("DELETE FROM audit_entries WHERE id = {SECOND}; DELETE FROM audit_links WHERE number = 2"),
            "from link 2 on, links are missing",
        ),
        // From the beginning.
        (
            "DELETE FROM audit_entries WHERE id = (SELECT entry_id FROM audit_links WHERE number = 1); \
             DELETE FROM audit_links WHERE number = 1"
                .to_owned(),
            "link 2:",
        ),
        // With the transaction of another entry, which the chain has passed.
        (format!("{COPY} uuid_floor(now()), 3, {columns} {SECOND}"), "was inserted"),
        // With a time in the past.
        (
            format!("{COPY} uuid_floor(now() - interval '2 hours'), 9223372036854775807, {columns} {SECOND}"),
            "was inserted",
        ),
        // A link that fits its entry, without the secret.
        ("UPDATE audit_links SET seal = NULL, hash = sha256('x') WHERE number = 2".to_owned(), "link 2:"),
        (
            "UPDATE audit_links SET seal = set_byte(seal, 20, (get_byte(seal, 20) + 1) % 256) WHERE number = 3"
                .to_owned(),
            "not genuine",
        ),
        // Links that are computed again up to the end, without the secret, have no checkpoint.
        ("UPDATE audit_links SET seal = NULL WHERE number > 2".to_owned(), "the last link is no checkpoint"),
    ] {
        let app = start().await;
        assert_eq!(verify(&app).await.fault, None);
        tamper(&app, &statement).await;
        let fault = verify(&app).await.fault.unwrap_or_else(|| panic!("nothing is found: {statement}"));
        assert!(fault.contains(expected), "{statement}: {fault}");
    }
}

/// An entry that is backdated by a regular INSERT gets a link, and is found by its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_backdated_entry_is_found() {
    let app = start().await;
    let columns = "method, outcome, actor_kind, resource_kind, changes";
    let insert = format!(
        "INSERT INTO audit_entries (id, {columns}) SELECT uuid_floor(now() - interval '2 hours'), {columns} \
         FROM audit_entries LIMIT 1"
    );
    app.database.sql(&insert).await;
    chain(&app).await;
    let fault = verify(&app).await.fault.expect("a fault");
    assert!(fault.contains("was added after one of"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_transaction_holds_back_only_later_entries_and_none_is_lost() {
    let app = start().await;
    let cast = app.cast().await;
    let slow = connect(&app.database.url).await;
    let copy = "INSERT INTO audit_entries (id, method, outcome, actor_kind, resource_kind, changes) \
                VALUES (uuid_floor(clock_timestamp()), 'slow', 1, 5, 'x', '{}')";
    slow.batch_execute(&format!("BEGIN; {copy}")).await.expect("inserted");
    let before = app.database.number("SELECT max(number) FROM audit_links").await;
    ticket(&cast.customer).await;
    app.run_task(TASK).await.expect("chained");
    let slow_ones =
        "SELECT count(*) FROM audit_links JOIN audit_entries AS entry ON entry.id = entry_id WHERE method = 'slow'";
    assert_eq!(app.database.number(slow_ones).await, 0);
    slow.batch_execute("COMMIT").await.expect("committed");
    chain(&app).await;
    assert_eq!(app.database.number(slow_ones).await, 1);
    assert!(app.database.number("SELECT max(number) FROM audit_links").await > before);
    assert_eq!(verify(&app).await.fault, None);
}

/// A logical backup that is restored on another server of Postgres has higher numbers of transactions than that server.
#[tokio::test(flavor = "multi_thread")]
async fn the_chain_continues_after_a_restore_on_another_server() {
    let app = start().await;
    let cast = app.cast().await;
    ticket(&cast.customer).await;
    tamper(
        &app,
        "UPDATE audit_entries SET writer = writer + 1000000000000; UPDATE audit_chain SET writer = writer + 1000000000000",
    )
    .await;
    ticket(&cast.customer).await;
    for _ in 0..2 {
        chain(&app).await;
        ticket(&cast.customer).await;
    }
    chain(&app).await;
    let links = "SELECT count(*) - count(DISTINCT entry_id) FROM audit_links";
    assert_eq!(app.database.number(links).await, 0, "each entry has one link");
    assert_eq!(verify(&app).await.fault, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_tells_a_genuine_log_from_another_by_its_exit_status() {
    let app = start().await;
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.args(["audit", "verify"]).args(arguments).envs(environment(&app.database, &[]).await);
        let output = command.stdin(Stdio::null()).output().await.expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = run(&[]).await;
    assert_eq!(code, Some(0), "{text}");
    let link = text.trim_end().rsplit(' ').next().expect("a link").to_owned();
    assert_eq!(run(&["--expect", &link]).await.0, Some(0));
    // A removed end of the chain is found by what was printed.
    let removal = "DELETE FROM audit_entries WHERE id IN (SELECT entry_id FROM audit_links WHERE number > 3); \
                   DELETE FROM audit_links WHERE number > 3";
    tamper(&app, removal).await;
    assert_eq!(run(&[]).await.0, Some(0), "nothing else shows it");
    let (code, text) = run(&["--expect", &link]).await;
    assert_eq!(code, Some(3), "{text}");
    tamper(&app, "UPDATE audit_entries SET outcome = 2").await;
    let (code, text) = run(&["--json"]).await;
    assert_eq!(code, Some(3), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(report["fault"].as_str().expect("a fault").starts_with("link 1:"), "{text}");
}

/// Months leave by the month, and the rest remains verifiable.
#[tokio::test(flavor = "multi_thread")]
async fn retention_drops_whole_months_of_chained_entries() {
    let app = TestApp::builder().set("AUDIT_LOG_KEPT", "30d").start().await;
    let month = "date_trunc('month', now(), 'UTC') - interval '3 months' + interval '2 days'";
    app.database.sql(&format!("SELECT add_partition('audit_entries', {month})")).await;
    let old = format!(
        "INSERT INTO audit_entries (id, method, outcome, actor_kind, resource_kind, changes) \
         VALUES (uuid_floor({month}), 'old', 1, 5, 'x', '{{}}')"
    );
    app.database.sql(&old).await;
    app.run_task("keep_partitions").await.expect("done");
    let count = "SELECT count(*) FROM audit_entries WHERE method = 'old'";
    assert_eq!(app.database.number(count).await, 1, "it has no link yet");
    chain(&app).await;
    ticket(&app.cast().await.customer).await;
    chain(&app).await;
    app.run_task("keep_partitions").await.expect("done");
    assert_eq!(app.database.number(count).await, 0);
    let report = verify(&app).await;
    assert_eq!((report.fault, report.removed), (None, 1));
}
