//! The configuration of the whole product.

mod access;
pub(crate) mod cost;
mod events;
mod masks;
mod openapi;
mod reasons;
mod settings;
mod validation;

use std::{collections::BTreeSet, sync::LazyLock};

use mainstay_kernel::{
    config::{ConfigError, Requirement, Source, Verdict},
    module::Modules,
};

fn modules() -> &'static Modules {
    static MODULES: LazyLock<&Modules> = LazyLock::new(|| crate::product().modules().expect("they fit together"));
    &MODULES
}

fn faults(values: &[(&str, &str)]) -> Vec<ConfigError> {
    let settings = modules().settings(Source::of(values.iter().copied()));
    [settings.errors.clone(), modules().config_errors(settings.tentative())].concat()
}

/// Returns the names of the rejected variables, of all modules.
pub(crate) fn invalid_variables(values: &[(&str, &str)]) -> Vec<String> {
    faults(values).into_iter().map(|fault| fault.name).collect()
}

#[test]
fn the_defaults_are_good() {
    assert!(faults(&[]).is_empty());
}

#[test]
fn stand_ins_are_warned_of() {
    let warnings = |values: &[(&str, &str)]| -> Vec<_> {
        let config = modules().config(Source::of(values.iter().copied())).expect("a good configuration");
        modules().warnings(&config).map(|warning| warning.split(':').next().unwrap_or_default()).collect()
    };
    assert_eq!(warnings(&[]), ["PAYMENT_GATEWAY=sandbox", "MAIL_TRANSPORT=outbox"]);
    let stripe = [("PAYMENT_GATEWAY", "stripe"), ("STRIPE_SECRET_KEY", "sk_test")];
    assert_eq!(warnings(&[stripe[0], stripe[1], ("MAIL_TRANSPORT", "log")]), ["MAIL_TRANSPORT=log"]);
    let smtp = [("MAIL_TRANSPORT", "smtp"), ("SMTP_URL", "smtps://u:p@mail.example")];
    let sender = [("MAIL_FROM", "no-reply@shop.example"), ("PUBLIC_URL", "https://api.shop.example")];
    assert_eq!(warnings(&[smtp, sender].concat()), ["PAYMENT_GATEWAY=sandbox"]);
}

/// The requirements of the production checklist that a configuration misses.
fn missed(values: &[(&str, &str)]) -> Vec<&'static str> {
    let config = modules().config(Source::of(values.iter().copied())).expect("a good configuration");
    let is_missed = |requirement: &&Requirement| matches!((requirement.check)(&config), Verdict::Missed(_));
    modules().requirements().iter().filter(is_missed).map(|requirement| requirement.name).collect()
}

/// A configuration that meets every requirement.
const PRODUCTION: [(&str, &str); 18] = [
    ("LISTEN_ADDR", "0.0.0.0:8080"),
    ("TRUSTED_PROXY_HOPS", "1"),
    ("ALLOWED_ORIGINS", "https://app.shop.example"),
    ("SECRET_KEY", "dGVzdHMgc2VhbCB0aGVpciBrZXlzIHdpdGggdGhpcyE="),
    ("DATABASE_URL", "postgres://shop:secret@db.shop.example/shop?sslmode=require"),
    ("REDIS_URL", "rediss://:secret@cache.shop.example"),
    ("FILES_URL", "s3://key:secret@s3.example/shop"),
    ("ON_CALL_ROUTING_KEY", "key"),
    ("PAYMENT_GATEWAY", "stripe"),
    ("STRIPE_SECRET_KEY", "sk_live_key"),
    ("WEBHOOK_SECRETS_STRIPE", "whsec_of_some_length"),
    ("MAIL_TRANSPORT", "smtp"),
    ("SMTP_URL", "smtps://user:secret@mail.shop.example"),
    ("MAIL_FROM", "no-reply@shop.example"),
    ("PUBLIC_URL", "https://api.shop.example"),
    ("RATE_LIMIT_READ", "3000/1m"),
    ("RATE_LIMIT_LOGIN", "100/15m"),
    ("SECOND_FACTOR_STAFF", "required"),
];

