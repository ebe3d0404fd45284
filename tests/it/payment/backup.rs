//! The drill of docs/backup.md, step by step: a backup is restored in place of the database, Redis is flushed, and the
//! ledger is checked against the gateway.

use std::{path::Path, process::Stdio, sync::Arc};

use mainstay_dev_servers::{Redis, RedisOptions};
use nix::sys::signal::Signal;
use serde_json::json;
use url::Url;

use super::{FakeGateway, pay};
use crate::{
    cases::{Scene, post::publish_post},
    support::{Actor, Process, TestDatabase, database::sql, eventually, process, servers::servers},
};

/// The title of a post after the backup.
const NEWER: &str = "Newer than the backup";

/// Runs a program of the tests' Postgres.
async fn run_postgres_program(database: &TestDatabase, program: &str, args: &[&str]) {
    let rows = database.sql("SELECT setting FROM pg_config WHERE name = 'BINDIR'").await;
    let directory = rows[0][0].clone().expect("a directory");
    let mut command = tokio::process::Command::new(Path::new(&directory).join(program));
    let output = command.args(args).stdin(Stdio::null()).output().await.expect("the program runs");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Renames the database, and creates an empty one under its name. Returns the new name of the old database.
async fn set_aside(database: &TestDatabase) -> String {
    let admin = &servers().await.postgres_url;
    let name = Url::parse(&database.url).expect("a URL").path().trim_start_matches('/').to_owned();
    let sessions = format!("SELECT pid FROM pg_stat_activity WHERE datname = '{name}'");
    database.disconnect();
    eventually("no session uses the database", async || sql(admin, &sessions).await.is_empty()).await;
    sql(admin, &format!("ALTER DATABASE {name} RENAME TO {name}_before")).await;
    sql(admin, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
    format!("{name}_before")
}

/// Returns the title of a public post.
async fn title(server: &Process, post: &str) -> String {
    let reader = Actor::anonymous(&server.endpoint);
    let read = reader.rest("PostService.GetPost", json!({ "postId": post })).await;
    read.success().text("/data/title")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_serves_and_the_ledger_names_what_it_lacks() {
    let gateway = FakeGateway::start().await;
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let (variables, redis_url) = (gateway.variables(), redis.url());
    let mut own: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    own.push(("REDIS_URL", &redis_url));
    let client = redis::Client::open(redis_url.as_str()).expect("a URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("connected");

    let database = Arc::new(TestDatabase::new().await);
    let mut server = Process::with(&database, &own).await;
    let scene = Scene::at(&server, &database).await;
    let before = pay(&scene).await.id();
    let (post, _) = publish_post(&scene.cast.agent).await;
    let title_before = title(&server, &post).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("mainstay.dump");
    let file = file.to_str().expect("text");
    run_postgres_program(&database, "pg_dump", &["--format=custom", "--no-owner", "--file", file, &database.url]).await;
    let policies = "SELECT count(*) FROM pg_policies";
    let policies_before = database.number(policies).await;
    let after = pay(&scene).await.id();
    let change = json!({ "postId": post, "post": { "title": NEWER } });
    scene.cast.agent.rest("PostService.UpdatePost", change).await.success();
    assert_eq!(title(&server, &post).await, NEWER);

    // Steps 1 and 2: writes stop, and the current data is kept.
    server.signal(Signal::SIGTERM);
    assert!(server.wait().await.success());
    let set_aside = set_aside(&database).await;
    let arguments = ["--no-owner", "--exit-on-error", "--single-transaction", "--dbname", &database.url, file];
    run_postgres_program(&database, "pg_restore", &arguments).await;

    assert_eq!(database.number(policies).await, policies_before, "accounts are isolated as before");
    let unbound = "BEGIN; SET LOCAL ROLE mainstay_account; SELECT count(*) FROM payments; ROLLBACK";
    assert_eq!(database.number(unbound).await, 0);
    assert!(policies_before > 0 && database.number("SELECT count(*) FROM payments").await > 0);

    // 3: sessions and counters are newer than the restored data.
    redis::cmd("FLUSHDB").query_async::<()>(&mut redis).await.expect("emptied");
    let (is_ok, output) = process::run(&["migrate"], &database, &own).await;
    assert!(is_ok && output.contains("No pending migrations."), "{output}");

    // Step 4: payments that the backup lacks.
    let (is_ok, output) = process::run(&["ledger", "check"], &database, &own).await;
    assert!(!is_ok && output.contains("1 movement is booked, the gateway has 2"), "{output}");
    assert!(output.contains(&format!("for {after} at the gateway, and is not booked.")), "{output}");
    assert!(!output.contains(&before), "what was in the backup agrees: {output}");

    // Step 5: users of the backup sign in and see its data.
    own.push(("JOBS_IN_SERVE", "false"));
    let server = Process::with(&database, &own).await;
    let customer = Actor::user(&server.endpoint, scene.cast.customer.as_user().clone());
    let get = async |id: &str| customer.rest("PaymentService.GetPayment", json!({ "paymentId": id })).await;
    get(&before).await.success();
    get(&after).await.failure("NOT_FOUND");
    assert_eq!(title(&server, &post).await, title_before);
    sql(&servers().await.postgres_url, &format!("DROP DATABASE {set_aside} WITH (FORCE)")).await;
}
