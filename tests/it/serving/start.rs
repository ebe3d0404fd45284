//! Fails fast on misconfiguration: a server that can't work does not start, and reports the remedy.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

use nix::sys::signal::Signal;
use url::Url;

use crate::support::{Process, TestDatabase, eventually, process};

/// Runs `serve` or `worker` until it exits, and returns its output.
async fn refusal(command: &str, database: &TestDatabase, own: &[(&str, &str)]) -> String {
    let (good, text) = process::run(&[command], database, own).await;
    assert!(!good, "{command} should refuse:\n{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_fit_is_refused_with_both_versions() {
    let empty = TestDatabase::empty().await;
    for command in ["serve", "worker"] {
        let text = refusal(command, &empty, &[]).await;
        for part in ["the schema public is empty", "needs version 2026", "_create_identity", "`migrate`"] {
            assert!(text.contains(part), "{command} does not say {part}:\n{text}");
        }
    }

    let newer = TestDatabase::new().await;
    newer.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000001')").await;
    for command in ["serve", "worker"] {
        let text = refusal(command, &newer, &[]).await;
        for part in ["public is at version 99990101000001", "needs version 2026", "--allow-newer-database"] {
            assert!(text.contains(part), "{command} does not say {part}:\n{text}");
        }
    }
    // A command has no such option, and its error mentions none.
    let (good, text) = process::run(&["jobs", "dead"], &newer, &[]).await;
    assert!(!good && text.contains("use the program that migrated it") && !text.contains("--allow"), "{text}");
    let back = Process::with(&newer, &[("MAINSTAY_ALLOW_NEWER_DATABASE", "true")]).await;
    assert_eq!(back.endpoint.get("/readyz").await.status, 200);
}

/// The process starts while Postgres is unavailable, and ends when the wrong database answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_fit_is_refused_whenever_it_answers() {
    let database = TestDatabase::empty().await;
    // Rejects connections like a server that has reached its limit, until the limit is lifted.
    let name = Url::parse(&database.url).expect("a URL").path().trim_start_matches('/').to_owned();
    let role = format!("{name}_role");
    database.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2' CONNECTION LIMIT 0")).await;
    let mut url = Url::parse(&database.url).expect("a URL");
    url.set_username(&role).and_then(|()| url.set_password(Some("hunter2"))).expect("a URL with a host");
    let limited = TestDatabase::foreign(url.as_str());
    let server = Process::start(&limited).await;
    server.wait_for_log("starting without Postgres").await;
    server.wait_for_log("53300").await;
    assert_eq!(server.endpoint.get("/readyz").await.status, 200);
    database.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await;
    let mut server = server.into_running();
    assert!(!server.wait().await.success());
    server.wait_for_log("the schema public is empty").await;
    assert!(!server.log().contains("hunter2"), "{}", server.log());
    database.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_error_names_host_database_and_cure() {
    let database = TestDatabase::empty().await;
    let url = |change: fn(&mut Url)| {
        let mut url = Url::parse(&database.url).expect("a URL");
        change(&mut url);
        TestDatabase::foreign(url.as_str())
    };
    let nowhere = url(|url| url.set_path("nowhere"));
    let stranger =
        url(|url| url.set_username("stranger").and_then(|()| url.set_password(Some("hunter2"))).expect("a host"));
    let silent = url(|url| url.set_port(Some(1)).expect("a host"));
    // The first server's error is not hidden by the last one's.
    let several = TestDatabase::foreign(&nowhere.url.replacen("/nowhere", ",127.0.0.1:1/nowhere", 1));
    for (database, parts) in [
        (&nowhere, ["database nowhere", "3D000", "create the database"]),
        (&stranger, ["user stranger", "28", "DATABASE_URL"]),
        (&silent, ["127.0.0.1:1 ", "refused", "check that Postgres runs there"]),
        (&several, ["127.0.0.1:1: Connection refused", "3D000", "create the database"]),
    ] {
        let (good, text) = process::run(&["migrate"], database, &[]).await;
        assert!(!good);
        for part in parts {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
    for database in [&nowhere, &several] {
        let text = refusal("serve", database, &[]).await;
        assert!(text.contains("create the database"), "{text}");
    }
}

/// An invalid value must not be treated as unset: the server would start with a default, or without a protection.
#[test]
fn a_value_that_is_not_utf_8_is_refused_by_name() {
    use std::os::unix::ffi::OsStrExt as _;

    for name in ["RATE_LIMIT_READ", "SECRET_KEY", "SECRET_KEY_FILE"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
        let value = std::ffi::OsStr::from_bytes(b"hunter2\xff");
        let output = command.args(["config", "check"]).env_clear().env(name, value).output().expect("the binary runs");
        let errors = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && errors.contains(&format!("  {name}: must be UTF-8\n")), "{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_production_checklist_decides_the_exit_code() {
    let database = TestDatabase::foreign("postgres://me:hunter2@db.example.com/shop?sslmode=require");
    let (key, secret) = (("STRIPE_SECRET_KEY", "sk_live_hunter2"), ("WEBHOOK_SECRETS_STRIPE", "whsec_of_some_length"));
    let good = [
        ("TRUSTED_PROXY_HOPS", "1"),
        ("REDIS_URL", "rediss://:hunter2@cache.example.com"),
        ("FILES_URL", "s3://key:hunter2@s3.example.com/shop"),
        ("ON_CALL_ROUTING_KEY", "hunter2"),
        ("PAYMENT_GATEWAY", "stripe"),
        key,
        secret,
        ("MAIL_TRANSPORT", "smtp"),
        ("SMTP_URL", "smtps://user:hunter2@mail.example.com"),
        ("MAIL_FROM", "no-reply@example.com"),
        ("PUBLIC_URL", "https://api.example.com"),
        ("METRICS_LISTEN_ADDR", "127.0.0.1:9464"),
        ("WEBHOOK_ALLOW_PRIVATE", "false"),
        ("ALLOW_PRIVATE_PROVIDERS", "false"),
        ("RATE_LIMIT_ADDRESS", "1200/1m"),
        ("RATE_LIMIT_READ", "300/1m"),
        ("RATE_LIMIT_WRITE", "100/1m"),
        ("RATE_LIMIT_BULK", "20/1m"),
        ("RATE_LIMIT_LOGIN", "10/15m"),
        ("SECOND_FACTOR_STAFF", "required"),
    ];
    let command = ["config", "check", "--production"];
    let (is_ready, text) = process::run(&command, &database, &good).await;
    assert!(is_ready, "{text}");
    let line = |text: &str, name: &str| {
        let is_named = |line: &&str| line.split_whitespace().nth(1) == Some(name);
        text.lines().find(is_named).unwrap_or_default().to_owned()
    };
    assert!(line(&text, "payments").starts_with("ok "), "{text}");
    assert!(line(&text, "backups").starts_with("look "), "{text}");

    let bad = [&good[..], &[("RUST_LOG", "info,mainstay=debug"), ("PAYMENT_GATEWAY", "sandbox")]].concat();
    let bad: Vec<_> = bad.into_iter().filter(|pair| *pair != key && *pair != secret).collect();
    let (is_ready, text) = process::run(&command, &database, &bad).await;
    assert!(!is_ready && text.contains("requirements that are not met: 2."), "{text}");
    for name in ["log-level", "payments"] {
        assert!(line(&text, name).starts_with("FAIL "), "{name}: {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");

    let silent = [&good[..], &[("RUST_LOG", "off"), ("WEBHOOK_SECRETS_STRIPE", ",")]].concat();
    let silent: Vec<_> = silent.into_iter().filter(|pair| *pair != secret).collect();
    let (is_ready, text) = process::run(&command, &database, &silent).await;
    assert!(!is_ready && text.contains("requirements that are not met: 2."), "{text}");
    for name in ["log-level", "payment-webhooks"] {
        assert!(line(&text, name).starts_with("FAIL "), "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_listed_with_its_sources_and_all_faults() {
    let database = TestDatabase::foreign("postgres://me:hunter2@db.example.com/shop");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "TOKEN_ISSUER = \"shop\"\nINSTANCES = 3\n").expect("written");
    let path = file.path().to_str().expect("text");
    let own = [("INSTANCES", "2"), ("MAINSTAY_CONFIG", path)];
    let (good, text) = process::run(&["config", "check"], &database, &own).await;
    assert!(good, "{text}");
    for (name, value, source) in [
        ("TOKEN_ISSUER", "shop", "file"),
        ("INSTANCES", "2", "environment"),
        ("MAX_IN_FLIGHT", "1024", "default"),
        ("DATABASE_URL", "postgres://…@db.example.com/shop", "environment"),
        ("SECRET_KEY", "(secret)", "environment"),
        ("STRIPE_SECRET_KEY", "-", "default"),
    ] {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
        let columns: Vec<_> = line.unwrap_or_default().split_whitespace().skip(1).take(2).collect();
        assert_eq!(columns, [value, source], "{name}:\n{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");

    let bad = [
        ("ALLOWED_ORIGINS", "*"),
        ("INSTANCES", "0"),
        ("MAX_CONNECTIONS", "0"),
        ("REDIS_URL", "http://localhost"),
        ("PAYMENT_GATEWAY", "stripe"),
        ("STRIPE_SECRET_KEY", "pk_live_hunter2"),
        ("TLS_CERT", "/nowhere/tls.crt"),
        ("TLS_KEY", "/nowhere/tls.key"),
    ];
    for command in [&["config", "check"][..], &["serve"]] {
        let (good, text) = process::run(command, &database, &bad).await;
        assert!(!good && !text.contains("hunter2"), "{command:?}: {text}");
        let (_, faults) = text.split_once("is not usable").expect("a verdict");
        for (name, _) in bad.iter().filter(|(name, _)| !["PAYMENT_GATEWAY", "TLS_KEY"].contains(name)) {
            assert!(faults.contains(&format!("  {name}: ")), "{command:?}: {name} is not among the faults:{faults}");
        }
    }
}

/// For example, files that a module's variable names.
#[tokio::test(flavor = "multi_thread")]
async fn faults_found_by_modules_are_reported_with_all_others() {
    let database = TestDatabase::foreign("postgres://me:hunter2@db.example.com/shop");
    for own in [&[("MAIL_TEMPLATES", "/nowhere")][..], &[("MAIL_TEMPLATES", "/nowhere"), ("INSTANCES", "0")]] {
        for command in [&["config", "check"][..], &["serve"], &["worker"]] {
            let (good, text) = process::run(command, &database, own).await;
            let (_, faults) = text.split_once("is not usable:").expect("a verdict");
            for (name, _) in own {
                assert!(!good && faults.contains(&format!("  {name}: ")), "{command:?} does not name {name}:\n{text}");
            }
        }
    }
}

/// All faults in the URLs are reported together, without passwords.
#[tokio::test(flavor = "multi_thread")]
async fn urls_of_another_kind_are_refused_all_at_once() {
    let database = TestDatabase::foreign("mysql://me:hunter2@db.example.com/shop");
    let bad = [
        ("DATABASE_REPLICA_URLS", "postgres://me:hunter2@r1/shop,http://me:hunter2@r2/shop"),
        ("REDIS_URL", "memcached://:hunter2@cache"),
        ("ON_CALL_URL", "http://alerts.example.com"),
    ];
    for command in [&["serve"][..], &["worker"], &["migrate"], &["config", "check"]] {
        let (good, text) = process::run(command, &database, &bad).await;
        assert!(!good && !text.contains("hunter2"), "{command:?}: {text}");
        for name in ["DATABASE_URL", "DATABASE_REPLICA_URLS", "REDIS_URL", "ON_CALL_URL"] {
            assert!(text.contains(&format!("  {name}: must be ")), "{command:?} does not name {name}:\n{text}");
        }
    }
}

/// Postgres hangs: its system accepts connections and acknowledges data, but nothing answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_while_postgres_accepts_connections_and_says_nothing() {
    let hung = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = hung.local_addr().expect("an address");
    let database = TestDatabase::foreign(&format!("postgres://mainstay@{address}/mainstay?sslmode=disable"));
    let server = Process::start(&database).await;
    server.wait_for_log("starting without Postgres").await;
    server.wait_for_log("it does not answer").await;
    assert_eq!(server.endpoint.get("/readyz").await.status, 200);
    server.signal(Signal::SIGTERM);
    assert!(server.into_running().wait().await.success());
    drop(hung);
}

/// Like `make run`, with a private Postgres, whose disk is measured in addition to that of the files.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_private_postgres_measures_its_disks() {
    let directory = tempfile::tempdir().expect("a directory");
    // As root, Postgres runs as another user, who needs access.
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).expect("ours");
    let data = directory.path().to_str().expect("text");
    let own = [("MAINSTAY_DATA_DIR", data), ("FILES_URL", ""), ("MAINSTAY_EMPTY", "true")];
    let mut server = Process::with(&TestDatabase::foreign(""), &own).await;
    // The output contains a demo account with its password, and commands to try.
    for line in [
        "Demo sign-in, an admin, shown this once:\n",
        "  e-mail    demo@example.com\n",
        "  TOKEN=$(curl -s http://127.0.0.1:",
        "/api/v1/auth/login -d '{\"email\":\"demo@example.com\",\"password\":\"",
        "/mainstay.support.v1.TicketService/ListTickets -d '{}'\n",
    ] {
        server.wait_for_log(line).await;
    }
    assert!(!server.log().contains("\"password\":\"…\""), "{}", server.log());
    // The server was started with an empty database.
    assert!(!server.log().contains("ample data"), "{}", server.log());
    assert_eq!(server.endpoint.get("/api/v1/posts").await.body["meta"]["total"], "0");
    for disk in ["postgres", "files"] {
        let mut bytes = Vec::new();
        for name in ["mainstay_disk_available_bytes", "mainstay_disk_size_bytes"] {
            let series = format!("{name}{{disk=\"{disk}\"}} ");
            eventually(&series, async || {
                let metrics = server.private.get("/metrics").await.body;
                let lines = metrics.as_str().expect("text").lines();
                let value = lines.filter_map(|line| line.strip_prefix(&series)).find_map(|value| value.parse().ok());
                bytes.extend(value);
                value.is_some_and(|value: f64| value > 1e6)
            })
            .await;
        }
        assert!(bytes.first() < bytes.last(), "{disk}: {bytes:?}");
    }
    server.signal(Signal::SIGTERM);
    assert!(server.wait().await.success());
    // The private Postgres ends its connections; a normal stop warns of nothing.
    assert!(!server.log().contains("a connection to Postgres was lost"), "{}", server.log());
}

/// The demo account is for the private Postgres of a trial only; on a configured database, an admin must be created
/// before any sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_ones_own_has_no_user_to_begin_with() {
    let database = TestDatabase::new().await;
    let server = Process::start(&database).await;
    server.wait_for_log("\"email\":\"you@example.com\",\"password\":\"…\"").await;
    assert_eq!(database.number("SELECT count(*) FROM users").await, 0);
    assert_eq!(database.number("SELECT count(*) FROM service_keys").await, 0);
    assert!(!server.log().contains("demo@example.com"), "{}", server.log());
}