#[test]
fn each_requirement_of_production_can_be_missed() {
    assert_eq!(missed(&PRODUCTION), [""; 0]);
    let with = |changes: &[(&'static str, &'static str)]| {
        let kept = PRODUCTION.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        missed(&kept.chain(changes).copied().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>())
    };
    const LOCAL: &str = "postgres://shop@localhost,127.0.0.1/shop";
    /// The changed variables, and the requirements that are then missed.
    type Case = (&'static [(&'static str, &'static str)], &'static [&'static str]);
    let cases: [Case; 27] = [
        (&[("TRUSTED_PROXY_HOPS", "0")], &["tls"]),
        (&[("ALLOWED_ORIGINS", "https://a.example,http://b.example")], &["cors"]),
        (&[("METRICS_LISTEN_ADDR", "203.0.113.7:9464")], &["private-listener"]),
        (&[("METRICS_LISTEN_ADDR", "10.1.2.3:9464")], &[]),
        (&[("METRICS_LISTEN_ADDR", "100.64.1.2:9464")], &[]),
        (&[("DATABASE_URL", "postgres://shop@db.shop.example/shop")], &["postgres-tls"]),
        (&[("DATABASE_REPLICA_URLS", "postgres://shop@db2.shop.example/shop")], &["postgres-tls"]),
        (&[("DATABASE_URL", LOCAL)], &[]),
        (&[("DATABASE_URL", "postgres:///shop?host=/run/postgresql")], &[]),
        (&[("REDIS_URL", "redis://cache.shop.example")], &["redis-tls"]),
        (&[("REDIS_URL", "redis://[::1]")], &[]),
        (&[("RATE_LIMIT_READ", "3001/1m")], &["rate-limits"]),
        (&[("RATE_LIMIT_LOGIN", "101/15m")], &["login-limit"]),
        (&[("SECOND_FACTOR_STAFF", "optional")], &["staff-second-factor"]),
        (&[("ON_CALL_ROUTING_KEY", "")], &["on-call"]),
        (&[("FILES_URL", "s3://key:secret@s3.example/shop?tls=none")], &["files"]),
        (&[("STRIPE_SECRET_KEY", "sk_test_key")], &["payments"]),
        (&[("WEBHOOK_SECRETS_STRIPE", "")], &["payment-webhooks"]),
        (&[("WEBHOOK_SECRETS_STRIPE", " ")], &["payment-webhooks"]),
        (&[("WEBHOOK_SECRETS_STRIPE", " , ")], &["payment-webhooks"]),
        (&[("WEBHOOK_ALLOW_PRIVATE", "true")], &["webhook-targets"]),
        (&[("ALLOW_PRIVATE_PROVIDERS", "true")], &["account-providers"]),
        (&[("SMTP_URL", "smtp://mail.shop.example?tls=none")], &["mail-tls"]),
        (&[("PUBLIC_URL", "http://api.shop.example")], &["public-url"]),
        (&[("APP_URL", "http://shop.example")], &["public-url"]),
        (&[("APP_URL", "https://shop.example")], &[]),
        (&[("POST_URL", "http://shop.example/posts/{slug}")], &["post-url"]),
    ];
    for (changes, names) in cases {
        assert_eq!(with(changes), names, "{changes:?}");
    }
    let of_defaults = [
        "tls",
        "secret-key",
        "postgres",
        "redis",
        "on-call",
        "files",
        "payments",
        "mail",
        "public-url",
        "staff-second-factor",
    ];
    let mut defaults = missed(&[]);
    defaults.sort_by_key(|name| of_defaults.iter().position(|other| other == name));
    assert_eq!(defaults, of_defaults);
}

#[test]
fn the_documentation_has_the_production_checklist() {
    let document = include_str!("../../docs/production.md");
    let rows: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
    for Requirement { name, text, .. } in modules().requirements() {
        let row = format!("| `{name}` | {text} |");
        assert!(rows.iter().any(|other| other.starts_with(&row)), "docs/production.md lacks\n{row}");
    }
    let names: BTreeSet<_> = modules().requirements().iter().map(|requirement| requirement.name).collect();
    assert_eq!(rows.len(), names.len(), "docs/production.md has an item that does not exist");
}

#[test]
fn every_fault_is_named_at_once() {
    let bad = [
        ("LISTEN_ADDR", "everywhere"),
        ("METRICS_LISTEN_ADDR", "everywhere"),
        ("DATABASE_POOL_WAIT", "soon"),
        ("MAX_REQUEST_BYTES", "1 kilo"),
        ("RATE_LIMIT_READ", "often"),
        ("SECRET_KEY", "hunter2"),
        ("WEBHOOK_SECRETS_STRIPE", "whsec_of_some_length,hunter2"),
        ("WEBHOOK_SECRETS_STANDARD", "whsec_hunter2"),
        ("WEBHOOK_SECRETS_GITHUB", "hunter2"),
        ("FILES_URL", "a bucket"),
        ("FILES_URL_LIFETIME", "2d"),
        ("FILES_TIMEOUT", "0s"),
    ];
    let all = invalid_variables(&bad);
    let names: BTreeSet<_> = all.iter().map(String::as_str).collect();
    let expected: BTreeSet<_> = bad.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
    assert_eq!(all.len(), bad.len(), "none is named twice: {all:?}");
}

#[test]
fn values_out_of_range_are_refused() {
    for (name, value) in [
        ("DATABASE_STATEMENT_TIMEOUT", "25d"),
        ("MAX_REQUEST_BYTES", "9MiB"),
        ("MAX_RECEIVED_BYTES", "3MiB"),
        ("OPEN_TICKET_LIMIT", "0"),
        ("MAX_IMPORT_BYTES", "0"),
        ("MAX_FILE_BYTES", "0"),
        ("UPLOAD_SPOOL", "0"),
        ("TOKEN_ISSUER", ""),
        ("POST_URL", "https://shop.example/posts"),
        ("APP_URL", "https://:password@shop.example"),
        ("WEBHOOK_FIRST_WAIT", "0s"),
        ("REFRESH_TOKEN_TTL", "40000d"),
        ("STAFF_SESSION_IDLE", "0s"),
    ] {
        assert_eq!(invalid_variables(&[(name, value)]), [name], "{value}");
    }
}

#[test]
fn the_name_of_the_product_is_measured_in_characters() {
    assert!(invalid_variables(&[("APP_NAME", &"ü".repeat(100))]).is_empty());
    assert_eq!(invalid_variables(&[("APP_NAME", &"ü".repeat(101))]), ["APP_NAME"]);
}

#[test]
fn capacities_of_zero_are_refused() {
    let names = [
        "MAX_IN_FLIGHT",
        "MAX_CONNECTIONS",
        "DATABASE_POOL_SIZE",
        "RATE_LIMIT_SERVICE_FACTOR",
        "INSTANCES",
        "JOBS_CONCURRENCY",
        "MAX_PASSWORD_HASHING",
        "MAX_UPLOADS",
        "IMPORT_CONCURRENCY",
        "WEBHOOK_CONCURRENCY",
        "MAIL_CONCURRENCY",
    ];
    assert_eq!(invalid_variables(&names.map(|name| (name, "0"))), names);
    assert_eq!(
        invalid_variables(&[("REDIS_TIMEOUT", "0s"), ("MAX_UNREAD_BYTES", "0")]),
        ["MAX_UNREAD_BYTES", "REDIS_TIMEOUT"]
    );
}

#[test]
fn a_url_of_another_kind_is_refused() {
    let is_refused =
        |name, url| invalid_variables(&[(name, url), ("SINGLE_INSTANCE", "true")]).contains(&name.to_owned());
    for good in ["postgres://localhost/m", "postgresql://u:p@[::1]:5433/m", "postgres:///m?host=/run/postgresql"] {
        assert!(!is_refused("DATABASE_URL", good), "{good}");
    }
    for bad in ["mysql://localhost/m", "http://localhost/m", "localhost:5432", "host=localhost", "postgres:///m"] {
        assert!(is_refused("DATABASE_URL", bad), "{bad}");
    }
    let primary = ("DATABASE_URL", "postgres://localhost/m");
    let are_refused = |urls| {
        invalid_variables(&[primary, ("DATABASE_REPLICA_URLS", urls)]).contains(&"DATABASE_REPLICA_URLS".to_owned())
    };
    for good in ["postgres://r1/m", "postgres://r1/m, postgresql://u:p@r2:5433/m"] {
        assert!(!are_refused(good), "{good}");
    }
    for bad in ["mysql://r1/m", "r1:5432", "postgres://r1/m,", "postgres://r1/m, http://r2/m", "postgres://r1,r2/m"] {
        assert!(are_refused(bad), "{bad}");
    }
    for good in ["https://alerts.example.com/v2", "http://localhost:9093", "http://127.0.0.1:9093", "http://[::1]/v2"] {
        assert!(!is_refused("ON_CALL_URL", good), "{good}");
    }
    for bad in ["http://alerts.example.com", "ftp://localhost", "alerts.example.com", "https://", "localhost:9093"] {
        assert!(is_refused("ON_CALL_URL", bad), "{bad}");
    }
    for good in ["redis://localhost:6379", "rediss://:p@cache/1"] {
        assert!(!is_refused("REDIS_URL", good), "{good}");
    }
    for bad in ["http://localhost", "localhost:6379", "postgres://localhost/m", "memcached://localhost"] {
        assert!(is_refused("REDIS_URL", bad), "{bad}");
    }
    for good in ["redis://s1:26379", "redis://:p@s1:26379, rediss://s2:26379"] {
        assert!(!is_refused("REDIS_SENTINELS", good), "{good}");
        assert_eq!(
            invalid_variables(&[("REDIS_SENTINELS", good)]),
            ["REDIS_URL"],
            "the name of the primary is missing"
        );
    }
    for bad in ["s1:26379", "redis://s1:26379,", "redis://s1:26379 redis://s2:26379", "http://s1"] {
        assert!(is_refused("REDIS_SENTINELS", bad), "{bad}");
    }
    for good in ["https://app.example.com", "http://localhost:5173, https://app.example.com:8443"] {
        assert!(!is_refused("ALLOWED_ORIGINS", good), "{good}");
    }
    for bad in ["*", "https://*.example.com", "https://app.example.com/", "app.example.com", "null", "ftp://x"] {
        assert!(is_refused("ALLOWED_ORIGINS", bad), "{bad}");
    }
}

#[test]
fn the_nodes_of_a_cluster_have_one_database_and_no_sentinels() {
    let of_nodes = |urls| invalid_variables(&[("REDIS_CLUSTER", "true"), ("REDIS_URL", urls)]);
    for good in ["redis://n1:6379", "redis://:p@n1:6379, redis://:p@n2:6379", "rediss://n1/0,rediss://n2"] {
        assert_eq!(of_nodes(good), [""; 0], "{good}");
    }
    for bad in [
        "redis://n1:6379/1",
        "redis://n1,redis://n2/1",
        "redis://n1,rediss://n2",
        "redis://:p@n1,redis://:q@n2",
        "redis://n1,",
        "redis://n1,http://n2",
        "unix:///run/redis.sock",
    ] {
        assert_eq!(of_nodes(bad), ["REDIS_URL"], "{bad}");
    }
    assert_eq!(invalid_variables(&[("REDIS_CLUSTER", "true")]), ["REDIS_URL"]);
    assert_eq!(invalid_variables(&[("REDIS_CLUSTER", "perhaps")]), ["REDIS_CLUSTER"]);
    assert_eq!(
        invalid_variables(&[("REDIS_URL", "redis://n1,redis://n2")]),
        ["REDIS_URL"],
        "one server has one address"
    );
    let all = [("REDIS_CLUSTER", "true"), ("REDIS_URL", "redis://n1/1"), ("REDIS_SENTINELS", "redis://s1:26379")];
    assert_eq!(invalid_variables(&all), ["REDIS_URL", "REDIS_CLUSTER"], "every fault is named");
}

/// The configuration check must detect this fault before the start does.
#[test]
fn a_primary_that_sentinels_watch_has_a_name() {
    let sentinels = ("REDIS_SENTINELS", "redis://s1:26379");
    assert_eq!(invalid_variables(&[("REDIS_URL", "redis://primary"), sentinels]), [""; 0]);
    assert_eq!(invalid_variables(&[("REDIS_URL", "unix:///run/redis.sock")]), [""; 0]);
    assert_eq!(invalid_variables(&[("REDIS_URL", "unix:///run/redis.sock"), sentinels]), ["REDIS_URL"]);
}

#[test]
fn an_on_call_service_takes_alerts_in_a_form_that_is_known() {
    assert_eq!(invalid_variables(&[("ON_CALL_FORMAT", "opsgenie")]), [""; 0]);
    assert_eq!(invalid_variables(&[("ON_CALL_FORMAT", "smoke signals")]), ["ON_CALL_FORMAT"]);
}

#[test]
fn health_needs_an_address_of_its_own() {
    let both = |address| invalid_variables(&[("LISTEN_ADDR", address), ("METRICS_LISTEN_ADDR", address)]);
    assert_eq!(both("127.0.0.1:1"), ["METRICS_LISTEN_ADDR"]);
    assert_eq!(both("127.0.0.1:0"), [""; 0]);
}

#[test]
fn no_fault_shows_a_secret() {
    let all_faults = faults(&[
        ("SECRET_KEY", "hunter2"),
        ("DATABASE_URL", "postgres://mainstay:hunter2@"),
        ("WEBHOOK_SECRETS_STRIPE", "hunter2"),
        ("SMTP_URL", "smtp://u:hunter2@mail.example"),
        ("FILES_URL", "s3://hunter2@s3.example/shop"),
    ]);
    assert!(!all_faults.is_empty());
    assert!(all_faults.iter().all(|fault| !fault.to_string().contains("hunter2")), "{all_faults:?}");
}

#[test]
fn an_external_database_needs_what_instances_share() {
    let url = ("DATABASE_URL", "postgres://localhost/mainstay");
    let key = ("SECRET_KEY", "dGVzdHMgc2VhbCB0aGVpciBrZXlzIHdpdGggdGhpcyE=");
    assert_eq!(invalid_variables(&[url]), ["FILES_URL", "REDIS_URL", "SECRET_KEY"]);
    let files = ("FILES_URL", "s3://key:secret@s3.example/shop");
    assert_eq!(invalid_variables(&[url, key, files, ("SINGLE_INSTANCE", "true")]), [""; 0]);
    assert_eq!(invalid_variables(&[url, key, files, ("REDIS_URL", "redis://localhost")]), [""; 0]);
}

#[test]
fn the_documentation_has_every_variable() {
    let document = include_str!("../../docs/configuration.md");
    let rows: Vec<_> =
        document.lines().filter(|line| line.starts_with("| `") && line.matches(" |").count() == 3).collect();
    let sentences = example_environment();
    for variable in modules().variables() {
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{}` |", variable.name)));
        let row = row.unwrap_or_else(|| panic!("{} is not in docs/configuration.md", variable.name));
        assert!(row.contains(variable.default) && row.contains(variable.meaning), "{row} is not {variable:?}");
        assert_eq!(row.contains("(secret)"), variable.secret, "{row}");
    }
    assert_eq!(rows.len(), modules().variables().len(), "docs/configuration.md has a variable that does not exist");
    let of_row = |row: &&str| {
        let (name, rest) = row.strip_prefix("| `")?.split_once("` | ")?;
        let (_, sentence) = rest.strip_suffix(" |")?.split_once("| ")?;
        Some((name.to_owned(), sentence.replace('`', "")))
    };
    let rows: Vec<_> = rows.iter().filter_map(of_row).collect();
    assert_eq!(sentences, rows, ".env.example has the variables of docs/configuration.md with the same sentences");
}

/// Returns the variables of `.env.example` with the sentences above them, except those of OpenTelemetry, which its standard
/// defines.
fn example_environment() -> Vec<(String, String)> {
    let lines: Vec<_> = include_str!("../../.env.example").lines().collect();
    let variables = lines.windows(2).filter_map(|pair| {
        let (name, _) = pair[1].strip_prefix('#')?.split_once('=').filter(|(name, _)| !name.contains(' '))?;
        let sentence = pair[0].strip_prefix("# ")?;
        Some((name.to_owned(), sentence.trim_start_matches("* ").to_owned()))
    });
    variables.filter(|(name, _)| !name.starts_with("OTEL_")).collect()
}

#[test]
fn variables_that_belong_together_are_required_together() {
    let texts = |values: &[(&str, &str)]| faults(values).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&[("TLS_CERT", "a.pem")]), ["TLS_KEY: needed beside TLS_CERT"]);
    assert_eq!(texts(&[("TLS_KEY", "a.pem")]), ["TLS_CERT: needed beside TLS_KEY"]);
    assert_eq!(texts(&[("TLS_CLIENT_CA", "a.pem")]), ["TLS_CERT: needed beside TLS_CLIENT_CA"]);
    let alone = texts(&[("TLS_PRINCIPALS", "spiffe://x/a=orders.read, spiffe://x/a=orders.read")]);
    assert_eq!(alone.len(), 2, "{alone:?}");
}

#[test]
fn the_documentation_has_the_schedule() {
    let document = include_str!("../../docs/jobs.md");
    for task in modules().work().tasks {
        let every = match task.every.as_secs() {
            seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
            seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
            seconds => format!("{seconds} s"),
        };
        let row = format!("| {} | {every} | {} |", task.name, task.what);
        assert!(document.contains(&row), "docs/jobs.md lacks\n{row}");
    }
}
